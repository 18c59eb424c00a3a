"""Constancy check, wired from settings."""

import json
import subprocess
import sys
import threading
from datetime import time
from importlib.metadata import version
from pathlib import Path

from cxr_node.config import ConfigurationError
from cxr_node.deliver.cstore import CStoreDestination
from cxr_node.deliver.peer import Peer
from cxr_node.domain.identifiers import parse_ae_title
from cxr_node.monitoring.constancy import Tolerances, is_due
from cxr_node.records.constancy import last_started_at
from cxr_node.settings.root import Settings
from cxr_node.wiring.process import Process
from cxr_node.work.periodic import constancy
from cxr_node.work.periodic.constancy import Outcome, Phantom

FIRST_SEED, COUNT, SIZE = 401, 3, 640
_RENDER_S = 600.0
_SEND_S = 30.0
_ANY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


def run_if_due(process: Process) -> Outcome | None:
    """Run today's check if it is due. One host runs it at a time."""
    with process.database.read() as connection:
        last = last_started_at(connection)
    now = process.clock().astimezone()
    started = last.astimezone() if last is not None else None
    if is_due(now, started, time.fromisoformat(process.settings.constancy.at)):
        return check(process)
    return None


def check(process: Process, *, port: int = 0) -> Outcome:
    """Send the phantoms to the node, and compare how it reads them; `port` is its port if not that of the settings.

    Raises
    ------
    ConfigurationError
        If the port of the node is unknown.
    """
    settings = process.settings
    section = settings.constancy
    if not (port or settings.receive.port):
        raise ConfigurationError(["receive.port: must not be 0 for the constancy check"])
    host = section.host or (settings.receive.host if settings.receive.host not in _ANY_ADDRESS else "127.0.0.1")
    to = CStoreDestination(
        name="constancy",
        peer=Peer(
            host=host,
            port=port or settings.receive.port,
            called_ae_title=parse_ae_title(settings.receive.ae_title),
            calling_ae_title=parse_ae_title(section.calling_ae_title),
            connection_timeout_s=_SEND_S,
            acse_timeout_s=_SEND_S,
            dimse_timeout_s=_SEND_S,
            network_timeout_s=_SEND_S,
            tls=section.tls_peer,
        ),
    )
    return constancy.check(
        process.database,
        process.archive,
        phantoms(settings),
        send=to.send,
        wait=threading.Event().wait,
        tolerances=Tolerances(
            score=section.score_tolerance, measurement=section.measurement_tolerance, ratio=section.ratio_tolerance
        ),
        device=settings.read.device,
        timeout_s=section.timeout_s,
        clock=process.clock,
        uid=process.new_uid,
    )


def phantoms(settings: Settings) -> list[Phantom]:
    """Return the phantoms. Each version renders them once, in a process that imports PyTorch."""
    folder = settings.node.data_folder / "constancy" / version("cxr-node")
    seeds = range(FIRST_SEED, FIRST_SEED + COUNT)
    paths = [folder / f"{seed}-PA.dcm" for seed in seeds]
    if not all(path.with_suffix(".json").exists() for path in paths):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-m", "cxr_node", "phantom", "films", str(folder)]
        options = ["--count", str(COUNT), "--first", str(FIRST_SEED), "--size", str(SIZE)]
        subprocess.run([*command, *options], check=True, capture_output=True, timeout=_RENDER_S)  # noqa: S603  # this program
    return [_phantom(seed, path) for seed, path in zip(seeds, paths, strict=True)]


def _phantom(seed: int, path: Path) -> Phantom:
    truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return Phantom(seed=seed, content=path.read_bytes(), ratio=truth["cardiothoracic_ratio"])

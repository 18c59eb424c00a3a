"""Receivers under comparison: this node's receive role and its peers, each in its own processes."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from cxr_node.faults import scratch
from cxr_node.faults.node_process import add_web_token
from cxr_node.settings.root import Settings
from cxr_node.wiring import startup
from cxr_node.wiring.process import Process
from tests.support import peers, running_node

PEERS = ("storescp", "storescp nodelay", "orthanc", "pynetdicom")
"""Peers of the default comparison."""


class Unfit(Exception):
    """The measurement is invalid and is not reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A running receiver. `count_stored` counts films by the receiver's own records, `clear` removes their bytes."""

    name: str
    port: int
    pid: int
    count_stored: Callable[[], int]
    clear: Callable[[], None]
    web_token: str = ""
    """API token, if films are sent by STOW-RS; `port` is that of DICOMweb then."""


def installed(program: str) -> bool:
    """Whether a peer's program is installed."""
    return any((folder / program).is_file() for folder in (Path("/usr/bin"), Path("/usr/sbin")))


def available(name: str) -> bool:
    """Whether the programs of the peer `name` are installed."""
    if name.startswith("storescp"):
        return installed("storescp") and installed("echoscu")
    return installed("Orthanc") and installed("echoscu") if name == "orthanc" else True


def peer(name: str, folder: Path) -> AbstractContextManager[Receiver]:
    """Run the peer `name` in `folder`: storescp with options nodelay, fork, 128k and exact, or another peer."""
    if name.startswith("storescp"):
        return _storescp(name, folder)
    return {"orthanc": _orthanc, "pynetdicom": _pynetdicom, "pynetdicom minimal": _minimal}[name](name, folder)


@contextmanager
def node(
    name: str,
    folder: Path,
    *,
    url: str = "",
    sets: Sequence[str] = (),
    roles: Sequence[str] = ("receive",),
    by_stow: bool = False,
) -> Iterator[Receiver]:
    """Run this node with `roles`; `sets` are settings like "receive.port=0", values in TOML or bare text.

    With `by_stow` it receives by STOW-RS.
    """
    settings = sections(sets)
    if by_stow:
        settings["dicomweb"] = scratch.web_entrance(peers.free_port())
    # Several receiving processes need a configured port.
    settings.setdefault("receive", {}).setdefault("port", peers.free_port())
    place = scratch.create_node(folder, database_url=url, destinations={}, sections=settings)
    with Process.open(place.settings) as process:
        startup.prepare(process)
        add_web_token(process)
    with running_node.running(place.config, roles=tuple(roles), wait_for=tuple(roles)) as started:
        yield Receiver(
            name=name,
            port=place.settings.dicomweb.port if by_stow else started.port,
            web_token=scratch.WEB_TOKEN if by_stow else "",
            pid=started.process.pid,
            count_stored=lambda: _films(place.settings),
            clear=lambda: _unlink(place.settings.node.data_folder / "archive"),
        )


def sections(sets: Sequence[str]) -> dict[str, dict[str, object]]:
    """Return settings by section and name."""
    settings: dict[str, dict[str, object]] = {}
    for setting in sets:
        key, _, value = setting.partition("=")
        section, _, name = key.partition(".")
        settings.setdefault(section, {})[name] = _value(value)
    return settings


def _value(written: str) -> object:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written


def _films(settings: Settings) -> int:
    with running_node.opened(settings) as database, database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM film")).scalar_one())


def _unlink(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            path.unlink(missing_ok=True)


@contextmanager
def _storescp(name: str, folder: Path) -> Iterator[Receiver]:
    words = name.split()
    folder.mkdir(parents=True)
    port = peers.free_port()
    options = [
        *(["--fork"] if "fork" in words else []),
        *(["--max-pdu", "131072"] if "128k" in words else []),
        *(["+B"] if "exact" in words else []),
    ]
    command: list[str | Path] = [peers.program("storescp"), "+xa", "-od", folder, *options, str(port)]
    more = {"TCP_NODELAY": "1"} if "nodelay" in words else {}
    with _process(command, more) as pid:
        peers.until(lambda: peers.echoscu(port).returncode == 0, what="an answer of storescp")
        yield _of_folder(name, folder, port, pid)


@contextmanager
def _pynetdicom(name: str, folder: Path) -> Iterator[Receiver]:
    """Run pynetdicom's storescp unchanged: ten associations at most."""
    folder.mkdir(parents=True)
    port = peers.free_port()
    command: list[str | Path] = [sys.executable, "-m", "pynetdicom", "storescp", "-q", "-od", folder, str(port)]
    with _process(command) as pid:
        peers.until(lambda: _echoes(port), what="an answer of pynetdicom's storescp")
        yield _of_folder(name, folder, port, pid)


@contextmanager
def _minimal(name: str, folder: Path) -> Iterator[Receiver]:
    """Run pynetdicom with at most a hundred associations and a handler that only writes the file."""
    folder.mkdir(parents=True)
    port = peers.free_port()
    with _process([sys.executable, "-m", "benchmarks.load.stock", str(port), str(folder)]) as pid:
        peers.until(lambda: _echoes(port), what="an answer of pynetdicom")
        yield _of_folder(name, folder, port, pid)


def _echoes(port: int) -> bool:
    command: list[str | Path] = [sys.executable, "-m", "pynetdicom", "echoscu", "-q", peers.LOOPBACK, str(port)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


def _of_folder(name: str, folder: Path, port: int, pid: int) -> Receiver:
    return Receiver(
        name=name,
        port=port,
        pid=pid,
        count_stored=lambda: sum(1 for _ in folder.iterdir()),
        clear=lambda: _unlink(folder),
    )


@contextmanager
def _orthanc(name: str, folder: Path) -> Iterator[Receiver]:
    """Run Orthanc with its defaults except ports and folders."""
    folder.mkdir(parents=True)
    port, http_port = peers.free_port(), peers.free_port()
    rest = peers.Orthanc(port=port, http_port=http_port)
    configuration = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "Plugins": [],
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")

    def count_stored() -> int:
        statistics: Any = rest.get("/statistics")
        return int(statistics["CountInstances"])

    def clear() -> None:
        patients: Any = rest.get("/patients")
        if patients:
            rest.send("POST", "/tools/bulk-delete", {"Resources": patients})

    with _process([peers.program("Orthanc"), str(file)]) as pid:
        peers.until(lambda: peers.echoscu(port).returncode == 0, what="an answer of Orthanc")
        yield Receiver(name=name, port=port, pid=pid, count_stored=count_stored, clear=clear)


@contextmanager
def _process(command: Sequence[str | Path], more: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a program with more environment variables; yield its process ID."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(more or {})}
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

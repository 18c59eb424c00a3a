"""The installed program as a child process: started, killed and restarted."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from cxr_node.config import load
from cxr_node.db.database import Database
from cxr_node.db.states import ENDED, Stage
from cxr_node.domain.identifiers import AeTitle
from cxr_node.queue import search
from cxr_node.queue.search import JobRow
from cxr_node.settings.root import Settings
from cxr_node.simulators import modality
from cxr_node.simulators.program import ROLES, Program
from tests.support import tiny_bundles
from tests.support.peers import LOOPBACK, free_port, until
from tests.support.receiver import ReceivePath, ReceiveProcesses

START_S = 240.0
"""Upper bound for a busy machine, below the timeout of a test. A node that ends fails the test at once."""


class RunningNode(Program):
    """A node in child processes, and its jobs."""

    def jobs(self, stage: Stage | None = None) -> list[JobRow]:
        """Return the jobs, newest first."""
        with opened(load(self.config)) as database, database.read() as connection:
            return search.jobs(connection, stage=stage, limit=100_000)

    def send(self, film: Path, calling_ae_title: str = "DX1") -> None:
        """Send a film as a modality does; raises unless its status is Success."""
        (result,) = modality.send(
            [film],
            host=LOOPBACK,
            port=self.port,
            called_ae_title=AeTitle("CXRNODE"),
            calling_ae_title=AeTitle(calling_ae_title),
            timeout_s=30,
        )
        assert result.stored

    def until_idle(self, timeout_s: float = 60.0) -> list[JobRow]:
        """Wait until every job has ended, and return them."""
        with opened(load(self.config)) as database:
            until(lambda: _is_idle(database), what="the end of every job", timeout_s=timeout_s, pause_s=0.1)
        return self.jobs()


def settings_file(
    folder: Path,
    *,
    database_url: str = "",
    destinations: tuple[Mapping[str, object], ...] = (),
    more: str = "",
    port: int = 0,
    processes: int = 0,
    is_tiny: bool = False,
) -> Path:
    """Write the settings of a node that composes without waiting; return their path.

    `port` 0 selects a free port, `processes` 0 the number of `--receive-processes`. `is_tiny` selects a bundle of
    random weights, which loads in a tenth of the time, where what is found does not matter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cxr-node.toml"
    receivers = processes or ReceiveProcesses.chosen
    lines = [
        f"[database]\nurl = {json.dumps(database_url)}",
        # Independent of the free space of this host; tests of the reserve set their own.
        "[archive]\nreserve_bytes = 0",
        f"[receive]\nhost = {json.dumps(LOOPBACK)}\npath = {json.dumps(ReceivePath.chosen)}",
        # Several processes share a port, which must be configured then.
        f"port = {port or (free_port() if receivers > 1 else 0)}\nprocesses = {receivers}",
        '[read]\nthreads = 1\nprocesses = 0\nengine = "eager"',
        *([f"bundle = {json.dumps(str(tiny_bundles.bundle(folder / 'bundle')))}"] if is_tiny else []),
        # A process less to start for each of many nodes; the faults of `hostile-films` compose in one of its own.
        "[compose]\nstudy_quiet_s = 0\nown_process = false",
        "[schedule]\ntick_s = 1",
        *([] if "[web]" in more else ["[web]\nport = 0"]),
        more,
    ]
    for destination in destinations:
        entries = (f"{name} = {json.dumps(value)}" for name, value in destination.items())
        lines.append("\n".join(("[[deliver.destinations]]", *entries)))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def to_pacs(port: int, ae_title: str) -> dict[str, object]:
    """Return the settings of a PACS as destination."""
    return {
        "kind": "cstore",
        "name": "pacs",
        "host": LOOPBACK,
        "port": port,
        "ae_title": ae_title,
        "results": ["report"],
    }


@contextmanager
def running(
    config: Path, *, wait_for: tuple[str, ...] = ROLES, roles: tuple[str, ...] = ROLES
) -> Iterator[RunningNode]:
    """Run a node while the block lasts; the block starts when the roles `wait_for` are ready."""
    with RunningNode(config, log=config.parent / "node.log", roles=roles) as node:
        if not node.wait_until_ready(*wait_for, timeout_s=START_S):
            pytest.fail(f"not ready within {START_S:.0f} s; {node.state()}")
        yield node


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the database of a node."""
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.close()


def _is_idle(database: Database) -> bool:
    with database.read() as connection:
        return all(count.state in ENDED for count in search.counts(connection))

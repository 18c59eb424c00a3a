"""Context of a fault group: folder, database, seed, amounts and progress callback."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cxr_node.faults import scratch
from cxr_node.faults.films import Films
from cxr_node.faults.postgres_server import Server
from cxr_node.faults.scratch import ScratchNode

DatabaseKind = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How many faults of each kind. The defaults are the whole suite; `SHORT` runs a little of each group."""

    kills: int = 500
    program_kills: int = 20
    peer_kills: int = 50
    """Kills while DCMTK sends."""
    correction_kills: int = 100
    """Kills while patients are corrected and films rejected."""
    worklist_steps: int = 200
    """Steps that two nodes perform, of which one is killed."""
    export_kills: int = 40
    """Upper limit of places at which an export is killed."""
    messages: int = 10_000
    idle_peers: int = 200
    rounds: int = 5
    films_per_round: int = 60
    soak_hours: float = 24.0
    restarts: int = 10
    lost_databases: int = 10
    """Upper limit of ways in which a database is lost."""
    writes: int = 1_000
    """Upper limit of writes of one kind that fail once each."""
    aborts: int = 1_000
    """Upper limit of associations that are cut."""
    outage_hours: float = 71.8
    """How long a PACS is unreachable; after 72 h deliveries fail."""
    films_per_outage: int = 20
    """Films during each fault of the inference server, and after it."""
    clock_jumps: int = 100
    """Upper limit of clock jumps."""
    elements: int = 4_000_000
    """Elements, items or levels of a film made to exhaust memory: 32 MB."""
    chaos_minutes: float = 5.0
    """Real time of faults at random."""
    power_films: int = 40
    """Films received while writes are recorded."""
    power_starts: int = 10
    """Nodes that are started on the disk after a power cut, besides the last."""
    composer_kills: int = 20
    """Upper limit of kills of the process that composes."""


SHORT = Amounts(
    kills=4,
    program_kills=0,
    peer_kills=2,
    correction_kills=3,
    worklist_steps=6,
    export_kills=2,
    messages=60,
    idle_peers=20,
    rounds=1,
    films_per_round=8,
    soak_hours=0.5,
    restarts=1,
    lost_databases=2,
    writes=2,
    aborts=4,
    outage_hours=0.2,
    films_per_outage=1,
    clock_jumps=2,
    elements=300_000,
    chaos_minutes=0.0,
    power_films=6,
    power_starts=1,
    composer_kills=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """One database's context.

    `url` is PostgreSQL's, empty for SQLite; `server` is there where the server is ours and may be restarted.
    `receive_settings` are changes of [receive]; the installed program receives in `receive_processes`. `on_progress`
    is called with a label, a count and its total.
    """

    folder: Path
    kind: DatabaseKind
    films: Films
    url: str = ""
    server: Server | None = None
    seed: int = 20260102
    amounts: Amounts = field(default_factory=Amounts)
    receive_settings: Mapping[str, object] = field(default_factory=dict)
    receive_processes: int = 1
    on_progress: Callable[[str, int, int], None] = lambda _label, _done, _total: None

    @contextmanager
    def database_url(self) -> Iterator[str]:
        """Yield the URL of an empty database for one node: a schema of its own, or SQLite's in the data folder."""
        if not self.url:
            yield ""
            return
        with scratch.schema(self.url) as url:
            yield url

    @contextmanager
    def node(
        self,
        name: str,
        *,
        destinations: Mapping[str, Mapping[str, object]],
        commitment_peers: Mapping[str, int] | None = None,
        sections: Mapping[str, Mapping[str, object]] | None = None,
        receive: Mapping[str, object] | None = None,
    ) -> Iterator[ScratchNode]:
        """Yield a scratch node in the folder `name` with a database of its own; see `scratch.create_node`."""
        with self.database_url() as url:
            yield scratch.create_node(
                self.folder / name,
                database_url=url,
                destinations=destinations,
                commitment_peers=commitment_peers,
                sections=sections,
                receive={**self.receive_settings, **(receive or {})},
            )

    def rng(self, name: str) -> random.Random:
        """Return a random number generator that is the same for the same seed."""
        return random.Random(f"{self.seed} {name} {self.kind}")  # noqa: S311  # not for secrets


def stopwatch() -> Callable[[], float]:
    """Return a function that returns the seconds since this call."""
    began = time.monotonic()
    return lambda: round(time.monotonic() - began, 1)

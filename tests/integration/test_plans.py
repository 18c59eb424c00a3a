"""Pages, views, questions and the queue's own statements go by indexes: no plan reads a large table whole."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url

from benchmarks.database import fill, questions
from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.states import Stage
from cxr_node.queue import claimable, claiming, queue
from cxr_node.records import ingest
from cxr_node.wiring.process import utc_now
from tests.support.queue import LEASE, arrived

FILMS = 10_000
# A film in six hours: a week is 28 of these films, as it is a small part of a large node's.
EVERY_S = 6 * 3600
LARGE = ("film", "job", "study", "reading", "finding", "measurement", "result", "delivery", "job_event")
# Views over a row a day or a check; their aliases are those of large tables, which PostgreSQL's plans tell apart.
OVER_SMALL = ("v1_daily_statistics", "v1_drift", "v1_constancy")
# These ask for a month, or for everything that is as old as the day they name: half of these films.
OF_LONG = {"question 8", "question 9", "question 10", "question 11", "question 12", "question 13", "question 15"}


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database with many films, of which PostgreSQL has gathered statistics."""
    url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'node.db'}"
    if request.param == "postgresql":
        server = make_url(request.getfixturevalue("postgresql_server")).set(drivername="postgresql+psycopg")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE plans"))
        engine.dispose()
        url = server.set(database="plans").render_as_string(hide_password=False)
    database = Database(url)
    migrate.upgrade(database)
    fill(database, FILMS, every_s=EVERY_S, waiting=100)
    database.close()
    return url


def statements(engine: Engine, ask: Callable[[], object]) -> list[tuple[str, object]]:
    """Return what was asked of the database, with its parameters."""
    seen: list[tuple[str, object]] = []

    def note(_c: object, _u: object, statement: str, parameters: object, _x: object, is_many: bool) -> None:
        seen.append((statement, parameters[0] if is_many and isinstance(parameters, list) else parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return [each for each in seen if re.match(r"\s*(SELECT|UPDATE|WITH)", each[0])]


def whole_tables(connection: Connection, statement: str, parameters: object) -> list[str]:
    """Return the lines of a statement's plan that read a large table whole."""
    names = "|".join(LARGE)
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]  # theirs
        lines = [str(row[3]) for row in rows]
        if any(view in statement for view in OVER_SMALL):
            return []
        if "LIMIT" in statement and not any("TEMP B-TREE" in line for line in lines):
            return []  # along the primary key, until there are enough
        return [line for line in lines if re.match(r"SCAN \w+$", line) and _is_large(line[5:])]
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)  # type: ignore[arg-type]  # theirs
    return [str(row[0]) for row in rows if re.search(rf"Seq Scan on ({names})\b", str(row[0]))]


def _is_large(name: str) -> bool:
    """Whether SQLite's plan means a large table: it calls tables in views by an alias of one letter."""
    return name in LARGE or len(name) == 1


def test_no_page_view_or_question_reads_a_table_whole(filled: str) -> None:
    database = Database(filled, read_only=True)
    found: dict[str, list[str]] = {}
    for name, ask in questions(FILMS).items():
        if name in OF_LONG:
            continue

        def asked(ask: Callable[[Connection], object] = ask) -> None:
            with database.read() as connection:
                ask(connection)

        for statement, parameters in statements(database.engine, asked):
            with database.read() as connection:
                if lines := whole_tables(connection, statement, parameters):
                    found.setdefault(name, []).extend(lines)
    database.close()

    assert found == {}


def test_no_statement_of_the_queue_reads_a_table_whole(filled: str) -> None:
    database = Database(filled)
    found: dict[str, list[str]] = {}

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
                    if lines := whole_tables(connection, statement, parameters):
                        found.setdefault(f"{stage} {statement}", []).extend(lines)
    database.close()

    assert found == {}


def test_whose_turn_is_next_is_read_in_order_before_statistics_know_of_a_backlog(database: Database) -> None:
    fill(database, 2000, every_s=EVERY_S, waiting=1)
    several = [arrived(f"film {number}", of=f"study {number}") for number in range(2000)]
    with database.write() as transaction:
        ingest.write(transaction, several)

    def claim() -> None:
        with database.write() as transaction:
            assert claiming.claim(transaction, Stage.READ, owner="o", lease=LEASE, now=utc_now())

    how = "EXPLAIN QUERY PLAN" if database.engine.dialect.name == "sqlite" else "EXPLAIN"
    asked = statements(database.engine, claim)
    with database.write() as transaction:
        lines = [
            str(row)
            for statement, parameters in asked
            for row in transaction.connection.exec_driver_sql(f"{how} {statement}", parameters)  # type: ignore[arg-type]  # theirs
        ]

    assert lines
    assert not [line for line in lines if "Sort" in line or "TEMP B-TREE" in line]


def test_a_table_that_is_read_whole_is_found(filled: str) -> None:
    database = Database(filled, read_only=True)
    with database.read() as connection:
        assert whole_tables(connection, "SELECT detail FROM job WHERE detail = 'x'", ())
    database.close()

"""Rolling upgrade: two versions on one database. The schema expands first, then rows are filled in.

The version of this checkout is the old one; the new one has a second migration made for tests.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from cxr_node.db import migrate
from cxr_node.db.database import Database, Transaction
from cxr_node.db.schema_version import Standing, TooNew, standing, why_not
from cxr_node.db.states import Stage, State
from cxr_node.queries.views.registry import VIEWS
from cxr_node.queue import queue, search
from cxr_node.records import backfill
from tests.support import migrations
from tests.support.queue import claim_none, claim_one, store_film

Columns = dict[str, dict[str, tuple[str, bool, bool]]]
HEAD = migrations.revisions()[-1]

_UNFILLED = "SELECT id FROM study WHERE film_count IS NULL ORDER BY id LIMIT 2"
_FILL = """
UPDATE study SET film_count = (SELECT count(*) FROM film WHERE film.study_id = study.id)
WHERE id = :study_id
"""


def fill_film_count(transaction: Transaction) -> int:
    study_ids = transaction.connection.execute(text(_UNFILLED)).scalars().all()
    for study_id in study_ids:
        transaction.connection.execute(text(_FILL), {"study_id": study_id})
    return len(study_ids)


@pytest.fixture
def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database at the schema of the old version, in a process of the new one."""
    migrations.with_test_migrations(monkeypatch, tmp_path)
    monkeypatch.setattr(backfill, "BACKFILLS", (fill_film_count,))
    database = Database(database_url)
    migrations.bring_to(database, HEAD)
    yield database
    database.close()


def columns(connection: Connection) -> Columns:
    """Return each table's columns: type, whether it may be empty, whether it has a default."""
    inspector = inspect(connection)
    return {
        table: {
            column["name"]: (str(column["type"]), bool(column["nullable"]), column["default"] is not None)
            for column in inspector.get_columns(table)
        }
        for table in inspector.get_table_names()
    }


def view_columns(connection: Connection) -> dict[str, list[str]]:
    inspector = inspect(connection)
    present = set(inspector.get_view_names()) & set(VIEWS)
    return {name: [column["name"] for column in inspector.get_columns(name)] for name in present}


def film_counts(database: Database) -> list[int | None]:
    with database.read() as connection:
        return list(connection.execute(text("SELECT film_count FROM v1_films ORDER BY film_id")).scalars())


def test_the_newest_migrations_only_add(old: Database) -> None:
    """The package's newest migration, once there is a second one, and the one made for tests."""
    for before, after in list(pairwise(migrations.revisions()))[-2:]:
        migrations.bring_to(old, before)
        with old.read() as connection:
            tables, views = columns(connection), view_columns(connection)
        migrations.bring_to(old, after)
        with old.read() as connection:
            tables_after, views_after = columns(connection), view_columns(connection)

        for table, table_columns in tables.items():
            assert {name: tables_after[table][name] for name in table_columns} == table_columns, table
            for name, (_, is_nullable, has_default) in tables_after[table].items():
                is_writable = name in table_columns or is_nullable or has_default
                assert is_writable, f"{table}.{name}: the old version does not write it"
        for name, known_columns in views.items():
            assert views_after[name][: len(known_columns)] == known_columns, name


def test_rows_of_the_old_version_are_filled_in_after_an_upgrade(old: Database) -> None:
    for name in ("a", "b", "c"):
        store_film(old, name, study=name)
    store_film(old, "d", study="a")

    migrate.upgrade(old)
    assert film_counts(old) == [None] * 4
    assert backfill.fill(old) == 2  # one batch
    assert backfill.fill_all(old) == 1

    assert film_counts(old) == [2, 1, 1, 2]
    assert backfill.fill_all(old) == 0


def test_the_old_version_works_on_with_the_new_schema(old: Database) -> None:
    """It stores films, claims, ends and queues jobs, and the new version fills in its rows."""
    migrate.upgrade(old)

    store_film(old, "a")
    assert not store_film(old, "a")
    claim = claim_one(old)
    with old.write() as transaction:
        queue.finish(transaction, claim, now=claim.queued_at)
        queue.add_compose(transaction, 1, due_at=claim.queued_at, now=claim.queued_at)
    composing = claim_one(old, Stage.COMPOSE)
    with old.write() as transaction:
        queue.retry(transaction, composing, due_at=claim.queued_at, detail="", now=claim.queued_at)

    assert backfill.fill_all(old) == 1
    assert film_counts(old) == [1]
    assert claim_one(old, Stage.COMPOSE).job_id == composing.job_id
    assert claim_none(old)
    with old.read() as connection:
        states = [(job.stage, job.state) for job in reversed(search.jobs(connection))]
    assert states == [(Stage.READ, State.DONE), (Stage.COMPOSE, State.RUNNING)]


@pytest.mark.parametrize(("floor", "expected"), [(HEAD, Standing.NEWER), ("9998", Standing.TOO_NEW)])
def test_a_newer_schema_is_worked_with_down_to_its_floor(
    database: Database, floor: str, expected: Standing, tmp_path: Path
) -> None:
    with database.write() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        transaction.connection.execute(text("DROP VIEW schema_floor"))
        transaction.connection.execute(text(f"CREATE VIEW schema_floor AS SELECT '{floor}' AS oldest"))

    with database.read() as connection:
        assert standing(connection) is expected
        assert bool(why_not(connection)) is (expected is Standing.TOO_NEW)
    if expected is Standing.NEWER:
        migrate.upgrade(database)
    else:
        with pytest.raises(TooNew, match="install that version"):
            migrate.upgrade(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"

"""Old and new version against one database: what the newest migration leaves as it was, and what a node makes of it."""

from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.migrate import Standing, TooNew
from cxr_node.db.states import Stage
from cxr_node.queries.views import VIEWS
from cxr_node.queue import queue
from cxr_node.records import backfill
from tests.support.queue import claim_one

SCRIPT = ScriptDirectory.from_config(migrate._config())
NEW, OLD = [script.revision for script in SCRIPT.walk_revisions()][:2]
Columns = dict[str, dict[str, tuple[str, bool, bool]]]


def columns(connection: Connection) -> Columns:
    """Return each table's columns: type, whether it may be empty, whether it has a default."""
    seen = inspect(connection)
    return {
        table: {
            each["name"]: (str(each["type"]), bool(each["nullable"]), each["default"] is not None)
            for each in seen.get_columns(table)
        }
        for table in seen.get_table_names()
    }


def bring_to(database: Database, revision: str) -> None:
    with database.write() as transaction:
        config = migrate._config()
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, revision)


@pytest.fixture
def old(database_url: str) -> Database:
    """A database at the schema of the version before."""
    database = Database(database_url)
    bring_to(database, OLD)
    return database


def test_the_newest_migration_only_adds(old: Database) -> None:
    with old.read() as connection:
        before = columns(connection)
        there = set(inspect(connection).get_view_names()) & set(VIEWS)
        views = {name: [each["name"] for each in inspect(connection).get_columns(name)] for name in there}
    migrate.upgrade(old)
    with old.read() as connection:
        after = columns(connection)
        views_after = {name: [each["name"] for each in inspect(connection).get_columns(name)] for name in VIEWS}
    old.close()

    for table, kept in before.items():
        assert {name: after[table][name] for name in kept} == kept, table
        for name, (_, is_nullable, has_default) in after[table].items():
            assert name in kept or is_nullable or has_default, f"{table}.{name}: the version before does not write it"
    for name, kept_columns in views.items():
        assert views_after[name][: len(kept_columns)] == kept_columns, name


# As a node of revision 0008 writes them.
_AT = {"at": "2026-01-02 12:00:00.000000"}
_FILM = """
INSERT INTO film (study_id, sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid, patient_key,
    digest, archive_key, size_bytes, calling_ae_title, called_ae_title, address, association, received_at, is_original)
VALUES (1, '1.2.840.10008.5.1.4.1.1.1.1', '2.25.2', '2.25.3', '1.2.840.10008.1.2.1', '00', '00', 'films/00', 1, 'DX1',
    'CXRNODE', '127.0.0.1', '', :at, true)
"""
_ADD = """
INSERT INTO job (stage, {0}_id, state, priority, attempts, crashes, due_at, detail, created_at, queued_at)
VALUES ('{1}', 1, 'waiting', 0, 0, 0, :at, '', :at, :at)
"""
_CLAIM = """
UPDATE job SET state = 'running', attempts = attempts + 1, lease_owner = 'old/read/1', lease_until = :at
WHERE id IN (SELECT id FROM job WHERE stage = '{0}' AND state = 'waiting' AND due_at <= :at
             ORDER BY priority DESC, due_at, id LIMIT 1)
"""
_FINISH = """
UPDATE job SET state = 'done', detail = '', lease_owner = NULL, lease_until = NULL, ended_at = :at
WHERE lease_owner = 'old/read/1' AND state = 'running'
"""
_EVENT = "INSERT INTO job_event (job_id, at, event, state, actor, detail) VALUES (1, :at, 'created', 'waiting', '', '')"
_READING = "INSERT INTO reading (film_id, read_at, detail, notes, grayscale) VALUES (1, :at, '', '[]', '')"
_RESULT = """
INSERT INTO result (study_id, kind, version, sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid,
    patient_key, digest, archive_key, size_bytes, composed_at)
VALUES (1, 'TID1500', 1, '1', '2.25.4', '2.25.5', '1', '00', '00', 'results/00', 1, :at)
"""
_DELIVERY = "INSERT INTO delivery (result_id, destination, created_at) VALUES (1, 'pacs', :at)"


def test_what_the_version_before_writes_is_still_taken_and_its_jobs_are_worked_by_either(database: Database) -> None:
    with database.write() as transaction:
        for statement in (
            "INSERT INTO study (study_instance_uid, first_received_at) VALUES ('2.25.1', :at)",
            _FILM, _ADD.format("film", "read"), _EVENT, _CLAIM.format("read"), _READING, _FINISH,
            _ADD.format("study", "compose"), _CLAIM.format("compose"), _RESULT, _DELIVERY,
            _ADD.format("delivery", "deliver"), _FINISH,
        ):  # fmt: skip
            transaction.connection.execute(text(statement), _AT if ":at" in statement else {})

    claim = claim_one(database, Stage.DELIVER)
    with database.write() as transaction:
        queue.finish(transaction, claim, now=claim.queued_at)
        assert backfill.fill(transaction) == 3
        jobs = transaction.connection.execute(
            text("SELECT stage, state, study_instance_uid FROM v1_jobs ORDER BY job_id")
        ).all()
    assert [tuple(row) for row in jobs] == [(stage, "done", "2.25.1") for stage in ("read", "compose", "deliver")]


@pytest.mark.parametrize(("floor", "expected"), [(NEW, Standing.NEWER), ("9998", Standing.TOO_NEW)])
def test_a_node_goes_on_with_a_newer_schema_unless_that_says_it_cannot(
    database: Database, floor: str, expected: Standing, tmp_path: Path
) -> None:
    with database.write() as transaction:
        transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        transaction.connection.execute(text("DROP VIEW schema_floor"))
        transaction.connection.execute(text(f"CREATE VIEW schema_floor AS SELECT '{floor}' AS oldest"))

    with database.read() as connection:
        assert migrate.standing(connection) is expected
        assert bool(migrate.why_not(connection)) is (expected is Standing.TOO_NEW)
    if expected is Standing.NEWER:
        migrate.upgrade(database)
    else:
        with pytest.raises(TooNew, match="install that version"):
            migrate.upgrade(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"

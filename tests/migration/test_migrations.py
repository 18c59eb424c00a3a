"""Every schema there was becomes the present one, and the present one is what the tables say."""

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.tables import metadata
from cxr_node.domain.reading import Topic
from cxr_node.records import readings
from tests.support.queue import instance, remember

REVISIONS = [script.revision for script in ScriptDirectory.from_config(migrate._config()).walk_revisions()]


# SQLAlchemy does not read an index on an expression back from SQLite; that it is there and used, test_plans.py shows.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index ix_job_turn")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index 'ix_job_turn'")
def test_the_migrated_schema_is_that_of_the_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert migrate.is_current(connection)


def test_every_schema_there_was_becomes_the_present_one(database_url: str) -> None:
    for revision in REVISIONS:
        database = Database(database_url)
        try:
            with database.write() as transaction:
                config = migrate._config()
                config.attributes["connection"] = transaction.connection
                command.upgrade(config, revision)
                command.downgrade(config, "base")
                assert inspect(transaction.connection).get_table_names() == ["alembic_version"]
                command.upgrade(config, revision)
            migrate.upgrade(database)
            with database.read() as connection:
                assert migrate.is_current(connection)
        finally:
            database.close()


def test_an_upgrade_of_a_present_database_changes_nothing(database: Database) -> None:
    remember(database, "a")

    migrate.upgrade(database)

    assert not remember(database, "a")


def test_an_empty_database_is_not_current(database_url: str) -> None:
    database = Database(database_url)
    try:
        with database.read() as connection:
            assert not migrate.is_current(connection)
    finally:
        database.close()


def test_a_reading_of_the_first_tables_reads_as_one_that_says_no_more(database_url: str) -> None:
    database = Database(database_url)
    try:
        _bring_to(database, "0001")
        film = instance("a")
        uids = {name: getattr(film.identity, name) for name in _UIDS}
        with database.write() as transaction:
            times = {"at": "2026-01-02 12:00:00+00:00"}
            transaction.connection.execute(text(_OLD_STUDY), {"study_instance_uid": uids["study_instance_uid"]} | times)
            transaction.connection.execute(
                text(_OLD_FILM), {name: uid for name, uid in uids.items() if name != "study_instance_uid"} | times
            )
            transaction.connection.execute(text(_OLD_READING), {"at": "2026-01-02 12:00:00+00:00"})
            transaction.connection.execute(text(_OLD_MEASUREMENT))
        migrate.upgrade(database)

        with database.read() as connection:
            kept = readings.latest(connection, 1, instance("a").identity)
        assert kept is not None
        assert kept.prediction is not None
        assert (kept.prediction.structures, kept.prediction.appearance, kept.observations) == ((), None, ())
        assert [each.topic for each in kept.measurements] == [Topic.PROPORTIONS]
        _bring_to(database, "0001")
        with database.read() as connection:
            names = {column["name"] for column in inspect(connection).get_columns("reading")}
        assert not names & {"structures", "appearance", "observations"}
    finally:
        database.close()


_UIDS = ("sop_class_uid", "sop_instance_uid", "series_instance_uid", "study_instance_uid")

_OLD_STUDY = "INSERT INTO study (study_instance_uid, first_received_at) VALUES (:study_instance_uid, :at)"

_OLD_FILM = """
INSERT INTO film (study_id, sop_class_uid, sop_instance_uid, series_instance_uid, transfer_syntax_uid, patient_key,
    digest, archive_key, size_bytes, calling_ae_title, called_ae_title, address, received_at, is_original)
VALUES (1, :sop_class_uid, :sop_instance_uid, :series_instance_uid, '1.2.840.10008.1.2.1', '00', '00',
    'films/00/00.dcm', 1, 'DX1', 'CXRNODE', '127.0.0.1', :at, true)
"""

_OLD_READING = """
INSERT INTO reading (film_id, read_at, detail, notes, grayscale, analysed_area, model_name, model_version,
    model_manufacturer, weights_digest, preparation, operating_points)
VALUES (1, :at, '', '[]', 'linear', '[[0, 0], [9, 0], [9, 9], [0, 9]]', 'm', '1.0.0', 'x', '00', 'p', 'o')
"""

_OLD_MEASUREMENT = """
INSERT INTO measurement (reading_id, key, code_value, code_scheme, code_meaning, value, unit, line, provenance)
VALUES (1, 'r', 'v', 's', 'm', 0.5, '{"value": "1", "scheme_designator": "UCUM", "meaning": "no units"}', '[]', '')
"""


def _bring_to(database: Database, revision: str) -> None:
    with database.write() as transaction:
        config = migrate._config()
        config.attributes["connection"] = transaction.connection
        present = MigrationContext.configure(transaction.connection).get_current_revision() or ""
        (command.downgrade if present > revision else command.upgrade)(config, revision)

"""Every schema there was becomes the present one, and the present one is what the tables say."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from cxr_node.jobs import migrate
from cxr_node.jobs.database import Database
from cxr_node.jobs.tables import metadata
from tests.work import remember

REVISIONS = [script.revision for script in ScriptDirectory.from_config(migrate._config()).walk_revisions()]


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

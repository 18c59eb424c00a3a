"""Migrations: each revision upgrades to the present schema, which is that of the tables and views of the package."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from cxr_node.db import (  # noqa: F401  # part of the metadata
    account_tables,
    cascade_tables,
    comparison_tables,
    correction_tables,
    export_tables,
    identifier_tables,
    migrate,
    monitoring_tables,
    notification_tables,
    point_tables,
    prior_tables,
    procedure_step_tables,
)
from cxr_node.db.database import Database
from cxr_node.db.schema_version import Standing, standing
from cxr_node.db.tables import metadata
from cxr_node.queries.views.registry import VIEWS
from tests.support import migrations
from tests.support.queue import store_film


# SQLAlchemy does not reflect an index on an expression from SQLite; test_query_plans.py covers it.
@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index ix_job_claim_order")
@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index 'ix_job_claim")
def test_the_migrated_schema_is_that_of_the_tables(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert standing(connection) is Standing.SAME


def test_the_migrated_schema_has_the_check_constraints_of_the_tables(database: Database) -> None:
    """Autogenerate does not compare these."""
    with database.write() as transaction:
        connection = transaction.connection
        migrated = constraint_definitions(connection)
        for name in VIEWS:
            connection.execute(text(f"DROP VIEW {name}"))
        connection.execute(text("DROP TABLE job_event"))
        metadata.tables["job"].drop(connection)
        metadata.tables["job"].create(connection)

        assert constraint_definitions(connection) == migrated


def constraint_definitions(connection: Connection) -> list[tuple[str | None, str]]:
    return [(check["name"], check["sqltext"]) for check in inspect(connection).get_check_constraints("job")]


@pytest.mark.parametrize("name", VIEWS)
def test_the_migrated_views_are_those_of_the_package(database: Database, name: str) -> None:
    with database.write() as transaction:
        connection = transaction.connection
        query = VIEWS[name].query(connection.dialect.name)
        connection.execute(text(f"CREATE VIEW present AS {query}".replace(":", r"\:")))

        assert definition(connection, name) == definition(connection, "present")
        columns = [column["name"] for column in inspect(connection).get_columns(name)]
        assert columns == list(VIEWS[name].columns)


def definition(connection: Connection, view: str) -> str:
    if connection.dialect.name == "postgresql":
        return str(connection.execute(text("SELECT pg_get_viewdef(CAST(:view AS regclass))"), {"view": view}).scalar())
    query = text("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = :view")
    create = str(connection.execute(query, {"view": view}).scalar())
    return " ".join(create.split(" AS", 1)[1].split())


def test_each_revision_follows_the_one_before_it_down_and_up_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.with_test_migrations(monkeypatch, tmp_path)
    database = Database(database_url)
    try:
        for revision in migrations.revisions():
            with database.write() as transaction:
                config = migrate._config()
                config.attributes["connection"] = transaction.connection
                before = _schema(transaction.connection)
                command.upgrade(config, revision)
                schema = _schema(transaction.connection)
                command.downgrade(config, "-1")
                assert _schema(transaction.connection) == before, revision
                command.upgrade(config, revision)
                assert _schema(transaction.connection) == schema, revision
        with database.read() as connection:
            assert standing(connection) is Standing.SAME
        migrations.bring_to(database, "base")
        with database.read() as connection:
            assert inspect(connection).get_table_names() == ["alembic_version"]
            assert inspect(connection).get_view_names() == []
    finally:
        database.close()


def _schema(connection: Connection) -> list[tuple[str, list[str]]]:
    """Return the names of the tables and views, and of the columns of each."""
    inspected = inspect(connection)
    names = sorted({*inspected.get_table_names(), *inspected.get_view_names()} - {"alembic_version"})
    return [(name, sorted(column["name"] for column in inspected.get_columns(name))) for name in names]


@pytest.mark.ci(short="test_each_revision_follows_the_one_before_it_down_and_up_again")
def test_every_revision_is_upgraded_to_the_present_schema(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.with_test_migrations(monkeypatch, tmp_path)
    for revision in migrations.revisions():
        database = Database(database_url)
        try:
            with database.write() as transaction:
                config = migrate._config()
                config.attributes["connection"] = transaction.connection
                command.upgrade(config, revision)
                command.downgrade(config, "base")
                assert inspect(transaction.connection).get_table_names() == ["alembic_version"]
                assert inspect(transaction.connection).get_view_names() == []
                command.upgrade(config, revision)
            migrate.upgrade(database)
            with database.read() as connection:
                assert standing(connection) is Standing.SAME
            migrations.bring_to(database, "base")
        finally:
            database.close()


def test_an_upgrade_of_a_present_database_changes_nothing(database: Database) -> None:
    store_film(database, "a")

    migrate.upgrade(database)

    assert not store_film(database, "a")


def test_an_empty_database_is_not_current(database_url: str) -> None:
    database = Database(database_url)
    try:
        with database.read() as connection:
            assert standing(connection) is Standing.OLDER
    finally:
        database.close()

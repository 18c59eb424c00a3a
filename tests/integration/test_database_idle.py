"""Connections that PostgreSQL has closed meanwhile: one that was idle is found out before it is used."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from cxr_node.db import engine as module
from cxr_node.db.database import Database, DatabaseUnavailable


def cut(url: str) -> None:
    """End every connection to a database but this one."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    engine.dispose()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_an_idle_connection_that_was_closed_is_replaced_unnoticed(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 0.0)
    cut(database_url)

    with database.write() as transaction:
        assert transaction.connection.execute(text("SELECT 1")).scalar() == 1


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_one_that_was_closed_at_work_is_told_once_and_replaced(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_IDLE_S", 3600.0)
    cut(database_url)

    with pytest.raises(DatabaseUnavailable), database.write() as transaction:
        transaction.connection.execute(text("SELECT 1"))

    with database.write() as transaction:
        assert transaction.connection.execute(text("SELECT 1")).scalar() == 1

"""Connections closed by PostgreSQL: after idle time they are pinged before use."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from cxr_node.db import engine as engine_module
from cxr_node.db.database import Database, DatabaseUnavailable


def close_pooled_connection(database: Database, url: str) -> None:
    """Use a database, which leaves a connection in its pool, and close that on the server."""
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        others = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database()"
        connection.execute(text(f"{others} AND pid <> pg_backend_pid()"))
    engine.dispose()


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_closed_idle_connection_is_replaced(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_IDLE_S", 0.0)
    close_pooled_connection(database, database_url)

    with database.write() as transaction:
        assert transaction.connection.execute(text("SELECT 1")).scalar() == 1


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_a_closed_busy_connection_fails_once_and_is_replaced(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_IDLE_S", 3600.0)
    close_pooled_connection(database, database_url)

    with pytest.raises(DatabaseUnavailable), database.write() as transaction:
        transaction.connection.execute(text("SELECT 1"))

    with database.write() as transaction:
        assert transaction.connection.execute(text("SELECT 1")).scalar() == 1

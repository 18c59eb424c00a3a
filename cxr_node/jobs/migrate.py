"""Bringing a database to the schema of this version."""

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select

from cxr_node.jobs.database import Database

_MIGRATING = 0x63787231
"""The advisory lock of who migrates."""


def upgrade(database: Database) -> None:
    """Apply every migration that the database has not seen, all in one transaction or none.

    Hosts that start together wait for each other.
    """
    with database.write() as transaction:
        if transaction.connection.dialect.name == "postgresql":
            transaction.connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        config = _config()
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema of this version."""
    heads = ScriptDirectory.from_config(_config()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """Return the folder of migrations: inside the package when installed, beside it in a checkout."""
    package = Path(str(files("cxr_node")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"

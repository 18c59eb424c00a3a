"""Bringing a database to the schema of this version."""

import logging
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, func, select, table

from cxr_node.db.database import Database

_log = logging.getLogger(__name__)

_MIGRATING = 0x63787231
"""The advisory lock of who migrates."""


class TooNew(Exception):
    """A newer version has changed the schema in a way that this one cannot work with."""


def upgrade(database: Database) -> None:
    """Apply every migration that the database has not seen, all in one transaction or none.

    Hosts that start together wait for each other. A schema that a newer version has only added to is left as it is.

    Raises
    ------
    TooNew
        If the schema is of a newer version, and this one cannot work with it.
    """
    with database.write() as transaction:
        if transaction.connection.dialect.name == "postgresql":
            transaction.connection.execute(select(func.pg_advisory_xact_lock(_MIGRATING)))
        match standing(transaction.connection):
            case Standing.TOO_NEW:
                raise TooNew(why_not(transaction.connection))
            case Standing.NEWER:
                _log.warning("the database is at the schema of a newer version, which has only added to it")
            case _:
                config = _config()
                config.attributes["connection"] = transaction.connection
                command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema of this version."""
    heads = ScriptDirectory.from_config(_config()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


class Standing(StrEnum):
    """How the database's schema stands to that of this version."""

    SAME = "same"
    OLDER = "older"
    NEWER = "newer"
    """Of a newer version that has only added to it: this one works with it."""
    TOO_NEW = "too new"


def standing(connection: Connection) -> Standing:
    """Return how the schema stands to that of this version.

    A migration that takes something away moves the floor: the oldest revision whose nodes may go on.
    """
    script = ScriptDirectory.from_config(_config())
    mine, theirs = script.get_current_head() or "", MigrationContext.configure(connection).get_current_revision() or ""
    if theirs == mine:
        return Standing.SAME
    if not theirs or theirs in {each.revision for each in script.walk_revisions()}:
        return Standing.OLDER
    floor: str = connection.execute(select(column("oldest")).select_from(table("schema_floor"))).scalar_one()
    return Standing.NEWER if floor <= mine else Standing.TOO_NEW


def why_not(connection: Connection) -> str:
    """Return why this version cannot work with the database, and what to do; nothing if it can."""
    match standing(connection):
        case Standing.OLDER:
            return "the database is not at this version's schema: run `cxr-node db upgrade` first"
        case Standing.TOO_NEW:
            return (
                "the database is at the schema of a newer version, which this one cannot work with: "
                "install that version on this host too"
            )
        case _:
            return ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """Return the folder of migrations: inside the package when installed, beside it in a checkout."""
    package = Path(str(files("cxr_node")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"

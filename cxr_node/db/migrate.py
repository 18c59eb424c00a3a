"""Migration: upgrades a database to the schema of this version, and compares the two."""

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

_MIGRATION_LOCK = 0x63787231
"""Key of the advisory lock that is held during a migration."""


class TooNew(Exception):
    """A newer version has changed the schema so that this one cannot work with it."""


def upgrade(database: Database) -> None:
    """Apply all missing migrations in one transaction.

    Hosts that start at the same time take turns. A newer schema that only adds to this one is not changed.

    Raises
    ------
    TooNew
        If the schema is of a newer version that this one cannot work with.
    """
    with database.write() as transaction:
        if transaction.connection.dialect.name == "postgresql":
            transaction.connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        match standing(transaction.connection):
            case Standing.TOO_NEW:
                raise TooNew(why_not(transaction.connection))
            case Standing.NEWER:
                _log.warning("the database has the schema of a newer version, which this version can work with")
            case _:
                config = _config()
                config.attributes["connection"] = transaction.connection
                command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the database has the schema of this version."""
    heads = ScriptDirectory.from_config(_config()).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


class Standing(StrEnum):
    """The schema of the database compared with that of this version."""

    SAME = "same"
    OLDER = "older"
    NEWER = "newer"
    """Of a newer version that this one can work with."""
    TOO_NEW = "too new"


def standing(connection: Connection) -> Standing:
    """Compare the schema with that of this version.

    The view `schema_floor` names the oldest revision whose nodes can work with the schema.
    """
    script = ScriptDirectory.from_config(_config())
    head = script.get_current_head() or ""
    present = MigrationContext.configure(connection).get_current_revision() or ""
    if present == head:
        return Standing.SAME
    if not present or present in {revision.revision for revision in script.walk_revisions()}:
        return Standing.OLDER
    floor: str = connection.execute(select(column("oldest")).select_from(table("schema_floor"))).scalar_one()
    return Standing.NEWER if floor <= head else Standing.TOO_NEW


def why_not(connection: Connection) -> str:
    """Return why this version cannot work with the database, and what to do; empty if it can."""
    match standing(connection):
        case Standing.OLDER:
            return "the database has the schema of an older version: run `cxr-node db upgrade` first"
        case Standing.TOO_NEW:
            return (
                "the database has the schema of a newer version, which this version cannot work with: "
                "install that version on this host too"
            )
        case _:
            return ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """Return the folder of migrations: in the installed package, or beside it in a checkout."""
    package = Path(str(files("cxr_node")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"

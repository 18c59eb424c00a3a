"""Migration: upgrades a database to the schema of this version."""

import logging

from alembic import command
from alembic.config import Config
from sqlalchemy import func, select

from cxr_node.db.database import Database
from cxr_node.db.schema_version import Standing, TooNew, migrations_folder, standing, why_not

_log = logging.getLogger(__name__)

_MIGRATION_LOCK = 0x63787231
"""Key of the advisory lock that is held during a migration."""


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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config

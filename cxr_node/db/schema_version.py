"""Version of a database's schema, compared with that of this program. Without Alembic, as every command compares."""

import re
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

_REVISION = re.compile(r"(\d{4})_\w+\.py")
"""File of a migration, which begins with its revision."""

_VERSION_TABLE = "alembic_version"


class TooNew(Exception):
    """A newer version has changed the schema so that this one cannot work with it."""


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
    known, present = revisions(), _present(connection)
    if present == known[-1]:
        return Standing.SAME
    if not present or present in known:
        return Standing.OLDER
    floor: str = connection.execute(select(column("oldest")).select_from(table("schema_floor"))).scalar_one()
    return Standing.NEWER if floor <= known[-1] else Standing.TOO_NEW


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


def revisions() -> list[str]:
    """Return the revisions of this version's migrations, oldest first."""
    names = (_REVISION.fullmatch(path.name) for path in (migrations_folder() / "versions").iterdir())
    return sorted(name[1] for name in names if name)


def migrations_folder() -> Path:
    """Return the folder of migrations: in the installed package, or beside it in a checkout."""
    package = Path(str(files("cxr_node")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _present(connection: Connection) -> str:
    """Return the revision of the database; empty if it has no schema yet."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return ""
    row = connection.execute(select(column("version_num")).select_from(table(_VERSION_TABLE))).scalar()
    return str(row or "")

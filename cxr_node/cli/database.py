"""Access of commands to the job database: read-only, or read-write.

Commands that only look open the database alone: what a process of the node shares takes longer to import than most of
them run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_node import config
from cxr_node.cli.terminal import CommandError
from cxr_node.db import schema_version
from cxr_node.db.database import Connection, Database
from cxr_node.db.url import sqlite_file
from cxr_node.settings.root import Settings

if TYPE_CHECKING:
    from cxr_node.wiring.process import Process

STATEMENT_TIMEOUT_S = 30.0


@contextmanager
def reading_database(path: Path, *, at_most_s: float = STATEMENT_TIMEOUT_S) -> Iterator[Connection]:
    """Open the job database of the settings in `path` read-only, in one transaction."""
    with read_only_database(config.load(path), at_most_s=at_most_s) as database, database.read() as connection:
        check_schema(connection)
        yield connection


@contextmanager
def read_only_database(settings: Settings, *, at_most_s: float) -> Iterator[Database]:
    """Open the job database read-only, whatever its schema; raise CommandError if there is none yet."""
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():
        raise CommandError(f"there is no database at {file}: `cxr-node run` creates it, or `cxr-node db upgrade`")
    database = Database(
        settings.database_url,
        busy_timeout_s=settings.database.busy_timeout_s,
        read_only=True,
        statement_timeout_s=at_most_s,
    )
    try:
        yield database
    finally:
        database.close()


@contextmanager
def read_only(settings: Settings, *, at_most_s: float) -> Iterator["Process"]:
    """Open a process whose job database is read-only; raise CommandError if there is no database yet."""
    from cxr_node.wiring.process import Process

    with (
        read_only_database(settings, at_most_s=at_most_s) as database,
        Process.open(settings, make_database=lambda _: database) as process,
    ):
        yield process


@contextmanager
def read_write(path: Path) -> Iterator["Process"]:
    """Open a process of the settings in `path`; its job database must have this version's schema."""
    from cxr_node.wiring.process import Process

    with Process.open(config.load(path)) as process:
        with process.database.read() as connection:
            check_schema(connection)
        yield process


@contextmanager
def read_write_or_new(path: Path) -> Iterator["Process"]:
    """Open a process as `read_write` does; a database without tables gets the schema first."""
    # Most commands need none of these.
    from cxr_node.db import migrate
    from cxr_node.queries import archived
    from cxr_node.wiring import database_guard
    from cxr_node.wiring.process import Process

    with Process.open(config.load(path)) as process:
        with process.database.read() as connection:
            is_new = not archived.has_schema(connection)
        if is_new:
            database_guard.check_start(process)
            migrate.upgrade(process.database)
        with process.database.read() as connection:
            check_schema(connection)
        yield process


def check_schema(connection: Connection) -> None:
    """Raise CommandError if this version cannot work with the schema of the database."""
    if why_not := schema_version.why_not(connection):
        raise CommandError(why_not)

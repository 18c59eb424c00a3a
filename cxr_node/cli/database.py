"""The job database as commands open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node import config
from cxr_node.cli.terminal import CommandError
from cxr_node.db import migrate
from cxr_node.db.database import Connection, Database
from cxr_node.db.url import sqlite_file
from cxr_node.settings.root import Settings

STATEMENT_TIMEOUT_S = 30.0


@contextmanager
def reading_database(path: Path, *, at_most_s: float = STATEMENT_TIMEOUT_S) -> Iterator[Connection]:
    """Open the job database of some settings read-only, in one transaction."""
    database = read_only(config.load(path), at_most_s=at_most_s)
    try:
        with database.read() as connection:
            if why_not := migrate.why_not(connection):
                raise CommandError(why_not)
            yield connection
    finally:
        database.close()


def read_only(settings: Settings, *, at_most_s: float) -> Database:
    """Open the job database read-only; raise CommandError where there is none yet."""
    file = sqlite_file(settings.database_url)
    if file is not None and not file.is_file():
        raise CommandError(f"there is no database at {file} yet: `cxr-node run` makes it, or `cxr-node db upgrade`")
    return Database(
        settings.database_url,
        busy_timeout_s=settings.database.busy_timeout_s,
        read_only=True,
        statement_timeout_s=at_most_s,
    )

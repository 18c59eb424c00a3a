"""The whole database in one SQLite file, from either kind and into either kind."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, ScalarSelect, Table, func, insert, select, update

from cxr_node.db import migrate
from cxr_node.db.database import Database
from cxr_node.db.tables import film, metadata, result

_AT_ONCE = 2000


class NotEmpty(Exception):
    """The database that is to be filled has films already."""


def write(database: Database, path: Path) -> None:
    """Write a database as it is at one moment into a new SQLite file. Nobody waits for that."""
    url = database.engine.url
    if url.get_backend_name() == "sqlite":
        # The driver's own copy: one reading transaction, during which the WAL takes what is written.
        with (
            closing(sqlite3.connect(f"file:{str(url.database).removeprefix('file:')}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        return
    copy = Database(f"sqlite:///{path}")
    try:
        migrate.upgrade(copy)
        one_state = database.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with one_state as source, copy.write() as target:
            _copy(source, target.connection)
    finally:
        copy.close()
        _fold(path)


def read(path: Path, database: Database) -> None:
    """Fill an empty database, brought to the present schema, with what `write` has written.

    Raises
    ------
    NotEmpty
        If there are films in it.
    """
    migrate.upgrade(database)
    written = Database(f"sqlite:///{path}")
    try:
        migrate.upgrade(written)  # it may be of an older version
        with written.read() as source, database.write() as target:
            if target.connection.execute(select(film.c.id).limit(1)).first() is not None:
                raise NotEmpty("the database has films already")
            _copy(source, target.connection)
            if target.connection.dialect.name == "postgresql":
                _continue_numbers(target.connection)
    finally:
        written.close()
        _fold(path)


def kept_files(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield archive key, digest and size in bytes of every file that the rows of a written database promise."""
    written = Database(f"sqlite:///{path}", read_only=True)
    try:
        with written.read() as connection:
            for table in (film, result):
                columns = (table.c.archive_key, table.c.digest, table.c.size_bytes)
                rows = connection.execution_options(yield_per=_AT_ONCE).execute(
                    select(*columns).where(table.c.removed_at.is_(None))
                )
                yield from ((key, digest, size) for key, digest, size in rows)
    finally:
        written.close()


def mark_removed(path: Path, keys: Collection[str], *, at: datetime) -> None:
    """Mark in a written database the rows of files that were removed since."""
    written = Database(f"sqlite:///{path}")
    try:
        with written.write() as transaction:
            for table in (film, result):
                for key in keys:
                    gone = update(table).where(table.c.archive_key == key, table.c.removed_at.is_(None))
                    transaction.connection.execute(gone.values(removed_at=at))
    finally:
        written.close()
        _fold(path)


def _copy(source: Connection, target: Connection) -> None:
    for table in metadata.sorted_tables:
        for rows in source.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])


def _continue_numbers(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that were copied."""
    for table in metadata.sorted_tables:
        if "id" in table.c:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            last = select(func.max(table.c.id)).scalar_subquery()
            connection.execute(select(func.setval(sequence, func.coalesce(last, 1), _has_rows(table))))


def _has_rows(table: Table) -> ScalarSelect[bool]:
    return select(func.count() > 0).select_from(table).scalar_subquery()


def _fold(path: Path) -> None:
    """Bring a written database into its one file: what travels is not to depend on a WAL beside it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")

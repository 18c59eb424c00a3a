"""Dump of a whole database to one SQLite file, restore of it, and copy into another database, of either kind."""

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, insert, inspect, select, update

from cxr_node.db import (  # noqa: F401  # part of the metadata
    account_tables,
    cascade_tables,
    comparison_tables,
    correction_tables,
    identifier_tables,
    migrate,
    monitoring_tables,
    notification_tables,
    point_tables,
    prior_tables,
    procedure_step_tables,
)
from cxr_node.db.database import Database
from cxr_node.db.schema_version import Standing, standing
from cxr_node.db.tables import film, metadata, result
from cxr_node.records import film_attributes

_BATCH_ROWS = 2000


class NotEmpty(Exception):
    """The database to restore or copy into has rows."""


class CountsDiffer(Exception):
    """After a copy a table has another number of rows than its source; nothing was copied."""


def write(database: Database, path: Path) -> None:
    """Write a snapshot of a database to a new SQLite file, without blocking writers."""
    url = database.engine.url
    if url.get_backend_name() == "sqlite":
        # The backup of the driver: one read transaction, during which writes go to the WAL.
        with (
            closing(sqlite3.connect(f"file:{str(url.database).removeprefix('file:')}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        return
    copy = Database(f"sqlite:///{path}")
    try:
        migrate.upgrade(copy)
        snapshot = database.engine.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot as source, copy.write() as target:
            _copy(source, target.connection)
    finally:
        copy.close()
        _merge_wal(path)


def read(path: Path, database: Database) -> None:
    """Restore a dump into an empty database, which is upgraded first.

    Raises
    ------
    NotEmpty
        If the database contains films.
    """
    migrate.upgrade(database)
    dump = Database(f"sqlite:///{path}")
    try:
        migrate.upgrade(dump)  # an older version may have written it
        with dump.read() as source, database.write() as target:
            if target.connection.execute(select(film.c.id).limit(1)).first() is not None:
                raise NotEmpty("the database contains films already")
            _copy(source, target.connection)
            if target.connection.dialect.name == "postgresql":
                _set_sequences(target.connection)
    finally:
        dump.close()
        _merge_wal(path)


def copy(source: Database, target: Database) -> dict[str, int]:
    """Copy every row into an empty database, which is upgraded first; return the rows of each table.

    The source must have the schema of this version. Rows are copied in one transaction.

    Raises
    ------
    NotEmpty
        If a table of the target has rows, or the target has the schema of another version.
    CountsDiffer
        If a table has another number of rows afterwards.
    """
    with target.read() as connection:
        if inspect(connection).has_table(film.name) and (
            standing(connection) is not Standing.SAME or any(_counts(connection).values())
        ):
            raise NotEmpty("the target has rows, or the schema of another version")
    migrate.upgrade(target)
    with source.read() as rows, target.write() as transaction:
        connection = transaction.connection
        _copy(rows, connection)
        if connection.dialect.name == "postgresql":
            _set_sequences(connection)
        counts = _counts(connection)
        if differing := [name for name, count in _counts(rows).items() if counts[name] != count]:
            raise CountsDiffer(", ".join(differing))
    return counts


def kept_files(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield archive key, digest and size in bytes of every file of a dump that was not removed."""
    dump = Database(f"sqlite:///{path}", read_only=True)
    try:
        with dump.read() as connection:
            for table in (film, result):
                columns = (table.c.archive_key, table.c.digest, table.c.size_bytes)
                rows = connection.execution_options(yield_per=_BATCH_ROWS).execute(
                    select(*columns).where(table.c.removed_at.is_(None))
                )
                yield from ((key, digest, size) for key, digest, size in rows)
    finally:
        dump.close()


def mark_removed(path: Path, keys: Collection[str], *, at: datetime) -> None:
    """Mark rows of a dump whose files were removed after it was written, and delete the identifiers of such films."""
    dump = Database(f"sqlite:///{path}")
    try:
        with dump.write() as transaction:
            for table in (film, result):
                for key in keys:
                    removed = update(table).where(table.c.archive_key == key, table.c.removed_at.is_(None))
                    transaction.connection.execute(removed.values(removed_at=at))
            for key in keys:
                film_attributes.delete_identifiers(
                    transaction.connection, select(film.c.id).where(film.c.archive_key == key)
                )
    finally:
        dump.close()
        _merge_wal(path)


def _copy(source: Connection, target: Connection) -> None:
    for table in metadata.sorted_tables:
        for rows in source.execution_options(yield_per=_BATCH_ROWS).execute(select(table)).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])


def _counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
    }


def _set_sequences(connection: Connection) -> None:
    """Set the sequences of PostgreSQL after the copied rows."""
    for table in metadata.sorted_tables:
        if "id" in table.c:
            sequence = func.pg_get_serial_sequence(table.name, "id")
            last = select(func.max(table.c.id)).scalar_subquery()
            has_rows = select(func.count() > 0).select_from(table).scalar_subquery()
            connection.execute(select(func.setval(sequence, func.coalesce(last, 1), has_rows)))


def _merge_wal(path: Path) -> None:
    """Merge the WAL into the file of a dump, so that it can be moved alone."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")

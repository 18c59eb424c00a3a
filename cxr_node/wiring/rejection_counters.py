"""Rejection counters per host, in a file: rejected associations write no database row."""

import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cxr_node.receive.events import (
    AssociationAccepted,
    AssociationRejected,
    ConnectionFailed,
    ReceiveEvent,
    StoreRejected,
    TlsFailed,
)
from cxr_node.settings.root import Settings

_MAXIMUM_TITLES = 200
"""Peers choose their AE titles; further titles share one counter without a title."""

Counts = Mapping[tuple[str, str], int]
"""(calling AE title, reason) to number of rejections since the data folder was made."""


class RejectionCounters:
    """Counts rejections in memory; `write` stores them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts = Counter(_read(path))
        self._written = Counter(self._counts)

    def note(self, event: ReceiveEvent) -> None:
        """Count an event that is a rejection."""
        rejection = _rejection(event)
        if rejection is None:
            return
        title, reason = rejection
        with self._lock:
            if len({counted for counted, _ in self._counts} | {title}) > _MAXIMUM_TITLES:
                title = ""
            self._counts[title, reason] += 1

    def write(self) -> None:
        """Replace the file if the counts have changed. If the disk is full, a later call writes it."""
        with self._lock:
            counts = Counter(self._counts)
        if counts == self._written:
            return
        rows = [[title, reason, count] for (title, reason), count in sorted(counts.items())]
        temporary = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file)
            temporary.rename(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        self._written = counts


@contextmanager
def counting(settings: Settings) -> Iterator[RejectionCounters]:
    """Count rejections during the block; the counts are written at its end."""
    counters = RejectionCounters(_path(settings))
    try:
        yield counters
    finally:
        counters.write()


def each_of(*handlers: Callable[[ReceiveEvent], None]) -> Callable[[ReceiveEvent], None]:
    """Return a handler of events that calls each of `handlers` in turn."""

    def on_event(event: ReceiveEvent) -> None:
        for handler in handlers:
            handler(event)

    return on_event


def counts(settings: Settings) -> Counts:
    """Return the counts of this host, at most a few seconds old."""
    return _read(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.node.data_folder / "rejections.json"


def _read(path: Path) -> Counts:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {(str(title), str(reason)): int(count) for title, reason, count in rows}
    except (OSError, ValueError, TypeError):  # no file yet, or a damaged one: start at zero
        return {}


def _rejection(event: ReceiveEvent) -> tuple[str, str] | None:
    match event:
        case AssociationAccepted():
            return None
        case AssociationRejected():
            return _title(event.calling_ae_title), event.rejection.name.lower()
        case ConnectionFailed():
            return "", event.failure.value
        case TlsFailed():
            return "", "no_tls"
        case StoreRejected():
            return _title(event.calling_ae_title), event.status.name.lower()


def _title(text: str) -> str:
    """Return a peer's AE title, with other than printable ASCII characters replaced, for metrics."""
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text.strip()[:16])

"""What was refused at the door, counted in a file: a stranger who knocks is not to write to the database."""

import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cxr_node.receive.events import AssociationAccepted, AssociationRejected, ReceiveEvent, StoreRejected, TlsFailed
from cxr_node.settings.root import Settings
from cxr_node.work.scheduler import Schedule

_EVERY_S = 5.0
_SENDERS = 200
"""Titles are what strangers call themselves: those that come after so many are counted as one, without a name."""

Counts = Mapping[tuple[str, str], int]
"""Sender and reason to how often, since the data folder was made."""


class Refusals:
    """Counts, and writes them down when asked to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._counts = Counter(_read(path))
        self._written = Counter(self._counts)

    def note(self, incident: ReceiveEvent) -> None:
        """Count an incident, if something was refused."""
        refused = _refused(incident)
        if refused is None:
            return
        sender, reason = refused
        with self._lock:
            if len({title for title, _ in self._counts} | {sender}) > _SENDERS:
                sender = ""
            self._counts[sender, reason] += 1

    def write(self) -> None:
        """Write the counts, if there are new ones. A full disk is no reason to stop: they are written later."""
        with self._lock:
            counts = Counter(self._counts)
        if counts == self._written:
            return
        rows = [[sender, reason, times] for (sender, reason), times in sorted(counts.items())]
        aside = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(rows, file)
            aside.rename(self._path)
        except OSError:
            aside.unlink(missing_ok=True)
            return
        self._written = counts


@contextmanager
def counting(settings: Settings) -> Iterator[Refusals]:
    """Count while the block lasts."""
    refusals = Refusals(_path(settings))
    with Schedule(refusals.write, tick_s=_EVERY_S):
        try:
            yield refusals
        finally:
            refusals.write()


def each_of(*handlers: Callable[[ReceiveEvent], None]) -> Callable[[ReceiveEvent], None]:
    """Return a handler of events that calls each of `handlers` in turn."""

    def on_event(event: ReceiveEvent) -> None:
        for handler in handlers:
            handler(event)

    return on_event


def counts(settings: Settings) -> Counts:
    """Return what this host has refused, as it was written a few seconds ago at the latest."""
    return _read(_path(settings))


def _path(settings: Settings) -> Path:
    return settings.node.data_folder / "refused.json"


def _read(path: Path) -> Counts:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {(str(sender), str(reason)): int(times) for sender, reason, times in rows}
    except (OSError, ValueError, TypeError):  # not there yet, or damaged: counting begins anew
        return {}


def _refused(incident: ReceiveEvent) -> tuple[str, str] | None:
    match incident:
        case AssociationAccepted():
            return None
        case AssociationRejected():
            return _title(incident.calling_ae_title), incident.rejection.name.lower()
        case TlsFailed():
            return "", "no_tls"
        case StoreRejected():
            return _title(incident.calling_ae_title), incident.status.name.lower()


def _title(shown: str) -> str:
    """Return an AE title as a peer has sent it, without what a line of metrics cannot hold."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in shown.strip()[:16])

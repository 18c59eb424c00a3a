"""State of the remote reader per host, in a file: request counts by outcome, and why the server is not used."""

import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cxr_node.domain.clock import Clock, local_time
from cxr_node.infer.remote.outcome import RemoteTrouble, RequestOutcome
from cxr_node.settings.root import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteState:
    """State of this host's remote reader, at most a few seconds old.

    `requests` counts inference requests by outcome since the data folder was made, `seconds` is their sum.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    trouble: RemoteTrouble | None = None
    written_at: datetime | None = None


class RemoteStateRecorder:
    """Counts requests and notes trouble in memory; `write` stores them. Thread-safe."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        stored = _read(path)
        self._requests = Counter(stored.requests)
        self._seconds = stored.seconds
        self._trouble: RemoteTrouble | None = None

    def note_request(self, outcome: RequestOutcome, seconds: float) -> None:
        """Count an inference request."""
        with self._lock:
            self._requests[outcome.value] += 1
            self._seconds += seconds

    def note_trouble(self, trouble: RemoteTrouble | None) -> None:
        """Note why the server is not used, or None once it is, and write it at once."""
        self._trouble = trouble
        self.write()

    def write(self) -> None:
        """Replace the file. If the disk is full, a later call writes it."""
        with self._lock:
            trouble = self._trouble
            document = {
                "requests": dict(self._requests),
                "seconds": round(self._seconds, 3),
                "trouble": [trouble.message, trouble.since.isoformat()] if trouble else None,
                "written_at": self._clock().isoformat(),
            }
        temporary = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file)
            temporary.rename(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)


def state_file(settings: Settings) -> Path:
    """Return the file of this host."""
    return settings.node.data_folder / "remote.json"


def read_state(settings: Settings) -> RemoteState | None:
    """Return the state of this host; None if its reader is local."""
    return _read(state_file(settings)) if settings.read.kind == "remote" else None


def trouble_sentence(trouble: RemoteTrouble, fallback: str) -> str:
    """Return what is so, since when, and what follows, for alarms and `cxr-node status`."""
    consequence = (
        "films are read by the local bundle" if fallback == "local" else "films wait, and are read once it answers"
    )
    return f"not used since {local_time(trouble.since)}, {consequence}: {trouble.message}; `cxr-node doctor` checks it"


def _read(path: Path) -> RemoteState:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        trouble = document["trouble"]
        return RemoteState(
            requests={RequestOutcome(name).value: int(count) for name, count in document["requests"].items()},
            seconds=float(document["seconds"]),
            trouble=RemoteTrouble(message=trouble[0], since=datetime.fromisoformat(trouble[1])) if trouble else None,
            written_at=datetime.fromisoformat(document["written_at"]),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):  # no file yet, or a damaged one
        return RemoteState()

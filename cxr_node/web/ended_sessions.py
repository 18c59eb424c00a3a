"""Sessions that were ended by a logout before their time, in a file of the data folder."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cxr_node.domain.files import replace_whole

_log = logging.getLogger(__name__)


class EndedSessions:
    """Digests of tokens of ended sessions, each kept until the session would have expired. Thread-safe.

    A cookie is signed, so nothing else says that its session has ended.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._until = _read(path)

    def end(self, token: str, *, until: float) -> None:
        """End the session of a token, which would expire at `until`, in Unix time."""
        with self._lock:
            now = self._clock()
            self._until = {digest: ends_at for digest, ends_at in self._until.items() if ends_at > now}
            self._until[_digest(token)] = until
            try:
                replace_whole(self._path, json.dumps(self._until).encode())
            except OSError as error:  # it is ended all the same, until this process ends
                _log.error("%s: the end of a session is not stored: %s", self._path, error.strerror)

    def has(self, token: str) -> bool:
        """Whether the session of a token was ended."""
        with self._lock:
            return _digest(token) in self._until


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(path: Path) -> dict[str, float]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError:
        _log.error("%s: not readable, so that sessions ended by a logout may be valid until they expire", path)
        return {}
    return {str(digest): float(until) for digest, until in content.items()}

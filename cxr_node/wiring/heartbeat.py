"""Heartbeats of a host's roles: files whose times the roles renew, and which supervisor and /health/ready read."""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cxr_node.domain.identifiers import AeTitle
from cxr_node.settings.root import Settings
from cxr_node.wiring.role_names import Role

INTERVAL_S = 1.0
_LATE_S = 15.0
"""A role whose last heartbeat is older is named by /health/ready."""
_TITLE = "echo_title"
_ENDED = 0.0
"""Time of the heartbeat of a role that has ended."""


def prepare(settings: Settings) -> None:
    """Remove the heartbeats of an earlier run, and choose the AE title of this run's own C-ECHO."""
    folder = _folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    _write(folder / _TITLE, f"ECHO{secrets.token_hex(6).upper()}")


def echo_title(settings: Settings) -> AeTitle | None:
    """Return the calling AE title of the node's own C-ECHO, which no peer knows; None without a supervisor."""
    try:
        return AeTitle((_folder(settings) / _TITLE).read_text(encoding="ascii"))
    except OSError:
        return None


def path_of(settings: Settings, role: Role, number: int) -> Path:
    """Return the file of a role's process; `number` counts the processes of the node."""
    return _folder(settings) / f"{role}-{number}"


def begin(path: Path) -> None:
    """Take the start of a process as its first heartbeat."""
    _write(path, "")


def end(path: Path) -> None:
    """Record that a process has ended."""
    with contextlib.suppress(OSError):
        os.utime(path, (_ENDED, _ENDED))


def write_address(path: Path, address: str) -> None:
    """Write where the process of a heartbeat listens."""
    _write(path, address)


@contextmanager
def beating(path: Path, are_alive: Callable[[], bool], *, interval_s: float = INTERVAL_S) -> Iterator[None]:
    """Renew a heartbeat during the block as long as `are_alive` returns True."""
    stopping = threading.Event()

    def beat() -> None:
        while not stopping.wait(interval_s):
            if are_alive():
                with contextlib.suppress(OSError):  # the supervisor sees the file's old time
                    os.utime(path)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(INTERVAL_S)


def late_roles(settings: Settings, *, now: float | None = None) -> dict[str, str]:
    """Return the roles of this host without a recent heartbeat, and what is so; `now` in Unix time."""
    at = time.time() if now is None else now
    late: dict[str, str] = {}
    for path in _heartbeats(settings):
        with contextlib.suppress(OSError):
            beat_at = path.stat().st_mtime
            if beat_at == _ENDED:
                late[_role(path)] = "has ended, and is started again"
            elif at - beat_at > _LATE_S:
                late[_role(path)] = f"has given no heartbeat for {at - beat_at:.0f} s, and will be restarted"
    return late


def receive_address(settings: Settings) -> str:
    """Return where this host receives films, HOST:PORT; empty if it does not, or not yet."""
    for path in _heartbeats(settings):
        if _role(path) == Role.RECEIVE:
            with contextlib.suppress(OSError):
                return path.read_text(encoding="ascii")
    return ""


def _heartbeats(settings: Settings) -> list[Path]:
    return sorted(path for path in _folder(settings).glob("*-*") if _role(path) in set(Role))


def _role(path: Path) -> str:
    return path.name.rpartition("-")[0]


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)


def _folder(settings: Settings) -> Path:
    return settings.node.data_folder / "heartbeats"

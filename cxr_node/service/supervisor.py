"""Every role of a node on one machine: started together, started again when one dies, stopped together."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cxr_node.domain.errors import RetryLater
from cxr_node.ops.single_instance import AlreadyRunning, data_folder_lock
from cxr_node.queue import queue
from cxr_node.service import signals
from cxr_node.settings.root import Settings
from cxr_node.wiring import roles, startup
from cxr_node.wiring.process import Process
from cxr_node.wiring.roles import Role

_log = logging.getLogger(__name__)

OnReady = Callable[[Role, str], None]
"""Called from another thread with a role that is ready, and its address if it has one."""

_WATCH_S = 0.1
_STOP_S = 9.5
_SHORTEST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 30.0
# A role that ran this long before it died is not failing at its start.
_STEADY_S = 30.0
_ENVIRONMENT = {Role.RECEIVE: {"MALLOC_ARENA_MAX": "2"}}
"""Two threads for each association would otherwise each keep memory of their own that the others cannot have."""


def run(settings: Settings, settings_path: Path, roles: Sequence[Role], *, on_ready: OnReady) -> None:
    """Run `roles`, each in a process of its own, until SIGTERM or SIGINT.

    Raises
    ------
    AlreadyRunning
        If another node runs in the same data folder, or the port that several processes are to share is taken.
    """
    stopping = threading.Event()
    signals.on_first([signal.SIGTERM, signal.SIGINT], stopping.set)
    with data_folder_lock(settings.node.data_folder) as lock:
        if Role.RECEIVE in roles and settings.receive.processes > 1:
            _check_port(settings)
        with Process.open(settings) as process:
            startup.prepare(process)
            children = [
                _Child(role, settings_path, lock, on_ready, more) for role in roles for more in _each(settings, role)
            ]
            try:
                while not stopping.wait(_WATCH_S):
                    for child in children:
                        _watch(child, process)
            finally:
                _stop(children)


def _check_port(settings: Settings) -> None:
    """Raise AlreadyRunning if another program has the port: our processes would share it with that one."""
    section = settings.receive
    try:
        family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
        socket.create_server((section.host, section.port), family=family).close()
    except OSError as error:
        raise AlreadyRunning(f"port {section.port} of {section.host} cannot be had: {error.strerror}") from None


def _each(settings: Settings, role: Role) -> list[list[str]]:
    """Return what distinguishes the processes of a role: of readers their devices; several that receive are alike.

    Without a second bundle nothing reads in the shadow.
    """
    if role is Role.RECEIVE:
        return [[]] * settings.receive.processes
    if role is Role.SHADOW:
        return [[]] if settings.read.shadow else []
    if role is not Role.READ or not settings.read.devices:
        return [[]]
    return [["--device", device] for device in settings.read.devices]


class _Child:
    """A role's process, and when to start the next one once it has died."""

    def __init__(self, role: Role, settings_path: Path, lock: int, on_ready: OnReady, more: Sequence[str] = ()) -> None:
        self.role = role
        self.restart_at: float | None = None
        self._command = [sys.executable, "-m", "cxr_node", "role", role, "--config", str(settings_path), *more]
        self._lock = lock
        self._on_ready = on_ready
        self._failures = 0
        self.start()

    def start(self) -> None:
        """Start the process. Its standard input is its life line: it ends when ours does."""
        self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self._lock,),
            env={**os.environ, **_ENVIRONMENT.get(self.role, {})},
        )
        self._started = time.monotonic()
        self.restart_at = None
        self._reader = threading.Thread(target=self._await_ready, daemon=True)
        self._reader.start()

    def bury(self) -> float:
        """Note that the process has died; return in how many seconds the next may start, longer at each failure."""
        self._close()
        lived_s = time.monotonic() - self._started
        self._failures = 1 if lived_s > _STEADY_S else self._failures + 1
        wait_s = min(_LONGEST_BACK_OFF_S, _SHORTEST_BACK_OFF_S * 2.0 ** min(self._failures - 1, 10))
        self.restart_at = time.monotonic() + wait_s
        return wait_s

    def wait(self, timeout_s: float) -> None:
        """Wait for the end of the process; kill it when it takes too long."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _log.error("%s did not stop in time and is killed", self.role)
            self.process.kill()
            self.process.wait()
        self._close()

    def _await_ready(self) -> None:
        line = self.process.stdout.readline() if self.process.stdout else b""
        if line:
            self._on_ready(self.role, json.loads(line)["address"])

    def _close(self) -> None:
        self._reader.join(1.0)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def _watch(child: _Child, process: Process) -> None:
    """Bury a role that has died and put back what it held; start it again when its time has come."""
    if child.restart_at is not None:
        if time.monotonic() >= child.restart_at:
            child.start()
        return
    if child.process.poll() is None:
        return
    wait_s = child.bury()
    _log.error("%s ended with status %s; again in %.1f s", child.role, child.process.returncode, wait_s)
    owner = roles.lease_owner(process.settings, child.role, child.process.pid)
    try:
        with process.database.write() as transaction:
            queue.expire_leases(transaction, owner=owner, now=process.clock())
    except RetryLater as error:  # the leases run out by themselves, only later
        _log.warning("what %s held is not put back yet: %s", child.role, error)


def _stop(children: Sequence[_Child]) -> None:
    """Ask every role to finish what it holds, and end those that cannot."""
    for child in children:
        child.process.terminate()
    patience_ends = time.monotonic() + _STOP_S
    for child in children:
        child.wait(max(0.0, patience_ends - time.monotonic()))

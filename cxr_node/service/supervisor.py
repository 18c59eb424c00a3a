"""Supervisor of a host: starts all roles, restarts one that dies, stops all."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from cxr_node.config import ConfigurationError
from cxr_node.db.database import WrongDatabase
from cxr_node.domain.errors import RetryLater, type_and_place
from cxr_node.ops import preflight
from cxr_node.ops.single_instance import data_folder_lock
from cxr_node.queue import queue
from cxr_node.service import signals
from cxr_node.service.role_process import RoleStarter, StopRequested, reap_orphans
from cxr_node.service.service_manager import ServiceManager
from cxr_node.settings.root import Settings
from cxr_node.wiring import heartbeat, startup
from cxr_node.wiring.database_guard import DatabaseGuard, save_open_database
from cxr_node.wiring.process import Process
from cxr_node.wiring.role_names import Role, lease_owner

_log = logging.getLogger(__name__)

OnReady = Callable[[Role, str], None]
"""Called in another thread when a role is ready, with its address, empty if it has none."""

_WATCH_S = 0.1
_STOP_S = 9.5
_SHORTEST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 30.0
_KILLED_S = 5.0
_START_S = 300.0
"""A role may load a network for as long before it is ready, without a heartbeat."""
_PAUSE_S = 5.0
"""After a pause of the supervisor itself, as of a suspended machine, roles have time for a heartbeat."""
_STEADY_S = 30.0
"""A role that ran this long did not fail at its start: the back-off begins anew."""


def run(settings: Settings, settings_path: Path, roles: Sequence[Role], *, on_ready: OnReady) -> None:
    """Run `roles`, each in its own process, until SIGTERM or SIGINT.

    Raises
    ------
    AlreadyRunning
        If another node runs in the same data folder.
    ConfigurationError
        If a port is in use.
    DatabaseUnavailable
        If the database cannot be used at the start, or is not the one of the kept films any more.
    """
    stopping = threading.Event()
    # The first process of a container ignores signals without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with data_folder_lock(settings.node.data_folder) as lock:
        # Of a shared port another program would get part of the associations.
        faults = preflight.port_faults(settings, roles)
        if faults:
            raise ConfigurationError(faults)
        # Before any other thread begins, so that it can be forked.
        with closing(RoleStarter(lock, stopping)) as starter, Process.open(settings) as process:
            signals.on_first([signal.SIGTERM, signal.SIGINT], stopping.set)
            startup.prepare(process)
            heartbeat.prepare(settings)
            try:
                _run_roles(
                    settings,
                    settings_path,
                    roles,
                    starter=starter,
                    process=process,
                    on_ready=on_ready,
                    stopping=stopping,
                )
            except WrongDatabase as error:
                raise save_open_database(process, error) from None


def _run_roles(
    settings: Settings,
    settings_path: Path,
    roles: Sequence[Role],
    *,
    starter: RoleStarter,
    process: Process,
    on_ready: OnReady,
    stopping: threading.Event,
) -> None:
    """Run the roles until a stop signal, or until `DatabaseGuard.check` raises WrongDatabase."""
    guard, manager = DatabaseGuard(process), ServiceManager(os.environ)
    children: list[_Child] = []
    if not _has_terminal():
        signals.on_each(signal.SIGHUP, lambda: _reload(children))
    placed = ((role, arguments) for role in roles for arguments in _arguments(settings, role))
    try:
        for number, (role, arguments) in enumerate(placed):
            path = heartbeat.path_of(settings, role, number)
            children.append(_Child(role, settings_path, starter, on_ready, path, arguments))
        watched_at = time.monotonic()
        while not stopping.wait(_WATCH_S):
            guard.check()
            has_paused, watched_at = time.monotonic() - watched_at > _PAUSE_S, time.monotonic()
            manager.working(now=watched_at)
            if all(child.is_ready for child in children):
                manager.ready()
            for child in children:
                if has_paused:
                    child.note_heartbeat()
                _watch(child, process)
            reap_orphans([starter.process, *(child.process for child in children)])
    except StopRequested:
        pass
    finally:
        manager.stopping()
        _stop(children)


def _arguments(settings: Settings, role: Role) -> list[list[str]]:
    """Return the additional arguments of each process of a role: `--device` for several readers."""
    if role is Role.RECEIVE:
        return [[]] * settings.receive.processes
    if role is Role.SHADOW:
        return [[]] if settings.read.shadow else []
    if role is not Role.READ or not settings.read.devices:
        return [[]]
    return [["--device", device] for device in settings.read.devices]


class _Child:
    """A role's process, and when to restart it after its death."""

    def __init__(
        self,
        role: Role,
        settings_path: Path,
        starter: RoleStarter,
        on_ready: OnReady,
        heartbeat_path: Path,
        arguments: Sequence[str] = (),
    ) -> None:
        self.role = role
        self.restart_at: float | None = None
        files = ["--config", str(settings_path), "--heartbeat", str(heartbeat_path)]
        self._arguments = [role, *files, *arguments]
        self._heartbeat_path = heartbeat_path
        self._starter = starter
        self._on_ready = on_ready
        self._failures = 0
        self.start()

    def start(self) -> None:
        """Start the process. It ends when its standard input closes, so it does not outlive the supervisor."""
        heartbeat.begin(self._heartbeat_path)
        self.is_ready = False
        self.note_heartbeat()
        self.process = self._starter.start(self._arguments)
        self._started = time.monotonic()
        self.restart_at = None
        self._reader = threading.Thread(target=self._await_ready, daemon=True)
        self._reader.start()

    def note_heartbeat(self) -> None:
        """Take the file's time as that of a heartbeat now."""
        self._beat, self._beat_at = self._heartbeat_path.stat().st_mtime_ns, time.monotonic()

    def silent_s(self) -> float:
        """Return the seconds since the process gave a heartbeat, by this process's clock."""
        with suppress(OSError):
            if self._heartbeat_path.stat().st_mtime_ns != self._beat:
                self.note_heartbeat()
        return time.monotonic() - self._beat_at

    def kill(self) -> None:
        """Kill the process; a stopped one does not take other signals."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILLED_S)

    def schedule_restart(self) -> float:
        """Schedule the restart of a dead process; return the wait in seconds, longer after each failure."""
        heartbeat.end(self._heartbeat_path)
        self._close()
        lived_s = time.monotonic() - self._started
        self._failures = 1 if lived_s > _STEADY_S else self._failures + 1
        wait_s = min(_LONGEST_BACK_OFF_S, _SHORTEST_BACK_OFF_S * 2.0 ** min(self._failures - 1, 10))
        self.restart_at = time.monotonic() + wait_s
        return wait_s

    def wait(self, timeout_s: float) -> None:
        """Wait for the end of the process; kill it after `timeout_s`."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _log.error("%s did not stop in time and was killed", self.role)
            self.process.kill()
            self.process.wait()
        self._close()

    def _await_ready(self) -> None:
        line = self.process.stdout.readline()
        if line:
            self.is_ready = True
            self._on_ready(self.role, json.loads(line)["address"])

    def _close(self) -> None:
        self._reader.join(1.0)
        self.process.stdin.close()
        self.process.stdout.close()


def _watch(child: _Child, process: Process) -> None:
    """Kill a role without heartbeats; release the jobs of one that died, and restart it after its wait."""
    if child.restart_at is not None:
        if time.monotonic() >= child.restart_at:
            _restart(child)
        return
    if child.process.poll() is None:
        timeout_s = process.settings.schedule.heartbeat_timeout_s
        silent_s = child.silent_s()
        if silent_s > (timeout_s if child.is_ready else max(timeout_s, _START_S)):
            _log.error("%s has given no heartbeat for %.0f s and is killed", child.role, silent_s)
            child.kill()
        return
    wait_s = child.schedule_restart()
    _log.error("%s ended with status %s; restart in %.1f s", child.role, child.process.returncode, wait_s)
    owner = lease_owner(process.settings, child.role, child.process.pid)
    try:
        with process.database.write() as transaction:
            queue.expire_leases(transaction, owner=owner, now=process.clock())
    except RetryLater as error:  # the leases expire later
        _log.warning("the jobs of %s are not released yet: %s", child.role, error)
    except Exception as error:  # noqa: BLE001  # a damaged row must not end the receiver
        _log.warning("the jobs of %s are not released yet: %s", child.role, type_and_place(error))


def _restart(child: _Child) -> None:
    """Start a role again; a host without memory for one more process has it later."""
    try:
        child.start()
    except (OSError, EOFError) as error:
        wait_s = child.schedule_restart()
        _log.error("%s could not be started: %s; next attempt in %.1f s", child.role, error, wait_s)


def _has_terminal() -> bool:
    """Whether a terminal controls this process: then SIGHUP is the end of the terminal, and ends the node."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _reload(children: Sequence[_Child]) -> None:
    """Have every role take up a changed settings file; one that is not ready yet reads it at its start."""
    for child in children:
        if child.is_ready and child.process.poll() is None:
            child.process.send_signal(signal.SIGHUP)


def _stop(children: Sequence[_Child]) -> None:
    """Stop every role; kill those that take longer than `_STOP_S`."""
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + _STOP_S
    for child in children:
        child.wait(max(0.0, deadline - time.monotonic()))

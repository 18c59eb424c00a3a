"""Role processes as the supervisor sees them: their start through the role starter, their signals and their end."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from cxr_node.service import role_starter

_PR_SET_CHILD_SUBREAPER = 36
_MAX_REPLY_BYTES = 100
_START_S = 300.0
"""A starter that has not replied for as long, also not imported what it shares, is replaced."""
_SHORTEST_POLL_S = 0.0005
_LONGEST_POLL_S = 0.05


class RoleProcess:
    """A role's process, a child of this one, with `stdin` and `stdout` as pipes.

    `returncode` is that of `subprocess.Popen`: None while the process runs, negative for a signal.
    """

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status of a process that has ended, else None."""
        with self._lock:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end of the process and return its exit status; raise subprocess.TimeoutExpired."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _SHORTEST_POLL_S
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired("role", timeout_s or 0.0)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_POLL_S)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class RoleStarter:
    """Connection to the role starter, which is started at once and again after its death.

    A process without further threads forks it, which shares the imports so far; another starts it as a program.
    """

    def __init__(self) -> None:
        _adopt_orphans()
        self._lock = threading.Lock()
        self._connection = _connected_starter(may_fork=threading.active_count() == 1)

    def start(self, arguments: Sequence[str], lock: int) -> RoleProcess:
        """Start a role with these arguments, which keeps the file `lock` open."""
        stdin, stdin_of_supervisor = os.pipe()
        stdout_of_supervisor, stdout = os.pipe()
        try:
            pid = self._started(json.dumps([*arguments]).encode(), (stdin, stdout, lock))
        except BaseException:
            os.close(stdin_of_supervisor)
            os.close(stdout_of_supervisor)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        return RoleProcess(pid, os.fdopen(stdin_of_supervisor, "wb", 0), os.fdopen(stdout_of_supervisor, "rb"))

    def close(self) -> None:
        """End the starter; roles go on."""
        self._connection.close()

    def _started(self, request: bytes, files: Sequence[int]) -> int:
        with self._lock:
            try:
                return self._requested(request, files)
            except (OSError, EOFError):
                self._connection.close()
                self._connection = _connected_starter(may_fork=False)
                return self._requested(request, files)

    def _requested(self, request: bytes, files: Sequence[int]) -> int:
        socket.send_fds(self._connection, [request], list(files))
        reply = self._connection.recv(_MAX_REPLY_BYTES)
        if not reply:
            raise EOFError("the role starter has ended")
        return int(json.loads(reply))


def reap_orphans(roles: Sequence[RoleProcess]) -> None:
    """Reap what ended below this process and is no role: children of dead roles, and role starters."""
    for role in roles:
        role.poll()
    running = {role.pid for role in roles if role.returncode is None}
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in running:
            return
        os.waitpid(ended.si_pid, 0)


def _adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent ends (PR_SET_CHILD_SUBREAPER)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _connected_starter(*, may_fork: bool) -> socket.socket:
    """Start a role starter; return the connection to it, whose end is the starter's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(_START_S)
    with theirs:
        if not may_fork:
            subprocess.Popen(  # noqa: S603  # this interpreter and package
                [sys.executable, "-m", "cxr_node", "role-starter", str(theirs.fileno())], pass_fds=(theirs.fileno(),)
            ).returncode = 0  # reaped by `reap_orphans`
            return ours
        sys.stdout.flush()
        if os.fork() == 0:
            try:
                ours.close()
                role_starter.serve(theirs)
            except BaseException:  # noqa: BLE001  # as at the top of a program
                traceback.print_exc()
            finally:
                os._exit(0)
    return ours

"""Role processes as the supervisor sees them: their start through the role starter, their signals and their end."""

import ctypes
import json
import os
import select
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
_IMPORTS_S = 120.0
_REPLY_S = 10.0
"""A starter that does not reply for as long is replaced; its first reply comes after its imports."""
_SLICE_S = 0.1
_KILLED_S = 1.0
_SHORTEST_POLL_S = 0.0005
_LONGEST_POLL_S = 0.05


class StopRequested(Exception):
    """The supervisor is to stop, and waits for no reply of the role starter any more."""


class ChildProcess:
    """A child of this process. `returncode` is None while it runs, and negative for a signal that ended it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
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


class RoleProcess(ChildProcess):
    """A role's process, with its standard input and output as pipes."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        super().__init__(pid)
        self.stdin, self.stdout = stdin, stdout


class RoleStarter:
    """Connection to the role starter, which is started at once, and again when it has died or does not reply.

    A process without further threads forks it, which shares the imports so far; another starts it as a program.
    `lock` is the file that roles keep open, and the starter does not. Once `stopping` is set, nothing is waited for.
    """

    def __init__(self, lock: int, stopping: threading.Event, *, reply_s: float = _REPLY_S) -> None:
        # An ignored SIGCHLD is inherited from a parent, and would discard the exit statuses of children.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _adopt_orphans()
        self._file = lock
        self._stopping = stopping
        self._reply_s = reply_s
        self._begin(may_fork=threading.active_count() == 1)

    def _begin(self, *, may_fork: bool) -> None:
        self.process, self._connection = _connected_starter(self._file, may_fork=may_fork)
        self._wait_s = _IMPORTS_S

    def start(self, arguments: Sequence[str]) -> RoleProcess:
        """Start a role with these arguments.

        Raises
        ------
        OSError or EOFError
            If neither the starter nor a new one starts it.
        StopRequested
            If the node is to stop meanwhile.
        """
        try:
            return self._started(arguments)
        except (OSError, EOFError):
            self.close()
            self._begin(may_fork=False)
            return self._started(arguments)

    def close(self) -> None:
        """Kill the starter; roles go on."""
        self._connection.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILLED_S)

    def _started(self, arguments: Sequence[str]) -> RoleProcess:
        """Start a role with pipes of its own: one that no reply names ends, as its standard input closes."""
        stdin, stdin_of_supervisor = os.pipe()
        stdout_of_supervisor, stdout = os.pipe()
        try:
            socket.send_fds(self._connection, [json.dumps([*arguments]).encode()], [stdin, stdout, self._file])
            pid = int(json.loads(self._reply()))
        except BaseException:
            os.close(stdin_of_supervisor)
            os.close(stdout_of_supervisor)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)
        self._wait_s = self._reply_s
        return RoleProcess(pid, os.fdopen(stdin_of_supervisor, "wb", 0), os.fdopen(stdout_of_supervisor, "rb"))

    def _reply(self) -> bytes:
        deadline = time.monotonic() + self._wait_s
        while not select.select([self._connection], [], [], _SLICE_S)[0]:
            if self._stopping.is_set():
                raise StopRequested
            if time.monotonic() > deadline:
                raise TimeoutError("the role starter does not reply")
        reply = self._connection.recv(_MAX_REPLY_BYTES)
        if not reply:
            raise EOFError("the role starter has ended")
        return reply


def reap_orphans(processes: Sequence[ChildProcess]) -> None:
    """Reap what ended and is none of `processes`, which keep their status: children of dead roles."""
    for process in processes:
        process.poll()
    running = {process.pid for process in processes if process.returncode is None}
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


def _connected_starter(lock: int, *, may_fork: bool) -> tuple[ChildProcess, socket.socket]:
    """Start a role starter; return it and the connection to it, whose end is the starter's end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        if not may_fork:
            command = [sys.executable, "-m", "cxr_node", "role-starter", str(theirs.fileno())]
            program = subprocess.Popen(command, pass_fds=(theirs.fileno(),))  # noqa: S603  # this interpreter and package
            program.returncode = 0  # its status is that of the ChildProcess
            return ChildProcess(program.pid), ours
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                os.close(lock)
                role_starter.serve(theirs)
            except BaseException:  # noqa: BLE001  # as at the top of a program
                traceback.print_exc()
            finally:
                os._exit(0)
    return ChildProcess(pid), ours

"""Child processes of the node: start with a chosen environment, resource limits, pipes with a deadline, end.

For work that may crash, hang or exhaust memory: decoders of compressed frames, pickled weight files, preprocessing.
Each child is a module of this package, run as `python -m MODULE ARGUMENTS` by the same interpreter.
"""

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO

_MINIMAL_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")

PIPE, DEVNULL = subprocess.PIPE, subprocess.DEVNULL

MALLOC_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 27)}
"""glibc malloc settings of children that process films: these reuse heap memory, up to 128 MiB of it free.

Page faults on fresh pages from mmap took a third of the time of a 15 MB film.
"""


class ChildDied(Exception):
    """The child ended, with this exit `status` (negative: the signal), before it had replied."""

    def __init__(self, status: int) -> None:
        super().__init__(f"ended with status {status}")
        self.status = status


class DeadlinePassed(Exception):
    """The child did not read or reply in time."""


def minimal_environment() -> dict[str, str]:
    """Return the environment of a child that handles untrusted input: no passwords, which live in variables too."""
    return {name: os.environ[name] for name in _MINIMAL_ENVIRONMENT if name in os.environ}


def environment_without_secrets() -> dict[str, str]:
    """Return the environment of a child of the node without the secrets of its settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CXR_NODE_") and name != "CREDENTIALS_DIRECTORY"
    }


def start(
    module: str,
    *arguments: int,
    environment: Mapping[str, str],
    stdin: int = DEVNULL,
    stdout: int = DEVNULL,
    stderr: int | None = DEVNULL,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `module` with this interpreter's import path; it inherits `pass_fds` and no other open file."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", module, *map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        bufsize=0,
        pass_fds=pass_fds,
        cwd=cwd,
        env={**environment, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)},
    )


def end(process: subprocess.Popen[bytes]) -> int:
    """Kill a child that may have ended, close its pipes, and return its exit status."""
    process.kill()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    return process.wait()


class PipedChild:
    """Bytes to and from a child's standard input and output, each exchange before a deadline."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the child was started without pipes")
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._deadline = 0.0
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def has_ended(self) -> bool:
        """Whether the child has ended."""
        return self._process.poll() is not None

    def set_deadline(self, timeout_s: float) -> None:
        """Let all that follows end within `timeout_s` from now."""
        self._deadline = time.monotonic() + timeout_s

    def write(self, content: bytes) -> None:
        """Write all of `content`; raise ChildDied or DeadlinePassed."""
        rest = memoryview(content)
        while rest:
            self._wait(self._stdin, selectors.EVENT_WRITE)
            try:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._died() from error

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; raise ChildDied or DeadlinePassed."""
        content = b""
        while len(content) < size:
            self._wait(self._stdout, selectors.EVENT_READ)
            part = os.read(self._stdout.fileno(), size - len(content))
            if not part:
                raise self._died()
            content += part
        return content

    def end(self) -> None:
        """Kill the child and close its pipes."""
        end(self._process)

    def _wait(self, stream: IO[bytes], event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(max(0.0, self._deadline - time.monotonic())):
                raise DeadlinePassed

    def _died(self) -> ChildDied:
        return ChildDied(self._process.wait())


def limit_resources(*, memory_bytes: int, cpu_s: int | None = None, may_fork: bool = True) -> None:
    """In the child: bound address space, file sizes and processor time; leave no core dump."""
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_FSIZE: memory_bytes, resource.RLIMIT_CORE: 0}
    if cpu_s is not None:
        limits[resource.RLIMIT_CPU] = cpu_s
    if not may_fork:
        limits[resource.RLIMIT_NPROC] = 0
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))


def limit_address_space(memory_bytes: int) -> None:
    """In the child: bound address space and leave no core dump. Its own children may set another limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ignore_stop_signals() -> None:
    """In the child: leave its end to the parent, also where the whole process group is told to stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def silence(stream: IO[str]) -> BinaryIO:
    """In the child: discard what libraries print, which may quote a film; return the stream as it was, in binary."""
    original = os.fdopen(os.dup(stream.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return original

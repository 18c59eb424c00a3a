"""Compressed frames are decoded in a process of their own, which may hang, crash or swell without harm.

The decoders are C and C++ fed with bytes from the network. The child holds no secrets and no open files of the
parent's; a deadline and a bound on its memory end it, and the next frame starts another.

The conversation, over the child's standard input and output: a length of four bytes (little endian) and as much
JSON, the task; then the frame. Back: one byte, "=" or "!", and a length of eight bytes with that many samples, or
with the sentence of what went wrong.
"""

import contextlib
import json
import logging
import os
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import IO, Self

from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.codecs import Codec, Task
from cxr_node.pixels.limits import Limits

_log = logging.getLogger(__name__)

_CHUNK = 1 << 20
_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""What the child inherits: passwords live in the environment too."""
GOOD, BAD = b"=", b"!"
ANSWER = struct.Struct("<cQ")
TASK = struct.Struct("<IQ")


class Sandbox:
    """A child process that decodes, started when first needed and again after each of its deaths.

    One frame at a time: callers in several threads wait for each other. Close it, or use it in `with`. `start` makes
    the child.
    """

    def __init__(self, limits: Limits, *, start: Callable[[Limits], "subprocess.Popen[bytes]"] | None = None) -> None:
        self._limits = limits
        self._start = start or start_child
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def decode(self, task: Task, frame: bytes, *, expected_bytes: int) -> bytearray:
        """Return the samples of `frame`, exactly `expected_bytes` of them.

        Raises
        ------
        GiveUp
            TIMEOUT when the deadline passes; DECODE when the decoder refuses, crashes, or delivers another size.
        """
        with self._lock:
            try:
                return self._decode(task, frame, expected_bytes)
            except _Broken as broken:
                self._end()
                raise GiveUp(broken.reason, broken.detail) from broken

    def _decode(self, task: Task, frame: bytes, expected_bytes: int) -> bytearray:
        child = self._alive()
        deadline = time.monotonic() + self._limits.decode_timeout_s
        header = json.dumps(asdict(task)).encode()
        conversation = _Conversation(child, deadline)
        conversation.write(TASK.pack(len(header), len(frame)) + header)
        conversation.write(frame)
        kind, size = ANSWER.unpack(conversation.read(ANSWER.size))
        if kind != GOOD:
            sentence = conversation.read(min(size, _CHUNK)).decode("utf-8", "replace")
            raise GiveUp(Reason.DECODE, f"the {task.codec} decoder refuses: {sentence}")
        if size != expected_bytes:
            raise _Broken(Reason.DECODE, f"the {task.codec} decoder delivered {size} bytes, not {expected_bytes}")
        return conversation.read(size)

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            self._child = self._start(self._limits)
            os.set_blocking(_stream(self._child.stdin).fileno(), False)
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        child.wait()


class _Broken(Exception):
    """The child can no longer be talked to."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Conversation:
    """Reading from and writing to the child without ever waiting beyond the deadline."""

    def __init__(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        self._child = child
        self._deadline = deadline

    def write(self, content: bytes) -> None:
        stream = _stream(self._child.stdin)
        rest = memoryview(content)
        while rest:
            self._wait(stream, selectors.EVENT_WRITE)
            try:
                rest = rest[os.write(stream.fileno(), rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._died() from error

    def read(self, size: int) -> bytearray:
        stream = _stream(self._child.stdout)
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            self._wait(stream, selectors.EVENT_READ)
            count = os.readv(stream.fileno(), [rest[:_CHUNK]])
            if count == 0:
                raise self._died()
            rest = rest[count:]
        return content

    def _wait(self, stream: IO[bytes], event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(max(0.0, self._deadline - time.monotonic())):
                raise _Broken(Reason.TIMEOUT, "the decoder did not finish in time and was ended")

    def _died(self) -> _Broken:
        status = self._child.wait()
        _log.warning("the decoding process ended with status %d", status)
        return _Broken(Reason.DECODE, f"the decoder ended the process that ran it (status {status})")


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the child was started without pipes")
    return stream


def start_child(limits: Limits) -> subprocess.Popen[bytes]:
    """Start the process that `cxr_node.pixels.sandboxed` describes."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "cxr_node.pixels.sandboxed", str(limits.decode_memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        close_fds=True,
        env={
            **{name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )


def read_task(header: bytes) -> Task:
    """Return the task that `header` describes: the child's side of the conversation."""
    values = json.loads(header)
    return Task(**{**values, "codec": Codec(values["codec"])})

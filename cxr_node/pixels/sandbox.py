"""Compressed frames are decoded in a process of their own, which may hang, crash or swell without harm.

The decoders are C, C++ and Rust fed with bytes from the network. The child holds no secrets and no files of the
parent's; a deadline and a bound on its memory end it, and the next frame starts another.

Frames and samples lie in two files in memory that both sides hold, for pipes are slow with megabytes. The conversation
goes over the child's standard input and output: the size of the frame and of the JSON that follows, the task. Back:
one byte, "=" or "!", and the number of bytes that lie in the samples' file, or of those that follow and say what went
wrong.
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

_LONGEST_SENTENCE = 1000
_KEPT_BYTES = 64 << 20
_ENVIRONMENT = ("PATH", "LANG", "LD_LIBRARY_PATH")
"""What the child inherits: passwords live in the environment too."""
GOOD, BAD = b"=", b"!"
ANSWER = struct.Struct("<cQ")
TASK = struct.Struct("<IQ")

Start = Callable[[Limits, int, int], "subprocess.Popen[bytes]"]
"""Makes a child, given the descriptors of the frame's and the samples' file."""


class Sandbox:
    """A child process that decodes, started when first needed and again after each of its deaths.

    One frame at a time: callers in several threads wait for each other. Close it, or use it in `with`.
    """

    def __init__(self, limits: Limits, *, start: Start | None = None) -> None:
        self._limits = limits
        self._start = start or start_child
        self._lock = threading.Lock()
        self._child: _Child | None = None

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
            if self._child is None or self._child.has_ended:
                self._end()
                self._child = _Child(self._limits, self._start)
            try:
                return self._child.decode(task, frame, expected_bytes)
            except _Broken as broken:
                self._end()
                raise GiveUp(broken.reason, broken.detail) from broken

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _Broken(Exception):
    """The child can no longer be talked to."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Child:
    """One child from its start to its end, never waited for beyond the deadline of a frame."""

    def __init__(self, limits: Limits, start: Start) -> None:
        self._timeout_s = limits.decode_timeout_s
        self._deadline = 0.0
        self._frame_file = os.memfd_create("frame")
        self._samples_file = os.memfd_create("samples")
        self._process = start(limits, self._frame_file, self._samples_file)
        os.set_blocking(_stream(self._process.stdin).fileno(), False)

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def decode(self, task: Task, frame: bytes, expected_bytes: int) -> bytearray:
        self._deadline = time.monotonic() + self._timeout_s
        write_file(self._frame_file, frame)
        header = json.dumps(asdict(task)).encode()
        self._write(TASK.pack(len(header), len(frame)) + header)
        kind, size = ANSWER.unpack(self._read(ANSWER.size))
        if kind != GOOD:
            sentence = self._read(min(size, _LONGEST_SENTENCE)).decode("ascii", "replace")
            raise GiveUp(Reason.DECODE, f"the {task.codec} decoder refuses: {sentence}")
        if size != expected_bytes:
            raise _Broken(Reason.DECODE, f"the {task.codec} decoder delivered {size} bytes, not {expected_bytes}")
        samples = bytearray(expected_bytes)
        if os.preadv(self._samples_file, [samples], 0) != expected_bytes:
            raise _Broken(Reason.DECODE, f"the {task.codec} decoder delivered less than it said")
        self._shrink()
        return samples

    def _shrink(self) -> None:
        """Give back the memory of an uncommonly large film: of the others it is kept, for making pages anew is slow."""
        for file in (self._frame_file, self._samples_file):
            if os.fstat(file).st_size > _KEPT_BYTES:
                os.ftruncate(file, 0)

    def end(self) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _stream(stream).close()
        os.close(self._frame_file)
        os.close(self._samples_file)
        self._process.wait()

    def _write(self, content: bytes) -> None:
        stream = _stream(self._process.stdin)
        rest = memoryview(content)
        while rest:
            self._wait(stream, selectors.EVENT_WRITE)
            try:
                rest = rest[os.write(stream.fileno(), rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise self._died() from error

    def _read(self, size: int) -> bytes:
        stream = _stream(self._process.stdout)
        content = b""
        while len(content) < size:
            self._wait(stream, selectors.EVENT_READ)
            part = os.read(stream.fileno(), size - len(content))
            if not part:
                raise self._died()
            content += part
        return content

    def _wait(self, stream: IO[bytes], event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, event)
            if not selector.select(max(0.0, self._deadline - time.monotonic())):
                raise _Broken(Reason.TIMEOUT, "the decoder did not finish in time and was ended")

    def _died(self) -> _Broken:
        status = self._process.wait()
        _log.warning("the decoding process ended with status %d", status)
        return _Broken(Reason.DECODE, f"the decoder ended the process that ran it (status {status})")


def write_file(file: int, content: bytes | bytearray) -> None:
    """Make `content` the beginning of a file in memory."""
    rest, at = memoryview(content), 0
    while rest:
        count = os.pwrite(file, rest, at)
        rest, at = rest[count:], at + count


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the child was started without pipes")
    return stream


def start_child(limits: Limits, frame_file: int, samples_file: int) -> subprocess.Popen[bytes]:
    """Start the process that `cxr_node.pixels.sandboxed` describes."""
    numbers = (str(limits.decode_memory_bytes), str(frame_file), str(samples_file))
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "cxr_node.pixels.sandboxed", *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        pass_fds=(frame_file, samples_file),
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

"""Sandbox for decoders of compressed frames: a child process that may hang, crash or exhaust memory without harm.

The decoders are C, C++ and Rust, fed with bytes from the network. The child has no secrets and no open files of the
parent. A deadline and a memory limit end it; the next frame starts another.

Frames and samples lie in two memory files that both processes have open, since pipes are slow for megabytes. The
protocol runs over standard input and output. Request: the sizes of the JSON task and of the frame, then the task.
Reply: one byte, DECODED or REFUSED, and the size of the samples in their file, or of the error text that follows.
"""

import json
import logging
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Self

from cxr_node import child_process
from cxr_node.child_process import ChildDied, DeadlinePassed, PipedChild
from cxr_node.domain.errors import GiveUp
from cxr_node.domain.reasons import Reason
from cxr_node.pixels.codecs import Codec, Task
from cxr_node.pixels.limits import Limits

_log = logging.getLogger(__name__)

_MAX_ERROR_BYTES = 1000
_RETAINED_BYTES = 64 << 20
DECODED, REFUSED = b"=", b"!"
REPLY = struct.Struct("<cQ")
TASK = struct.Struct("<IQ")

Start = Callable[[Limits, int, int], "subprocess.Popen[bytes]"]
"""Starts a child, with the descriptors of the frame's and the samples' file."""


class Sandbox:
    """Decodes frames in a child process, started at the first frame and again after it has died.

    One frame at a time: a lock serialises callers in several threads. Close it, or use it in `with`.
    """

    def __init__(self, limits: Limits, *, start: Start | None = None) -> None:
        self._limits = limits
        self._start = start or start_child
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            except (_InvalidReply, ChildDied, DeadlinePassed) as error:
                self._end()
                raise _give_up(error) from error

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class _InvalidReply(Exception):
    """The child replied against the protocol, so nothing more that it sends can be trusted."""


class _Child:
    """One decoding process from its start to its end, with the two files in memory that it shares."""

    def __init__(self, limits: Limits, start: Start) -> None:
        self._timeout_s = limits.decode_timeout_s
        self._frame_file = os.memfd_create("frame")
        self._samples_file = os.memfd_create("samples")
        self._pipes = PipedChild(start(limits, self._frame_file, self._samples_file))

    @property
    def has_ended(self) -> bool:
        return self._pipes.has_ended

    def decode(self, task: Task, frame: bytes, expected_bytes: int) -> bytearray:
        self._pipes.set_deadline(self._timeout_s)
        write_file(self._frame_file, frame)
        header = json.dumps(asdict(task)).encode()
        self._pipes.write(TASK.pack(len(header), len(frame)) + header)
        kind, size = REPLY.unpack(self._pipes.read(REPLY.size))
        if kind != DECODED:
            error = self._pipes.read(min(size, _MAX_ERROR_BYTES)).decode("ascii", "replace")
            _log.info("the %s decoder refuses a frame: %s", task.codec, error)
            raise GiveUp(
                Reason.DECODE, f"the {task.codec} decoder refuses the frame, which is damaged or of another form"
            )
        if size != expected_bytes:
            raise _InvalidReply(f"the {task.codec} decoder delivered {size} bytes, not {expected_bytes}")
        samples = bytearray(expected_bytes)
        if os.preadv(self._samples_file, [samples], 0) != expected_bytes:
            raise _InvalidReply(f"the {task.codec} decoder delivered less than it said")
        self._shrink()
        return samples

    def _shrink(self) -> None:
        """Release the memory of an uncommonly large film; keep that of others, since new pages are slow to make."""
        for file in (self._frame_file, self._samples_file):
            if os.fstat(file).st_size > _RETAINED_BYTES:
                os.ftruncate(file, 0)

    def end(self) -> None:
        self._pipes.end()
        os.close(self._frame_file)
        os.close(self._samples_file)


def _give_up(error: Exception) -> GiveUp:
    match error:
        case DeadlinePassed():
            return GiveUp(Reason.TIMEOUT, "the decoder did not finish in time and was ended")
        case ChildDied(status=status):
            _log.warning("the decoding process ended with status %d", status)
            return GiveUp(Reason.DECODE, f"the decoder ended the process that ran it (status {status})")
        case _:
            return GiveUp(Reason.DECODE, str(error))


def write_file(file: int, content: bytes | bytearray) -> None:
    """Make `content` the beginning of a file in memory."""
    rest, at = memoryview(content), 0
    while rest:
        count = os.pwrite(file, rest, at)
        rest, at = rest[count:], at + count


def start_child(limits: Limits, frame_file: int, samples_file: int) -> subprocess.Popen[bytes]:
    """Start the process that `cxr_node.pixels.sandboxed` describes."""
    return child_process.start(
        "cxr_node.pixels.sandboxed",
        limits.decode_memory_bytes,
        frame_file,
        samples_file,
        environment={
            **child_process.MALLOC_ENVIRONMENT,
            **child_process.minimal_environment(),
            "OPENBLAS_NUM_THREADS": "1",
        },
        stdin=child_process.PIPE,
        stdout=child_process.PIPE,
        pass_fds=(frame_file, samples_file),
    )


def read_task(header: bytes) -> Task:
    """In the child: return the task of a request."""
    values = json.loads(header)
    return Task(**{**values, "codec": Codec(values["codec"])})

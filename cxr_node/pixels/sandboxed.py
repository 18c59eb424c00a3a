"""The child of `sandbox`: reads tasks from standard input, decodes, writes samples to standard output.

Started as `python -m cxr_node.pixels.sandboxed BYTES`, with the bound on its address space. What the decoders
print goes nowhere: it may quote the film.
"""

import os
import resource
import signal
import sys
from typing import BinaryIO

from cxr_node.pixels import sandbox
from cxr_node.pixels.codecs import decode


def main(memory_bytes: int) -> None:
    """Answer tasks until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    while _answer(sys.stdin.buffer, answers):
        answers.flush()


def _answer(tasks: BinaryIO, answers: BinaryIO) -> bool:
    head = tasks.read(sandbox.TASK.size)
    if len(head) < sandbox.TASK.size:
        return False
    header_bytes, frame_bytes = sandbox.TASK.unpack(head)
    task = sandbox.read_task(tasks.read(header_bytes))
    try:
        answer, content = sandbox.GOOD, decode(task, tasks.read(frame_bytes))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception; the parent must be told of all
        answer, content = sandbox.BAD, type(error).__name__.encode()
    answers.write(sandbox.ANSWER.pack(answer, len(content)))
    answers.write(content)
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]))

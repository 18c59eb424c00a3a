"""The child of `sandbox`: reads tasks from standard input, decodes, leaves the samples in a file in memory.

Started as `python -m cxr_node.pixels.sandboxed BYTES FRAME SAMPLES`, with the bound on its address space and the
descriptors of the two files. What the decoders print goes nowhere: it may quote the film.
"""

import os
import resource
import signal
import sys
from typing import BinaryIO

from cxr_node.pixels import sandbox
from cxr_node.pixels.codecs import decode


def main(memory_bytes: int, frame_file: int, samples_file: int) -> None:
    """Answer tasks until standard input ends."""
    for bound in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        resource.setrlimit(bound, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whoever started it ends it, also where the whole process group is told to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stdout.fileno())
    while _answer(sys.stdin.buffer, answers, frame_file, samples_file):
        answers.flush()


def _answer(tasks: BinaryIO, answers: BinaryIO, frame_file: int, samples_file: int) -> bool:
    head = tasks.read(sandbox.TASK.size)
    if len(head) < sandbox.TASK.size:
        return False
    header_bytes, frame_bytes = sandbox.TASK.unpack(head)
    task = sandbox.read_task(tasks.read(header_bytes))
    try:
        samples = decode(task, os.pread(frame_file, frame_bytes, 0))
        sandbox.write_file(samples_file, samples)
        answers.write(sandbox.ANSWER.pack(sandbox.GOOD, len(samples)))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception; the parent must be told of all
        sentence = type(error).__name__.encode("ascii", "replace")
        answers.write(sandbox.ANSWER.pack(sandbox.BAD, len(sentence)) + sentence)
    return True


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

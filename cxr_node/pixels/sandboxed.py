"""Child of `sandbox`: reads tasks from standard input, decodes, and leaves the samples in a memory file.

Started as `python -m cxr_node.pixels.sandboxed BYTES FRAME SAMPLES`, with the limit of its address space and the
descriptors of the two files. The output of the decoders is discarded, since it may quote the film.
"""

import os
import sys
from typing import BinaryIO

from cxr_node import child_process
from cxr_node.domain.errors import type_and_place
from cxr_node.pixels import sandbox
from cxr_node.pixels.codecs import decode


def main(memory_bytes: int, frame_file: int, samples_file: int) -> None:
    """Process tasks until standard input ends."""
    child_process.limit_resources(memory_bytes=memory_bytes)
    child_process.ignore_stop_signals()
    replies = child_process.silence(sys.stdout)
    while _process_task(sys.stdin.buffer, replies, frame_file, samples_file):
        replies.flush()


def _process_task(tasks: BinaryIO, replies: BinaryIO, frame_file: int, samples_file: int) -> bool:
    sizes = tasks.read(sandbox.TASK.size)
    if len(sizes) < sandbox.TASK.size:
        return False
    header_bytes, frame_bytes = sandbox.TASK.unpack(sizes)
    task = sandbox.read_task(tasks.read(header_bytes))
    try:
        samples = decode(task, os.pread(frame_file, frame_bytes, 0))
        sandbox.write_file(samples_file, samples)
        replies.write(sandbox.REPLY.pack(sandbox.DECODED, len(samples)))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception; the parent needs a reply to each task
        text = type_and_place(error).encode("ascii", "replace")
        replies.write(sandbox.REPLY.pack(sandbox.REFUSED, len(text)) + text)
    return True


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

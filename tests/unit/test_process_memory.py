"""Memory that malloc holds after it was freed."""

import os
from pathlib import Path

from cxr_node.wiring.process_memory import return_freed_memory

_BLOCK, _BLOCKS = 1 << 16, 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_freed_memory_below_used_memory_is_returned() -> None:
    """By itself malloc returns only what is free at the end of the heap."""
    blocks = [b"x" * _BLOCK for _ in range(_BLOCKS)]
    between = blocks[::64]
    blocks.clear()
    before = resident_bytes()

    return_freed_memory()

    assert len(between) == _BLOCKS // 64
    assert before - resident_bytes() > _BLOCKS * _BLOCK // 2

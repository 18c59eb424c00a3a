"""Memory of this process that glibc's malloc holds; other C libraries have neither function."""

import ctypes
import gc
from contextlib import suppress

_M_ARENA_MAX = -8


def limit_malloc_arenas(number: int) -> None:
    """Limit the arenas, as MALLOC_ARENA_MAX does for a program that starts."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, number)


def return_freed_memory() -> None:
    """Return memory that was freed to the system: after a start it would stay with the process for good."""
    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

"""Work for people without a login, in few threads of its own: the threads of pages stay free."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class TooBusy(Exception):
    """As many calls wait as may."""


class BoundedPool:
    """Threads with a bounded queue. Used by one event loop.

    Parameters
    ----------
    threads
        Number of threads.
    places
        Most calls that run or wait.
    places_per_address
        Most calls of one address that run or wait: others get through while it sends more.
    """

    def __init__(self, name: str, *, threads: int, places: int, places_per_address: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = places
        self._places_per_address = places_per_address
        self._taken: Counter[str] = Counter()

    async def run(self, function: Callable[[], T], *, address: str) -> T:
        """Return what `function` returns, called in a thread.

        Raises
        ------
        TooBusy
            If no place is left.
        """
        if self._taken.total() >= self._places or self._taken[address] >= self._places_per_address:
            raise TooBusy
        self._taken[address] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function)
        finally:
            self._taken[address] -= 1
            if not self._taken[address]:
                del self._taken[address]


class SharedCall(Generic[T]):
    """Calls a function in a thread of its own, one call at a time; callers that come meanwhile share the next."""

    def __init__(self, name: str, function: Callable[[], T]) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._function = function
        self._lock = asyncio.Lock()
        self._next: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Return the result of a call that begins now or later."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._call())
        return await asyncio.shield(self._next)

    async def _call(self) -> T:
        async with self._lock:
            self._next = None
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._function)

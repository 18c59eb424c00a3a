"""Server-sent events (HTML standard, section 9.2): one task and one query of the database for all streams of a process.

A stream says which parts of pages changed, never what they show: a page loads each part by a request of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from cxr_node.domain.clock import Clock
from cxr_node.web.bounded_work import TooBusy
from cxr_node.web.changes import ALL, Changes

EVENTS_PATH = "/events"
INTERVAL_S = 1.0
"""Time between two queries while any stream is open."""
TICK_S = 15.0
"""Longest time without an event: a page notices a lost connection by it, and loads ages again."""
TICK = "tick"
MINUTE = "minute"
"""Topic of what is counted anew once a minute: trends and monitoring."""
_MINUTE = timedelta(minutes=1)
MAXIMUM_STREAMS = 96
MAXIMUM_STREAMS_PER_LOGIN = 24
"""Streams of one name: the visible pages of all browsers in which it is logged in."""
_MAXIMUM_TOPICS = 500
_AGE_OF_PAGE = timedelta(seconds=30)
"""Longest time between the queries of a page and its stream: a page may lack what changed within it."""

T = TypeVar("T")


class Subscription:
    """Topics to be sent on one stream. They are merged: a client that reads slowly needs no more memory."""

    def __init__(self, login: str, *, since: int | None) -> None:
        self.login = login
        self.version = 0
        self.is_closed = False
        self._since = since
        self._is_new = True
        self._topics: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, changes: Changes, *, is_recent: bool) -> None:
        """Add the topics of `changes`; at the first call all, if the page may lack a change.

        A page that had a stream before says by `since` which change it has seen. Of another it is known by
        `is_recent` only, which says whether anything changed in the last half minute.
        """
        lacks_changes = is_recent if self._since is None else self._since != changes.newest
        self._topics |= {ALL} if self._is_new and lacks_changes else changes.topics
        self._is_new = False
        self.version = changes.newest
        if len(self._topics) > _MAXIMUM_TOPICS or ALL in self._topics:
            self._topics = {ALL}
        if self._topics:
            self._changed.set()

    def close(self) -> None:
        """End the stream."""
        self.is_closed = True
        self._changed.set()

    async def next_topics(self) -> frozenset[str]:
        """Return the topics since the last call, at least one; after `TICK_S` without any, the topic `TICK`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), TICK_S)
        topics, self._topics = frozenset(self._topics), set()
        self._changed.clear()
        return topics or frozenset({TICK})


class EventStreams:
    """All streams of the process. Used by one event loop, but for `close`.

    Parameters
    ----------
    find_changes
        Returns what changed since its last call; called in a thread of its own while any stream is open.
    """

    def __init__(self, find_changes: Callable[[], Changes], *, clock: Clock) -> None:
        self._find_changes = find_changes
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="changes")
        self._subscriptions: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._latest: Changes | None = None  # without its topics
        self._is_closed = False

    def has_place(self, login: str) -> bool:
        """Whether another stream of this login may be opened."""
        of_login = sum(subscription.login == login for subscription in self._subscriptions)
        is_full = len(self._subscriptions) >= MAXIMUM_STREAMS or of_login >= MAXIMUM_STREAMS_PER_LOGIN
        return not (is_full or self._is_closed)

    async def stream(self, login: str, *, since: int | None, is_valid: Callable[[], bool]) -> AsyncGenerator[str]:
        """Yield events until the session is no longer valid or the server stops.

        The name of each event is `changes`, its data the topics, and its id the newest change that it covers.
        `is_valid` is called before each event, in the thread of the queries.

        Raises
        ------
        TooBusy
            If no place is left.
        """
        if not self.has_place(login):
            raise TooBusy
        subscription = Subscription(login, since=since)
        self._subscriptions.add(subscription)
        self._start()
        if self._latest is not None:
            subscription.add(self._latest, is_recent=self._is_recent(self._latest))
        try:
            yield ": open\n\n"
            while True:
                topics = await subscription.next_topics()
                if subscription.is_closed or not await self._in_thread(is_valid):
                    return
                yield f"event: changes\nid: {subscription.version}\ndata: {' '.join(sorted(topics))}\n\n"
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every stream, and refuse others; from any thread."""
        self._is_closed = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._end_all)

    def _start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._latest = None
            self._task = self._loop.create_task(self._poll())

    def _is_recent(self, changes: Changes) -> bool:
        return self._clock() - changes.changed_at < _AGE_OF_PAGE

    async def _poll(self) -> None:
        minute_at = self._clock()
        try:
            while self._subscriptions and not self._is_closed:
                changes = await self._in_thread(self._find_changes)
                self._latest = replace(changes, topics=frozenset())
                if self._clock() - minute_at >= _MINUTE:
                    minute_at = self._clock()
                    changes = replace(changes, topics=changes.topics | {MINUTE})
                for subscription in self._subscriptions:
                    subscription.add(changes, is_recent=self._is_recent(changes))
                await asyncio.sleep(INTERVAL_S)
        finally:
            self._end_all()  # after a fault too: pages connect again, which starts another task

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    def _end_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()
        if self._is_closed:
            self._executor.shutdown(wait=False)

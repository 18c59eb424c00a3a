"""Streams of events: bounds, merged topics, and what a page may have missed."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from cxr_node.web import event_streams
from cxr_node.web.bounded_work import TooBusy
from cxr_node.web.changes import ALL, Changes
from cxr_node.web.event_streams import MINUTE, TICK, EventStreams, Subscription
from tests.support.queue import NOON

LONG_AGO = NOON - timedelta(hours=1)


def changes(*topics: str, newest: int = 7, changed_at: datetime = LONG_AGO) -> Changes:
    return Changes(topics=frozenset(topics), newest=newest, changed_at=changed_at)


def streams_of(find: Callable[[], Changes]) -> EventStreams:
    return EventStreams(find, clock=lambda: NOON)


async def data_of(stream: AsyncGenerator[str]) -> str:
    """Return the data of the next event."""
    event = await anext(stream)
    return next(line.removeprefix("data: ") for line in event.splitlines() if line.startswith("data: "))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "INTERVAL_S", 0.0)


def test_a_stream_sends_the_topics_and_the_newest_change(quick: None) -> None:
    polls = iter([changes(), changes("jobs", "study-3", newest=8)])

    async def event() -> str:
        streams = streams_of(lambda: next(polls, changes(newest=8)))
        async with aclosing(streams.stream("op", since=None, is_valid=lambda: True)) as stream:
            assert await anext(stream) == ": open\n\n"
            return await anext(stream)

    assert asyncio.run(event()) == "event: changes\nid: 8\ndata: jobs study-3\n\n"


def test_what_is_counted_once_a_minute_changes_with_and_without_films(quick: None) -> None:
    seconds = iter(range(1000))

    async def events() -> list[str]:
        streams = EventStreams(changes, clock=lambda: NOON + timedelta(seconds=10 * next(seconds)))
        async with aclosing(streams.stream("op", since=7, is_valid=lambda: True)) as stream:
            await anext(stream)
            return [await data_of(stream) for _ in range(2)]

    assert asyncio.run(events()) == [MINUTE, MINUTE]


@pytest.mark.parametrize(
    ("since", "changed_at", "expected"),
    [(None, LONG_AGO, TICK), (None, NOON, ALL), (7, NOON, TICK), (6, LONG_AGO, ALL)],
    ids=["page is as new", "page may be older", "no change since", "changes since"],
)
def test_a_page_that_may_lack_a_change_loads_everything(
    since: int | None, changed_at: datetime, expected: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "TICK_S", 0.05)

    async def data() -> str:
        streams = streams_of(lambda: changes(changed_at=changed_at))
        async with aclosing(streams.stream("op", since=since, is_valid=lambda: True)) as stream:
            await anext(stream)
            return await data_of(stream)

    assert asyncio.run(data()) == expected


def test_topics_of_a_client_that_reads_slowly_are_merged() -> None:
    async def topics() -> list[frozenset[str]]:
        subscription = Subscription("op", since=7)
        subscription.add(changes(), is_recent=False)
        subscription.add(changes("jobs", "study-1"), is_recent=False)
        subscription.add(changes("jobs", "study-2"), is_recent=False)
        merged = await subscription.next_topics()
        for number in range(1000):
            subscription.add(changes(f"study-{number}"), is_recent=False)
        return [merged, await subscription.next_topics()]

    assert asyncio.run(topics()) == [{"jobs", "study-1", "study-2"}, {ALL}]


def test_streams_of_a_login_and_in_all_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAXIMUM_STREAMS", 3)
    monkeypatch.setattr(event_streams, "MAXIMUM_STREAMS_PER_LOGIN", 2)

    async def run() -> None:
        streams = streams_of(changes)
        opened = [streams.stream(login, since=None, is_valid=lambda: True) for login in ("a", "a", "b")]
        for stream in opened[:2]:
            await anext(stream)
        assert (streams.has_place("a"), streams.has_place("b")) == (False, True)
        await anext(opened[2])
        assert not streams.has_place("c")
        with pytest.raises(TooBusy):
            await anext(streams.stream("c", since=None, is_valid=lambda: True))
        await opened[0].aclose()
        assert streams.has_place("a"), "its place is given back"

    asyncio.run(run())


def test_a_stream_ends_with_its_session(quick: None) -> None:
    async def events() -> list[str]:
        streams = streams_of(lambda: changes("jobs"))
        return [event async for event in streams.stream("op", since=7, is_valid=lambda: False)]

    assert asyncio.run(events()) == [": open\n\n"]


def test_streams_end_with_the_server_and_no_other_begins() -> None:
    async def run() -> list[str]:
        streams = streams_of(changes)
        stream = streams.stream("op", since=7, is_valid=lambda: True)
        await anext(stream)
        streams.close()
        assert not streams.has_place("op")
        return [event async for event in stream]

    assert asyncio.run(run()) == []


def test_the_database_is_queried_once_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "INTERVAL_S", 3600.0)
    queries: list[str] = []

    def find() -> Changes:
        queries.append("query")
        return changes("jobs")

    async def run() -> None:
        streams = streams_of(find)
        opened = [streams.stream("op", since=7, is_valid=lambda: True) for _ in range(20)]
        for stream in opened:
            await anext(stream)
        assert [await data_of(stream) for stream in opened] == ["jobs"] * 20

    asyncio.run(run())

    assert queries == ["query"]


def test_queries_end_with_the_last_stream(quick: None) -> None:
    async def run() -> None:
        streams = streams_of(lambda: changes("jobs"))
        async with aclosing(streams.stream("op", since=7, is_valid=lambda: True)) as stream:
            await anext(stream)
        assert streams._task is not None
        await streams._task

    asyncio.run(run())


def test_a_fault_of_the_query_ends_the_streams_and_the_next_begins(quick: None) -> None:
    async def run() -> str:
        outcomes: Iterator[Changes | None] = iter([None, changes(), changes("jobs")])

        def find() -> Changes:
            outcome = next(outcomes, changes())
            if outcome is None:
                raise ZeroDivisionError
            return outcome

        streams = streams_of(find)
        assert [event async for event in streams.stream("op", since=7, is_valid=lambda: True)] == [": open\n\n"]
        assert streams._task is not None
        assert isinstance(streams._task.exception(), ZeroDivisionError)
        stream = streams.stream("op", since=7, is_valid=lambda: True)
        await anext(stream)
        return await data_of(stream)

    assert asyncio.run(run()) == "jobs"

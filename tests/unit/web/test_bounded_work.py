"""Threads with bounded queues, and calls that many share."""

import asyncio
import threading

import pytest

from cxr_node.web.bounded_work import BoundedPool, SharedCall, TooBusy


def test_a_pool_refuses_more_calls_than_it_has_places_for() -> None:
    released = threading.Event()
    pool = BoundedPool("test", threads=1, places=3, places_per_address=2)

    async def outcomes() -> list[bool | None]:
        calls = [asyncio.ensure_future(pool.run(released.wait, address=address)) for address in "aabb"]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):
            await pool.run(released.wait, address="c")
        released.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert await pool.run(released.wait, address="c") is True, "places are given back"
        return [None if isinstance(outcome, TooBusy) else bool(outcome) for outcome in ended]

    assert asyncio.run(outcomes()) == [True, True, True, None]


def test_one_address_takes_only_its_share_of_a_pool() -> None:
    released = threading.Event()
    pool = BoundedPool("test", threads=1, places=3, places_per_address=2)

    async def outcomes() -> list[bool]:
        calls = [asyncio.ensure_future(pool.run(released.wait, address=address)) for address in "aaab"]
        await asyncio.sleep(0)
        released.set()
        return [isinstance(outcome, TooBusy) for outcome in await asyncio.gather(*calls, return_exceptions=True)]

    assert asyncio.run(outcomes()) == [False, False, True, False]


def test_callers_share_a_call_that_begins_after_they_came() -> None:
    numbers: list[int] = []
    entered, released = threading.Event(), threading.Event()

    def count() -> int:
        numbers.append(len(numbers))
        entered.set()
        released.wait(10)
        return numbers[-1]

    async def results() -> list[int]:
        shared = SharedCall("test", count)
        first = asyncio.ensure_future(shared.result())
        await asyncio.to_thread(entered.wait, 10)
        later = [asyncio.ensure_future(shared.result()) for _ in range(50)]
        await asyncio.sleep(0)
        released.set()
        return await asyncio.gather(first, *later)

    assert asyncio.run(results()) == [0] + [1] * 50

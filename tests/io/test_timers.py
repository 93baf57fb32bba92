"""Waits of one future: what ends them, and that nothing of them is left."""

from __future__ import annotations

import asyncio

import pytest

from aioconnect._io.timers import (
    Waiter,
    collect_in_slices,
    earliest,
    wait_until_done,
    wake,
)


async def test_a_callback_after_the_wait_was_cancelled() -> None:
    """K3: a callback can run in the tick in which its waiter was cancelled."""
    loop = asyncio.get_running_loop()
    waiter: Waiter = loop.create_future()
    loop.call_soon(wake, waiter, False)
    waiter.cancel()
    await asyncio.sleep(0)
    assert waiter.cancelled()


async def test_the_first_callback_counts() -> None:
    loop = asyncio.get_running_loop()
    waiter: Waiter = loop.create_future()
    wake(waiter, False)
    wake(waiter, True)
    assert waiter.result() is False


def test_the_earliest_of_times() -> None:
    """None is never."""
    assert earliest(None, 2.0, 1.0) == 1.0
    assert earliest(None, None) is None


async def test_what_is_not_done_in_time_is_cancelled() -> None:
    loop = asyncio.get_running_loop()
    never: asyncio.Future[None] = loop.create_future()
    assert not await wait_until_done(loop, never, loop.time())
    assert never.cancelled()


async def test_an_error_is_an_end() -> None:
    """It is not raised, and the loop does not log it."""
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    loop.call_soon(failed.set_exception, OSError("no answer"))
    assert await wait_until_done(loop, failed, None)


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
async def test_all_is_collected(count: int) -> None:
    """And the loop runs in between."""
    loop = asyncio.get_running_loop()
    ran: list[int] = []
    loop.call_soon(ran.append, count)
    assert await collect_in_slices(range(count)) == [*range(count)]
    assert bool(ran) == (count >= 64)


async def test_collected_until_the_time_is_up() -> None:
    assert len(await collect_in_slices(range(200), until=0.0)) == 64

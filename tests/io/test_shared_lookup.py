from __future__ import annotations

import asyncio
import socket

from aioconnect._io.shared_lookup import AddrInfo, AnswerWaiter, SharedLookup, answer

FOUND: tuple[AddrInfo, ...] = (
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
)


async def test_a_lookup_is_wanted_while_a_future_waits() -> None:
    waiter: AnswerWaiter = asyncio.get_running_loop().create_future()
    lookup = SharedLookup(("a.test", 80, 0, 0), 1)
    assert not lookup.is_wanted()
    lookup.waiters.add(waiter)
    assert lookup.is_wanted()
    waiter.cancel()
    assert not lookup.is_wanted()


async def test_a_closed_loop_keeps_no_answer_from_the_others() -> None:
    """Nor does it want one."""
    closed = asyncio.new_event_loop()
    lookup = SharedLookup(("a.test", 80, 0, 0), 1)
    lookup.waiters.add(closed.create_future())
    closed.close()
    assert not lookup.is_wanted()
    waiter: AnswerWaiter = asyncio.get_running_loop().create_future()
    lookup.waiters.add(waiter)
    answer(lookup.waiters, FOUND, None)
    assert lookup.waiters == set()
    assert await waiter == FOUND

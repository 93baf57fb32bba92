"""A call cancelled at any iteration of the loop ends cancelled, and leaves nothing.

`entry_points.ENTRY_POINTS` lists the calls, and `MANNERS` the ways to cancel them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest
from fault_suite.entry_points import ENTRY_POINTS, discard
from fault_suite.sweeping import (
    Point,
    Start,
    nothing_left,
    sweep,
)
from thrown import Thrown

import aioconnect
from aioconnect.testing import BlackHole, Server, echoing

# In seconds, more than the longest pause while waiting for a slot.
LONGEST_PAUSE = 0.06

Manner = Callable[[Start, Point], Awaitable[bool]]
Moment = Callable[[asyncio.Task[Any], Server | None], Awaitable[bool]]


async def outcome(task: asyncio.Task[Any], asked: bool) -> bool:
    """Wait for the end of *task*; if *asked*, check that it was cancelled in time."""
    try:
        made = await task
    except asyncio.CancelledError:
        assert asked
        assert task.cancelled()
    else:
        await discard(made)
        assert not asked, "the cancellation was swallowed"
    return asked


async def plainly(start: Start, point: Point) -> bool:
    """Cancel the task that makes the call."""
    task = asyncio.ensure_future(start())
    await point.reached()
    return await outcome(task, task.cancel())


async def below(start: Start) -> Any:
    """Make the call below two coroutines; the outer one has a cleanup of its own."""

    async def cleaning() -> Any:
        try:
            return await start()
        except BaseException:
            await asyncio.sleep(0)
            raise

    return await cleaning()


async def nested(start: Start, point: Point) -> bool:
    """Cancel a task that makes the call further down its stack."""
    return await plainly(partial(below, start), point)


async def twice(start: Start, point: Point) -> bool:
    """Cancel a second time in the same tick, and again during the cleanup."""
    task = asyncio.ensure_future(below(start))
    await point.reached()
    asked = task.cancel()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    return await outcome(task, asked)


async def in_timeout(start: Start, point: Point) -> bool:
    """Let the `asyncio.timeout` around the call expire."""
    scope = asyncio.timeout(None)

    async def within() -> Any:
        async with scope:
            begun.set_result(None)
            return await start()

    begun = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(within())
    await begun
    await point.reached()
    if not task.done():
        scope.reschedule(0)
    try:
        await discard(await task)
    except TimeoutError:
        assert scope.expired()
    else:
        assert not scope.expired(), "the cancellation was swallowed"
    return scope.expired()


async def in_group(start: Start, point: Point) -> bool:
    """Raise beside the call, in the same `asyncio.TaskGroup`."""
    asked = False
    with suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(start())
            await point.reached()
            asked = not task.done()
            raise ZeroDivisionError
    return await outcome(task, asked)


MANNERS = [plainly, nested, twice, in_timeout, in_group]


@pytest.mark.sweep
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("name", ENTRY_POINTS)
async def test_cancelled_at_every_iteration(
    name: str, manner: Manner, thrown: Thrown
) -> None:
    """A cancellation at any iteration reaches the caller, and leaves nothing behind."""
    entry = ENTRY_POINTS[name]
    with entry.serve() as server:
        came = await sweep(entry.ends, partial(manner, partial(entry.start, server)))
    thrown("cancellation", "cancelled, nothing left", came.count(True))
    thrown("cancellation", "ended first", came.count(False))


async def before_the_event(task: asyncio.Task[Any], released: Server | None) -> bool:
    """Cancel when the loop knows of the event and has run no callback yet."""
    if released is None:
        time.sleep(LONGEST_PAUSE)  # now its timer is due
    else:
        released.accept().close()  # now the kernel has connected it
    await asyncio.sleep(0)
    return task.cancel()


async def before_it_goes_on(task: asyncio.Task[Any], released: Server | None) -> bool:
    """Cancel when the event has ended the wait, but the call has not resumed yet."""
    waiter: Any = task._fut_waiter  # type: ignore[attr-defined]  # what it waits for
    # This is scheduled before the event, so it runs before the woken task.
    while not waiter.done():
        await asyncio.sleep(0)
    return task.cancel()


async def after_it_went_on(task: asyncio.Task[Any], released: Server | None) -> bool:
    """Cancel right after the call has resumed and waits again."""
    waiter: Any = task._fut_waiter  # type: ignore[attr-defined]  # what it waits for
    asked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    waiter.add_done_callback(lambda _: asked.set_result(task.cancel()))
    return await asked


MOMENTS = [before_the_event, before_it_goes_on, after_it_went_on]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_cancelled_and_connected_in_one_tick(
    moment: Moment, thrown: Thrown
) -> None:
    """A socket that gets ready in the tick of the cancellation is closed, not lost."""

    async def cancelled(task: asyncio.Task[Any], released: Server | None) -> bool:
        return await outcome(task, await moment(task, released))

    waiting = [entry for entry in ENTRY_POINTS.values() if entry.release]
    with ExitStack() as stack:
        servers = [stack.enter_context(entry.serve()) for entry in waiting]
        pairs = list(zip(waiting, servers, strict=True))
        async with nothing_left():
            tasks = [asyncio.ensure_future(entry.start(at)) for entry, at in pairs]
            await asyncio.sleep(0)
            released = [entry.release(at) for entry, at in pairs if entry.release]
            came = await asyncio.gather(*map(cancelled, tasks, released))
            tasks.clear()
    # uvloop runs its timers first, so some have connected before the event.
    assert all(came) if moment is before_it_goes_on else any(came)
    thrown("cancellation", "cancelled, nothing left", came.count(True))
    thrown("cancellation", "ended first", came.count(False))


async def test_many_tasks_and_reused_descriptors(black_hole: BlackHole) -> None:
    """Cancelled connects touch no descriptor that other code opens meanwhile."""

    async def churn() -> None:
        for _ in range(50):
            connecting = aioconnect.connect_address(black_hole.address)
            task = asyncio.ensure_future(connecting)
            await asyncio.sleep(0)
            assert await outcome(task, task.cancel())

    async def traffic(port: int) -> None:
        for _ in range(50):
            reader, writer = await aioconnect.open_connection("127.0.0.1", port)
            writer.write(b"x" * 100)
            assert await reader.readexactly(100) == b"x" * 100
            writer.close()
            await writer.wait_closed()

    with echoing() as server:
        jobs = [churn(), churn(), traffic(server.port), traffic(server.port)]
        await asyncio.gather(*jobs)

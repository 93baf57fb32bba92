"""Wait for one thing or for a time, with one future and at most one timer.

A wait here makes no task, and does not cancel the waiting one, as `asyncio.wait_for`
and `asyncio.timeout` do.  So it cannot swallow a cancellation.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "TIMER_TOLERANCE",
    "Waiter",
    "collect_in_slices",
    "earliest",
    "end_tasks",
    "sleep_until",
    "wait_until_done",
    "wake",
]

T = TypeVar("T")

# How early, in seconds, a loop may end a wait that takes the rest of the time: uvloop's
# clock and timers count milliseconds.
TIMER_TOLERANCE = 0.005

# After this many items, the loop gets to run.
_SLICE = 64

# The result tells whether the wait has expired.
Waiter: TypeAlias = "asyncio.Future[bool]"


def wake(waiter: Waiter, expired: bool) -> None:
    """End the wait, unless it has ended."""
    # A cancelled waiter can still have a callback in flight (K3).
    if not waiter.done():
        waiter.set_result(expired)


def earliest(*times: float | None) -> float | None:
    """Return the earliest of *times*; None means never."""
    return min((at for at in times if at is not None), default=None)


async def sleep_until(loop: asyncio.AbstractEventLoop, when: float) -> None:
    """Let *loop* run, at least once, until its clock says *when*."""
    waiter: Waiter = loop.create_future()
    timer = loop.call_at(when, wake, waiter, True)
    try:
        await waiter
    finally:
        timer.cancel()


async def wait_until_done(
    loop: asyncio.AbstractEventLoop,
    task: asyncio.Future[Any],
    when: float | None,
    *,
    keep: bool = False,
) -> bool:
    """Wait for *task* until *when*, and tell whether it is done.

    If it is not, it is cancelled; with *keep*, only if this wait is cancelled.
    """
    waiter: Waiter = loop.create_future()
    timer = None if when is None else loop.call_at(when, wake, waiter, True)
    task.add_done_callback(partial(_task_done, waiter))
    has_expired = False
    try:
        has_expired = await waiter
        return task.done()
    finally:
        if timer is not None:
            timer.cancel()
        if not (has_expired and keep) and not task.done():
            task.cancel()


def _task_done(waiter: Waiter, task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # retrieved: asyncio logs nothing if nobody waits any more
    wake(waiter, False)


async def end_tasks(
    tasks: Sequence[asyncio.Future[Any]],
) -> asyncio.CancelledError | None:
    """Cancel *tasks*, and return when all have ended.

    A cancellation that comes meanwhile is returned, for the caller to raise: the very
    object, because anyio knows its own by the message.
    """
    for task in tasks:
        task.cancel()
    cancelled = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as exc:
            cancelled = exc.with_traceback(None)  # it would hold this frame
    return cancelled


async def collect_in_slices(things: Iterable[T], until: float | None = None) -> list[T]:
    """Return the items of *things* as a list, and let the loop run now and then.

    When the loop's clock reaches *until*, the list has the items taken so far.
    """
    loop = asyncio.get_running_loop()
    iterator = iter(things)
    items = list(itertools.islice(iterator, _SLICE))
    latest = items
    while len(latest) == _SLICE:
        await asyncio.sleep(0)
        if until is not None and loop.time() >= until:
            break
        latest = list(itertools.islice(iterator, _SLICE))
        items += latest
    return items

"""Wait for one thing or for a time, with one future and at most one timer.

No task is made and none is cancelled, which is what `asyncio.timeout` and
`asyncio.wait_for` are made of: a wait here cannot swallow a cancellation.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "TIMER_TOLERANCE",
    "Waiter",
    "collect_in_slices",
    "earliest",
    "sleep_until",
    "wait_until_done",
    "wake",
]

T = TypeVar("T")

# How early, in seconds, a loop may end a wait that takes the rest of the time: uvloop's
# clock and timers count milliseconds.
TIMER_TOLERANCE = 0.005

# What is made, of many, before the loop gets to run in between.
_IN_A_ROW = 64

# Its result says whether it was the time that ended the wait.
Waiter: TypeAlias = "asyncio.Future[bool]"


def wake(waiter: Waiter, expired: bool) -> None:
    """End the wait, unless it has ended."""
    # A cancelled waiter can still have a callback in flight (K3).
    if not waiter.done():
        waiter.set_result(expired)


def _ended(waiter: Waiter, task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # seen, also where nobody waits for it any more
    wake(waiter, False)


def earliest(*times: float | None) -> float | None:
    """Return the first of *times*, of which None is never."""
    return min((at for at in times if at is not None), default=None)


async def sleep_until(loop: asyncio.AbstractEventLoop, when: float) -> None:
    """Let the loop run, at least once, until its clock says *when*."""
    waiter: Waiter = loop.create_future()
    timer = loop.call_at(when, wake, waiter, True)
    try:
        await waiter
    finally:
        timer.cancel()


async def wait_until_done(
    loop: asyncio.AbstractEventLoop, task: asyncio.Future[Any], when: float | None
) -> bool:
    """Wait for *task* until *when*; tell whether it has ended, else cancel it."""
    waiter: Waiter = loop.create_future()
    timer = None if when is None else loop.call_at(when, wake, waiter, True)
    task.add_done_callback(partial(_ended, waiter))
    try:
        await waiter
        return task.done()
    finally:
        if timer is not None:
            timer.cancel()
        if not task.done():
            task.cancel()


async def collect_in_slices(things: Iterable[T], until: float | None = None) -> list[T]:
    """Return what *things* gives, and let the loop run now and then meanwhile.

    When the loop's clock says *until*, it is what they have given so far.
    """
    loop = asyncio.get_running_loop()
    rest = iter(things)
    made = list(itertools.islice(rest, _IN_A_ROW))
    more = made
    while len(more) == _IN_A_ROW:
        await asyncio.sleep(0)
        if until is not None and loop.time() >= until:
            break
        more = list(itertools.islice(rest, _IN_A_ROW))
        made += more
    return made

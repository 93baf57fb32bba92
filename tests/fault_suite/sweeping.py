"""Cut a call short at each iteration of the loop, and check that it leaves nothing.

test_cancellation.py and test_abandoned.py say how the call is cut short.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import proxies

from aioconnect.testing import leak_check

__all__ = [
    "DESTROYED",
    "UNHEARD",
    "Point",
    "Start",
    "loop_may_log",
    "nothing_left",
    "sweep",
]

# The number of iterations at which an endless call is cancelled: it waits long before.
POINTS = 20

# The length of an iteration, in seconds, where the end depends on another thread.
# Otherwise most iterations would be idle, each like the one before.
PACE = 0.001

Start: TypeAlias = Callable[[], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """The point at which a call is cancelled: after this number of *iterations*."""

    iterations: int
    pace: float

    async def tick(self) -> None:
        """Let the loop run once."""
        time.sleep(self.pace)
        await asyncio.sleep(0)

    async def reached(self) -> None:
        """Let the loop run up to this point."""
        for _ in range(self.iterations):
            await self.tick()


def points(ends: bool) -> Iterator[Point]:
    """Yield the points to cancel at; within a long wait they get rarer."""
    for iterations in range(POINTS):
        yield Point(iterations, PACE if ends else 0)
    iterations = POINTS
    while ends:
        yield Point(iterations, PACE)
        iterations += iterations // 4


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that no task, timer, watcher or descriptor outlives the block."""
    # A resolver thread has descriptors of its own for a moment.
    async with leak_check(ignore_threads=["asyncio_", proxies.NAME]) as check:
        yield
        # A cancelled handshake ends one tick later, and its transport some ticks after
        # that: uvloop has to see the end of the stream first.
        left = [""]
        for _ in range(10):
            if not left:
                break
            await asyncio.sleep(0)
            left = [leak for leak in check.leaks() if not leak.startswith("descriptor")]
        assert not left, left


async def sweep(ends: bool, cancel: Callable[[Point], Awaitable[bool]]) -> list[bool]:
    """Cancel at each iteration, until the call has ended first three times in a row."""
    came: list[bool] = []
    for point in points(ends):
        async with nothing_left():
            came.append(await cancel(point))
        if came[-3:] == [False] * 3:
            break
    assert ends or all(came), "what never ends has ended"
    return came


# asyncio logs this about the handshake that a closed coroutine has waited for.
UNHEARD = "Future exception was never retrieved"

# asyncio logs this about a look-up of the caller's resolver that was collected together
# with its caller.
DESTROYED = "Task was destroyed but it is pending!"


@contextmanager
def loop_may_log(*messages: str) -> Iterator[None]:
    """Allow what the loop itself logs about a call that has not ended."""
    loop = asyncio.get_running_loop()
    tell: Any = loop.get_exception_handler()

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] not in messages:
            tell(loop, context)

    loop.set_exception_handler(handler)
    yield
    loop.set_exception_handler(tell)

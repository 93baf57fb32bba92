"""A call that is closed or collected half-way, outside a task, leaves nothing open."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from fault_suite.entry_points import ENTRY_POINTS, discard
from fault_suite.sweeping import (
    DESTROYED,
    UNHEARD,
    Point,
    Start,
    loop_may_log,
    sweep,
)
from thrown import Thrown

import aioconnect
from aioconnect.testing import BlackHole


@contextmanager
def new_garbage() -> Iterator[None]:
    """Let the collector look only at new objects, so that it takes no time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


# Like anyio's own, their streams read nothing until they are used.  The loop does not
# refer to a paused transport.  The transport is collected together with the coroutine
# that closes it.  asyncio and the socket warn of that, although nothing stays open.
PAUSED = ("anyio", "httpcore")


async def abandoned(
    start: Start, collect: bool, late: bool, may_warn: bool, point: Point
) -> bool:
    """Close a coroutine half-way, or drop it; return whether it had not ended yet."""
    running = start()
    try:
        waiter = running.send(None)
        for _ in range(point.iterations):
            await point.tick()
            # Driven by hand, so that only this function refers to the coroutine.
            if waiter is None or waiter.done():
                waiter = running.send(None)
        if late:
            await point.tick()
    except StopIteration as ended:
        await discard(ended.value)
        return False
    if collect:
        # Now only the collector can find it.
        cycle: list[Any] = [running]
        cycle.append(cycle)
        del cycle, running
        with warnings.catch_warnings():
            if may_warn:
                warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    else:
        running.close()
    return True


WAYS = {"closed": False, "collected": True}
CASES = [
    pytest.param(name, collect, id=f"{name}-{way}")
    for name, entry in ENTRY_POINTS.items()
    for way, collect in WAYS.items()
    if entry.holds or not collect
]


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "collect"), CASES)
async def test_abandoned_at_every_iteration(
    name: str, collect: bool, thrown: Thrown
) -> None:
    """A coroutine that is closed or collected at any iteration leaves nothing."""
    entry = ENTRY_POINTS[name]
    may_log = loop_may_log(UNHEARD, DESTROYED)
    with entry.serve() as server, may_log, new_garbage():
        start = partial(entry.start, server)
        # uvloop crashes if a transport is collected before the loop has run once.
        late = collect and type(asyncio.get_running_loop()).__module__ == "uvloop"
        leave = partial(abandoned, start, collect, late, name.startswith(PAUSED))
        came = await sweep(entry.ends, leave)
    thrown("lifetimes", "nothing left", len(came))


def test_coroutine_that_outlives_its_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], black_hole: BlackHole
) -> None:
    """A coroutine that outlives its loop can be closed, and leaves nothing."""

    async def leave_it() -> Coroutine[Any, Any, Any]:
        connecting = aioconnect.connect("127.0.0.1", black_hole.port, timeout=60)
        connecting.send(None)
        return connecting

    loop = loop_factory()
    left = loop.run_until_complete(leave_it())
    loop.close()
    left.close()


def test_closed_loops_are_collected(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], black_hole: BlackHole
) -> None:
    """A loop that is closed with a connect pending on it can be garbage collected."""

    async def begin() -> asyncio.Future[socket.socket]:
        # This comes before the task is destroyed, which the loop would report.
        task = asyncio.ensure_future(aioconnect.connect("127.0.0.1", black_hole.port))
        await asyncio.sleep(0)
        return task

    class Witness:
        pass

    loop = loop_factory()
    loop.set_exception_handler(lambda *_: None)
    task = loop.run_until_complete(begin())
    witness = Witness()
    task.witness = witness  # type: ignore[attr-defined]  # it lives as long as the task
    gone = weakref.ref(witness)
    loop.close()
    del loop, task, witness
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert gone() is None

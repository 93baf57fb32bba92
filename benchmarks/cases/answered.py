"""Connects that are answered later, as all are across a network: CPU, and time.

Over loopback the kernel answers within ``connect(2)``; here it drops the SYNs until
all have been sent, and answers when they come again, a second later.  `far` has packets
that travel.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aioconnect.testing import black_hole

from .. import ways, ways_streams
from ..machine import CLIENT, open_many, pin
from ..namespaces import TUN, in_namespace
from ..results import Measure, Row, measure_of, rounded
from ..running import (
    Contestant,
    Loops,
    Plan,
    Skipped,
    both,
    progress,
    reason,
    rotated,
)
from ..servers import Endpoint

__all__ = ["answered", "far"]

Opens = Callable[[], Awaitable[Any]]

CONTESTANTS = (
    *both("a task, a future, a watcher, checked", ways.waiting_checked, ways.reset),
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.connect(timeout=5)", ways.ours_timeout, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both(
        "aioconnect.open_connection(timeout=5)",
        ways_streams.ours_streams_timeout,
        ways_streams.abort,
    ),
    *both(
        "the loop, a socket that waited", ways_streams.floor_late, ways_streams.abort
    ),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both("aiohappyeyeballs", ways.aiohappyeyeballs, ways.reset),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both(
        "asyncio.open_connection, timeout(5)",
        ways_streams.asyncio_streams_timeout,
        ways_streams.abort,
    ),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
)


def answered(plan: Plan) -> Sequence[Measure]:
    """Have 300 of each contestant wait at once, and be answered."""
    pin(CLIENT)
    open_many()
    contestants = plan.of(CONTESTANTS)
    samples: dict[Contestant, list[float]] = {one: [] for one in contestants}
    failed: dict[Contestant, str] = {}
    rounds = 2 if plan.quick else 11
    for turn in range(rounds):
        progress(f"{turn}/{rounds}")
        able = [one for one in rotated(contestants, turn) if one not in failed]
        for one, spent in _round(able, 300).items():
            if isinstance(spent, Exception):
                failed[one] = reason(spent)
            elif turn:  # the first warms up
                samples[one].append(spent)
    rows = tuple(
        Row(one.name, one.loop, rounded(samples[one]), failed.get(one))
        for one in contestants
    )
    return [Measure("CPU of a connect that is answered later", "s", rows)]


def far(plan: Plan) -> Sequence[Measure]:
    """Connect to a host that is 1 ms away, and to one that is 30 ms away."""
    if not TUN.exists():
        raise Skipped(f"there is no {TUN}")
    return [measure_of(one) for one in in_namespace("far", plan=plan)]


def _round(
    contestants: Sequence[Contestant], count: int
) -> dict[Contestant, float | Exception]:
    """Return the CPU seconds of a connect of each, or why there are none.

    All wait for their second answers at the same time, each on a loop of its own
    that runs for nobody else.
    """
    came: dict[Contestant, float | Exception] = {}
    with contextlib.ExitStack() as stack:
        waiting = []
        for one in contestants:
            gc.collect()
            loops = stack.enter_context(Loops())
            hole = stack.enter_context(black_hole())
            try:
                opens = one.make(Endpoint(port=hole.port))
                started = time.process_time()
                tasks = loops.run(one.loop, _waiting, opens, count)
            except Exception as exc:  # it is the result
                came[one] = exc
            else:
                spent = time.process_time() - started
                waiting.append((one, loops, hole, tasks, spent))
        for _, _, hole, _, _ in waiting:
            hole.open(count + 1)
        for one, loops, _, tasks, spent in waiting:
            started = time.process_time()
            try:
                opened = loops.run(one.loop, _opened, tasks)
            except Exception as exc:  # it is the result
                came[one] = exc
            else:
                came[one] = (spent + time.process_time() - started) / count
                loops.run(one.loop, _closed, one, opened)
    return came


async def _waiting(opens: Opens, count: int) -> list[asyncio.Future[Any]]:
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(opens()) for _ in range(count)
    ]
    for _ in range(5):  # until all wait
        await asyncio.sleep(0)
    if done := [task for task in tasks if task.done()]:
        raise RuntimeError(f"{len(done)} did not wait: {done[0]}")
    return tasks


async def _opened(tasks: Sequence[asyncio.Future[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks)


async def _closed(contestant: Contestant, opened: Sequence[Any]) -> None:
    for each in opened:
        contestant.close(each)

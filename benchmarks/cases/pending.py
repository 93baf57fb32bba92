"""Connects that get no answer: what each holds, what it works, and its end."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aioconnect.testing import black_hole

from .. import ways, ways_streams
from ..machine import CLIENT, open_many, pin
from ..results import Measure, Row, rounded
from ..running import (
    TRIO,
    Contestant,
    Loops,
    Plan,
    both,
    isolated,
    progress,
    reason,
    rotated,
    take_turns,
)
from ..servers import Endpoint

__all__ = ["cancel", "pending"]

LEAST = "a task, a future, a watcher"

Opens = Callable[[], Awaitable[Any]]


CONTESTANTS = (
    *both(LEAST, ways.waiting, ways.reset),
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.connect(timeout=5)", ways.ours_timeout, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both("aiohappyeyeballs", ways.aiohappyeyeballs, ways.reset),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "trio.open_tcp_stream", TRIO, ways_streams.trio_streams, ways_streams.abort_trio
    ),
)


def pending(plan: Plan) -> Sequence[Measure]:
    """Have 10,000 wait, each contestant's in a process of its own."""
    count = min(300 if plan.quick else 10_000, open_many() - 100)
    names = ("memory of a pending connect", "CPU of a pending connect")
    samples: dict[Contestant, list[tuple[float, float]]] = {}
    failed: dict[Contestant, str] = {}
    for turn in range(1 if plan.quick else 2):
        for contestant in rotated(plan.of(CONTESTANTS), turn):
            progress(f"{turn}: {contestant.name} on {contestant.loop}")
            if contestant in failed:
                continue
            number = CONTESTANTS.index(contestant)
            try:
                spent = isolated(_pend, number, count, limit=60)
            except Exception as exc:  # it is the result
                failed[contestant] = reason(exc)
            else:
                samples.setdefault(contestant, []).append(spent)
    measures = []
    for index, (name, unit) in enumerate(zip(names, ("bytes", "s"), strict=True)):
        rows = tuple(
            Row(
                one.name,
                one.loop,
                rounded([pair[index] for pair in samples.get(one, ())]),
                failed.get(one),
            )
            for one in plan.of(CONTESTANTS)
        )
        measures.append(Measure(name, unit, rows))
    return measures


def _pend(number: int, count: int) -> tuple[float, float]:
    """Return the bytes and the CPU seconds of a connect that gets no answer."""
    pin(CLIENT)
    open_many()
    contestant = CONTESTANTS[number]
    with black_hole() as hole, Loops() as loops:
        opens = contestant.make(Endpoint(port=hole.port))
        pend = _trio_pended if contestant.loop == TRIO else _pended
        pended: tuple[float, float] = loops.run(contestant.loop, pend, opens, count)
    return pended


async def _pended(opens: Opens, count: int) -> tuple[float, float]:
    await _cancelled(await _waiting(opens, 10))  # warm
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tasks = await _waiting(opens, count)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    await _cancelled(tasks)
    spent = time.process_time()
    await _cancelled(await _waiting(opens, count))
    return held / count, (time.process_time() - spent) / count


async def _waiting(opens: Opens, count: int) -> list[asyncio.Future[Any]]:
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(opens()) for _ in range(count)
    ]
    for _ in range(5):
        await asyncio.sleep(0.02)
    if done := [task for task in tasks if task.done()]:
        raise RuntimeError(f"{len(done)} did not wait: {done[0]}")
    return tasks


async def _cancelled(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _trio_pended(opens: Opens, count: int) -> tuple[float, float]:
    import trio

    async def hold(number: int) -> float:
        held = 0.0
        async with trio.open_nursery() as nursery:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(number):
                nursery.start_soon(opens)
            for _ in range(5):
                await trio.sleep(0.02)
            held = tracemalloc.get_traced_memory()[0] - before
            nursery.cancel_scope.cancel()
        return held

    await hold(10)
    gc.collect()
    tracemalloc.start()
    held = await hold(count)
    tracemalloc.stop()
    spent = time.process_time()
    await hold(count)
    return held / count, (time.process_time() - spent) / count


def cancel(plan: Plan) -> Sequence[Measure]:
    """Cancel connects that wait, a hundred at a time."""
    pin(CLIENT)
    open_many()
    contestants = [one for one in plan.of(CONTESTANTS) if one.loop != TRIO]
    with black_hole() as hole:
        rows = take_turns(
            contestants,
            Endpoint(port=hole.port),
            3 if plan.quick else 15,
            _cancel_hundred,
        )
    return [Measure("time of a cancel", "s", tuple(rows))]


def _cancel_hundred(loops: Loops, contestant: Contestant, opens: Opens) -> float:
    spent: float = loops.run(contestant.loop, _cancel_some, opens, 100)
    return spent


async def _cancel_some(opens: Opens, count: int) -> float:
    tasks = [asyncio.ensure_future(opens()) for _ in range(count)]
    for _ in range(5):
        await asyncio.sleep(0.001)
    started = time.perf_counter()
    await _cancelled(tasks)
    return (time.perf_counter() - started) / count

"""Connect many at once: what one connect costs, by how many there are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from .. import ways, ways_streams
from ..machine import CLIENT, open_many, pin
from ..results import Measure, Row
from ..running import NONE, TRIO, Contestant, Loops, Plan, both, take_turns
from ..servers import Endpoint, serving

__all__ = ["concurrency"]

CONTESTANTS = (
    Contestant("the checked system calls", NONE, ways.checked, ways.reset),
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both("aiohappyeyeballs", ways.aiohappyeyeballs, ways.reset),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "trio.open_tcp_stream", TRIO, ways_streams.trio_streams, ways_streams.abort_trio
    ),
)


def concurrency(plan: Plan) -> Sequence[Measure]:
    """Connect 1, 10, ... 10,000 at once, each in a task; all are held meanwhile."""
    pin(CLIENT)
    most = open_many() - 200
    rows: list[Row] = []
    sizes = (1, 30, 1000) if plan.quick else (1, 10, 100, 1000, 10_000)
    with serving(Endpoint()) as endpoint:
        for size in sizes:
            if size > most:
                break
            is_large = size > 1000  # a round of it takes half a minute
            turns = 1 if plan.quick else 2 if is_large else 5
            at_once = _at_once(size, max(1, (100 if plan.quick else 1000) // size))
            rows += take_turns(
                plan.of(CONTESTANTS),
                endpoint,
                turns,
                at_once,
                at=size,
                warm=not is_large,
            )
    return [Measure("time of a connect", "s", tuple(rows))]


def _at_once(size: int, times: int) -> Callable[[Loops, Contestant, Any], float]:
    def measure(loops: Loops, contestant: Contestant, opens: Any) -> float:
        if contestant.loop == NONE:
            return _in_a_row(contestant, opens, size, times)
        gather = _trio_gathered if contestant.loop == TRIO else _gathered
        spent: float = loops.run(
            contestant.loop, gather, contestant, opens, size, times
        )
        return spent

    return measure


def _in_a_row(contestant: Contestant, opens: Any, size: int, times: int) -> float:
    spent = 0.0
    for _ in range(times):
        started = time.perf_counter()
        connections = [opens() for _ in range(size)]
        spent += time.perf_counter() - started
        for one in connections:
            contestant.close(one)
    return spent / (size * times)


async def _gathered(
    contestant: Contestant,
    opens: Callable[[], Coroutine[Any, Any, Any]],
    size: int,
    times: int,
) -> float:
    spent = 0.0
    for _ in range(times):
        started = time.perf_counter()
        connections = await asyncio.gather(*(opens() for _ in range(size)))
        spent += time.perf_counter() - started
        for one in connections:
            contestant.close(one)
        await asyncio.sleep(0)
    return spent / (size * times)


async def _trio_gathered(
    contestant: Contestant, opens: Any, size: int, times: int
) -> float:
    import trio

    spent = 0.0
    for _ in range(times):
        connections: list[Any] = []

        async def open_one(connections: list[Any]) -> None:
            connections.append(await opens())

        started = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(open_one, connections)
        spent += time.perf_counter() - started
        for one in connections:
            contestant.close(one)
    return spent / (size * times)

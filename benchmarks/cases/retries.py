"""Retry until the server is up: what an attempt costs, and how late one comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aioconnect.testing import refusing

from .. import ways, ways_retry, ways_streams
from ..machine import CLIENT, open_many, pin
from ..results import Measure, Row, rounded
from ..running import (
    TRIO,
    Contestant,
    Loops,
    Plan,
    both,
    isolated,
    reason,
    take_turns,
)
from ..servers import Endpoint, late_server

__all__ = ["retry"]

Opens = Callable[[], Awaitable[Any]]

ATTEMPTS = 100


def _times(make: ways_retry.Retries) -> Callable[[Endpoint], Opens]:
    return lambda endpoint: make(endpoint, ATTEMPTS)


def _nothing(connection: object) -> None:
    """Close nothing: no attempt has connected."""


def _around(name: str, make: ways_retry.Retries) -> Sequence[Contestant]:
    return tuple(both(name, _times(make), _nothing))


OPEN = ways_streams.asyncio_streams

REFUSED = (
    *_around("the system calls and a sleep", ways_retry.least),
    *_around("aioconnect.open_connection(retry=...)", ways_retry.ours),
    *_around("aioconnect.connect(retry=...)", ways_retry.ours_socket),
    *_around("asyncio.open_connection, a loop by hand", ways_retry.by_hand),
    *_around("tenacity, asyncio.open_connection", ways_retry.tenacity_around(OPEN)),
    *_around("stamina, asyncio.open_connection", ways_retry.stamina_around(OPEN)),
    *_around(
        "tenacity, loop.sock_connect", ways_retry.tenacity_around(ways.sock_connect)
    ),
    *_around(
        "tenacity, aiohappyeyeballs", ways_retry.tenacity_around(ways.aiohappyeyeballs)
    ),
    *_around(
        "tenacity, anyio.connect_tcp",
        ways_retry.tenacity_around(ways_streams.anyio_streams),
    ),
    Contestant(
        "trio.open_tcp_stream, a loop by hand",
        TRIO,
        _times(ways_retry.trio_by_hand),
        _nothing,
    ),
)

LATE = (
    *both("aioconnect, Backoff()", ways_retry.ours_as_it_comes, ways_streams.abort),
    *both("aioconnect.wait_until_up", ways_retry.ours_up, _nothing),
    *both("tenacity, the same delays", ways_retry.tenacity_as_ours, ways_streams.abort),
    *both("stamina as it comes", ways_retry.stamina_as_it_comes, ways_streams.abort),
)


def retry(plan: Plan) -> Sequence[Measure]:
    """Be refused a hundred times, and wait for a server that is late."""
    pin(CLIENT)
    with refusing() as port:
        endpoint = Endpoint(port=port.port)
        rows = take_turns(
            plan.of(REFUSED),
            endpoint,
            1 if plan.quick else 9,
            _cpu,
            warm=not plan.quick,
        )
    clients, seconds = (50, 0.3) if plan.quick else (200, 5.0)
    return [
        Measure("CPU of a refused attempt", "s", tuple(rows)),
        Measure("connected after listen()", "s", tuple(_late(plan, clients, seconds))),
    ]


def _cpu(loops: Loops, contestant: Contestant, opens: Opens) -> float:
    spent: float = loops.run(contestant.loop, _refused, opens)
    return spent / ATTEMPTS


async def _refused(opens: Opens) -> float:
    started = time.process_time()
    with contextlib.suppress(OSError):
        await opens()
    return time.process_time() - started


def _late(plan: Plan, clients: int, seconds: float) -> list[Row]:
    def row(one: Contestant) -> Row:
        try:
            after = isolated(_lateness, LATE.index(one), clients, seconds, limit=60)
        except Exception as exc:  # it is the result
            return Row(one.name, one.loop, (), reason(exc))
        thinned = after[:: max(1, len(after) // 50)]
        return Row(one.name, one.loop, rounded(thinned))

    # Some at a time: most of it is waiting.
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(row, plan.of(LATE)))


def _lateness(number: int, clients: int, seconds: float) -> list[float]:
    """Return after how many seconds of the server's listening each client connected."""
    pin(CLIENT)
    open_many()
    contestant = LATE[number]
    with late_server() as (port, orders), Loops() as loops:
        opens = contestant.make(Endpoint(port=port))
        done: list[float] = loops.run(
            contestant.loop, _wait, contestant, opens, clients, seconds, orders
        )
        listening: float = orders.recv()
    return [at - listening for at in sorted(done)]


async def _wait(
    contestant: Contestant, opens: Opens, clients: int, seconds: float, orders: Any
) -> list[float]:
    async def wait() -> float:
        connection = await opens()
        at = time.monotonic()
        contestant.close(connection)
        return at

    waiting = [asyncio.ensure_future(wait()) for _ in range(clients)]
    await asyncio.sleep(seconds)
    orders.send("listen")
    return await asyncio.gather(*waiting)

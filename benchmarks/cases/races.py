"""Connect to one of several addresses: the first answers, is silent, or all refuse."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from aioconnect.testing import black_hole, listening

from .. import ways, ways_lists, ways_stalled, ways_streams
from ..machine import CLIENT, pin
from ..results import Measure
from ..running import (
    NONE,
    TRIO,
    Contestant,
    Loops,
    Plan,
    both,
    in_batches,
    take_turns,
)
from ..servers import Endpoint, serving

__all__ = ["limited", "refused", "silent", "stalled", "three"]

FLOOR = Contestant(
    "the checked system calls", NONE, ways_lists.checked_first, ways.reset
)

RACES = (
    *both("aioconnect.connect_any", ways_lists.ours, ways.reset),
    *both("aioconnect.open_connection", ways_lists.ours_streams, ways_streams.abort),
    *both("aiohappyeyeballs", ways_lists.aiohappyeyeballs, ways.reset),
    *both("async_stagger", ways_lists.async_stagger, ways.reset),
    *both(
        "asyncio.open_connection, racing",
        ways_lists.asyncio_streams,
        ways_streams.abort,
    ),
    *both("anyio.connect_tcp", ways_lists.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "anyio.connect_tcp", TRIO, ways_lists.trio_anyio, ways_streams.abort_anyio
    ),
    Contestant(
        "trio.open_tcp_stream", TRIO, ways_lists.trio_streams, ways_streams.abort_trio
    ),
)

IN_TURN = Contestant(
    "asyncio.open_connection", "asyncio", ways_lists.asyncio_in_turn, ways_streams.abort
)


def three(plan: Plan) -> Sequence[Measure]:
    """Race three addresses, of which the first answers."""
    pin(CLIENT)
    hosts = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
    with serving(Endpoint(hosts=hosts)) as endpoint:
        rows = take_turns(
            plan.of((FLOOR, *RACES, IN_TURN)),
            endpoint,
            7 if plan.quick else 41,
            in_batches(50),
            loops=Loops(ways_lists.listing(endpoint)),
        )
    return [Measure("time of a connect", "s", tuple(rows))]


def silent(plan: Plan) -> Sequence[Measure]:
    """Race two addresses, of which the first drops every packet."""
    pin(CLIENT)
    with black_hole() as hole:
        endpoint = Endpoint("127.0.0.2", hole.port, hosts=("127.0.0.1", "127.0.0.2"))
        with serving(endpoint) as endpoint:
            rows = take_turns(
                plan.of((*RACES, IN_TURN)),
                endpoint,
                1 if plan.quick else 5,
                limited(0.6 if plan.quick else 3.0),
                loops=Loops(ways_lists.listing(endpoint)),
                warm=False,
            )
    return [Measure("time to connect", "s", tuple(rows))]


STALLED = (
    *both("aioconnect.open_connection", ways_stalled.ours_tls, ways_streams.abort),
    *both("the address that works, alone", ways_stalled.ours_alone, ways_streams.abort),
    *both(
        "asyncio.open_connection, racing",
        ways_stalled.asyncio_tls,
        ways_streams.abort,
    ),
    *both("anyio.connect_tcp", ways_stalled.anyio_tls, ways_streams.abort_anyio),
)


# The first of them warms the history up, outside of the figures.
REMEMBERED = (
    *both(
        "aioconnect.open_connection, a history",
        ways_stalled.ours_again,
        ways_streams.abort,
    ),
    *both("the address that works, alone", ways_stalled.ours_alone, ways_streams.abort),
)


@contextlib.contextmanager
def stalling() -> Iterator[Endpoint]:
    """Yield two addresses over TLS, of which the first accepts and stalls."""
    with (
        listening() as silent_server,
        serving(Endpoint("127.0.0.2", silent_server.port), "tls") as served,
    ):
        yield replace(served, hosts=("127.0.0.1", "127.0.0.2"))


def stalled(plan: Plan) -> Sequence[Measure]:
    """Connect over TLS to two addresses, of which the first accepts and stalls."""
    pin(CLIENT)
    with stalling() as endpoint:
        rows = take_turns(
            plan.of(STALLED),
            endpoint,
            1 if plan.quick else 5,
            limited(1.0 if plan.quick else 10.0),
            loops=Loops(ways_lists.listing(endpoint)),
            warm=False,
        )
    return [Measure("time to connect", "s", tuple(rows))]


def remembered(plan: Plan) -> Sequence[Measure]:
    """Do the same for the second time, with a history, beside the good one alone."""
    pin(CLIENT)
    with stalling() as endpoint:
        rows = take_turns(
            plan.of(REMEMBERED),
            endpoint,
            2 if plan.quick else 80,
            in_batches(1),  # in one race of 16 the history is not followed
        )
    return [Measure("time of a connect", "s", tuple(rows))]


def refused(plan: Plan) -> Sequence[Measure]:
    """Race eight addresses that refuse, until the error is there."""
    pin(CLIENT)
    with _refusing(8) as endpoint:
        rows = take_turns(
            [_failing(one) for one in plan.of((*RACES, IN_TURN))],
            endpoint,
            5 if plan.quick else 21,
            in_batches(20),
            loops=Loops(ways_lists.listing(endpoint)),
        )
    return [Measure("time of an error", "s", tuple(rows))]


@contextlib.contextmanager
def _refusing(count: int) -> Iterator[Endpoint]:
    hosts = tuple(f"127.0.0.{number}" for number in range(1, count + 1))
    port = 0
    with contextlib.ExitStack() as stack:
        for host in hosts:
            sock = stack.enter_context(socket.socket())
            sock.bind((host, port))
            port = sock.getsockname()[1]
        yield Endpoint(port=port, hosts=hosts)


def _failing(contestant: Contestant) -> Contestant:
    """Return one for which the error is what is wanted."""

    def make(endpoint: Endpoint) -> Callable[[], Awaitable[Any]]:
        opens = contestant.make(endpoint)

        async def fails() -> None:
            try:
                connection = await opens()
            except socket.gaierror:
                raise
            except (OSError, ExceptionGroup):
                return
            contestant.close(connection)
            raise RuntimeError("connected to a port that refuses")

        return fails

    return Contestant(contestant.name, contestant.loop, make, _nothing)


def _nothing(connection: object) -> None:
    """Close nothing."""


def limited(limit: float) -> Callable[[Loops, Contestant, Any], float]:
    """Return what measures one connect with a timeout of *limit* seconds."""

    def measure(loops: Loops, contestant: Contestant, opens: Any) -> float:
        once = _trio_once if contestant.loop == TRIO else _once
        seconds: float = loops.run(contestant.loop, once, contestant, opens, limit)
        return seconds

    return measure


async def _once(contestant: Contestant, opens: Any, limit: float) -> float:
    started = time.perf_counter()
    try:
        connection = await asyncio.wait_for(opens(), limit)
    except TimeoutError:
        raise TimeoutError(f"not within {limit:g} s") from None
    spent = time.perf_counter() - started
    contestant.close(connection)
    return spent


async def _trio_once(contestant: Contestant, opens: Any, limit: float) -> float:
    import trio

    started = time.perf_counter()
    with trio.move_on_after(limit):
        connection = await opens()
        spent = time.perf_counter() - started
        contestant.close(connection)
        return spent
    raise TimeoutError(f"not within {limit:g} s")

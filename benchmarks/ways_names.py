"""Ways to connect to a name, which the system looks up."""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aioconnect

from . import ways, ways_streams
from .running import TRIO, Contestant, both
from .servers import Endpoint

__all__ = [
    "ALIVE",
    "CONTESTANTS",
    "HOSTS",
    "KNOWN",
    "NO_A",
    "NO_AAAA",
    "SLOW",
    "SYSTEM",
    "dead",
    "once",
]

ALIVE, HOSTS = "alive.test", "in-hosts.test"

# The names whose answers are late, or never come.
SLOW, NO_AAAA, NO_A = "slow-aaaa.test", "no-aaaa.test", "no-a.test"


def dead(count: int) -> list[str]:
    """Return names that no server answers."""
    return [f"dead{number}.test" for number in range(count)]


Opens = Callable[[], Awaitable[Any]]


def aiohappyeyeballs(endpoint: Endpoint) -> Opens:
    """Ask loop.getaddrinfo, and have aiohappyeyeballs race what it found."""
    import aiohappyeyeballs

    async def opens() -> Any:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(
            endpoint.host,
            endpoint.port,
            type=socket.SOCK_STREAM,
            proto=socket.IPPROTO_TCP,
        )
        return await aiohappyeyeballs.start_connection(infos, happy_eyeballs_delay=0.25)

    return opens


def racing(endpoint: Endpoint) -> Opens:
    """Await asyncio's own race, of which uvloop has none."""
    return functools.partial(
        asyncio.open_connection, endpoint.host, endpoint.port, happy_eyeballs_delay=0.25
    )


async def _resolver(host: str, port: int, **_: int) -> list[aioconnect.Address]:  # noqa: ARG001  # a resolver's arguments have their names
    return [aioconnect.Address(socket.AF_INET, ("127.0.0.1", port))]


def ours_known(endpoint: Endpoint) -> Opens:
    """Connect to a name whose address a coroutine knows."""
    return functools.partial(
        aioconnect.connect, ALIVE, endpoint.port, resolver=_resolver
    )


def checked_known(endpoint: Endpoint) -> Opens:
    """Ask the same coroutine in a task, and make the checked system calls."""

    async def opens() -> socket.socket:
        (found,) = await asyncio.ensure_future(_resolver(ALIVE, endpoint.port))
        return ways.checked_socket(found.family, found.sockaddr)

    return opens


def checked_system(endpoint: Endpoint) -> Opens:
    """Ask loop.getaddrinfo, and make the checked system calls."""

    async def opens() -> socket.socket:
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_STREAM
        found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=kind)
        return ways.checked_socket(found[0][0], found[0][4])

    return opens


# A resolver that knows the name.
KNOWN: Sequence[Contestant] = (
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.connect, a resolver", ours_known, ways.reset),
    *both("a task, the checked system calls", checked_known, ways.reset),
)

# The system, which knows the name without DNS.
SYSTEM: Sequence[Contestant] = (
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("getaddrinfo, the checked system calls", checked_system, ways.reset),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("getaddrinfo, aiohappyeyeballs", aiohappyeyeballs, ways.reset),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
)

CONTESTANTS: Sequence[Contestant] = (
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("asyncio.open_connection, racing", racing, ways_streams.abort),
    *both("getaddrinfo, aiohappyeyeballs", aiohappyeyeballs, ways.reset),
    *both("async_stagger", ways.async_stagger, ways.reset),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
    Contestant(
        "anyio.connect_tcp", TRIO, ways_streams.anyio_streams, ways_streams.abort_anyio
    ),
    Contestant(
        "trio.open_tcp_stream", TRIO, ways_streams.trio_streams, ways_streams.abort_trio
    ),
)

# How long the look-ups of the dead names have to begin (seconds).
HEAD_START = 0.3


def once(loop: str) -> Callable[..., Awaitable[float]]:
    """Return what connects once, while others hang, and tells the seconds."""
    return _trio_once if loop == TRIO else _once


async def _once(
    contestant: Contestant, endpoint: Endpoint, dead: Sequence[Endpoint], limit: float
) -> float:
    opens = contestant.make(endpoint)
    hung = [asyncio.ensure_future(contestant.make(one)()) for one in dead]
    if hung:
        await asyncio.sleep(HEAD_START)
    started = time.perf_counter()
    connecting = asyncio.ensure_future(opens())
    # Not wait_for, which waits for what it cancels.
    done, _ = await asyncio.wait([connecting], timeout=limit)
    spent = time.perf_counter() - started
    for task in hung:
        task.cancel()
    if not done:
        raise TimeoutError(f"not within {limit:g} s")
    contestant.close(connecting.result())
    return spent


async def _trio_once(
    contestant: Contestant, endpoint: Endpoint, dead: Sequence[Endpoint], limit: float
) -> float:
    import trio

    opens = contestant.make(endpoint)
    spent = None
    async with trio.open_nursery() as nursery:
        for one in dead:
            nursery.start_soon(contestant.make(one))
        if dead:
            await trio.sleep(HEAD_START)
        started = time.perf_counter()
        with trio.move_on_after(limit):
            contestant.close(await opens())
            spent = time.perf_counter() - started
        nursery.cancel_scope.cancel()
    if spent is None:
        raise TimeoutError(f"not within {limit:g} s")
    return spent

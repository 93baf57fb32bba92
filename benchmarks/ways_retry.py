"""Ways to connect to a server that is not up yet: retry around what connects.

The ones take the delays as they are given; the others are left to their defaults.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aioconnect

from . import ways
from .servers import Endpoint

__all__ = [
    "DELAY",
    "by_hand",
    "least",
    "ours",
    "ours_as_it_comes",
    "ours_socket",
    "ours_up",
    "stamina_around",
    "stamina_as_it_comes",
    "tenacity_around",
    "tenacity_as_ours",
    "trio_by_hand",
]

# Between two attempts (seconds), where all have the same: a timer that is due at once.
# What waking up an idle core takes would be more than what is compared, and nobody's.
DELAY = 1e-9

Opens = Callable[[], Awaitable[Any]]
Retries = Callable[[Endpoint, int], Opens]


def least(endpoint: Endpoint, attempts: int) -> Opens:
    """Make the system calls, and sleep: the limit."""

    async def opens() -> None:
        for attempt in range(attempts):
            sock = socket.socket(socket.AF_INET, ways.NON_BLOCKING)
            sock.connect_ex((endpoint.host, endpoint.port))
            sock.connect_ex((endpoint.host, endpoint.port))
            sock.close()
            if attempt < attempts - 1:
                await asyncio.sleep(DELAY)
        raise ConnectionRefusedError

    return opens


def ours(endpoint: Endpoint, attempts: int) -> Opens:
    """Await aioconnect.open_connection with a retry."""
    retry = (DELAY,) * (attempts - 1)
    return functools.partial(
        aioconnect.open_connection, endpoint.host, endpoint.port, retry=retry
    )


def ours_socket(endpoint: Endpoint, attempts: int) -> Opens:
    """Await aioconnect.connect with a retry."""
    retry = (DELAY,) * (attempts - 1)
    return functools.partial(
        aioconnect.connect, endpoint.host, endpoint.port, retry=retry
    )


def by_hand(endpoint: Endpoint, attempts: int) -> Opens:
    """Write a loop around asyncio.open_connection."""

    async def opens() -> Any:
        for _ in range(attempts - 1):
            try:
                return await asyncio.open_connection(endpoint.host, endpoint.port)
            except OSError:
                await asyncio.sleep(DELAY)
        return await asyncio.open_connection(endpoint.host, endpoint.port)

    return opens


def trio_by_hand(endpoint: Endpoint, attempts: int) -> Opens:
    """Write a loop around trio.open_tcp_stream."""
    import trio

    async def opens() -> Any:
        for _ in range(attempts - 1):
            try:
                return await trio.open_tcp_stream(endpoint.host, endpoint.port)
            except OSError:
                await trio.sleep(DELAY)
        return await trio.open_tcp_stream(endpoint.host, endpoint.port)

    return opens


def tenacity_around(connect: Callable[[Endpoint], Opens]) -> Retries:
    """Have tenacity call what connects, with the same delay."""

    def make(endpoint: Endpoint, attempts: int) -> Opens:
        import tenacity

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_fixed(DELAY),
            retry=tenacity.retry_if_exception_type(OSError),
            reraise=True,
        )
        return functools.partial(retrying, connect(endpoint))

    return make


def stamina_around(connect: Callable[[Endpoint], Opens]) -> Retries:
    """Have stamina call what connects, with the same delay."""

    def make(endpoint: Endpoint, attempts: int) -> Opens:
        caller = _stamina().AsyncRetryingCaller(
            attempts=attempts,
            timeout=None,
            wait_initial=DELAY,
            wait_max=DELAY,
            wait_jitter=0,
        )
        return functools.partial(caller, OSError, connect(endpoint))

    return make


def _stamina() -> Any:
    import stamina
    import stamina.instrumentation

    stamina.instrumentation.set_on_retry_hooks([])  # it would log each
    return stamina


def ours_as_it_comes(endpoint: Endpoint) -> Opens:
    """Await aioconnect.open_connection with Backoff()."""
    retry = aioconnect.Backoff()
    return functools.partial(
        aioconnect.open_connection, endpoint.host, endpoint.port, retry=retry
    )


def ours_up(endpoint: Endpoint) -> Opens:
    """Await aioconnect.wait_until_up."""
    return functools.partial(
        aioconnect.wait_until_up, endpoint.host, endpoint.port, timeout=60
    )


def tenacity_as_ours(endpoint: Endpoint) -> Opens:
    """Have tenacity draw the delays that Backoff() draws."""
    import tenacity

    retrying = tenacity.AsyncRetrying(
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=5),
        retry=tenacity.retry_if_exception_type(OSError),
    )
    return functools.partial(
        retrying, asyncio.open_connection, endpoint.host, endpoint.port
    )


def stamina_as_it_comes(endpoint: Endpoint) -> Opens:
    """Have stamina wait as it does by default."""
    caller = _stamina().AsyncRetryingCaller()
    return functools.partial(
        caller, OSError, asyncio.open_connection, endpoint.host, endpoint.port
    )

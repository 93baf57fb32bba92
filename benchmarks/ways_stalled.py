"""Ways to connect over TLS to two addresses, of which the first accepts and stalls.

Who takes no list is given a name, and a loop that has the list for it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aioconnect

from .servers import Endpoint
from .ways_lists import NAME

__all__ = ["anyio_tls", "asyncio_tls", "ours_again", "ours_alone", "ours_tls"]

Opens = Callable[[], Awaitable[Any]]


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=endpoint.ca)
    return {"ssl": context, "server_hostname": "localhost"}


def _ours(endpoint: Endpoint, hosts: tuple[str, ...], **options: Any) -> Opens:
    found = [
        aioconnect.Address(socket.AF_INET, (host, endpoint.port)) for host in hosts
    ]
    return functools.partial(
        aioconnect.open_connection,
        NAME,
        endpoint.port,
        resolver=lambda *_, **__: found,
        **_tls(endpoint),
        **options,
    )


def ours_tls(endpoint: Endpoint) -> Opens:
    """Await aioconnect.open_connection, which races until one is usable."""
    return _ours(endpoint, endpoint.hosts)


def ours_again(endpoint: Endpoint) -> Opens:
    """Do the same with a history, which the first call fills."""
    return _ours(endpoint, endpoint.hosts, history=aioconnect.History())


def ours_alone(endpoint: Endpoint) -> Opens:
    """Connect to the address that works alone: the limit of all."""
    return _ours(endpoint, endpoint.hosts[1:])


def asyncio_tls(endpoint: Endpoint) -> Opens:
    """Await asyncio's own race, which ends when the first is connected."""
    return functools.partial(
        asyncio.open_connection,
        NAME,
        endpoint.port,
        happy_eyeballs_delay=0.25,
        **_tls(endpoint),
    )


def anyio_tls(endpoint: Endpoint) -> Opens:
    """Await anyio.connect_tcp, whose race ends there, too."""
    import anyio

    tls = _tls(endpoint)
    return functools.partial(
        anyio.connect_tcp,
        NAME,
        endpoint.port,
        ssl_context=tls["ssl"],
        tls_hostname=tls["server_hostname"],
    )

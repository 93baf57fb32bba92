"""Ways to connect to one of several addresses, none of which has to be looked up.

Who takes no list is given a name, and a loop or a resolver that has the list for it.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aioconnect

from .servers import Endpoint
from .ways import checked_socket

__all__ = [
    "NAME",
    "aiohappyeyeballs",
    "anyio_streams",
    "async_stagger",
    "asyncio_in_turn",
    "asyncio_streams",
    "checked_first",
    "listing",
    "ours",
    "ours_streams",
    "trio_anyio",
    "trio_streams",
]

# Nobody is asked for it.
NAME = "several.invalid"

Opens = Callable[[], Awaitable[Any]]


def listing(endpoint: Endpoint) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return loops whose getaddrinfo knows the endpoint's hosts by `NAME`."""
    infos = _infos(endpoint)

    def made(base: Any) -> asyncio.AbstractEventLoop:
        async def getaddrinfo(loop: Any, host: Any, port: Any, **options: Any) -> Any:
            if host in (NAME, NAME.encode()):  # anyio gives bytes
                return infos
            return await base.getaddrinfo(loop, host, port, **options)

        knowing = type("Knowing", (base,), {"getaddrinfo": getaddrinfo})
        loop: asyncio.AbstractEventLoop = knowing()
        return loop

    def uvloop_made() -> asyncio.AbstractEventLoop:
        import uvloop

        return made(uvloop.Loop)

    return {
        "asyncio": functools.partial(made, asyncio.SelectorEventLoop),
        "uvloop": uvloop_made,
    }


def _infos(endpoint: Endpoint) -> list[Any]:
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    return [(*kind, (host, endpoint.port)) for host in endpoint.hosts]


def checked_first(endpoint: Endpoint) -> Callable[[], socket.socket]:
    """Make the checked system calls at the first address: the limit of a race."""
    return functools.partial(
        checked_socket, socket.AF_INET, (endpoint.hosts[0], endpoint.port)
    )


def ours(endpoint: Endpoint) -> Opens:
    """Race the addresses."""
    addresses = [
        aioconnect.Address(socket.AF_INET, (host, endpoint.port))
        for host in endpoint.hosts
    ]
    return functools.partial(aioconnect.connect_any, addresses, race=True)


def ours_streams(endpoint: Endpoint) -> Opens:
    """Have streams, to a name whose addresses a plain function knows."""
    addresses = [
        aioconnect.Address(socket.AF_INET, (host, endpoint.port))
        for host in endpoint.hosts
    ]

    def resolver(
        host: str,  # noqa: ARG001  # a resolver's arguments have their names
        port: int,  # noqa: ARG001  # the same
        **asked: int,
    ) -> list[aioconnect.Address]:
        return [] if asked["family"] == socket.AF_INET6 else addresses

    return functools.partial(
        aioconnect.open_connection, NAME, endpoint.port, resolver=resolver
    )


def aiohappyeyeballs(endpoint: Endpoint) -> Opens:
    """Have aiohappyeyeballs race the same list."""
    import aiohappyeyeballs

    return functools.partial(
        aiohappyeyeballs.start_connection, _infos(endpoint), happy_eyeballs_delay=0.25
    )


def asyncio_streams(endpoint: Endpoint) -> Opens:
    """Await asyncio's own race, of which uvloop has none."""
    return functools.partial(
        asyncio.open_connection, NAME, endpoint.port, happy_eyeballs_delay=0.25
    )


def asyncio_in_turn(endpoint: Endpoint) -> Opens:
    """Await asyncio.open_connection as most do, without a race."""
    return functools.partial(asyncio.open_connection, NAME, endpoint.port)


def anyio_streams(endpoint: Endpoint) -> Opens:
    """Await anyio.connect_tcp, which races."""
    import anyio

    return functools.partial(anyio.connect_tcp, NAME, endpoint.port)


def async_stagger(endpoint: Endpoint) -> Opens:
    """Await async_stagger.create_connected_sock, which races."""
    import async_stagger

    # It asks for the families apart, which would give each address twice.
    resolver = async_stagger.basic_resolver
    return functools.partial(
        async_stagger.create_connected_sock, NAME, endpoint.port, resolver=resolver
    )


def _asking_list(endpoint: Endpoint, connect: Opens) -> Opens:
    import trio

    infos = _infos(endpoint)

    class Listing(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_: Any, **__: Any) -> Any:
            return infos

        async def getnameinfo(self, *_: Any) -> Any:
            raise NotImplementedError

    resolver = Listing()

    async def opens() -> Any:
        trio.socket.set_custom_hostname_resolver(resolver)
        return await connect()

    return opens


def trio_streams(endpoint: Endpoint) -> Opens:
    """Await trio.open_tcp_stream, which races."""
    import trio

    connect = functools.partial(trio.open_tcp_stream, NAME, endpoint.port)
    return _asking_list(endpoint, connect)


def trio_anyio(endpoint: Endpoint) -> Opens:
    """Await anyio.connect_tcp on trio."""
    return _asking_list(endpoint, anyio_streams(endpoint))

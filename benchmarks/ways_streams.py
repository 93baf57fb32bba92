"""Ways to connect streams, plain, over TLS and by a Unix path.

As in `ways`, each function is given the place and returns what connects to it once.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aioconnect

from .servers import Place
from .ways import RESET, checked_socket, of, reset

__all__ = [
    "abort",
    "abort_anyio",
    "abort_trio",
    "anyio_streams",
    "asyncio_streams",
    "blocking_tls",
    "connectable",
    "floor_streams",
    "ours_streams",
    "trio_streams",
]

Opens = Callable[[], Awaitable[Any]]


def abort(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Close asyncio's streams with a reset."""
    abort_transport(streams[1].transport)


def abort_transport(transport: asyncio.WriteTransport) -> None:
    """Close a transport with a reset."""
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    transport.abort()


def abort_anyio(stream: Any) -> None:
    """Close a stream of anyio's with a reset, as its own aclose would in the end."""
    from anyio.abc import SocketAttribute

    stream = getattr(stream, "transport_stream", stream)
    if transport := getattr(stream, "_transport", None):
        abort_transport(transport)
    else:
        reset(stream.extra(SocketAttribute.raw_socket))


def abort_trio(stream: Any) -> None:
    """Close a stream of trio's with a reset."""
    reset(getattr(stream, "transport_stream", stream).socket)


def _tls(place: Place) -> dict[str, Any]:
    if not place.ca:
        return {}
    return {"ssl": _trusting(place), "server_hostname": "localhost"}


def _trusting(place: Place) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=place.ca)


def asyncio_streams(place: Place) -> Opens:
    """Await asyncio.open_connection; on uvloop that is libuv's own connect."""
    if place.path:
        return functools.partial(asyncio.open_unix_connection, place.path)
    return functools.partial(
        asyncio.open_connection, place.host, place.port, **_tls(place)
    )


def ours_streams(place: Place) -> Opens:
    """Await aioconnect.open_connection."""
    if place.path:
        return functools.partial(aioconnect.open_unix_connection, place.path)
    return functools.partial(
        aioconnect.open_connection, place.host, place.port, **_tls(place)
    )


def floor_streams(place: Place) -> Opens:
    """Hand a checked socket to the loop: what streams cost at the least."""
    family, sockaddr = of(place)
    tls = _tls(place)

    async def opens() -> Any:
        sock = checked_socket(family, sockaddr)
        return await asyncio.open_connection(sock=sock, **tls)

    return opens


def anyio_streams(place: Place) -> Opens:
    """Await anyio.connect_tcp, or connect_unix."""
    import anyio

    if place.path:
        return functools.partial(anyio.connect_unix, place.path)
    if place.ca:
        return functools.partial(
            anyio.connect_tcp,
            place.host,
            place.port,
            ssl_context=_trusting(place),
            tls_hostname="localhost",
        )
    return functools.partial(anyio.connect_tcp, place.host, place.port)


def connectable(place: Place) -> Opens:
    """Await Connectable.connect of aioconnect.contrib.anyio."""
    from aioconnect.contrib.anyio import Connectable

    if place.ca:
        return Connectable(
            (place.host, place.port),
            tls=True,
            ssl_context=_trusting(place),
            tls_hostname="localhost",
        ).connect
    return Connectable((place.host, place.port)).connect


def trio_streams(place: Place) -> Opens:
    """Await trio.open_tcp_stream, or open_unix_socket."""
    import trio

    if place.path:
        return functools.partial(trio.open_unix_socket, place.path)
    if not place.ca:
        return functools.partial(trio.open_tcp_stream, place.host, place.port)
    context = _trusting(place)

    async def opens() -> Any:
        stream = await trio.open_tcp_stream(place.host, place.port)
        secure = trio.SSLStream(stream, context, server_hostname="localhost")
        await secure.do_handshake()
        return secure

    return opens


def blocking_tls(place: Place) -> Callable[[], socket.socket]:
    """Connect and shake hands with blocking calls: the limit."""
    context = _trusting(place)

    def opens() -> socket.socket:
        sock = socket.create_connection((place.host, place.port))
        return context.wrap_socket(sock, server_hostname="localhost")

    return opens

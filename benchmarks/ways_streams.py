"""Ways to connect streams, plain, over TLS and by a Unix path.

As in `ways`, each function is given the endpoint and returns what connects to it once.
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
from .ways import RESET, checked_socket, of, reset, waiting_checked

__all__ = [
    "abort",
    "abort_anyio",
    "abort_trio",
    "anyio_streams",
    "asyncio_streams",
    "asyncio_streams_timeout",
    "blocking_tls",
    "connectable",
    "floor_late",
    "floor_streams",
    "ours_streams",
    "ours_streams_timeout",
    "trio_streams",
]

Opens = Callable[[], Awaitable[Any]]


def abort(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Close asyncio's streams with a reset."""
    abort_transport(streams[1].transport)


def abort_transport(transport: asyncio.WriteTransport) -> None:
    """Close a transport with a reset."""
    # uvloop has none any more if the server was the first to close.
    if (sock := transport.get_extra_info("socket")) is not None:
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


def _tls(endpoint: Endpoint) -> dict[str, Any]:
    if not endpoint.ca:
        return {}
    return {"ssl": _trusting(endpoint), "server_hostname": "localhost"}


def _trusting(endpoint: Endpoint) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=endpoint.ca)


def asyncio_streams(endpoint: Endpoint) -> Opens:
    """Await asyncio.open_connection; on uvloop that is libuv's own connect."""
    if endpoint.path:
        return functools.partial(asyncio.open_unix_connection, endpoint.path)
    return functools.partial(
        asyncio.open_connection, endpoint.host, endpoint.port, **_tls(endpoint)
    )


def ours_streams(endpoint: Endpoint) -> Opens:
    """Await aioconnect.open_connection."""
    if endpoint.path:
        return functools.partial(aioconnect.open_unix_connection, endpoint.path)
    return functools.partial(
        aioconnect.open_connection, endpoint.host, endpoint.port, **_tls(endpoint)
    )


def floor_streams(endpoint: Endpoint) -> Opens:
    """Hand a checked socket to the loop: what streams cost at the least."""
    family, sockaddr = of(endpoint)
    tls = _tls(endpoint)

    async def opens() -> Any:
        sock = checked_socket(family, sockaddr)
        return await asyncio.open_connection(sock=sock, **tls)

    return opens


def floor_late(endpoint: Endpoint) -> Opens:
    """Hand a checked socket that waited to the loop: what streams cost at the least."""
    wait = waiting_checked(endpoint)

    async def opens() -> Any:
        return await asyncio.open_connection(sock=await wait())

    return opens


def ours_streams_timeout(endpoint: Endpoint) -> Opens:
    """Await aioconnect.open_connection with a timeout."""
    return functools.partial(
        aioconnect.open_connection, endpoint.host, endpoint.port, timeout=5
    )


def asyncio_streams_timeout(endpoint: Endpoint) -> Opens:
    """Await asyncio.open_connection under asyncio.timeout."""

    async def opens() -> Any:
        async with asyncio.timeout(5):
            return await asyncio.open_connection(endpoint.host, endpoint.port)

    return opens


def anyio_streams(endpoint: Endpoint) -> Opens:
    """Await anyio.connect_tcp, or connect_unix."""
    import anyio

    if endpoint.path:
        return functools.partial(anyio.connect_unix, endpoint.path)
    if endpoint.ca:
        return functools.partial(
            anyio.connect_tcp,
            endpoint.host,
            endpoint.port,
            ssl_context=_trusting(endpoint),
            tls_hostname="localhost",
        )
    return functools.partial(anyio.connect_tcp, endpoint.host, endpoint.port)


def connectable(endpoint: Endpoint) -> Opens:
    """Await Connectable.connect of aioconnect.contrib.anyio."""
    from aioconnect.contrib.anyio import Connectable

    if endpoint.ca:
        return Connectable(
            (endpoint.host, endpoint.port),
            tls=True,
            ssl_context=_trusting(endpoint),
            tls_hostname="localhost",
        ).connect
    return Connectable((endpoint.host, endpoint.port)).connect


def trio_streams(endpoint: Endpoint) -> Opens:
    """Await trio.open_tcp_stream, or open_unix_socket."""
    import trio

    if endpoint.path:
        return functools.partial(trio.open_unix_socket, endpoint.path)
    if not endpoint.ca:
        return functools.partial(trio.open_tcp_stream, endpoint.host, endpoint.port)
    context = _trusting(endpoint)

    async def opens() -> Any:
        stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        secure = trio.SSLStream(stream, context, server_hostname="localhost")
        await secure.do_handshake()
        return secure

    return opens


def blocking_tls(endpoint: Endpoint) -> Callable[[], socket.socket]:
    """Connect and shake hands with blocking calls: the limit."""
    context = _trusting(endpoint)

    def opens() -> socket.socket:
        sock = socket.create_connection((endpoint.host, endpoint.port))
        return context.wrap_socket(sock, server_hostname="localhost")

    return opens

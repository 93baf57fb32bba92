"""Type-checked by mypy and pyright, never run: what users write, and get."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, assert_type

import aiohttp
import anyio
import httpcore
import httpcore2
import httpx
import httpx2
from anyio.abc import AnyByteStreamConnectable, ByteStream

import aioconnect
from aioconnect import Address, Backoff, Connector, checks, outcome, sockopts
from aioconnect.contrib import httpcore2 as for_httpcore2
from aioconnect.contrib import httpx2 as for_httpx2
from aioconnect.contrib import proxy
from aioconnect.contrib.aiohttp import ConnectorTCPConnector, ConnectorUnixConnector
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.httpcore import ConnectorBackend
from aioconnect.contrib.httpx import ConnectorTransport


class Protocol(asyncio.Protocol):
    """A protocol of the reader's own."""


async def functions() -> None:
    """Call each function: it returns what it says, and takes the options."""
    assert_type(await aioconnect.connect("x", 80, timeout=1, retry=(1,)), socket.socket)
    assert_type(await aioconnect.connect_unix(b"/x", retry=Backoff()), socket.socket)
    address = Address(socket.AF_INET, ("127.0.0.1", 80))
    assert_type(
        await aioconnect.connect_address(address, outcome=outcome.so_error),
        socket.socket,
    )
    hooks = [sockopts.nodelay()]
    await aioconnect.connect_address(address, prepare=hooks)
    await aioconnect.connect("x", 80, prepare=hooks)
    await aioconnect.connect_sock(socket.socket(), ("127.0.0.1", 80), timeout=1)
    streams = await aioconnect.open_connection(
        "x", "https", ssl=True, prepare=[sockopts.nodelay()], happy_eyeballs_delay=None
    )
    assert_type(streams, tuple[asyncio.StreamReader, asyncio.StreamWriter])
    made = await aioconnect.create_connection(Protocol, "x", 80, family=socket.AF_INET)
    assert_type(made, tuple[asyncio.Transport, Protocol])
    unix = await aioconnect.create_unix_connection(Protocol, "/x", timeout=None)
    assert_type(unix, tuple[asyncio.Transport, Protocol])
    await aioconnect.connect("x", 80, timeot=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # misspelt


async def ping(sock: socket.socket) -> bool:
    """Ask whether it is ready."""
    return sock.fileno() != -1


async def staying(connector: Connector) -> None:
    """Wait, and come back."""
    up = await aioconnect.wait_until_up("x", 80, timeout=1, settle=0.5, ready=ping)
    assert_type(up, float)
    assert_type(await aioconnect.wait_until_down("x", "http", timeout=None), float)
    assert_type(await connector.wait_until_up("x", 80), float)
    target = aioconnect.parse_target("[::1]:80")
    for where in ("postgres://db", target, ("x", 80)):
        assert_type(await aioconnect.wait_until_up(where, timeout=1), float)
        assert_type(await connector.wait_until_down(where, timeout=1), float)
    web = checks.http("/health", host="x", status=range(200, 300))
    assert_type(web, checks.Check)
    assert_type(checks.tls(web, host="x", insecure=False), checks.Check)
    asking = Connector(ready=checks.redis, attempt_timeout=1)
    await asking.open_connection("x", 6379)
    for check in (checks.amqp, checks.kafka, checks.mysql, checks.postgres):
        await aioconnect.connect("x", 1, ready=check)
    checks.http(status=200)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # a range
    sock = await aioconnect.connect_any(
        [("x", 80), "unix:/x", target, ("y", "http")], race=True, timeout=3
    )
    assert_type(sock, socket.socket)
    async for reader, writer in aioconnect.reconnecting("x", 80, stable_after=1.0):
        assert_type(reader, asyncio.StreamReader)
        assert_type(writer, asyncio.StreamWriter)
    await aioconnect.wait_until_up("x", 80)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # for how long?


def plain(
    host: str, port: int, *, family: int, proto: int, flags: int
) -> list[Address]:
    """Resolve a name at once."""
    return []


def is_forbidden(error: OSError) -> bool:
    """Accept what a firewall may lift."""
    return error.errno == 1


Connector(ready=ping, resolver=plain, retry_on=is_forbidden | aioconnect.is_refused)
Connector(retry_on=aioconnect.is_transient | aioconnect.is_unknown_name)
assert_type(aioconnect.is_unknown_name, aioconnect.Predicate)


async def methods(connector: Connector) -> None:
    """Call the methods: the functions, with the options said once."""
    assert_type(await connector.connect("x", 80), socket.socket)
    assert_type(
        await connector.create_connection(Protocol, "x", 80, ssl=True),
        tuple[asyncio.Transport, Protocol],
    )
    assert_type(
        await connector.open_unix_connection("/x"),
        tuple[asyncio.StreamReader, asyncio.StreamWriter],
    )


async def through_proxies(through: proxy.ProxyConnector) -> None:
    """Do the same by way of others."""
    url = "socks5h://user:password@x:1080"
    assert_type(await proxy.connect("x", 80, proxy=url, timeout=1), socket.socket)
    assert_type(
        await proxy.open_connection("x", 443, proxy=(url, "http://y:1"), ssl=True),
        tuple[asyncio.StreamReader, asyncio.StreamWriter],
    )
    assert_type(
        await through.create_connection(Protocol, "x", 443, ssl=True),
        tuple[asyncio.Transport, Protocol],
    )
    assert_type(await through.connect("x", "http"), socket.socket)


async def asked(stream: ByteStream) -> bool:
    """Ask a stream of anyio's whether it is ready."""
    return await stream.receive() == b"ready"


async def adapters(connector: Connector, context: ssl.SSLContext) -> None:
    """Connect for anyio, httpcore and httpx."""
    target = aioconnect.parse_target("x:80")
    for remote in ("x:80", ("x", 80), target, Address(socket.AF_UNIX, "/x")):
        connectable = Connectable(remote, connector, tls=True, ssl_context=context)
        any_connectable: AnyByteStreamConnectable = anyio.as_connectable(connectable)
        assert_type(await connectable.connect(), ByteStream)
        await any_connectable.connect()
    Connectable("x:80", Connector(ready=asked))
    httpcore.AsyncConnectionPool(network_backend=ConnectorBackend(connector))
    transport = ConnectorTransport(connector, verify=context, http2=True)
    async with httpx.AsyncClient(transport=transport) as client:
        assert_type(await client.get("http://x/"), httpx.Response)
    request = httpx.Request("GET", "http://x/")
    assert_type(await transport.handle_async_request(request), httpx.Response)
    stream = await ConnectorBackend().connect_tcp("x", 80)
    assert_type(stream, httpcore.AsyncNetworkStream)


async def successors(connector: Connector, context: ssl.SSLContext) -> None:
    """Connect for httpcore2 and httpx2, whose classes are not those of httpx."""
    backend = for_httpcore2.ConnectorBackend(connector)
    assert_type(backend.connector, Connector)
    httpcore2.AsyncConnectionPool(network_backend=backend)
    stream = await backend.connect_tcp("x", 443, timeout=5)
    assert_type(stream, httpcore2.AsyncNetworkStream)
    limits = httpx2.Limits(max_connections=10)
    transport = for_httpx2.ConnectorTransport(connector, verify=context, limits=limits)
    async with httpx2.AsyncClient(transport=transport) as client:
        assert_type(await client.get("http://x/"), httpx2.Response)
    request = httpx2.Request("GET", "http://x/")
    assert_type(await transport.handle_async_request(request), httpx2.Response)


async def for_aiohttp(connector: Connector, context: ssl.SSLContext) -> None:
    """Connect for aiohttp."""
    ConnectorTCPConnector()
    ConnectorUnixConnector("/x", connector, limit=10)
    tcp = ConnectorTCPConnector(connector, ssl=context, limit=10, family=socket.AF_INET)
    async with aiohttp.ClientSession(connector=tcp) as session:
        assert_type(await session.get("http://x/"), aiohttp.ClientResponse)


def errors(error: aioconnect.ConnectError) -> None:
    """Read what an error tells."""
    assert_type(error.attempts, tuple[aioconnect.Attempt, ...])
    assert_type(error.attempt_count, int)
    assert_type(error.host, str | None)


def observe(event: aioconnect.Event) -> None:
    """Read the time that every event has."""
    assert_type(event.at, float)


Connector(observer=observe, retry_on=aioconnect.is_refused)

timeline = aioconnect.Timeline("db:5432")
Connector(observer=timeline)
assert_type(timeline.to_text(80, color=True, end=1.0), str)
assert_type(timeline.to_dict()["outcome"], Any)
assert_type(timeline.to_svg(), str)
timeline.ended(1.0, OSError())

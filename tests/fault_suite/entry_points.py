"""List everything that can be awaited, with the server it meets and whether it ends.

To add an entry point, add a line to `ENTRY_POINTS`.  Its name begins with the name of
the function.  test_cancellation.py cancels it at each iteration of the loop;
test_abandoned.py closes it and lets it be collected there.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import anyio
from aiohttp.client_reqrep import ClientRequest
from anyio.abc import ByteStream
from http_pairs import PAIRS, Pair
from opentelemetry.sdk.trace import TracerProvider
from proxies import proxying
from tls_ending import client_context
from yarl import URL

import aioconnect
from aioconnect import Address, Connector, Reconnecting, Resolver, checks
from aioconnect._loops.subclass import convert_loop
from aioconnect.contrib import proxy
from aioconnect.contrib.aiohttp import ConnectorTCPConnector, ConnectorUnixConnector
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.opentelemetry import OpenTelemetryObserver
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import (
    BlackHole,
    FullBacklog,
    Lookup,
    ScriptedResolver,
    Server,
    StaticResolver,
    TLSEchoServer,
    black_hole,
    echoing,
    full_backlog,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
    unix_listening,
)

__all__ = ["ENTRY_POINTS", "EntryPoint", "discard"]


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A call that *start* makes to the server that *serve* gives.

    If it *ends*, it succeeds by itself.  Otherwise it waits for its peer, and *release*
    lets it succeed.  If the loop *holds* the result, it refers to it.  If not, only the
    call does: when both are collected together, each of them warns of the other.
    """

    serve: Callable[[], AbstractContextManager[Any]]
    start: Callable[[Any], Coroutine[Any, Any, Any]]
    ends: bool = True
    release: Callable[[Any], Server | None] | None = None
    holds: bool = True


NETWORK_STREAMS = tuple(pair.httpcore.AsyncNetworkStream for pair in PAIRS.values())


async def discard(connection: Any) -> None:
    """Close the result of a call: a socket, streams, a transport, or a stream."""
    if isinstance(connection, tuple):
        transport: Any = getattr(connection[1], "transport", connection[0])
        transport.abort()
        await asyncio.sleep(0)
    elif isinstance(connection, socket.socket):
        connection.close()
    elif isinstance(connection, ByteStream):
        await anyio.aclose_forcefully(connection)
    elif isinstance(connection, NETWORK_STREAMS):
        await connection.aclose()


@contextmanager
def tls_on_unix(silent: bool = False) -> Generator[TLSEchoServer]:
    """Serve echo over TLS on a Unix path."""
    with (
        tempfile.TemporaryDirectory() as directory,
        tls_echoing(path=Path(directory) / "tls", silent=silent) as server,
    ):
        yield server


async def own_socket(address: Address) -> socket.socket:
    """Connect the caller's own socket."""
    sock = socket.socket(address.family, address.type)
    try:
        sock.setblocking(False)
        await aioconnect.connect_sock(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def given_socket(address: Address) -> Any:
    """Make streams over the caller's own socket."""
    sock = await aioconnect.connect_address(address)
    try:
        return await aioconnect.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


@contextmanager
def two_silent() -> Generator[Resolver]:
    """Return a resolver with a name whose two addresses are silent."""
    with black_hole() as four, black_hole("::1") as six:

        async def resolver(
            host: str, port: int, *, family: int, proto: int, flags: int
        ) -> list[Address]:
            await asyncio.sleep(0)
            found = (six.address, four.address)
            return [one for one in found if family in (0, one.family)]

        yield resolver


@contextmanager
def no_answer() -> Generator[Resolver]:
    """Return a resolver that never answers."""
    yield ScriptedResolver({"two": Lookup(never=True)})


# The whole answer never comes.  Those apart do, the second of them a moment later.
_APART = ScriptedResolver(
    {
        ("two", socket.AF_UNSPEC): Lookup(never=True),
        ("two", socket.AF_INET6): Lookup(["::1"]),
        ("two", socket.AF_INET): Lookup(["127.0.0.1"], delay=0.002),
    }
)

# The whole answer fails for now, and so does that for AAAA.
_FOR_NOW = ScriptedResolver(
    {
        ("two", socket.AF_UNSPEC): Lookup(error=socket.EAI_AGAIN, delay=0.002),
        ("two", socket.AF_INET6): Lookup(error=socket.EAI_AGAIN),
        ("two", socket.AF_INET): Lookup(["127.0.0.1"]),
    }
)

# The whole answer comes while 127.0.0.1 is tried.  It drops 127.0.0.2, which has not
# been tried yet, and adds 127.0.0.3.
_DROPS = ScriptedResolver(
    {
        ("two", socket.AF_UNSPEC): Lookup(["127.0.0.3", "127.0.0.1"], delay=0.003),
        ("two", socket.AF_INET6): Lookup(never=True),
        ("two", socket.AF_INET): Lookup(["127.0.0.1", "127.0.0.2"]),
    }
)


@contextmanager
def third_answers() -> Generator[Server]:
    """Serve on 127.0.0.3; the same port of 127.0.0.1 is silent."""
    with on_one_port(black_hole, lambda port: listening("127.0.0.3", port=port)) as (
        _,
        server,
    ):
        yield server


def _apart(
    resolver: Resolver, at: Any, **options: Any
) -> Coroutine[Any, Any, socket.socket]:
    """Connect to a name whose families are asked for apart at once."""
    options = {"resolution_delay": 0, **options}
    return _connect("two", at.port, resolver=resolver, **options)


async def in_a_moment(*connection: object) -> None:
    """Be ready after a few iterations of the loop."""
    # The loop's sock_recv is not used: a closed coroutine leaves it behind.
    for _ in range(3):
        await asyncio.sleep(0)


async def never(*connection: object) -> None:
    """Never be ready."""
    await asyncio.get_running_loop().create_future()


async def first_turn(connections: Reconnecting) -> Any:
    """Return the first connection of an iterator, and drop the iterator."""
    return await anext(connections)


async def second_turn(connections: Reconnecting) -> Any:
    """Return the second connection; the first one ends at once."""
    await anext(connections)
    return await anext(connections)


def for_anyio(at: Any, **options: Any) -> Coroutine[Any, Any, ByteStream]:
    """Connect for anyio."""
    return Connectable(at.address, **options).connect()


def tls_for_anyio(at: TLSEchoServer) -> Coroutine[Any, Any, ByteStream]:
    """Connect for anyio, with TLS."""
    named = {"tls_hostname": "localhost", "ssl_context": at.client_context}
    return for_anyio(at, tls=True, **named)


def for_httpcore(pair: Pair, at: Any) -> Coroutine[Any, Any, Any]:
    """Connect for httpcore, or for its successor."""
    connecting: Coroutine[Any, Any, Any]
    connecting = pair.backend().connect_tcp(at.host, at.port, timeout=60)
    return connecting


async def tls_for_httpcore(pair: Pair, at: TLSEchoServer) -> Any:
    """Connect for httpcore, which then shakes hands."""
    stream = await for_httpcore(pair, at)
    return await stream.start_tls(at.client_context, "localhost", timeout=60)


def for_aiohttp(at: Any, url: str, **options: Any) -> Coroutine[Any, Any, Any]:
    """Connect for aiohttp, as its pool does."""
    request = ClientRequest(
        "GET", URL(url.format(at.address.sockaddr[1])), loop=asyncio.get_running_loop()
    )
    timeout = aiohttp.ClientTimeout(sock_connect=60)
    connector = ConnectorTCPConnector(**options)
    return connector._create_direct_connection(request, [], timeout)


def tls_for_aiohttp(at: TLSEchoServer) -> Coroutine[Any, Any, Any]:
    """Connect for aiohttp, with TLS."""
    return for_aiohttp(at, "https://localhost:{}", ssl=at.client_context)


async def path_for_aiohttp(at: Any) -> Any:
    """Connect to a Unix socket for aiohttp."""
    request = ClientRequest("GET", URL("http://web"), loop=asyncio.get_running_loop())
    timeout = aiohttp.ClientTimeout(sock_connect=60)
    connector = ConnectorUnixConnector(str(at.path))
    protocol = await connector._create_connection(request, [], timeout)
    return protocol.transport, protocol


_any = aioconnect.connect_any
_up = partial(aioconnect.wait_until_up, timeout=60)
_down = partial(aioconnect.wait_until_down, timeout=60)
_again = aioconnect.reconnecting


class SilentServices:
    """A resolver that never gets an answer about a service."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolve = resolver

    def __call__(self, host: str, port: int, **asked: int) -> Any:
        """Resolve a host."""
        return self.resolve(host, port, **asked)

    async def services(self, service: str) -> Any:
        """Wait for ever."""
        await never()


_SILENT = ScriptedResolver({"unanswered": Lookup(never=True)})

_connect = aioconnect.connect
_unix = aioconnect.connect_unix
_streams = aioconnect.open_connection
_unix_streams = aioconnect.open_unix_connection
_transport = partial(aioconnect.create_connection, asyncio.Protocol)
_unix_transport = partial(aioconnect.create_unix_connection, asyncio.Protocol)

# The common arguments of all calls that wait for their peer.
_silent = partial(EntryPoint, black_hole, ends=False, release=BlackHole.open)
_full = partial(EntryPoint, full_backlog, ends=False, release=FullBacklog.free_slot)
_tls = partial(EntryPoint, tls_echoing)
_no_handshake = partial(EntryPoint, partial(tls_echoing, silent=True), ends=False)
_unix_tls = partial(EntryPoint, tls_on_unix)
_no_unix_handshake = partial(EntryPoint, partial(tls_on_unix, silent=True), ends=False)

_PACKETS = socket.SOCK_SEQPACKET
_TELEMETRY = OpenTelemetryObserver(TracerProvider(shutdown_on_exit=False))
_AT_ONCE = (0,) * 500

ENTRY_POINTS: dict[str, EntryPoint] = {
    # Sockets.
    "connect": EntryPoint(echoing, lambda at: _connect(at.host, at.port)),
    "connect: a name": EntryPoint(echoing, lambda at: _connect("localhost", at.port)),
    "connect: from a name": EntryPoint(
        echoing, lambda at: _connect(at.host, at.port, local_addr=("localhost", 0))
    ),
    "connect: no answer": _silent(lambda at: _connect(at.host, at.port, timeout=60)),
    "connect: told to OpenTelemetry": EntryPoint(
        echoing, lambda at: _connect(at.host, at.port, observer=_TELEMETRY)
    ),
    "connect: each attempt too long": EntryPoint(
        black_hole,
        lambda at: _connect(at.host, at.port, attempt_timeout=1e-4, retry=_AT_ONCE),
        ends=False,
    ),
    "connect: round after round": EntryPoint(
        refusing, lambda at: _connect(at.host, at.port, retry=_AT_ONCE), ends=False
    ),
    "connect: between two rounds": EntryPoint(
        refusing, lambda at: _connect(at.host, at.port, retry=(60,)), ends=False
    ),
    "connect: a race": EntryPoint(
        two_silent,
        lambda resolver: _connect(
            "two", 1, resolver=resolver, happy_eyeballs_delay=0.01, timeout=60
        ),
        ends=False,
    ),
    "connect: a look-up": EntryPoint(
        no_answer, lambda resolver: _connect("two", 1, resolver=resolver), ends=False
    ),
    "connect: families apart": EntryPoint(echoing, partial(_apart, _APART)),
    "connect: families apart, as it fails for now": EntryPoint(
        echoing, partial(_apart, _FOR_NOW, resolution_delay=60)
    ),
    "connect: families apart, no answer": EntryPoint(
        no_answer,
        lambda resolver: _connect("two", 1, resolver=resolver, resolution_delay=0),
        ends=False,
    ),
    "connect: a whole answer that is late": EntryPoint(
        third_answers, partial(_apart, _DROPS, happy_eyeballs_delay=0.01)
    ),
    "connect_address": EntryPoint(
        echoing, lambda at: aioconnect.connect_address(at.address)
    ),
    "connect_address: no answer": _silent(
        lambda at: aioconnect.connect_address(at.address)
    ),
    "connect_sock": EntryPoint(echoing, lambda at: own_socket(at.address)),
    "connect_sock: no answer": _silent(lambda at: own_socket(at.address)),
    "connect_unix": EntryPoint(unix_listening, lambda at: _unix(at.path)),
    "connect_unix: backlog full": _full(lambda at: _unix(at.path, timeout=60)),
    "connect_unix: backlog of packets full": EntryPoint(
        partial(full_backlog, kind=_PACKETS),
        lambda at: _unix(at.path, kind=_PACKETS),
        ends=False,
        release=FullBacklog.free_slot,
    ),
    # Streams.
    "open_connection": EntryPoint(echoing, lambda at: _streams(at.host, at.port)),
    "open_connection: a name": EntryPoint(
        echoing, lambda at: _streams("localhost", at.port)
    ),
    "open_connection: no answer": _silent(lambda at: _streams(at.host, at.port)),
    "open_connection: a given socket": EntryPoint(
        echoing, lambda at: given_socket(at.address)
    ),
    "open_connection: TLS": _tls(
        lambda at: _streams(at.host, at.port, ssl=at.client_context)
    ),
    "open_connection: no handshake": _no_handshake(
        lambda at: _streams(at.host, at.port, ssl=at.client_context, timeout=60)
    ),
    "open_unix_connection": EntryPoint(
        unix_listening, lambda at: _unix_streams(at.path)
    ),
    "open_unix_connection: backlog full": _full(lambda at: _unix_streams(at.path)),
    "open_unix_connection: TLS": _unix_tls(
        lambda at: _unix_streams(at.path, **_local_tls(at))
    ),
    "open_unix_connection: no handshake": _no_unix_handshake(
        lambda at: _unix_streams(at.path, **_local_tls(at))
    ),
    # Transports.
    "create_connection": EntryPoint(echoing, lambda at: _transport(at.host, at.port)),
    "create_connection: no answer": _silent(lambda at: _transport(at.host, at.port)),
    "create_connection: TLS": _tls(
        lambda at: _transport(at.host, at.port, ssl=at.client_context)
    ),
    "create_connection: no handshake": _no_handshake(
        lambda at: _transport(at.host, at.port, ssl=at.client_context)
    ),
    "create_unix_connection": EntryPoint(
        unix_listening, lambda at: _unix_transport(at.path)
    ),
    "create_unix_connection: backlog full": _full(lambda at: _unix_transport(at.path)),
    "create_unix_connection: TLS": _unix_tls(
        lambda at: _unix_transport(at.path, **_local_tls(at))
    ),
    "create_unix_connection: no handshake": _no_unix_handshake(
        lambda at: _unix_transport(at.path, **_local_tls(at))
    ),
}


ENTRY_POINTS |= {
    # *ready*, and several targets.
    "connect: ready": EntryPoint(
        echoing, lambda at: _connect(at.host, at.port, ready=in_a_moment)
    ),
    "connect: never ready": EntryPoint(
        echoing, lambda at: _connect(at.host, at.port, ready=never), ends=False
    ),
    "connect: a race, and never ready": EntryPoint(
        echoing, lambda at: _connect("localhost", at.port, ready=never), ends=False
    ),
    "open_connection: never ready": EntryPoint(
        echoing, lambda at: _streams(at.host, at.port, ready=never), ends=False
    ),
    "connect_any": EntryPoint(
        echoing, lambda at: _any(["127.0.0.9:9", ("localhost", at.port)], timeout=60)
    ),
    "connect_any: raced": EntryPoint(
        echoing, lambda at: _any(["127.0.0.9:9", ("localhost", at.port)], race=True)
    ),
    "connect_any: raced, families apart": EntryPoint(
        echoing,
        lambda at: _any(
            ["127.0.0.9:9", ("two", at.port)],
            race=True,
            resolver=_APART,
            resolution_delay=0,
        ),
    ),
    "connect_any: raced, no answer": EntryPoint(
        black_hole,
        lambda at: _any([("unanswered", 1), at.address], race=True, resolver=_SILENT),
        ends=False,
    ),
    "connect_any: a service": EntryPoint(
        no_answer,
        lambda resolver: _any(["srv:_a._b.c"], resolver=SilentServices(resolver)),
        ends=False,
    ),
    "connect_any: a service, raced": EntryPoint(
        no_answer,
        lambda resolver: _any(
            ["srv:_a._b.c"], race=True, resolver=SilentServices(resolver)
        ),
        ends=False,
    ),
    # Waits and reconnects.
    "wait_until_up": EntryPoint(echoing, lambda at: _up(at.host, at.port)),
    "wait_until_up: settling": EntryPoint(
        echoing, lambda at: _up(at.host, at.port, settle=50), ends=False
    ),
    "wait_until_up: not yet": EntryPoint(
        refusing, lambda at: _up(at.host, at.port, retry=_AT_ONCE), ends=False
    ),
    "wait_until_up: no service": EntryPoint(
        echoing, lambda at: _up(f"redis://{at.host}:{at.port}", retry=(50,)), ends=False
    ),
    "wait_until_up: a silent service": EntryPoint(
        listening,
        lambda at: _up(f"tls://localhost:{at.port}", family=socket.AF_INET),
        ends=False,
    ),
    "wait_until_up: a name": EntryPoint(
        no_answer,
        lambda resolver: _up("dns://two", resolver=resolver),
        ends=False,
    ),
    "connect: a check": EntryPoint(
        listening,
        lambda at: _connect(at.host, at.port, ready=checks.redis),
        ends=False,
    ),
    "streams: a check": EntryPoint(
        listening,
        lambda at: aioconnect.open_connection(at.host, at.port, ready=checks.redis),
        ends=False,
    ),
    "transport: a check": EntryPoint(
        listening,
        lambda at: aioconnect.create_connection(
            asyncio.Protocol, at.host, at.port, ready=checks.redis
        ),
        ends=False,
    ),
    "wait_until_down": EntryPoint(refusing, lambda at: _down(at.host, at.port)),
    "wait_until_down: still up": EntryPoint(
        echoing, lambda at: _down(at.host, at.port, retry=(50,)), ends=False
    ),
    "reconnecting": EntryPoint(
        echoing, lambda at: first_turn(_again(at.host, at.port))
    ),
    "reconnecting: again": EntryPoint(
        echoing, lambda at: second_turn(_again(at.host, at.port, retry=(0, 0)))
    ),
    "reconnecting: no answer": _silent(lambda at: first_turn(_again(at.host, at.port))),
    "reconnecting: between two": EntryPoint(
        echoing,
        lambda at: second_turn(_again(at.host, at.port, retry=(60,))),
        ends=False,
    ),
    "reconnecting_unix": EntryPoint(
        unix_listening, lambda at: first_turn(aioconnect.reconnecting_unix(at.path))
    ),
}


@contextmanager
def _on_our_loop(
    serve: Callable[[], AbstractContextManager[Any]], connector: Connector
) -> Generator[Any]:
    """Turn the running loop into a factory's loop while there is a server."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    with serve() as server:
        convert_loop(loop, connector)
        try:
            yield server
        finally:
            loop.__class__ = kind


def _over_loop(
    serve: Callable[[], AbstractContextManager[Any]],
    start: Callable[[Any], Coroutine[Any, Any, Any]],
    *,
    connector: Connector = Connector(),  # noqa: B008  # a value
    **ends: Any,
) -> EntryPoint:
    return EntryPoint(partial(_on_our_loop, serve, connector), start, **ends)


async def _loops_socket(host: str, port: int) -> socket.socket:
    """Connect the caller's own socket with the loop's method."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _loops_transport(host: str, port: int, **more: Any) -> Coroutine[Any, Any, Any]:
    loop = asyncio.get_running_loop()
    return loop.create_connection(asyncio.Protocol, host, port, **more)


ENTRY_POINTS |= {
    # Over a factory's loop.
    "open_connection, asyncio's": _over_loop(
        echoing, lambda at: asyncio.open_connection(at.host, at.port)
    ),
    "open_connection, asyncio's: TLS": _over_loop(
        tls_echoing,
        lambda at: asyncio.open_connection(at.host, at.port, ssl=at.client_context),
    ),
    "open_unix_connection, asyncio's": _over_loop(
        unix_listening, lambda at: asyncio.open_unix_connection(at.path)
    ),
    "create_connection, the loop's: no answer": _over_loop(
        black_hole,
        lambda at: _loops_transport(at.host, at.port),
        ends=False,
        release=BlackHole.open,
    ),
    "create_connection, the loop's: with options": _over_loop(
        black_hole,
        lambda at: _loops_transport(at.host, at.port, family=socket.AF_INET),
        connector=Connector(timeout=60, retry=(60,)),
        ends=False,
    ),
    "sock_connect, the loop's": _over_loop(
        echoing, lambda at: _loops_socket(at.host, at.port)
    ),
    "sock_connect, the loop's: a name": _over_loop(
        echoing, lambda at: _loops_socket("localhost", at.port)
    ),
    "sock_connect, the loop's: no answer": _over_loop(
        black_hole,
        lambda at: _loops_socket(at.host, at.port),
        ends=False,
        release=BlackHole.open,
    ),
    "sock_connect, the loop's: a look-up": _over_loop(
        echoing,
        lambda at: _loops_socket("unanswered", at.port),
        connector=Connector(resolver=_SILENT),
        ends=False,
    ),
}

ENTRY_POINTS |= {
    # For other libraries.
    "aiohttp": EntryPoint(echoing, lambda at: for_aiohttp(at, "http://127.0.0.1:{}")),
    "aiohttp: a name": EntryPoint(
        echoing, lambda at: for_aiohttp(at, "http://localhost:{}")
    ),
    "aiohttp: no answer": EntryPoint(
        black_hole, lambda at: for_aiohttp(at, "http://127.0.0.1:{}"), ends=False
    ),
    "aiohttp: TLS": _tls(tls_for_aiohttp),
    "aiohttp: no handshake": _no_handshake(tls_for_aiohttp),
    "aiohttp: never ready": EntryPoint(
        echoing,
        lambda at: for_aiohttp(
            at, "http://127.0.0.1:{}", connector=Connector(ready=never)
        ),
        ends=False,
    ),
    "aiohttp: Unix": EntryPoint(unix_listening, path_for_aiohttp),
    "anyio": EntryPoint(echoing, for_anyio),
    "anyio: no answer": EntryPoint(black_hole, for_anyio, ends=False),
    "anyio: Unix": EntryPoint(unix_listening, for_anyio),
    # anyio does not read while it writes, and the loop forgets the transport.
    "anyio: TLS": _tls(tls_for_anyio, holds=False),
    "anyio: no handshake": _no_handshake(tls_for_anyio),
    "anyio: never ready": EntryPoint(
        echoing,
        lambda at: for_anyio(at, connector=aioconnect.Connector(ready=never)),
        ends=False,
    ),
}


def _httpcore(pair: Pair) -> dict[str, EntryPoint]:
    name, start = pair.httpcore.__name__, partial(for_httpcore, pair)
    start_tls = partial(tls_for_httpcore, pair)
    return {
        name: EntryPoint(echoing, start),
        f"{name}: no answer": EntryPoint(black_hole, start, ends=False),
        f"{name}: TLS": _tls(start_tls, holds=False),
        f"{name}: no handshake": _no_handshake(start_tls),
    }


for one in PAIRS.values():
    ENTRY_POINTS |= _httpcore(one)


@contextmanager
def _through(
    *proxies: dict[str, Any],
    serve: Callable[[], AbstractContextManager[Any]] = echoing,
) -> Generator[tuple[Any, list[str]]]:
    """Give a server, and the URLs of the *proxies* on the way to it."""
    with ExitStack() as stack:
        server = stack.enter_context(serve())
        served = [stack.enter_context(proxying(**one)) for one in proxies]
        yield server, [one.url("u:p" * ("5" in one.kind)) for one in served]


_SOCKS: dict[str, Any] = {"kind": "socks5", "credentials": ("u", "p")}
_HTTP: dict[str, Any] = {"kind": "http", "drips": True}
_MUTE: dict[str, Any] = {
    "kind": "socks5",
    "answers": (b"\5\2",) * 500,
    "ending": "wait",
}

ENTRY_POINTS |= {
    # Through proxies.
    "connect: through SOCKS": EntryPoint(
        partial(_through, _SOCKS),
        lambda at: proxy.connect("localhost", at[0].port, proxy=at[1]),
    ),
    "connect: through HTTP": EntryPoint(
        partial(_through, _HTTP),
        lambda at: proxy.connect(at[0].host, at[0].port, proxy=at[1]),
    ),
    "connect: through a proxy, no answer": EntryPoint(
        partial(_through, _MUTE),
        lambda at: proxy.connect(at[0].host, at[0].port, proxy=at[1], timeout=60),
        ends=False,
    ),
    "connect: through a proxy, a look-up": EntryPoint(
        partial(_through, _SOCKS),
        lambda at: proxy.connect("unanswered", 1, proxy=at[1], resolver=_SILENT),
        ends=False,
    ),
    "open_connection: through two proxies, TLS": EntryPoint(
        partial(_through, _SOCKS, {"kind": "http"}, serve=tls_echoing),
        lambda at: proxy.open_connection(
            at[0].host, at[0].port, proxy=at[1], ssl=at[0].client_context
        ),
    ),
}

_SECURE: dict[str, Any] = {"kind": "http", "certified": "127.0.0.1"}
_OPEN = b"HTTP/1.1 200 OK\r\n\r\n"
_CLIENT_CONTEXT = client_context()


def _stuck(answer: bytes) -> dict[str, Any]:
    """Return a proxy that speaks TLS, and says nothing but *answer* in it."""
    return {**_SECURE, "answers": (answer,) * 500, "ending": "wait"}


def _by(at: Any, **options: Any) -> ProxyConnector:
    """Return a connector through the proxies of `_through`."""
    is_secure = any(url.startswith("https") for url in at[1])
    context = _CLIENT_CONTEXT if is_secure else None
    return ProxyConnector(proxy=at[1], proxy_ssl=context, **options)


def _streams_by(at: Any, **tls: Any) -> Coroutine[Any, Any, Any]:
    return _by(at).open_connection(at[0].host, at[0].port, **tls)


async def _on_proxied_loop(
    start: Callable[[str, int], Coroutine[Any, Any, Any]], at: Any
) -> Any:
    """Connect by the loop's own method, which goes through the proxies meanwhile."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    convert_loop(loop, _by(at))
    try:
        return await start(at[0].host, at[0].port)
    finally:
        loop.__class__ = kind


ENTRY_POINTS |= {
    # Through proxies that speak TLS.
    "open_connection: through TLS": EntryPoint(
        partial(_through, _SECURE), _streams_by, holds=False
    ),
    "open_connection: through TLS, TLS": EntryPoint(
        partial(_through, _SOCKS, _SECURE, serve=tls_echoing),
        lambda at: _streams_by(at, ssl=at[0].client_context),
        holds=False,
    ),
    "open_connection: through TLS, no answer": EntryPoint(
        partial(_through, _stuck(b"")), _streams_by, ends=False
    ),
    "open_connection: through TLS, no handshake": EntryPoint(
        partial(_through, _stuck(_OPEN), serve=tls_echoing),
        lambda at: _streams_by(at, ssl=at[0].client_context),
        ends=False,
    ),
    "create_connection: through TLS": EntryPoint(
        partial(_through, _SECURE),
        lambda at: _by(at).create_connection(asyncio.Protocol, at[0].host, at[0].port),
        holds=False,
    ),
    # All else that a connector does, through proxies.
    "connect_any: through SOCKS": EntryPoint(
        partial(_through, _SOCKS),
        lambda at: _by(at).connect_any([("127.0.0.9", 1), (at[0].host, at[0].port)]),
    ),
    "wait_until_up: through SOCKS": EntryPoint(
        partial(_through, _SOCKS),
        lambda at: _by(at).wait_until_up(at[0].host, at[0].port),
    ),
    "anyio: through SOCKS": EntryPoint(
        partial(_through, _SOCKS),
        lambda at: Connectable((at[0].host, at[0].port), _by(at)).connect(),
    ),
    "create_connection, the loop's: through HTTP": EntryPoint(
        partial(_through, _HTTP), partial(_on_proxied_loop, _loops_transport)
    ),
    "sock_connect, the loop's: through SOCKS": EntryPoint(
        partial(_through, _SOCKS), partial(_on_proxied_loop, _loops_socket)
    ),
}


# A name with two addresses.  Both are connected soon, and shake hands at a time.
_RACE = Connector(
    resolver=StaticResolver({"localhost": ["::1", "127.0.0.1"]}),
    happy_eyeballs_delay=0.01,
)


@contextmanager
def _behind_silence(
    serve: Callable[[], AbstractContextManager[Any]],
) -> Generator[Any]:
    """Give a server; the same port of ::1 accepts connections and says nothing."""
    with on_one_port(serve, lambda port: listening("::1", port=port, backlog=4000)) as (
        server,
        _,
    ):
        yield server


_second_tls = partial(_behind_silence, tls_echoing)
_no_tls = partial(_behind_silence, partial(tls_echoing, silent=True))
_second_echoes = partial(_behind_silence, echoing)
_second_proxy = partial(_behind_silence, partial(proxying, **_HTTP))


@contextmanager
def _through_second(
    serve: Callable[[], AbstractContextManager[Any]] = echoing,
) -> Generator[tuple[Any, str]]:
    """Give a server, and the URL of a proxy whose second address works."""
    with serve() as server, _second_proxy() as through:
        yield server, f"http://localhost:{through.port}"


async def not_for_long(*connection: object) -> None:
    """Be ready after an hour; the loop's timer refers to the wait, as real I/O does."""
    await asyncio.sleep(3600)


async def second_is_ready(*connection: Any) -> None:
    """Be ready after a few iterations of the loop over IPv4, and never over IPv6."""
    first = connection[0]
    sock = first
    if not isinstance(first, socket.socket):
        transport = getattr(connection[1], "transport", first)
        sock = transport.get_extra_info("socket")
    await (not_for_long() if sock.family == socket.AF_INET6 else in_a_moment())


def _tls_at(at: TLSEchoServer) -> Any:
    return {"host": "localhost", "port": at.port, "ssl": at.client_context}


def _race_for_anyio(at: TLSEchoServer, **options: Any) -> Coroutine[Any, Any, Any]:
    """Connect for anyio with TLS, to a name."""
    remote = ("localhost", at.port)
    context = at.client_context
    return Connectable(
        remote, _RACE, tls=True, ssl_context=context, **options
    ).connect()


_READY_RACE = replace(_RACE, ready=second_is_ready)
_NEVER_READY_RACE = replace(_RACE, ready=not_for_long)

ENTRY_POINTS |= {
    # Races of two handshakes: the first one stalls.
    "open_connection: two handshakes": EntryPoint(
        _second_tls, lambda at: _RACE.open_connection(**_tls_at(at))
    ),
    "open_connection: two handshakes, no end": EntryPoint(
        _no_tls, lambda at: _RACE.open_connection(**_tls_at(at)), ends=False
    ),
    "create_connection: two handshakes": EntryPoint(
        _second_tls,
        lambda at: _RACE.create_connection(asyncio.Protocol, **_tls_at(at)),
    ),
    "create_connection: two handshakes, no end": EntryPoint(
        _no_tls,
        lambda at: _RACE.create_connection(asyncio.Protocol, **_tls_at(at)),
        ends=False,
    ),
    "connect: two to be ready": EntryPoint(
        _second_echoes, lambda at: _READY_RACE.connect("localhost", at.port)
    ),
    "connect: two never ready": EntryPoint(
        _second_echoes,
        lambda at: _NEVER_READY_RACE.connect("localhost", at.port),
        ends=False,
    ),
    "open_connection: two handshakes, to be ready": EntryPoint(
        _second_tls, lambda at: _READY_RACE.open_connection(**_tls_at(at))
    ),
    "open_connection: two to be ready": EntryPoint(
        _second_echoes, lambda at: _READY_RACE.open_connection("localhost", at.port)
    ),
    "create_connection: two to be ready": EntryPoint(
        _second_echoes,
        lambda at: _READY_RACE.create_connection(
            asyncio.Protocol, "localhost", at.port
        ),
    ),
    "connect_any: raced, two to be ready": EntryPoint(
        _second_echoes,
        lambda at: _READY_RACE.connect_any(
            [("::1", at.port), ("127.0.0.1", at.port)], race=True
        ),
    ),
    "reconnecting: two to be ready": EntryPoint(
        _second_echoes,
        lambda at: first_turn(_READY_RACE.reconnecting("localhost", at.port)),
    ),
    "open_connection, asyncio's: two handshakes": _over_loop(
        _second_tls,
        lambda at: asyncio.open_connection(**_tls_at(at)),
        connector=_RACE,
    ),
    "create_connection, the loop's: two handshakes, no end": _over_loop(
        _no_tls,
        lambda at: _loops_transport(**_tls_at(at)),
        connector=_RACE,
        ends=False,
    ),
    "create_connection, the loop's: two to be ready": _over_loop(
        _second_echoes,
        lambda at: _loops_transport("localhost", at.port),
        connector=_READY_RACE,
    ),
    "anyio: two handshakes": EntryPoint(_second_tls, _race_for_anyio, holds=False),
    "anyio: two handshakes, no end": EntryPoint(_no_tls, _race_for_anyio, ends=False),
    "connect: two proxies": EntryPoint(
        _through_second,
        lambda at: ProxyConnector(proxy=at[1], connector=_RACE).connect(
            at[0].host, at[0].port
        ),
    ),
    "create_connection: two proxies, TLS": EntryPoint(
        partial(_through_second, tls_echoing),
        lambda at: ProxyConnector(proxy=at[1], connector=_RACE).create_connection(
            asyncio.Protocol, at[0].host, at[0].port, ssl=at[0].client_context
        ),
    ),
}


def _local_tls(server: TLSEchoServer) -> Any:
    return {"ssl": server.client_context, "server_hostname": "localhost"}

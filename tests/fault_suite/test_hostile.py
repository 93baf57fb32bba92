"""A hostile peer costs a bounded number of octets, connects, queries, and CPU time.

There is one test for each place that reads octets from a peer.  The limits are
generous.  They fail a loop that a peer can keep running, and a read without an end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import pickle
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pycares
import pytest
from fault_suite.hostile_peers import (
    MOST_SENT,
    Answer,
    HostileServer,
    Speak,
    hostile,
    hostile_dns,
    message,
)
from http_pairs import PAIRS, Pair

import aioconnect
from aioconnect import (
    Address,
    Backoff,
    ConnectError,
    Connector,
    ConnectTimeoutError,
    checks,
)
from aioconnect._io.transports import discard_connection
from aioconnect.contrib import proxy
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.contrib.anyio import Connectable
from aioconnect.testing import leak_check, refusing
from aioconnect.testing._dns_message import Question

# In seconds of CPU.  In 1 s, any of these peers could be read a thousand times.
MOST_CPU = 2.0

# In seconds: every call that ends by itself has ended long before.
PATIENCE = 30.0


def in_small_pieces(sock: socket.socket, _: Address) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


SMALL = Connector(prepare=[in_small_pieces])


async def let_go(made: Any) -> None:
    """Close the result of a call, at once."""
    if isinstance(made, socket.socket | tuple):
        discard_connection(made)
        await asyncio.sleep(0)
    elif not isinstance(made, float):  # a wait returns its seconds
        await made.aclose()


async def cost_of(start: Awaitable[Any]) -> float:
    """Return the seconds of CPU that the loop's thread spends on *start*.

    The call may fail, but it has to end.
    """
    before = time.thread_time()
    async with asyncio.timeout(PATIENCE):
        with contextlib.suppress(ConnectError):
            await let_go(await start)
    return time.thread_time() - before


def check(server: HostileServer, cpu: float) -> None:
    assert server.connects == 1
    assert server.sent < MOST_SENT
    assert cpu < MOST_CPU


# Proxies


def endless(data: bytes, first: bytes = b"") -> Speak:
    """Send *first*, then *data* for ever."""
    many = data * (1 + 10_000 // len(data))
    return lambda: itertools.chain([first], itertools.repeat(many))


HELD_UP = b"HTTP/1.1 102 Processing\r\n"

PROXIES: dict[str, tuple[str, Speak]] = {
    "fields": ("http", endless(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n")),
    "a field": ("http", endless(b"x", b"HTTP/1.1 200 OK\r\nX: ")),
    "a reason": ("http", endless(b"x", b"HTTP/1.1 200 ")),
    "a number": ("http", endless(b"2", b"HTTP/1.1 ")),
    "interim answers": ("http", endless(HELD_UP + b"\r\n")),
    "great interim answers": ("http", endless(HELD_UP + b"X: y\r\n" * 2500 + b"\r\n")),
    "interim fields": ("http", endless(b"X: y\r\n", HELD_UP)),
    "blank lines": ("http", endless(b"\r\n")),
    "no HTTP": ("http", endless(b"\0")),
    "a tunnel": ("http", endless(b"x", b"HTTP/1.1 200 OK\r\n\r\n")),
    "methods": ("socks5h", endless(b"\5\2")),
    "agreement": ("socks5h", endless(b"\5\0")),
    "no SOCKS 5": ("socks5h", endless(b"\0")),
    "a bound name": ("socks5h", endless(b"x", b"\5\0\5\0\0\3\xff")),
    "a bound address": ("socks5h", endless(b"x", b"\5\0\5\0\0\4")),
    "no SOCKS 4": ("socks4a", endless(b"\4")),
    "a yes": ("socks4a", endless(b"\0\x5a")),
}

THROUGH = {
    "socket": proxy.connect,
    "streams": proxy.open_connection,
    "transport": partial(proxy.create_connection, asyncio.Protocol),
}


@pytest.mark.parametrize("what", PROXIES)
async def test_proxy_without_end(what: str) -> None:
    """An endless answer is read only up to a limit, even without a timeout."""
    scheme, speak = PROXIES[what]
    for function in THROUGH.values():
        with hostile(speak) as server:
            url = f"{scheme}://user:pass@{server.host}:{server.port}"
            if scheme == "socks4a":
                url = url.replace(":pass", "")
            through: Any = function
            start = through("x.test", 80, proxy=url, prepare=SMALL.prepare)
            check(server, await cost_of(start))


def dripping(data: bytes, first: bytes = b"") -> Speak:
    """Send *first*, then the octets of *data* one by one, for ever."""

    def speak() -> Iterator[bytes]:
        yield first
        for octet in itertools.cycle(data):
            time.sleep(0.002)
            yield bytes([octet])

    return speak


DRIPS: dict[str, tuple[str, Speak]] = {
    "fields": ("http", dripping(b"X: y\r\n", b"HTTP/1.1 200 OK\r\n")),
    "interim answers": ("http", dripping(HELD_UP + b"\r\n")),
    "a bound name": ("socks5h", dripping(b"x", b"\5\0\5\0\0\3\xff")),
}


@pytest.mark.parametrize("what", DRIPS)
async def test_proxy_that_drips(what: str) -> None:
    """A proxy that sends octet by octet gets no more time than the attempt has."""
    scheme, speak = DRIPS[what]
    with hostile(speak) as server:
        url = f"{scheme}://{server.host}:{server.port}"
        cpu = await cost_of(proxy.connect("x.test", 80, proxy=url, timeout=0.3))
        check(server, cpu)


# Checks of services

NO_ANSWER = {
    "http": "HTTP/1.1 200 ",
    "interim answers": "HTTP/1.1 102 Processing\r\n\r\n",
    "postgres": "E",
    "redis": "-ERR ",
    "amqp": "AMQ",
    "mysql": "\xff\xff\xff\0\x0a",
    "mysql's answer": "\x05\0\0\0\x0a1.2\0\xff\xff\xff\x02",
    "kafka": "\0\0\x20\0aioc",
}
CHECKS: dict[str, checks.Check] = {
    "interim answers": checks.http(),
    "http": checks.http(),
    **{name: getattr(checks, name) for name in ("postgres", "redis", "amqp", "mysql")},
    "mysql's answer": checks.mysql,
    "kafka": checks.kafka,
}

OVER: dict[str, Callable[..., Awaitable[Any]]] = {
    "socket": aioconnect.connect,
    "streams": aioconnect.open_connection,
    "transport": partial(aioconnect.create_connection, asyncio.Protocol),
}


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize("what", CHECKS)
@pytest.mark.parametrize("data", [b"x", b"\0", b"\r\n"], ids=["x", "zeros", "lines"])
async def test_service_that_floods(what: str, over: str, data: bytes) -> None:
    """A check reads an endless answer only up to a limit, even without a timeout."""
    first = NO_ANSWER[what].encode("latin-1")
    start: Any = OVER[over]
    with hostile(endless(data, first)) as server:
        options: Any = {"ready": CHECKS[what], "prepare": SMALL.prepare}
        check(server, await cost_of(start(server.host, server.port, **options)))


@pytest.mark.parametrize("what", CHECKS)
async def test_service_that_drips(what: str) -> None:
    """A check takes no more time than its attempt has, octet by octet."""
    first = NO_ANSWER[what].encode("latin-1")
    with hostile(dripping(first, first)) as server:
        options: Any = {"ready": CHECKS[what], "timeout": 0.3}
        start = aioconnect.connect(server.host, server.port, **options)
        check(server, await cost_of(start))


# TLS


def record(kind: int, data: bytes) -> bytes:
    """Return a record of TLS 1.2."""
    return struct.pack("!BHH", kind, 0x0303, len(data)) + data


CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23

TLS: dict[str, Speak] = {
    "zeros": endless(b"\0"),
    "text": endless(b"220 hello\r\n"),
    "empty records": endless(record(HANDSHAKE, b"")),
    "warnings": endless(record(ALERT, b"\1\x5a")),
    "changes of cipher": endless(record(CCS, b"\1")),
    "data": endless(record(DATA, b"x" * 1000)),
    "a great hello": endless(
        record(HANDSHAKE, b"x" * 1000), record(HANDSHAKE, b"\2\xff\xff\xff")
    ),
    "a great record": endless(b"x", struct.pack("!BHH", HANDSHAKE, 0x0303, 0xFFFF)),
}


@pytest.mark.parametrize("what", TLS)
async def test_check_of_tls_without_end(what: str) -> None:
    """A check by TLS reads no more than a check without."""
    asking = checks.tls(checks.redis, host="x.test")
    with hostile(TLS[what]) as server:
        start = replace(SMALL, ready=asking).connect(server.host, server.port)
        check(server, await cost_of(start))


@pytest.mark.parametrize("what", TLS)
async def test_tls_without_end(what: str) -> None:
    """OpenSSL limits what it reads, and is not called again after its error."""
    with hostile(TLS[what]) as server:
        context = ssl.create_default_context()
        options: Any = {"ssl": context, "server_hostname": "x.test"}
        where = (server.host, server.port)
        check(server, await cost_of(SMALL.open_connection(*where, **options)))


async def test_tls_that_is_never_done() -> None:
    """OpenSSL ignores any number of these (RFC 5246, 7.4.1.1); the time ends it."""
    with hostile(endless(record(HANDSHAKE, bytes(4)))) as server:
        context = ssl.create_default_context()
        with pytest.raises(ConnectTimeoutError, match="the handshake has not ended"):
            await aioconnect.open_connection(
                server.host,
                server.port,
                ssl=context,
                server_hostname="x.test",
                timeout=0.3,
            )
        assert server.connects == 1


# Connected streams that nobody reads


def streams(server: HostileServer, **options: Any) -> Awaitable[Any]:
    return aioconnect.open_connection(server.host, server.port, **options)


def a_socket(server: HostileServer, **options: Any) -> Awaitable[Any]:
    return aioconnect.connect(server.host, server.port, **options)


def for_anyio(server: HostileServer, **options: Any) -> Awaitable[Any]:
    connector = Connector(**options)
    return Connectable(f"{server.host}:{server.port}", connector).connect()


async def for_httpcore(pair: Pair, server: HostileServer, **options: Any) -> Any:
    backend = pair.backend(Connector(**options))
    return await backend.connect_tcp(server.host, server.port)


async def again(server: HostileServer, **options: Any) -> Any:
    connections = aioconnect.reconnecting(server.host, server.port, **options)
    return await anext(connections)


def tunnel(server: HostileServer, **options: Any) -> Awaitable[Any]:
    url = f"socks4a://{server.host}:{server.port}"
    return proxy.open_connection("x.test", 80, proxy=url, **options)


CONNECTED: tuple[Callable[..., Awaitable[Any]], ...] = (
    a_socket,
    streams,
    again,
    tunnel,
    for_anyio,
    *(partial(for_httpcore, pair) for pair in PAIRS.values()),
)


@pytest.mark.parametrize("start", CONNECTED)
@pytest.mark.parametrize("is_asked", [False, True], ids=["made", "ready"])
async def test_flood_that_nobody_reads(
    start: Callable[..., Awaitable[Any]], is_asked: bool
) -> None:
    """Data that nobody reads stays in limited buffers, even before *ready* ends."""

    async def ready(*_: object) -> None:
        await server.has_said_all()

    with hostile(endless(b"x", b"\0\x5a" + bytes(6))) as server:
        options: Any = {"ready": ready} if is_asked else {}
        before = time.thread_time()
        made = await start(server, prepare=SMALL.prepare, **options)
        await server.has_said_all()
        check(server, time.thread_time() - before)
        await let_go(made)


async def test_flood_while_it_settles() -> None:
    """A wait reads nothing, however much the server sends."""
    with hostile(endless(b"x")) as server:
        wait = SMALL.wait_until_up(server.host, server.port, timeout=10, settle=0.3)
        check(server, await cost_of(wait))


# Connections that do not last


def accepted_only() -> Iterable[bytes]:
    return ()


def greeting() -> Iterable[bytes]:
    return (b"220 hello\r\n" * 1000,)


@pytest.mark.parametrize("speak", [accepted_only, greeting, endless(b"x")])
async def test_connections_that_do_not_last(speak: Speak) -> None:
    """K7: `reconnecting` treats a peer that accepts and closes like one that refuses.

    With a backoff that began anew for each, 2,750 connects a second were measured.
    """
    with hostile(speak) as server:
        connections = aioconnect.reconnecting(
            server.host, server.port, retry=Backoff(jitter=0.5)
        )
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.5
        async with asyncio.timeout(PATIENCE), contextlib.aclosing(connections):
            async for _ in connections:
                if loop.time() >= until:
                    break
        # Between them are at least 0.025, 0.05, 0.1, 0.2 and 0.4 s.
        assert 1 <= server.connects <= 6


async def test_proxy_that_answers_and_closes() -> None:
    """The same holds through a proxy that closes after each successful answer."""
    with hostile(lambda: (b"\0\x5a" + bytes(6),)) as server:
        url = f"socks4a://{server.host}:{server.port}"

        async def ready(reader: asyncio.StreamReader, _: object) -> None:
            await reader.readexactly(1)

        retry = Backoff(jitter=0.5, attempts=4)
        cpu = await cost_of(
            proxy.open_connection("x", 80, proxy=url, ready=ready, retry=retry)
        )
        assert server.connects == 5
        assert cpu < MOST_CPU


# DNS


# After its first channel, pycares keeps one thread of its own.
pycares.Channel(sock_state_cb=print).close()


@pytest.fixture
def channels_end(nothing_left: None) -> Iterator[None]:
    """Wait until pycares has closed its channels, in a thread of its own."""
    with leak_check(patience=PATIENCE):
        yield


A, CNAME, SRV = 1, 5, 33
TRUNCATED = 0x8380


def cname_loop(question: Question, _: bool) -> Iterator[bytes]:
    yield message(question, (CNAME, b"\xc0\x0c"))


def cname_chain(question: Question, _: bool) -> Iterator[bytes]:
    label = b"x%d" % time.monotonic_ns()
    yield message(question, (CNAME, bytes([len(label)]) + label + b"\xc0\x0c"))


def always_truncated(question: Question, _: bool) -> Iterator[bytes]:
    yield message(question, flags=TRUNCATED)


def never_for_us(question: Question, is_tcp: bool) -> Iterator[bytes]:
    for number in range(1000):
        other = (question.id + 1 + number) % 65536
        yield message(question, (A, bytes(4)), identifier=other)


def servfail(question: Question, _: bool) -> Iterator[bytes]:
    yield message(question, flags=0x8182)


def garbage(question: Question, _: bool) -> Iterator[bytes]:
    yield question.id.to_bytes(2) + b"\xff" * 500


def pointer_loop(question: Question, _: bool) -> Iterator[bytes]:
    end = 12 + len(question.raw)
    loop = struct.pack("!H", 0xC000 | end)
    head = struct.pack("!6H", question.id, 0x8180, 1, 1, 0, 0)
    yield head + question.raw + loop + struct.pack("!HHIH", A, 1, 60, 4) + bytes(4)


@pytest.mark.usefixtures("channels_end")
@pytest.mark.parametrize(
    "answer",
    [
        cname_loop,
        cname_chain,
        always_truncated,
        never_for_us,
        servfail,
        garbage,
        pointer_loop,
    ],
)
async def test_name_server_that_leads_nowhere(
    answer: Answer,
) -> None:
    """A call asks such a server only a few times, then reports why it has failed."""
    with hostile_dns(answer) as server:
        resolver = AiodnsResolver([server.nameserver], timeout=0.1, tries=2)
        connect = aioconnect.connect("x.test", 80, resolver=resolver)
        cpu = await cost_of(connect)
    # Each family and both together, twice by UDP and twice by TCP.
    assert 1 <= server.queries <= 16
    assert cpu < MOST_CPU


@pytest.mark.usefixtures("channels_end")
async def test_name_server_with_many_addresses() -> None:
    """However many addresses an answer has, each is tried once."""

    def answer(question: Question, is_tcp: bool) -> Iterator[bytes]:
        if not is_tcp:
            yield message(question, flags=TRUNCATED)
        elif question.type == "A":
            hosts = (bytes([127, 1, n // 250, 1 + n % 250]) for n in range(2000))
            yield message(question, *((A, host) for host in hosts))
        else:
            yield message(question)

    with hostile_dns(answer) as server, refusing() as nobody:
        resolver = AiodnsResolver([server.nameserver])
        with pytest.raises(ConnectError) as caught:
            await aioconnect.connect("x.test", nobody.port, resolver=resolver)
    assert caught.value.attempt_count == 2000
    assert server.queries <= 12


@pytest.mark.usefixtures("channels_end")
@pytest.mark.parametrize("race", [False, True], ids=["in turn", "raced"])
async def test_name_server_with_many_records(race: bool) -> None:
    """Each target of a service is looked up once, and never leads further."""
    labels = [b"x%03d" % number for number in range(50)]

    def answer(question: Question, is_tcp: bool) -> Iterator[bytes]:
        if question.type != "SRV":
            yield message(question, flags=0x8183)  # NXDOMAIN
        elif not is_tcp:
            yield message(question, flags=TRUNCATED)
        else:
            fixed = struct.pack("!HHH", 0, 0, 80)
            names = (bytes([len(label)]) + label + b"\0" for label in labels)
            yield message(question, *((SRV, fixed + name) for name in names))

    with hostile_dns(answer) as server:
        resolver = AiodnsResolver([server.nameserver])
        service = ["srv:_x._tcp.test"]
        connect = aioconnect.connect_any(service, resolver=resolver, race=race)
        cpu = await cost_of(connect)
    # A and AAAA, apart and perhaps together; the records by UDP and by TCP.
    assert len(labels) * 2 <= server.queries <= len(labels) * 4 + 4
    assert cpu < MOST_CPU * 2


async def test_resolver_with_very_many_addresses() -> None:
    """The caller's resolver may return any number, but the error stays short."""
    hosts = (f"127.{1 + n // 2**16}.{n // 256 % 256}.{n % 256}" for n in range(100_000))
    addresses = [Address(socket.AF_INET, (host, 1)) for host in hosts]

    def resolver(host: str, port: int, **_: int) -> list[Address]:
        return addresses

    connector = Connector(resolver=resolver, timeout=1)
    with pytest.raises(ConnectError) as caught:
        await connector.connect("x.test", 1)
    error = caught.value
    assert len(error.attempts) <= 64
    assert len(str(error)) < 10_000
    assert len(pickle.dumps(error)) < 100_000


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_name_server_of_the_system(in_namespace: Callable[..., str], loop: str) -> None:
    """The C library limits its queries, and this package causes no more of them."""
    in_namespace("hostile_names.py", loop)

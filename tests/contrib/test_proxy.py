"""Proxies: SOCKS 4 and 5, HTTP, chains, and every way in which they fail."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import pickle
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import FrozenInstanceError
from functools import partial
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from echoes import answers
from proxies import (
    CREDENTIALS,
    KINDS,
    PASSWORD,
    USER,
    Ending,
    Kind,
    ProxyServer,
    proxying,
)

from aioconnect import (
    Address,
    AddressBlockedError,
    Attempt,
    AttemptFailed,
    Connected,
    ConnectError,
    Connector,
    ConnectPermissionError,
    ConnectRefusedError,
    ConnectResetError,
    ConnectTimeoutError,
    GaveUp,
    ResolveError,
    is_refused,
    is_transient,
    only_public,
)
from aioconnect._sansio.errors import AttemptError
from aioconnect.contrib import proxy
from aioconnect.contrib._proxy_channel import SocketChannel
from aioconnect.contrib._proxy_handshake import ProxyHandshake
from aioconnect.contrib._proxy_url import hops_of
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import (
    EchoServer,
    Lookup,
    Recorder,
    ScriptedResolver,
    StaticResolver,
    TLSEchoServer,
    echoing,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
    unused_port,
)


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    """Give an echo server."""
    with echoing() as server:
        yield server


async def failure(through: str | ProxyConnector, **options: Any) -> ConnectError:
    """Return the error of a connect to 192.0.2.1:80."""
    if isinstance(through, str):
        through = ProxyConnector(proxy=through, connector=Connector(**options))
    with pytest.raises(ConnectError) as caught:
        await through.connect("192.0.2.1", 80)
    return caught.value


def only(error: ConnectError) -> Attempt:
    """Return the only attempt of *error*."""
    (attempt,) = error.attempts
    return attempt


def phase(error: ConnectError) -> tuple[str, int | None]:
    """Return the phase and the errno of the only attempt."""
    attempt = only(error)
    assert isinstance(attempt.error, OSError)
    return attempt.phase, attempt.error.errno


# Success.


@pytest.mark.parametrize("drips", [False, True], ids=["whole", "drips"])
@pytest.mark.parametrize("secret", [False, True], ids=["open", "secret"])
@pytest.mark.parametrize("kind", KINDS)
async def test_streams(echo: EchoServer, kind: Kind, secret: bool, drips: bool) -> None:
    """Each protocol works with and without credentials, also octet by octet."""
    wanted = (USER, PASSWORD) if secret else None
    with proxying(kind, credentials=wanted, drips=drips) as server:
        url = server.url(CREDENTIALS[kind] if secret else "")
        assert await answers(
            await proxy.open_connection(echo.host, echo.port, proxy=url)
        )
        assert server.asked == [(echo.host, echo.port)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_socket(echo: EchoServer, kind: Kind) -> None:
    loop = asyncio.get_running_loop()
    with proxying(kind) as server:
        sock = await proxy.connect(echo.host, str(echo.port), proxy=server.url())
        with sock:
            assert sock.getblocking() is False
            assert sock.getpeername() == (server.host, server.port)
            await loop.sock_sendall(sock, b"hello")
            assert await loop.sock_recv(sock, 5) == b"hello"


async def test_a_transport(echo: EchoServer) -> None:
    with proxying() as server:
        transport, protocol = await proxy.create_connection(
            asyncio.Protocol, echo.host, echo.port, proxy=server.url()
        )
        assert isinstance(protocol, asyncio.Protocol)
        transport.abort()
        await asyncio.sleep(0)


async def test_a_proxy_and_a_target_by_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as exc:
        pytest.skip(f"no IPv6 on the loopback interface: {exc}")
    with echoing("::1") as echo, ExitStack() as stack:
        for kind in ("socks5", "http"):
            server = stack.enter_context(proxying(kind, host="::1"))
            streams = await proxy.open_connection("::1", echo.port, proxy=server.url())
            assert await answers(streams)
            assert server.asked == [("::1", echo.port)]


@pytest.mark.parametrize("kind", KINDS)
async def test_data_after_the_answer_comes_from_the_target(
    echo: EchoServer, kind: Kind
) -> None:
    """A server that speaks first loses nothing, however soon it speaks."""
    banner = b"SSH-2.0-x\r\n\r\n220 more\r\n"
    with proxying(kind, extra=banner) as server:
        reader, writer = await proxy.open_connection(
            echo.host, echo.port, proxy=server.url()
        )
        assert await reader.readexactly(len(banner)) == banner
        assert await answers((reader, writer))


OK = b"HTTP/1.1 200 OK\r\n"
HTTP_REFUSAL = b"HTTP/1.1 502 Bad\r\n\r\n"


@pytest.mark.parametrize("way", ["socket", "streams", "transport"])
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 Connection established\n\n",
        b"HTTP/1.1 200\r\n\r\n",
        OK + b"Via: x\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
        b"HTTP/1.1 201 Created\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 299 Ask the Proxy\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n",
        b"HTTP/1.1 102 Processing\n\nHTTP/1.0 204\n\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 16 + OK + b"\r\n",
    ],
)
async def test_answers_that_open_a_tunnel(head: bytes, way: str) -> None:
    """RFC 9110, 9.3.6: any 2xx opens it, and what follows comes from the target.

    15.2: a client has to accept any number of 1xx before; more than 16 are a flood.
    """
    with proxying("http", answers=(head + b"hello",)) as server:
        through = ProxyConnector(proxy=server.url())
        assert await heard(through, way) == b"hello"


async def heard(through: ProxyConnector, way: str) -> bytes:
    """Return what the other end receives until it is closed."""
    where = ("192.0.2.1", 80)
    if way == "socket":
        sock = await through.connect(*where)
    elif way == "streams":
        reader, writer = await through.open_connection(*where)
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
        return said
    else:
        _, protocol = await through.create_connection(Listener, *where)
        return await protocol.said
    said = b""
    with sock:
        while more := await asyncio.get_running_loop().sock_recv(sock, 100):
            said += more
    return said


class Listener(asyncio.Protocol):
    """A server that keeps what it receives until the end."""

    def __init__(self) -> None:
        self._heard = b""
        loop = asyncio.get_running_loop()
        self.said: asyncio.Future[bytes] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        self._heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.said.set_result(self._heard)


@pytest.mark.parametrize("user", ["user", "ü" * 127])
@pytest.mark.parametrize(
    ("kind", "password"),
    [
        ("socks4", ""),
        *product(("socks5", "http"), ("", "pässwörd€", "\U0001f511" * 60)),
    ],
)
async def test_credentials_are_octets(
    echo: EchoServer, kind: Kind, user: str, password: str
) -> None:
    """They are UTF-8 in every protocol, and a password may be empty.

    RFC 1929 counts up to 255 octets; RFC 7617 has the charset.
    """
    end = "" if kind == "socks4" else f":{quote(password)}"
    with proxying(kind, credentials=(user, password)) as server:
        for text in (quote(user), user):
            url = server.url(text + end)
            streams = await proxy.open_connection(echo.host, echo.port, proxy=url)
            assert await answers(streams)


# The look-up of the name.


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
async def test_the_proxy_looks_up(echo: EchoServer, scheme: str) -> None:
    kind: Any = scheme[:6]
    names = {"x_db.test": echo.host, "xn--bcher-kva.test": echo.host}
    with proxying(kind, names=names) as server:
        for name in ("x_db.test", "bücher.test"):
            streams = await proxy.open_connection(
                name,
                echo.port,
                proxy=server.url(scheme=scheme),
                resolver=ScriptedResolver({}),
            )
            assert await answers(streams)
        assert [host for host, _ in server.asked] == list(names)


LONGEST = ".".join(["x" * 63] * 3 + ["y" * 61])


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
@pytest.mark.parametrize("name", [LONGEST, "unix", "srv", "ü.test.", "10.example"])
async def test_names_that_a_proxy_is_asked_for(scheme: str, name: str) -> None:
    """Any name that DNS can have is passed on, whatever else it means here."""
    kind: Any = scheme[:6]
    asked = name.encode("idna").decode()
    with proxying(kind, names={asked: "127.0.0.1"}) as server, refusing() as nobody:
        with pytest.raises(ConnectError):
            await proxy.connect(name, nobody.port, proxy=server.url(scheme=scheme))
        assert server.asked == [(asked, nobody.port)]


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
async def test_the_resolver_looks_up(echo: EchoServer, scheme: str) -> None:
    """The connector's resolver looks up the target; the proxy gets an IPv4 address."""
    resolver = StaticResolver({"db.test": ["::1", "127.0.0.1", "192.0.2.1"]})
    kind: Any = scheme
    events = Recorder()
    with proxying(kind) as server:
        streams = await proxy.open_connection(
            "db.test",
            echo.port,
            proxy=server.url(scheme=scheme),
            resolver=resolver,
            observer=events,
        )
        assert await answers(streams)
        assert server.asked == [("127.0.0.1", echo.port)]
    events.assert_in_order("ResolveStarted", "Resolved", "AttemptStarted", "Connected")


async def test_the_family_is_the_first_proxys(echo: EchoServer) -> None:
    with proxying(names={"2001:db8::1": echo.host}) as server:
        url = server.url(scheme="socks5h")
        streams = await proxy.open_connection(
            "2001:db8::1", echo.port, proxy=url, family=socket.AF_INET
        )
        assert await answers(streams)


async def test_ipv6_where_there_is_no_other() -> None:
    resolver = StaticResolver({"six.test": ["2001:db8::1"]})
    with proxying(answers=(b"\5\0\5\4\0",)) as server:
        with pytest.raises(OSError, match="host unreachable"):
            await proxy.connect(
                "six.test", 80, proxy=server.url(), resolver=resolver, family=2
            )
        url = server.url(scheme="socks4")
        with pytest.raises(ResolveError, match=r"six\.test: .*IPv4 only"):
            await proxy.connect("six.test", 80, proxy=url, resolver=resolver)


async def test_a_name_without_an_address_is_an_attempt_of_its_own() -> None:
    """The proxy is not contacted, and a temporary failure is retried."""
    resolver = ScriptedResolver(
        {
            "a.test": [Lookup(error=socket.EAI_AGAIN)] * 2
            + [Lookup(error=socket.EAI_NONAME)]
        }
    )
    with proxying() as server:
        connector = Connector(resolver=resolver, retry=(0, 0))
        through = ProxyConnector(proxy=server.url(), connector=connector)
        with pytest.raises(ResolveError) as caught:
            await through.connect("a.test", 80)
    error = caught.value
    assert (error.host, error.port, error.rounds) == ("a.test", 80, 3)
    assert {(one.phase, one.host) for one in error.attempts} == {("resolve", "a.test")}
    assert f"to a.test:80 through {server.host}:{server.port}: a.test: " in str(error)
    assert not server._live


async def test_a_resolver_that_hangs() -> None:
    """Each look-up is an attempt: that of both families, and those apart."""
    resolver = ScriptedResolver({"a.test": Lookup(never=True)})
    with pytest.raises(ConnectTimeoutError) as caught:
        await proxy.connect(
            "a.test",
            80,
            proxy="socks5://127.0.0.1:1",
            resolver=resolver,
            timeout=1,
        )
    assert caught.value.errno == errno.ETIMEDOUT
    assert [one.phase for one in caught.value.attempts] == ["resolve"] * 3
    asked = [call.family for call in resolver.calls]
    assert asked == [socket.AF_UNSPEC, socket.AF_INET6, socket.AF_INET]


async def test_a_resolver_of_something_else() -> None:
    async def resolver(host: str, port: int, **_: int) -> list[Address]:
        return [Address(socket.AF_UNIX, "/run/x")]

    with pytest.raises(TypeError, match="resolver must give"):
        await proxy.connect("x", 1, proxy="socks5://127.0.0.1:1", resolver=resolver)


# The proxy's answers.

SOCKS5 = b"\5\0"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
REFUSED, BLOCKED, GARBAGE = errno.ECONNREFUSED, errno.EACCES, errno.EPROTO


@pytest.mark.parametrize(
    ("kind", "answer", "number", "retried"),
    [
        ("socks5", SOCKS5 + b"\5\1\0", errno.ECONNABORTED, True),
        ("socks5", SOCKS5 + b"\5\2\0", BLOCKED, False),
        ("socks5", SOCKS5 + b"\5\3\0", errno.ENETUNREACH, True),
        ("socks5", SOCKS5 + b"\5\4\0", errno.EHOSTUNREACH, True),
        ("socks5", SOCKS5 + b"\5\5\0", REFUSED, True),
        ("socks5", SOCKS5 + b"\5\6\0", errno.ETIMEDOUT, True),
        ("socks5", SOCKS5 + b"\5\7\0", errno.EOPNOTSUPP, False),
        ("socks5", SOCKS5 + b"\5\x08\0", errno.EAFNOSUPPORT, False),
        ("socks5", SOCKS5 + b"\5\x09\0", GARBAGE, False),
        ("socks5", SOCKS5 + b"\5\0\1\1", GARBAGE, False),
        ("socks5", SOCKS5 + b"\5\0\0\2", GARBAGE, False),
        ("socks5", SOCKS5 + b"\4\0\0", GARBAGE, False),
        ("socks5", b"\5\xff", BLOCKED, False),
        ("socks5", b"\5\2", BLOCKED, False),
        ("socks5", b"HTTP/1.1 400 Bad Request\r\n\r\n", GARBAGE, False),
        ("socks4", b"\0\x5b" + bytes(6), REFUSED, True),
        ("socks4", b"\0\x5c" + bytes(6), BLOCKED, False),
        ("socks4", b"\0\x5d" + bytes(6), BLOCKED, False),
        ("socks4", b"\0\x5e" + bytes(6), GARBAGE, False),
        ("socks4", b"\4\x5a" + bytes(6), GARBAGE, False),
        ("http", b"HTTP/1.1 407 Who?\r\n\r\n", BLOCKED, False),
        ("http", b"HTTP/1.1 403 No\r\n\r\n", BLOCKED, False),
        ("http", b"HTTP/1.1 500 Oh\r\n\r\n", errno.ECONNABORTED, True),
        ("http", b"HTTP/1.1 502 Oh\r\n\r\n", errno.EHOSTUNREACH, True),
        ("http", b"HTTP/1.1 503 Oh\r\n\r\n", errno.EHOSTUNREACH, True),
        ("http", b"HTTP/1.1 504 Oh\r\n\r\n", errno.ETIMEDOUT, True),
        ("http", b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 599 Unheard of\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 5 x\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 2" + b"0" * 999 + b" x\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 OK\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000, GARBAGE, False),
        ("http", CONTINUE + b"HTTP/1.1 407 Who?\r\n\r\n", BLOCKED, False),
        ("http", CONTINUE + b"hello\r\n\r\n", GARBAGE, False),
        ("http", CONTINUE * 17 + b"HTTP/1.1 200 OK\r\n\r\n", GARBAGE, False),
        ("http", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", GARBAGE, False),
        ("http", b"SSH-2.0-OpenSSH_9\r\n", GARBAGE, False),
        ("http", b"\r\n\r\n", GARBAGE, False),
        ("http", SOCKS5, GARBAGE, False),
    ],
)
async def test_an_answer_is_an_error_of_the_system(
    kind: Kind, answer: bytes, number: int, retried: bool
) -> None:
    """`retry_on` and `except` work as without a proxy."""
    with proxying(kind, answers=(answer,)) as server:
        error = await failure(server.url())
    assert phase(error) == ("proxy", number)
    assert type(only(error).error) is type(OSError(number, ""))
    assert is_transient(error) is retried
    assert is_refused(error) is (number == REFUSED)
    assert isinstance(error, type(OSError(number, "")))
    assert (error.host, error.port) == ("192.0.2.1", 80)
    by = f"{server.host}:{server.port}"
    said = f"cannot connect to 192.0.2.1:80 through {by}: {by}: proxy: "
    assert str(error).startswith(said)
    assert str(error).isprintable()
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("socks5", b"\5\2\1\0\5\0\0\3\1x\0\0"),
        ("socks4", b"\0\x5a" + bytes(6)),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
async def test_closing_half_way(kind: Kind, answer: bytes) -> None:
    cuts = range(len(answer))
    with proxying(kind, answers=tuple(answer[:end] for end in cuts)) as server:
        for _ in cuts:
            error = await failure(server.url(CREDENTIALS[kind]))
            assert isinstance(error, ConnectResetError)
            assert phase(error) == ("proxy", errno.ECONNRESET)
            assert "the proxy has closed the connection" in str(error)


async def test_a_reset_half_way() -> None:
    """It is reported, whichever call of the handshake meets it."""
    with proxying(answers=(b"\5\2",) * 20, ending="reset") as server:
        for _ in range(20):
            error = await failure(server.url("a:b"))
            assert phase(error) == ("proxy", errno.ECONNRESET)


@pytest.mark.parametrize("option", ["timeout", "attempt_timeout"])
@pytest.mark.parametrize("kind", KINDS)
async def test_silence(kind: Kind, option: str) -> None:
    """The handshake with a proxy is part of the attempt, and within its timeout."""
    with proxying(kind, answers=(b"",), ending="wait") as server:
        error = await failure(server.url(), **{option: 0.02})
    assert isinstance(error, ConnectTimeoutError)
    assert phase(error) == ("proxy", errno.ETIMEDOUT)
    assert "proxy: the proxy has not answered yet" in str(error)


async def test_a_proxy_that_is_not_there() -> None:
    """The error is about the target all the same."""
    with refusing() as port:
        error = await failure(f"http://{port.host}:{port.port}")
    assert isinstance(error, ConnectRefusedError)
    assert phase(error) == ("connect", errno.ECONNREFUSED)
    assert (error.host, error.port) == ("192.0.2.1", 80)
    assert f"to 192.0.2.1:80 through {port.host}:{port.port}: " in str(error)


async def test_a_proxy_without_an_address() -> None:
    error = await failure("http://proxy.test:1", resolver=StaticResolver({}))
    assert isinstance(error, ResolveError)
    assert "through proxy.test:1: proxy.test: " in str(error)


@pytest.mark.parametrize("said", [b"", b"\5\2", b"\5\2\1\0\5"])
async def test_a_cancellation(said: bytes) -> None:
    """It leaves nothing, at any point of the handshake."""
    with proxying(answers=(said,), ending="wait") as server:
        url = server.url(CREDENTIALS["socks5"])
        task = asyncio.create_task(proxy.connect("192.0.2.1", 80, proxy=url))
        while not server.has_answered.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give this end of a connection, and the proxy's end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def talk(sock: socket.socket) -> ProxyHandshake:
    """Return a handshake with an HTTP proxy over *sock*."""
    (hop,) = hops_of("http://a:1")
    channel = SocketChannel(asyncio.get_running_loop(), sock, None)
    return ProxyHandshake(channel, hop, "")


async def test_octet_by_octet(pair: tuple[socket.socket, socket.socket]) -> None:
    """The end of the head is found wherever it is cut, and nothing more is read."""
    ours, theirs = pair
    asking = asyncio.create_task(talk(ours).request("x", 80))
    await asyncio.sleep(0)  # until it has sent the request
    for octet in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r":
        theirs.send(bytes([octet]))
        with contextlib.suppress(BlockingIOError):
            while ours.recv(1, socket.MSG_PEEK):
                await asyncio.sleep(0)
    theirs.send(b"\n220 x")
    await asking
    assert ours.recv(100) == b"220 x"


async def test_closed_before_anything_is_sent(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The kernel may report it in several ways."""
    ours, theirs = pair
    theirs.close()
    with pytest.raises(AttemptError) as caught:
        await talk(ours).request("x", 80)
    assert caught.value.error.errno == errno.ECONNRESET


async def test_reset_before_it_is_answered(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    asking = asyncio.create_task(talk(ours).request("x", 80))
    await asyncio.sleep(0)
    theirs.close()  # while data is unread
    with pytest.raises(AttemptError) as caught:
        await asking
    assert caught.value.error.errno == errno.ECONNRESET


# Options.


async def test_until_the_target_is_up() -> None:
    events = Recorder()
    with proxying() as server, unused_port() as port:

        def observe(event: Any) -> None:
            events(event)
            if len(events.of(AttemptFailed)) == 3 and not opened:
                opened.append(port.listen())

        opened: list[object] = []
        sock = await proxy.connect(
            port.host,
            port.port,
            proxy=server.url(),
            retry=(0,) * 9,
            retry_on=is_refused,
            observer=observe,
        )
        sock.close()
    failed = events.of(AttemptFailed)
    assert [one.attempt.phase for one in failed] == ["proxy"] * 3
    assert str(events.only(Connected).address) == f"{server.host}:{server.port}"


async def test_the_first_proxy_is_raced() -> None:
    """An address of the proxy that refuses costs nothing."""
    with proxying() as server, echoing() as echo:
        resolver = StaticResolver({"proxy.test": ["127.0.0.9", server.host]})
        url = f"socks5://proxy.test:{server.port}"
        streams = await proxy.open_connection(
            echo.host, echo.port, proxy=url, resolver=resolver
        )
        assert await answers(streams)


# How the first address of a proxy breaks: its ending, and its answer if it has one.
BROKEN: dict[str, tuple[Ending, dict[str, bytes]]] = {
    "stalls": ("wait", {}),
    "closes": ("close", {}),
    "resets": ("reset", {}),
    "refuses": (
        "close",
        {"socks4": b"\0\x5b" + bytes(6), "socks5": b"\5\xff", "http": HTTP_REFUSAL},
    ),
}


@contextlib.contextmanager
def two_addresses(
    kind: Kind, way: str, **second: Any
) -> Iterator[tuple[ProxyServer, ProxyServer, ProxyConnector, Recorder]]:
    """Give a proxy's two addresses, the first of which is broken, and a connector."""
    ending, answers = BROKEN[way]
    answer = (answers.get(kind, b""),)
    with on_one_port(
        partial(proxying, kind, host="127.0.0.2", answers=answer * 9, ending=ending),
        lambda port: proxying(kind, port=port, **second),
    ) as (first, other):
        events = Recorder()
        connector = Connector(
            resolver=StaticResolver({"proxy.test": [first.host, other.host]}),
            # Only silence is waited for.
            happy_eyeballs_delay=0.01 if way == "stalls" else 2.0,
            timeout=60,
            observer=events,
        )
        url = f"{kind}://proxy.test:{first.port}"
        yield first, other, ProxyConnector(proxy=url, connector=connector), events


def check_race(
    way: str, first: ProxyServer, other: ProxyServer, events: Recorder
) -> None:
    """Check that each address was connected to once, and what became of it."""
    assert first.has_accepted.wait(60)
    assert (first.connections, other.connections) == (1, 1)
    assert str(events.only(Connected).address) == f"{other.host}:{other.port}"
    failed = [one.attempt.phase for one in events.of(AttemptFailed)]
    assert failed == [] if way == "stalls" else ["proxy"]


class Greeting(asyncio.Protocol):
    """A client that greets, and keeps the first answer."""

    def __init__(self) -> None:
        self.events: list[str] = []
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[bytes] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_proxy_whose_first_address_is_broken(
    echo: EchoServer, kind: Kind, way: str
) -> None:
    """It is a failure of that address, and the other one is used."""
    loop = asyncio.get_running_loop()
    with two_addresses(kind, way) as (first, other, through, events):
        async with leak_check():
            with await through.connect(echo.host, echo.port) as sock:
                await loop.sock_sendall(sock, b"hello")
                assert await loop.sock_recv(sock, 5) == b"hello"
        check_race(way, first, other, events)
    assert echo.connections == 1


@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_tls_through_a_proxy_whose_first_address_is_broken(
    kind: Kind, way: str
) -> None:
    with (
        tls_echoing() as echo,
        two_addresses(kind, way) as (first, other, through, events),
    ):
        async with leak_check():
            streams = await through.open_connection(
                echo.host, echo.port, ssl=echo.client_context
            )
            assert await answers(streams)
        check_race(way, first, other, events)
        assert echo.connections == 1


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("way", BROKEN)
async def test_a_factory_is_called_once_for_two_proxies(way: str, is_tls: bool) -> None:
    """Most factories give the same protocol each time: only the winner's gets it."""
    with (
        tls_echoing() if is_tls else echoing() as echo,
        two_addresses("socks5", way) as (first, other, through, events),
    ):
        context = echo.client_context if isinstance(echo, TLSEchoServer) else None
        made: list[Greeting] = []

        def factory() -> Greeting:
            made.append(Greeting())
            return made[-1]

        transport, protocol = await through.create_connection(
            factory, echo.host, echo.port, ssl=context
        )
        assert made == [protocol]
        assert await asyncio.wait_for(protocol.answer, 60) == b"hello"
        transport.abort()
        while protocol.events != ["made", "lost"]:
            await asyncio.sleep(0)
        check_race(way, first, other, events)
        assert echo.connections == 1


async def test_a_target_that_stalls_behind_the_first_address() -> None:
    """TLS with the target belongs to the attempt: the proxy's other address is used."""
    with (
        on_one_port(
            partial(tls_echoing, names=["db.test"]),
            lambda port: listening("127.0.0.2", port=port),
        ) as (echo, silent),
        on_one_port(
            partial(proxying, host="127.0.0.2", names={"db.test": silent.host}),
            lambda port: proxying(port=port, names={"db.test": echo.host}),
        ) as (first, other),
    ):
        streams = await proxy.open_connection(
            "db.test",
            echo.port,
            proxy=f"socks5h://proxy.test:{first.port}",
            ssl=echo.client_context,
            resolver=StaticResolver({"proxy.test": [first.host, other.host]}),
            happy_eyeballs_delay=0.5,  # time enough to get to the target
            timeout=60,
        )
        assert await answers(streams)
        assert first.asked == other.asked == [("db.test", echo.port)]
        assert echo.connections == 1


async def test_no_proxy_works() -> None:
    """The error names each address with its phase."""
    with on_one_port(
        partial(proxying, "http", host="127.0.0.2", answers=(HTTP_REFUSAL,) * 9),
        lambda port: proxying("http", port=port, answers=(b"",) * 9),
    ) as (first, other):
        resolver = StaticResolver({"proxy.test": [first.host, other.host]})
        error = await failure(
            f"http://proxy.test:{first.port}", resolver=resolver, timeout=60
        )
        assert (first.connections, other.connections) == (1, 1)
    tried = [(one.phase, str(one.address)) for one in error.attempts]
    assert tried == [("proxy", f"{one.host}:{one.port}") for one in (first, other)], (
        error
    )
    assert type(error) is ConnectError


async def test_prepare_and_local_addr(echo: EchoServer) -> None:
    """They apply to the connection to the proxy, which is the only one."""
    seen: list[Address] = []
    with proxying() as server:
        sock = await proxy.connect(
            echo.host,
            echo.port,
            proxy=server.url(),
            prepare=[lambda _, address: seen.append(address)],
            local_addr=("127.0.0.3", 0),
        )
        with sock:
            assert sock.getsockname()[0] == "127.0.0.3"
        assert list(map(str, seen)) == [f"{server.host}:{server.port}"]


async def test_ready_gets_the_result(echo: EchoServer) -> None:
    async def ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"?")
        asked.append(await reader.readexactly(1))
        return len(asked) == 2

    asked: list[bytes] = []
    with proxying() as server:
        streams = await proxy.open_connection(
            echo.host, echo.port, proxy=server.url(), ready=ready, retry=(0,)
        )
        assert await answers(streams)
    assert asked == [b"?", b"?"]


async def test_a_mistake_is_raised(echo: EchoServer) -> None:
    def factory() -> asyncio.Protocol:
        raise ZeroDivisionError

    with proxying() as server, pytest.raises(ZeroDivisionError):
        await proxy.create_connection(factory, echo.host, echo.port, proxy=server.url())


# TLS.


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_to_the_target(kind: Kind) -> None:
    """The verified name is the target's."""
    with tls_echoing() as echo, proxying(kind) as server:
        through = ProxyConnector(proxy=server.url())
        streams = await through.open_connection(
            echo.host, echo.port, ssl=echo.client_context
        )
        assert await answers(streams)
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            await through.open_connection(
                echo.host,
                echo.port,
                ssl=echo.client_context,
                server_hostname="wrong.test",
            )
    assert isinstance(caught.value, ConnectError)
    assert only(caught.value).phase == "tls"


async def test_no_handshake_of_the_target() -> None:
    with tls_echoing(silent=True) as echo, proxying() as server:
        through = ProxyConnector(proxy=server.url(), connector=Connector(timeout=1))
        context = echo.client_context
        with pytest.raises(ConnectTimeoutError) as caught:
            await through.open_connection(echo.host, echo.port, ssl=context)
    assert only(caught.value).phase == "tls"


# The guard.


@pytest.mark.parametrize(
    ("scheme", "host", "text"),
    [
        ("socks5h", "127.0.0.1", "127.0.0.1:80: guard: not allowed"),
        ("socks5", "db.test", "db.test:80: guard: not allowed"),
        ("socks5h", "db.test", "db.test:80: guard: the proxy looks it up: use"),
        ("http", "127.1.test", "guard: the proxy looks it up"),
    ],
)
async def test_the_target_is_guarded(scheme: str, host: str, text: str) -> None:
    """It is refused before the proxy is connected, and not retried."""
    events = Recorder()
    asked: list[str] = []

    def allow(ip: Any, port: int) -> bool:
        asked.append(f"{ip}:{port}")
        return port != 80

    with pytest.raises(AddressBlockedError) as caught:
        await proxy.connect(
            host,
            80,
            proxy=f"{scheme}://127.0.0.1:1",
            resolver=StaticResolver({"db.test": ["127.0.0.1"]}),
            allow=allow,
            observer=events,
            retry=(0, 0),
            retry_on=lambda _: True,
        )
    assert text in str(caught.value)
    assert phase(caught.value) == ("guard", errno.EACCES)
    assert asked == (["127.0.0.1:80"] if "not allowed" in text else [])
    events.assert_none("AttemptStarted", "RetryScheduled")
    assert events.only(GaveUp).error is caught.value


async def test_a_guarded_target_that_is_allowed(echo: EchoServer) -> None:
    asked: list[int] = []

    def allow(ip: Any, port: int) -> bool:
        asked.append(port)
        return True

    with proxying() as server:
        streams = await proxy.open_connection(
            "localhost", echo.port, proxy=server.url(), allow=allow
        )
        assert await answers(streams)
        assert asked == [echo.port, server.port]


async def test_the_proxy_is_guarded_too() -> None:
    with pytest.raises(AddressBlockedError) as caught:
        await proxy.connect(
            "1.1.1.1", 80, proxy="socks5://127.0.0.1:1", allow=only_public
        )
    assert "127.0.0.1:1: guard: not allowed" in str(caught.value)


# Chains.


async def test_a_chain(echo: EchoServer) -> None:
    """Each proxy is asked for the next one, and the last for the target."""
    with (
        proxying("socks4") as first,
        proxying("http", names={}, credentials=(USER, PASSWORD)) as second,
        proxying("socks5") as third,
        refusing() as nobody,
    ):
        urls = [first.url(), second.url(CREDENTIALS["http"]), third.url()]
        through = ProxyConnector(proxy=urls)
        assert await answers(await through.open_connection(echo.host, echo.port))
        assert first.asked == [(second.host, second.port)]
        assert second.asked == [(third.host, third.port)]
        assert third.asked == [(echo.host, echo.port)]
        with pytest.raises(ConnectRefusedError) as caught:
            await through.connect(nobody.host, nobody.port)
        at = [f"{one.host}:{one.port}" for one in (first, second, third)]
        assert str(caught.value).startswith(
            f"cannot connect to {nobody.host}:{nobody.port} through {at[2]}"
            f" through {at[1]} through {at[0]}: {at[0]}: proxy: {at[2]}: Connection"
        )
        with pytest.raises(ConnectPermissionError, match=f"{at[1]}: 407 Proxy Auth"):
            await proxy.connect(
                echo.host, echo.port, proxy=[urls[0], second.url("a:b"), urls[2]]
            )


async def test_a_chain_of_names(echo: EchoServer) -> None:
    """The scheme of each proxy says who looks up the name it is asked for."""
    with proxying(names={"second.test": "127.0.0.1"}) as first, proxying() as second:
        streams = await proxy.open_connection(
            "db.test",
            echo.port,
            proxy=(
                first.url(scheme="socks5h"),
                f"socks5://second.test:{second.port}",
            ),
            resolver=StaticResolver({"db.test": [echo.host]}),
        )
        assert await answers(streams)
        assert first.asked == [("second.test", second.port)]
        assert second.asked == [(echo.host, echo.port)]


async def test_a_chain_that_is_silent() -> None:
    with proxying() as first, proxying(answers=(b"",), ending="wait") as second:
        through = ProxyConnector(
            proxy=[first.url(), second.url()], connector=Connector(timeout=1)
        )
        error = await failure(through)
    assert f"{second.host}:{second.port}: the proxy has not answered" in str(error)


# Values.


def test_a_value() -> None:
    through = ProxyConnector(proxy=["http://a:1"], connector=Connector(timeout=3))
    assert pickle.loads(pickle.dumps(through)) == through
    same = ProxyConnector(proxy=("http://a:1",), connector=Connector(timeout=3))
    assert {through, same} == {through}
    assert through != ProxyConnector(proxy=["http://a:2"])
    with pytest.raises(FrozenInstanceError):
        through.proxy = "http://b:1"  # type: ignore[misc]  # it is frozen


@pytest.mark.parametrize(
    "url",
    [
        "socks5h://us%40r:p%3Aw@host:1080",
        "SOCKS5://host:1080/",
        "socks4://user@127.0.0.1:1",
        "socks4a://[::1]:1",
        "http://key:@proxy.example:3128",
        "http://u:p%C3%B6@h:1",
        "http://ü:secret%E2%82%AC@h:1",
        "http://u:" + 4096 * "p" + "@h:1",
        "socks5://u:@h:1",
        "socks5://ü:%C3%B6@h:1",
        "socks4://ü@h:1",
        "http://u:a:b@h:1",
        "http://bücher.example:65535",
        "socks5://%20:%20@h:1",
    ],
)
def test_urls_that_are_taken(url: str) -> None:
    assert ProxyConnector(proxy=url).proxy == url


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "proxy is no URL like scheme://user:password@host:port"),
        ("hidden:secret", "proxy is no URL"),
        ("hidden:secret@host:1080", "proxy is no URL"),
        ("//hidden:secret@host:1080", "proxy is no URL"),
        ("httpx://hidden:secret@host:1080", "the scheme httpx is none of http, https"),
        ("socks://hidden:secret@host:1080", "the scheme socks is none of"),
        ("socks5://hidden:sec/ret@host:1080", "is written %XX"),
        ("socks5://hidden:sec@ret@host:1080", "is written %XX"),
        ("socks5://hidden:sec#ret@host:1080", "is written %XX"),
        ("socks5://hidden:secret@host:1080/path", "proxy is no URL"),
        ("socks5://hidden:secret@host:1080?rdns=1", "proxy is no URL"),
        ("socks5://hidden:secret@host:1080\n", "proxy is no URL|port is missing"),
        ("socks5://hidden:secret@host", "the host or the port is missing"),
        ("socks5://hidden:secret@host:", "the host or the port is missing"),
        ("socks5://hidden:secret@:1080", "the host or the port is missing"),
        ("socks5://hidden:secret", "the host or the port is missing"),
        ("socks5://hidden:secret@host:0", "or cannot be one"),
        ("socks5://hidden:secret@host:65536", "or cannot be one"),
        ("socks5://hidden:secret@host:http", "or cannot be one"),
        ("socks5://hidden:secret@[host]:1", "or cannot be one"),
        ("socks5://hidden:secret@[]:1", "or cannot be one"),
        ("socks5://hidden:secret@[127.0.0.1]:1", "or cannot be one"),
        ("socks5://hidden:secret@::1:1", "proxy is no URL"),
        ("socks5://hidden:secret@ho st:1", "or cannot be one"),
        ("socks5://hidden:secret@" + "x" * 64 + ":1", "or cannot be one"),
        ("socks5://hidden:secret%@host:1", "socks5 takes a user and a password"),
        ("socks5://hidden:secret%zz@host:1", "socks5 takes a user and a password"),
        ("socks5://hidden:secret%ff@host:1", "socks5 takes a user and a password"),
        ("socks5://hidden:secret\ud800@host:1", "socks5 takes a user and a password"),
        ("socks5://hidden:secret%00@host:1", "of up to 255 octets"),
        ("socks5h://hidden@host:1", "socks5h takes a user and a password"),
        ("socks5://:secret@host:1", "socks5 takes a user and a password"),
        ("socks5://@host:1", "socks5 takes a user and a password"),
        ("socks5://hidden:secret" + "x" * 250 + "@host:1", "of up to 255 octets"),
        ("socks5://hidden:secret" + "ö" * 125 + "@host:1", "of up to 255 octets"),
        ("socks4://hiddensecret" + "ö" * 125 + "@host:1", "of up to 255 octets"),
        ("socks4://hidden:secret@host:1", "socks4 takes a user .*, no password"),
        ("socks4a://hidden%00secret@host:1", "socks4a takes a user"),
        ("socks4://@host:1", "socks4 takes a user"),
        ("http://hidden@host:1", "http takes a user without a colon and a password"),
        ("http://hidden%3Asecret:x@host:1", "http takes a user without a colon"),
        ("http://hidden:secret" + "x" * 4096 + "@host:1", "of up to 4096 octets"),
        ("http://hidden:secret%0D%0A@host:1", "of up to 4096 octets"),
        ("http://hidden:secret%7F@host:1", "of up to 4096 octets"),
        ("http://:secret@host:1", "http takes a user"),
    ],
)
def test_urls_that_are_refused(url: str, text: str) -> None:
    """They are refused at once; the error says what would work, and no secret."""
    for proxies in (url, ["http://a:1", url]):
        with pytest.raises(ValueError, match=text) as caught:
            ProxyConnector(proxy=proxies)
        told = [str(caught.value), repr(caught.value.__cause__)]
        told.append(repr(caught.value.__context__))
        assert not [one for one in told if "secret" in one or "hidden" in one]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "proxy must be a URL, or several, not NoneType"),
        (b"http://hidden:secret@a:1", "proxy must be a URL, or several, not bytes"),
        ([b"http://hidden:secret@a:1"], "proxy must be a URL, not bytes"),
        (["http://a:1", None], "proxy must be a URL, not NoneType"),
        (iter(["http://a:1"]), "proxy must be a URL, or several, not list_iterator"),
    ],
)
def test_no_proxy(value: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text) as caught:
        ProxyConnector(proxy=value)
    assert "secret" not in str(caught.value)


def test_no_proxy_at_all() -> None:
    with pytest.raises(ValueError, match="proxy is empty"):
        ProxyConnector(proxy=[])


def test_no_connector() -> None:
    connector: Any = "http://a:1"
    with pytest.raises(TypeError, match="connector must be a Connector"):
        ProxyConnector(proxy="http://a:1", connector=connector)


def test_a_connector_of_a_chain() -> None:
    """The error says where the proxies go, and how to give an option."""
    through = ProxyConnector(proxy="http://hidden:secret@a:1")
    with pytest.raises(TypeError, match=r"all proxies of a chain in proxy=\[...\]"):
        ProxyConnector(proxy="http://b:1", connector=through)
    with pytest.raises(TypeError, match="give retry, timeout to the connector"):
        ProxyConnector(proxy="http://b:1", connector=Connector(), timeout=1, retry=())


@pytest.mark.parametrize(
    ("scheme", "host", "text"),
    [
        ("socks4", "::1", "socks4 does not support IPv6, use socks5 or http"),
        ("socks4a", "2001:db8::1", "socks4a does not support IPv6"),
        ("socks5", "fe80::1%1", "a proxy does not support scope ids"),
        ("socks5h", "fe80::1%eth0", "a proxy does not support scope ids"),
        ("socks5h", "127.1", "neither a name nor an address that a proxy knows"),
        ("http", "010.0.0.1", "neither a name nor an address"),
        ("http", "1.2.3.4.", "neither a name nor an address"),
        ("http", "a:80", "has a port in it"),
        ("http", "a\uff1a80", "neither a name nor an address"),
        ("http", "a/b", "neither a name nor an address"),
        ("socks5h", "a\x01b", "neither a name nor an address"),
        ("http", "a..b", "is not a host name"),
        ("http", "a b", "white space"),
        ("http", "", "host is empty"),
    ],
)
async def test_hosts_that_no_proxy_can_connect_to(
    scheme: str, host: str, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        await proxy.connect(host, 80, proxy=f"{scheme}://127.0.0.1:1")
    with pytest.raises(ValueError, match="port must be between"):
        await proxy.connect("x", 65536, proxy=f"{scheme}://127.0.0.1:1")


def test_a_bad_chain() -> None:
    with pytest.raises(ValueError, match="socks4 does not support IPv6"):
        ProxyConnector(proxy=["socks4://a:1", "http://[::1]:1"])


async def test_other_arguments_are_checked_at_once() -> None:
    through = ProxyConnector(proxy="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="limit must be more than 0"):
        await through.open_connection("x", 1, limit=0)
    with pytest.raises(ValueError, match="server_hostname is only meaningful"):
        await through.create_connection(asyncio.Protocol, "x", 1, server_hostname="y")
    with pytest.raises(TypeError, match="timeot"):
        await proxy.connect("x", 1, proxy="http://a:1", timeot=1)  # type: ignore[call-arg]  # misspelt
    with pytest.raises(ValueError, match="timeout"):
        await proxy.connect("x", 1, proxy="http://a:1", timeout=-1)

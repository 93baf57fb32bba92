"""The checks, over sockets, streams and transports, against servers with a script."""

from __future__ import annotations

import asyncio
import errno
import pickle
import re
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from answering import answering
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import run_script

import aioconnect
from aioconnect import Connector, checks, is_transient
from aioconnect._io.conversation import MOST_RECEIVED
from aioconnect._io.transports import discard_connection
from aioconnect.checks import Check
from aioconnect.testing import (
    Recorder,
    TLSEchoServer,
    listening,
    tls_echoing,
    unix_listening,
)
from aioconnect.testing._ports import close_with_reset

# A check, an answer that is ready, and one that is not, with what it says.
SCRIPTS: dict[str, tuple[Check, bytes, bytes, str]] = {
    "http": (
        checks.http("/health"),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\n\r\n",
        "503 Service Unavailable",
    ),
    "postgres": (
        checks.postgres,
        b"R\0\0\0\x08\0\0\0\0",
        b"E\0\0\0\x27C57P03\0Mthe database is starting up\0\0",
        "the database is starting up",
    ),
    "redis": (
        checks.redis,
        b"+PONG\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        "LOADING Redis is loading the dataset in memory",
    ),
    "amqp": (
        checks.amqp,
        b"\x01\0\0\0\0\x02\0\0\x0a\0\x0a\0\x09",
        b"AMQP\0\x01\0\0",
        "the peer speaks AMQP 1.0.0, and not 0-9-1",
    ),
    "mysql": (
        checks.mysql,
        b"\x0b\0\0\x02\xff\x15\x04#28000no",
        b"\x0b\0\0\x02\xff\x10\x04Too many",
        "Too many",
    ),
    "kafka": (
        checks.kafka,
        b"\0\0\0\x0aaioc\0\0\0\0\0\0",
        b"\0\0\0\x06aioc\0\x08",
        "error 8 of Kafka",
    ),
}

# What a MySQL says first.
MYSQL_GREETING = b"\x0f\0\0\0\x0a11.4.2-Maria\0\0"


def greeting_of(check: Check) -> bytes:
    """Return what the service of *check* says before it is asked."""
    return MYSQL_GREETING if check is checks.mysql else b""


ALL = pytest.mark.parametrize(
    ("check", "good", "bad", "why"), SCRIPTS.values(), ids=list(SCRIPTS)
)
EACH = pytest.mark.parametrize(
    "check", [check for check, *_ in SCRIPTS.values()], ids=list(SCRIPTS)
)

Connect = Callable[..., Awaitable[Any]]


async def create_connection(host: str, port: int, **options: Any) -> Any:
    return await aioconnect.create_connection(asyncio.Protocol, host, port, **options)


CONNECTS: dict[str, Connect] = {
    "socket": aioconnect.connect,
    "streams": aioconnect.open_connection,
    "transport": create_connection,
}
OVER = pytest.mark.parametrize("connect", CONNECTS.values(), ids=list(CONNECTS))


async def discard(connection: Any) -> None:
    discard_connection(connection)
    await asyncio.sleep(0)


@ALL
@OVER
async def test_ready(
    connect: Connect, check: Check, good: bytes, bad: bytes, why: str
) -> None:
    """A check passes, and leaves the connection open."""
    async with answering(good, greeting=greeting_of(check)) as server:
        connection = await connect(server.host, server.port, ready=check, timeout=30)
        await discard(connection)


@ALL
@OVER
async def test_not_ready(
    connect: Connect, check: Check, good: bytes, bad: bytes, why: str
) -> None:
    """The error repeats what the service said, and a wait goes on after it."""
    async with answering(bad, greeting=greeting_of(check)) as server:
        with pytest.raises(aioconnect.ConnectAbortedError) as caught:
            await connect(server.host, server.port, ready=check, timeout=30)
    (attempt,) = caught.value.attempts
    assert attempt.phase == "ready"
    assert attempt.error.strerror == why  # type: ignore[attr-defined]  # an OSError
    # A sentence's first letter is small there.
    assert f"ready: {why} (".lower() in str(caught.value).lower()
    assert is_transient(caught.value)


@ALL
async def test_a_wait_goes_on_until_it_is_ready(
    check: Check, good: bytes, bad: bytes, why: str
) -> None:
    recorder = Recorder()
    async with answering(bad, bad, good, greeting=greeting_of(check)) as server:
        await aioconnect.wait_until_up(
            *(server.host, server.port),
            ready=check,
            timeout=60,
            retry=(0, 0),
            observer=recorder,
        )
    failed = recorder.of(aioconnect.AttemptFailed)
    assert [one.attempt.error.strerror for one in failed] == [why, why]  # type: ignore[attr-defined]  # an OSError


@ALL
@OVER
async def test_a_byte_at_a_time(
    connect: Connect, check: Check, good: bytes, bad: bytes, why: str
) -> None:
    """An answer in pieces is an answer."""
    loop = asyncio.get_running_loop()
    with listening() as server:
        connecting = asyncio.ensure_future(
            connect(server.host, server.port, ready=check, timeout=30)
        )
        conn, _ = await loop.sock_accept(server.sock)
        with conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for answer in (greeting_of(check), good):
                for position in range(len(answer)):
                    await loop.sock_sendall(conn, answer[position : position + 1])
                    await asyncio.sleep(0)
                if answer is not good:
                    await loop.sock_recv(conn, 4096)  # the request
            await discard(await connecting)


@EACH
@OVER
async def test_nothing_comes(connect: Connect, check: Check) -> None:
    """The attempt's time ends a check of a peer that says nothing."""
    with listening() as server:
        with pytest.raises(
            aioconnect.ConnectTimeoutError, match="ready: no answer yet"
        ):
            await connect(server.host, server.port, ready=check, attempt_timeout=0.05)
        server.accept().close()


@EACH
@OVER
async def test_it_closes(connect: Connect, check: Check) -> None:
    async with answering(b"", greets=True, closes=True) as server:
        with pytest.raises(
            OSError, match="has closed the connection without an answer"
        ):
            await connect(server.host, server.port, ready=check, timeout=30)


@EACH
@OVER
async def test_something_else_is_there(connect: Connect, check: Check) -> None:
    """An SSH server behind the port of another service is not ready, and is quoted."""
    banner = b"SSH-2.0-OpenSSH_9.6\r\n"
    async with answering(banner, greets=True) as server:
        with pytest.raises(OSError, match=r"'SSH-2\.0-OpenSSH_9\.6', which is not "):
            await connect(server.host, server.port, ready=check, timeout=30)


@pytest.mark.parametrize("kind", [b"\xfe", b"\x01"], ids=["method", "more"])
async def test_mysql_is_answered_to_the_end(kind: bytes) -> None:
    """A login that stops half-way is an error of its host, which MySQL blocks then."""
    asks, denies = b"\x06\0\0\x02" + kind + b"sha2\0", SCRIPTS["mysql"][1]
    loop = asyncio.get_running_loop()
    with listening() as server:
        connecting = asyncio.ensure_future(
            aioconnect.connect(server.host, server.port, ready=checks.mysql, timeout=30)
        )
        conn, _ = await loop.sock_accept(server.sock)
        with conn:
            await loop.sock_sendall(conn, MYSQL_GREETING)
            login = await loop.sock_recv(conn, 4096)
            assert int.from_bytes(login[:3], "little") == len(login) - 4
            assert login[3] == 1
            assert b"aioconnect\0\0" in login  # a user, and no password
            await loop.sock_sendall(conn, asks)
            assert await loop.sock_recv(conn, 4096) == b"\0\0\0\x03"
            await loop.sock_sendall(conn, denies.replace(b"\x02", b"\x04", 1))
            (await connecting).close()


async def test_a_flood_is_cut_off() -> None:
    """A check reads 64 kB and no more, whatever it makes of them."""
    receive: list[int] = []

    class Counting:
        """A socket that counts what is read of it."""

        def __init__(self, sock: socket.socket) -> None:
            self.fileno, self._sock = sock.fileno, sock

        def recv(self, size: int) -> bytes:
            data = self._sock.recv(size)
            receive.append(len(data))
            return data

    def never(data: bytes) -> bool:
        return False

    patient = Check("patient", checks._Exchange(b"", never))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        flooding = loop.create_task(loop.sock_sendall(theirs, bytes(1 << 20)))
        with pytest.raises(ConnectionAbortedError, match="more than 64 kB came"):
            await patient(cast("socket.socket", Counting(ours)))
        flooding.cancel()
        await asyncio.wait([flooding])
    assert sum(receive) == MOST_RECEIVED


async def test_a_flood_of_a_transport() -> None:
    """The protocol of a check keeps a limited number of bytes, too."""

    def never(data: bytes) -> bool:
        return False

    patient = Check("patient", checks._Exchange(b"", never))
    async with answering(bytes(1 << 20), greets=True) as server:
        with pytest.raises(OSError, match="ready: "):
            await create_connection(server.host, server.port, ready=patient, timeout=30)


class Noting(asyncio.Protocol):
    """A protocol that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> None:
        self.told.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set_result(None)


async def test_the_protocol_is_given_back() -> None:
    """The protocol of a transport sees what comes after the check, and not before."""
    loop = asyncio.get_running_loop()
    with listening() as server:
        connecting = asyncio.ensure_future(
            aioconnect.create_connection(
                Noting, server.host, server.port, ready=checks.redis, timeout=30
            )
        )
        conn, _ = await loop.sock_accept(server.sock)
        with conn:
            assert await loop.sock_recv(conn, 100) == b"*1\r\n$4\r\nPING\r\n"
            await loop.sock_sendall(conn, b"+PONG\r\n")
            transport, protocol = await connecting
            assert transport.get_protocol() is protocol
            await loop.sock_sendall(conn, b"later")
        await protocol.lost
    assert b"".join(one for one in protocol.told if isinstance(one, bytes)) == b"later"
    assert protocol.told[-2:] == ["eof", "lost"]


async def test_the_protocol_learns_of_the_end() -> None:
    """It is told, even if the connection ends during the check."""
    protocol = Noting()
    async with answering(b"-ERR\r\n", closes=True) as server:
        with pytest.raises(OSError, match="ready: ERR"):
            await aioconnect.create_connection(
                lambda: protocol,
                *(server.host, server.port),
                ready=checks.redis,
                timeout=30,
            )
        await protocol.lost
    assert protocol.told[-1] == "lost"


async def test_the_protocol_learns_of_a_reset() -> None:
    """It is told that the connection is lost, if that ends the check."""
    protocol = Noting()
    loop = asyncio.get_running_loop()
    with listening() as server:
        connecting = asyncio.ensure_future(
            aioconnect.create_connection(
                lambda: protocol,
                *(server.host, server.port),
                ready=checks.redis,
                timeout=30,
            )
        )
        conn, _ = await loop.sock_accept(server.sock)
        await loop.sock_recv(conn, 100)
        close_with_reset(conn)
        with pytest.raises(OSError, match="ready: "):
            await connecting
    await asyncio.wait_for(protocol.lost, 10)
    assert protocol.told == ["lost"]


def test_a_query_is_not_shown() -> None:
    """It may be a secret."""
    assert "secret" not in repr(checks.http("/health?token=secret"))
    assert repr(checks.http("/health?token=secret")) == "checks.http('/health?...')"


async def test_a_wait_limits_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that accepts and says nothing holds no look for ever."""
    monkeypatch.setattr(Check, "attempt_timeout", 0.05)
    loop = asyncio.get_running_loop()
    with listening() as server:
        waiting = asyncio.ensure_future(
            aioconnect.wait_until_up(
                server.host, server.port, ready=checks.redis, timeout=60
            )
        )
        silent, _ = await loop.sock_accept(server.sock)
        with silent:
            conn, _ = await loop.sock_accept(server.sock)
        with conn:
            await loop.sock_sendall(conn, b"+PONG\r\n")
            await waiting


async def test_a_peer_without_tls() -> None:
    """The reason is for people, and has no words of OpenSSL's developers."""
    bare = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    async with answering(bare) as server:
        with pytest.raises(OSError, match=r"ready: the peer does not speak TLS \("):
            await aioconnect.connect(
                *(server.host, server.port),
                ready=checks.tls(insecure=True),
                timeout=30,
            )
    async with answering(b"", closes=True) as server:
        with pytest.raises(OSError, match=r"closed the connection without an answer"):
            await aioconnect.connect(
                *(server.host, server.port),
                ready=checks.tls(insecure=True),
                timeout=30,
            )


async def test_a_certificate_that_does_not_verify() -> None:
    with (
        tls_echoing() as server,
        pytest.raises(OSError, match="ready: certificate verify failed") as caught,
    ):
        await aioconnect.connect(
            *(server.host, server.port), ready=checks.tls(host="x.test"), timeout=30
        )
    assert "_ssl" not in str(caught.value)
    assert "[SSL" not in str(caught.value)


async def test_what_http_sends() -> None:
    """Host is the peer's address, or the name that is given."""
    ok = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with answering(ok) as server:
        for check in (checks.http("/a?b=c"), checks.http(host="example.org:81")):
            sock = await aioconnect.connect(server.host, server.port, ready=check)
            sock.close()
    first, second = server.requests
    assert first.decode().splitlines() == [
        "GET /a?b=c HTTP/1.1",
        f"Host: {server.host}:{server.port}",
        "User-Agent: aioconnect",
        "Accept: */*",
        "Connection: close",
        "",
    ]
    assert b"\r\nHost: example.org:81\r\n" in second


async def test_host_of_a_unix_socket() -> None:
    loop = asyncio.get_running_loop()
    with unix_listening() as server:
        check = checks.http(status=range(204, 205))
        connecting = asyncio.ensure_future(
            aioconnect.connect_unix(server.path, ready=check, timeout=30)
        )
        conn, _ = await loop.sock_accept(server.sock)
        with conn:
            assert b"\r\nHost: localhost\r\n" in await loop.sock_recv(conn, 4096)
            await loop.sock_sendall(conn, b"HTTP/1.1 204 No Content\r\n\r\n")
            (await connecting).close()


async def test_a_status_outside_the_range() -> None:
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        check = checks.http(status=range(200, 201))
        with pytest.raises(OSError, match="204 No Content"):
            await aioconnect.connect(server.host, server.port, ready=check)


@pytest.fixture
def tls_server() -> Any:
    """Give a TLS server, whose certificate is for localhost and 127.0.0.1."""
    with tls_echoing() as server:
        yield server


ECHOED = Check("echoed", checks._Exchange(b"ping", lambda data: data == b"ping"))


@OVER
@pytest.mark.parametrize("inner", [None, ECHOED])
async def test_tls(
    connect: Connect, inner: Check | None, tls_server: TLSEchoServer
) -> None:
    """The handshake is verified, and a check within it talks through TLS."""
    context = tls_server.client_context
    check = checks.tls(inner, host="localhost", ssl=context)
    connection = await connect("127.0.0.1", tls_server.port, ready=check, timeout=30)
    await discard(connection)


async def test_an_untrusted_certificate(tls_server: TLSEchoServer) -> None:
    """It is not ready, with the reason; *insecure* accepts it."""
    port = tls_server.port
    wrong = checks.tls(host="localhost")
    with pytest.raises(
        aioconnect.ConnectAbortedError, match="certificate verify failed"
    ):
        await aioconnect.connect("127.0.0.1", port, ready=wrong, timeout=30)
    lenient = checks.tls(ECHOED, insecure=True)
    (await aioconnect.connect("127.0.0.1", port, ready=lenient, timeout=30)).close()


async def test_another_name(tls_server: TLSEchoServer) -> None:
    check = checks.tls(host="example.org", ssl=tls_server.client_context)
    with pytest.raises(OSError, match="Hostname mismatch"):
        await aioconnect.connect("127.0.0.1", tls_server.port, ready=check, timeout=30)


@OVER
@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"", b"\x16\x03\x03\xff\xff"])
async def test_no_tls(connect: Connect, said: bytes) -> None:
    check = checks.tls(checks.redis, host="localhost")
    async with answering(said, closes=True) as server:
        with pytest.raises(aioconnect.ConnectAbortedError, match=r"ready: "):
            await connect(server.host, server.port, ready=check, timeout=30)


async def test_tls_ends_before_an_answer(tls_server: TLSEchoServer) -> None:
    """The end of the stream within TLS is one, and a reset is an OSError."""
    never = Check("never", checks._Exchange(b"x" * 10, lambda _: False))
    check = checks.tls(never, insecure=True)
    connecting = asyncio.ensure_future(
        aioconnect.connect("127.0.0.1", tls_server.port, ready=check, timeout=0.2)
    )
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await connecting


async def test_what_a_check_takes() -> None:
    with pytest.raises(
        TypeError, match="a check takes a socket, a reader and a writer"
    ):
        await checks.redis("db:6379")
    with pytest.raises(TypeError, match=r"a check takes .*, not \(\)"):
        await checks.redis()


@pytest.mark.parametrize(
    "answer",
    [
        b"GET /?token=S3CRET-VALUE HTTP/1.1\r\n",
        b"HTTP/1.1 404 no /?token=S3CRET-VALUE\r\n",
        b"HTTP/1.1 401 bad S3CRET-VALUE\r\n",
        b"HTTP/1.1 404 /?token=S3CRET-VAL",
        b"x" * 45 + b"?token=S3CRET-VALUE",
    ],
    ids=["echo", "reason", "value", "half", "cut off"],
)
async def test_a_peer_that_repeats_the_query(answer: bytes) -> None:
    """The query may be secret: what a reason repeats of it is left out."""
    check = checks.http("/?token=S3CRET-VALUE")
    async with answering(answer, closes=True) as server:
        with pytest.raises(aioconnect.ConnectAbortedError) as caught:
            await aioconnect.connect(server.host, server.port, ready=check, timeout=30)
    said = str(caught.value)
    assert "..." in said
    assert "S3CR" not in said
    for secret in (check, check.ask):
        assert "S3CR" not in repr(secret)


async def test_a_peer_that_repeats_a_short_query() -> None:
    async with answering(b"HTTP/1.1 401 no /?abc\r\n") as server:
        with pytest.raises(aioconnect.ConnectAbortedError, match=r"401 no /\?\.\.\."):
            await aioconnect.connect(
                server.host, server.port, ready=checks.http("/?abc"), timeout=30
            )


def test_a_path_of_another_type_is_not_shown() -> None:
    with pytest.raises(TypeError, match="path must be a str, not bytes: write"):
        checks.http(cast("str", b"/?token=secret"))


BAD: list[tuple[Callable[[], Check], str]] = [
    (lambda: checks.http("health"), "path: a path begins with a slash"),
    (lambda: checks.http("/a b"), "path: a path begins with a slash"),
    (lambda: checks.http("/\r\nX: y"), "path: a path begins with a slash"),
    (
        lambda: checks.http(cast("str", 7)),
        "path must be a str, not 7: write checks.http",
    ),
    (lambda: checks.http(status=cast("range", 200)), "status must be a range, not 200"),
    (lambda: checks.http(status=range(0)), "status must be between 100 and 599"),
    (lambda: checks.http(status=range(200, 700)), "status must be between 100 and 599"),
    (lambda: checks.http(status=range(9**30)), "status must be between 100 and 599"),
    (lambda: checks.http(status=range(300, 9, -1)), "status must be between 100 and"),
    (lambda: checks.http(host="a\r\nb"), "host must be name, name:port"),
    (checks.tls, "host is missing: the name to verify, unless insecure=True"),
    (lambda: checks.tls(cast("Check", print)), "check must be a Check"),
    (lambda: checks.tls(host="a:b"), "host"),
    (lambda: checks.tls(host=cast("str", 7)), "host must be a str"),
    (
        lambda: checks.tls(insecure=True, ssl=ssl.create_default_context()),
        "insecure is for the default context",
    ),
]


@pytest.mark.parametrize(("make", "why"), BAD, ids=range(len(BAD)))
def test_bad_arguments(make: Callable[[], Check], why: str) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert why in str(caught.value)


def test_a_check_is_a_value() -> None:
    """It compares, hashes and pickles, so that a Connector with it does, too."""
    for check in (checks.redis, checks.http("/x")):
        made = Connector(ready=check)
        assert pickle.loads(pickle.dumps(made)) == made
        assert hash(pickle.loads(pickle.dumps(made))) == hash(made)
    assert checks.http("/x") == checks.http("/x") != checks.http("/y")
    assert repr(checks.http("/x")) == "checks.http('/x')"
    named = checks.tls(checks.redis, insecure=True)
    assert repr(named) == "checks.tls(redis)"


@EACH
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_peer_sends(
    check: Check, loop_factory: Any, data: st.DataObject
) -> None:
    """It is ready, or not ready for a reason, within bounds, and in time."""
    known = [answer for _, good, bad, _ in SCRIPTS.values() for answer in (good, bad)]
    pieces = data.draw(
        st.lists(st.binary(max_size=80) | st.sampled_from(known), max_size=4)
    )
    size = data.draw(st.sampled_from([0, 0, 0, 100_000]))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        taken = runner.run(_ask(check, b"".join(pieces) + b"x" * size))
    assert taken <= MOST_RECEIVED


async def _ask(check: Check, data: bytes) -> int:
    """Return how many bytes of *data* the check took; then the stream ends."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.settimeout(10)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        try:
            async with asyncio.timeout(10):
                await check(ours)
        except OSError as exc:
            assert not isinstance(exc, TimeoutError)
            assert is_transient(exc)
            assert str(exc).isprintable()
            assert exc.errno in (errno.ECONNABORTED, errno.ECONNRESET)
        left = 0
        while more := ours.recv(1 << 20):
            left += len(more)
    return len(data) - left


PAGE = Path(__file__).parents[1] / "docs" / "howto" / "checks.md"


def examples() -> list[str]:
    text = PAGE.read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# The beginnings of requests, and the answers.
STAND_IN = {
    b"GET /health ": b"HTTP/1.1 204 No Content\r\n\r\n",
    b"*1\r\n$4\r\nPING": b"+PONG\r\n",
    b"STATUS\n": b"OK\n",
    b"\0\0\0": b"R\0\0\0\x08\0\0\0\0",
}


class StandIn(socketserver.BaseRequestHandler):
    """Answers as any of the services of the page does."""

    def handle(self) -> None:
        request = self.request.recv(4096)
        self.request.sendall(
            next(STAND_IN[one] for one in STAND_IN if request.startswith(one))
        )
        while self.request.recv(4096):
            pass


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_page(number: int) -> None:
    """Each is a program that runs as it stands, where the services are."""
    program = examples()[number]
    assert len(examples()) == 3
    with socketserver.TCPServer(("127.0.0.1", 0), StandIn) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            here = f"127.0.0.1:{server.server_address[1]}"
            program = re.sub("(db:5432|web:8080)", here, program)
            pair = here.replace(":", '", ')
            program = re.sub('(cache", 6379|service", 7000)', pair, program)
            python = (sys.executable, "-X", "dev", "-W", "error")
            assert run_script(*python, "-c", program) == "up\n"
        finally:
            server.shutdown()
            serving.join()

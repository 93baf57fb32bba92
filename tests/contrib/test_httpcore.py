"""Network backends for httpcore and httpcore2, transports for httpx and httpx2."""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from http_pairs import PAIRS, PATIENCE, Pair

from aioconnect import (
    Address,
    Backoff,
    Connected,
    ConnectError,
    Connector,
    ConnectRefusedError,
    ConnectTimeoutError,
    Event,
    RetryScheduled,
)
from aioconnect.contrib._tls_race import first_usable
from aioconnect.testing import (
    BlackHole,
    Recorder,
    Server,
    StaticResolver,
    echoing,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
    unused_port,
)


@pytest.fixture(params=list(PAIRS.values()), ids=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Pair:
    """Give the packages that connect, and what they are given to connect with."""
    found: Pair = request.param
    return found


# The option SO_LINGER with no time: closing the socket resets the connection.
RESET = b"\1\0\0\0\0\0\0\0"


class HTTPServer:
    """An HTTP server on the running loop, which answers its connection's number.

    For /cut it promises more than it sends, for /reset it then resets the connection,
    and for /never it does not answer.
    """

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self.may_reset = asyncio.Event()
        self._tasks: list[asyncio.Task[None] | None] = []
        self._server: asyncio.Server | None = None

    async def listen(self, **where: Any) -> None:
        """Listen, as `asyncio.start_server` or `asyncio.start_unix_server` does."""
        start = asyncio.start_unix_server if "path" in where else asyncio.start_server
        self._server = await start(self._serve, **where)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writers.append(writer)
        self._tasks.append(asyncio.current_task())
        body = b"%d" % len(self.writers)
        # uvloop raises the last one for a transport that was killed.
        with contextlib.suppress(OSError, EOFError, RuntimeError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                is_short = head.startswith((b"GET /cut", b"GET /reset"))
                length = len(body) + is_short
                if head.startswith(b"GET /never"):
                    await reader.read()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
                writer.write(answer + body)
                if head.startswith(b"GET /reset"):
                    await self.may_reset.wait()
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if is_short:
                    break
        writer.close()

    async def kill(self) -> None:
        """Reset all connections, and stop listening."""
        if self._server is not None:
            self._server.close()
        for writer in self.writers:
            # Python 3.11.2 raises this for TLS that has closed.
            with contextlib.suppress(AttributeError):
                writer.transport.abort()
        await asyncio.gather(*(task for task in self._tasks if task is not None))
        self._tasks.clear()


@asynccontextmanager
async def serving(**where: Any) -> AsyncGenerator[HTTPServer]:
    """Yield a server, and kill it at the end.  With no address it does not listen."""
    server = HTTPServer()
    try:
        if where:
            await server.listen(**where)
        yield server
    finally:
        await server.kill()


async def streamed(stream: Any) -> bytes:
    """Return an echo server's answer to a word, and close the stream."""
    try:
        await stream.write(b"word", timeout=PATIENCE)
        answer: bytes = await stream.read(100, timeout=PATIENCE)
        return answer
    finally:
        await stream.aclose()


async def test_tcp_and_unix(pair: Pair, tmp_path: Path) -> None:
    backend = pair.backend()
    with echoing() as server, echoing(path=tmp_path / "echo") as unix:
        for stream in (
            await backend.connect_tcp(server.host, server.port),
            await backend.connect_tcp("localhost", server.port, timeout=PATIENCE),
            await backend.connect_unix_socket(unix.path),
        ):
            assert await streamed(stream) == b"word"
    await backend.sleep(0)


async def test_the_end_of_a_stream(pair: Pair, listener: Server) -> None:
    """It is not an error, and is visible even while nothing is read."""
    stream = await pair.backend().connect_tcp(listener.host, listener.port)
    peer = listener.accept()
    assert not stream.get_extra_info("is_readable")
    peer.close()
    assert await stream.read(1) == b""
    assert stream.get_extra_info("is_readable")
    await stream.aclose()


async def test_extra_info(pair: Pair, listener: Server) -> None:
    """It has what httpcore and its users ask for."""
    names = ("client_addr", "server_addr", "socket", "ssl_object", "else")
    stream = await pair.backend().connect_tcp(listener.host, listener.port)
    found = {name: stream.get_extra_info(name) for name in names}
    assert found["server_addr"] == (listener.host, listener.port)
    assert found["client_addr"] == found["socket"].getsockname()
    assert found["ssl_object"] is found["else"] is None
    await stream.aclose()
    assert stream.get_extra_info("is_readable")


async def test_extra_info_of_a_closed_stream(pair: Pair, listener: Server) -> None:
    """It is None, even where anyio and uvloop raise an error."""
    stream = await pair.backend().connect_tcp(listener.host, listener.port)
    await stream.aclose()
    assert stream.get_extra_info("is_readable")
    for name in ("client_addr", "server_addr", "ssl_object"):
        assert stream.get_extra_info(name) is None


async def test_local_address_and_socket_options(pair: Pair) -> None:
    """They are set before the connect, after the connector's own hooks."""
    seen: list[Address] = []

    def hook(sock: socket.socket, address: Address) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        seen.append(address)

    keepalive = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    backend = pair.backend(Connector(prepare=[hook]))
    with echoing() as server:
        stream = await backend.connect_tcp(
            server.host,
            server.port,
            local_address="127.0.0.2",
            socket_options=[keepalive],
        )
        sock = stream.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert stream.get_extra_info("client_addr")[0] == "127.0.0.2"
        await stream.aclose()
    assert seen == [server.address]


@pytest.mark.parametrize(
    ("ours", "theirs"), [(0.05, None), (None, 0.05), (0.05, 60.0), (60.0, 0.05)]
)
async def test_the_lower_timeout_wins(
    pair: Pair, black_hole: BlackHole, ours: float | None, theirs: float | None
) -> None:
    backend = pair.backend(Connector(timeout=ours, retry=Backoff()))
    with pytest.raises(pair.httpcore.ConnectTimeout, match=r"within 0\.05 s") as caught:
        await backend.connect_tcp(black_hole.host, black_hole.port, timeout=theirs)
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)


async def test_refused(pair: Pair, tmp_path: Path) -> None:
    """The error is httpcore's; its text and its cause are this package's."""
    backend = pair.backend(Connector(retry=(0,)))
    with refusing() as refused:
        with pytest.raises(pair.httpcore.ConnectError, match="refused") as caught:
            await backend.connect_tcp(refused.host, refused.port)
        assert isinstance(caught.value.__cause__, ConnectRefusedError)
        assert caught.value.__cause__.attempt_count == 2
    with pytest.raises(pair.httpcore.ConnectError, match="no such file") as caught:
        await backend.connect_unix_socket(str(tmp_path / "nothing"))
    assert isinstance(caught.value.__cause__, ConnectError)


async def test_a_socket_option_that_fails_is_named(pair: Pair, port: int) -> None:
    option = (socket.SOL_SOCKET, 9999, 1)
    with pytest.raises(pair.httpcore.ConnectError) as caught:
        await pair.backend().connect_tcp("127.0.0.1", port, socket_options=[option])
    assert f"socket option {option}: Protocol not available" in str(caught.value)


@pytest.mark.parametrize("host", ["a..b", "a%b", "a\0b", "", "a" * 300])
async def test_a_bad_host(pair: Pair, host: str, port: int) -> None:
    """A redirect may lead to it, so it is not an error of the program."""
    with pytest.raises(pair.httpcore.ConnectError, match="host"):
        await pair.backend().connect_tcp(host, port)


async def test_errors_of_the_program_are_themselves(pair: Pair, port: int) -> None:
    def hook(sock: socket.socket, address: Address) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pair.backend(Connector(prepare=[hook])).connect_tcp("127.0.0.1", port)
    with pytest.raises(TypeError, match="connector must be a Connector"):
        pair.backend({"timeout": 1})


async def test_timeouts_of_a_client(pair: Pair, port: int) -> None:
    """Any number works: a negative one is over at once, infinity never."""
    backend = pair.backend(Connector(timeout=30))
    with pytest.raises(pair.httpcore.ConnectTimeout):
        await backend.connect_tcp("127.0.0.1", port, timeout=-1)
    for connector in (Connector(), Connector(timeout=30)):
        stream = await pair.backend(connector).connect_tcp(
            "127.0.0.1", port, timeout=math.inf
        )
        await stream.aclose()


def test_a_backend_is_a_value(pair: Pair) -> None:
    one = pair.backend(Connector(timeout=1))
    assert one == pickle.loads(pickle.dumps(one))
    assert len({one, pair.backend()}) == 2


async def test_errors_of_a_stream(pair: Pair, listener: Server) -> None:
    """Too late, reset or closed: each becomes httpcore's own error."""
    backend = pair.backend()
    stream = await backend.connect_tcp(listener.host, listener.port)
    peer = listener.accept()
    with pytest.raises(pair.httpcore.ReadTimeout, match=r"no data within 0\.01 s"):
        await stream.read(1, timeout=0.01)
    with pytest.raises(pair.httpcore.WriteTimeout, match=r"not all .* within 0\.05 s"):
        await stream.write(b"x" * 2**26, timeout=0.05)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    with pytest.raises(pair.httpcore.ReadError, match=r"reset|closed"):
        await stream.read(1)
    with pytest.raises(pair.httpcore.WriteError, match=r"reset|closed"):
        await stream.write(b"x")
    await stream.aclose()
    stream = await backend.connect_tcp(listener.host, listener.port)
    await stream.aclose()
    with pytest.raises(pair.httpcore.ReadError, match="the stream is closed"):
        await stream.read(1)
    with pytest.raises(pair.httpcore.WriteError, match="the stream is closed"):
        await stream.write(b"x")
    await stream.write(b"")


async def test_tls(pair: Pair) -> None:
    with tls_echoing() as server:
        plain = await pair.backend().connect_tcp(server.host, server.port)
        stream = await plain.start_tls(server.client_context, "localhost")
        assert stream.get_extra_info("ssl_object").server_hostname == "localhost"
        assert await streamed(stream) == b"word"


async def test_tls_in_tls(pair: Pair) -> None:
    """A proxy that speaks TLS may lead to TLS; here it echoes everything."""
    with tls_echoing() as server:
        plain = await pair.backend().connect_tcp(server.host, server.port)
        outer = await plain.start_tls(server.client_context, "localhost")
        with pytest.raises(pair.httpcore.ConnectError):
            await outer.start_tls(server.client_context, "localhost")


async def test_tls_that_fails(pair: Pair) -> None:
    """It is an error of connecting, and nothing is left open."""
    backend = pair.backend()
    with tls_echoing(wrong_name=True) as server, echoing() as echo:
        stream = await backend.connect_tcp(server.host, server.port)
        with pytest.raises(pair.httpcore.ConnectError, match="certificate") as caught:
            await stream.start_tls(server.client_context, "localhost")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        stream = await backend.connect_tcp(echo.host, echo.port)
        with pytest.raises(pair.httpcore.ConnectError):
            await stream.start_tls(server.client_context, "localhost")


@pytest.mark.parametrize(
    ("ours", "theirs"), [(0.05, None), (None, 0.05), (0.05, 60.0), (60.0, 0.05)]
)
async def test_no_handshake(
    pair: Pair, ours: float | None, theirs: float | None
) -> None:
    with tls_echoing(silent=True) as server:
        backend = pair.backend(Connector(timeout=ours))
        stream = await backend.connect_tcp(server.host, server.port)
        text = r"^no TLS handshake within 0\.05 s$"
        with pytest.raises(pair.httpcore.ConnectTimeout, match=text):
            await stream.start_tls(server.client_context, "localhost", timeout=theirs)


async def test_no_handshake_within_an_attempt(pair: Pair) -> None:
    """It belongs to the attempt, also to the only address."""
    with tls_echoing(silent=True) as server:
        backend = pair.backend(Connector(attempt_timeout=0.05))
        stream = await backend.connect_tcp(server.host, server.port)
        text = r"^.*no TLS handshake within 0\.05 s, the attempt_timeout$"
        with pytest.raises(pair.httpcore.ConnectTimeout, match=text):
            await stream.start_tls(server.client_context, "localhost", PATIENCE)


async def test_the_peer_ends_the_handshake(pair: Pair, listener: Server) -> None:
    stream = await pair.backend().connect_tcp(listener.host, listener.port)
    listener.accept().close()
    with pytest.raises(pair.httpcore.ConnectError, match=r"closed|reset"):
        await stream.start_tls(ssl.create_default_context(), "localhost")


async def cancelled_anywhere(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Cancel at ever later iterations of the loop; nothing may be left behind."""
    for iterations in range(0, 40, 3):
        leaks = leak_check(ignore_threads=["aioconnect-"])
        async with leaks, anyio.create_task_group() as group:
            group.start_soon(start)
            for _ in range(iterations):
                await anyio.sleep(0)
            group.cancel_scope.cancel()


async def test_a_handshake_that_is_cancelled(pair: Pair) -> None:
    async def start() -> None:
        plain = await pair.backend().connect_tcp(server.host, server.port)
        stream = plain
        try:
            stream = await plain.start_tls(server.client_context, "localhost")
            await anyio.sleep(PATIENCE)
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    with tls_echoing(silent=True) as server:
        await cancelled_anywhere(start)
    with tls_echoing() as server:
        await cancelled_anywhere(start)


def racing(first: Server, **options: Any) -> Connector:
    """Return a connector to a name whose first address is *first*, and 127.0.0.1."""
    resolver = StaticResolver({"localhost": [first.host, "127.0.0.1"]})
    return Connector(resolver=resolver, happy_eyeballs_delay=0.01, **options)


def only_one_came(first: Server) -> None:
    """Check that the server, which says nothing, was connected to once."""
    first.accept().close()
    with pytest.raises(TimeoutError):
        first.accept(timeout=0)


async def test_a_first_address_that_is_not_ready(pair: Pair) -> None:
    """The stream of the first address stalls in *ready*; that of the second is used."""

    async def ready(stream: anyio.abc.ByteStream) -> bool:
        await stream.send(b"ping")
        return await stream.receive() == b"ping"

    with on_one_port(echoing, lambda port: listening("127.0.0.2", port=port)) as (
        server,
        first,
    ):
        backend = pair.backend(racing(first, ready=ready, timeout=PATIENCE))
        async with leak_check():
            stream = await backend.connect_tcp("localhost", server.port)
            assert await streamed(stream) == b"word"
        assert server.connections == 1
        only_one_came(first)


async def test_a_first_address_whose_tls_stalls(pair: Pair) -> None:
    """The handshake belongs to the attempt: the second address is used."""
    with on_one_port(tls_echoing, lambda port: listening("127.0.0.2", port=port)) as (
        server,
        first,
    ):
        backend = pair.backend(racing(first, timeout=3))
        plain = await backend.connect_tcp("localhost", server.port)
        stream = await plain.start_tls(server.client_context, "localhost")
        assert await streamed(stream) == b"word"
        only_one_came(first)


async def test_a_first_attempt_whose_tls_stalls(pair: Pair) -> None:
    """Without a race, the next address is tried when the attempt's time is over."""
    with on_one_port(tls_echoing, lambda port: listening("127.0.0.2", port=port)) as (
        server,
        first,
    ):
        by = racing(first, attempt_timeout=0.3)
        backend = pair.backend(replace(by, happy_eyeballs_delay=None))
        plain = await backend.connect_tcp("localhost", server.port)
        stream = await plain.start_tls(server.client_context, "localhost")
        assert await streamed(stream) == b"word"
        only_one_came(first)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(0.3, None), (None, 0.3)], ids=["connector", "httpcore"]
)
async def test_all_addresses_whose_tls_stalls(
    pair: Pair, ours: float | None, theirs: float | None
) -> None:
    """The time is up while both handshakes are under way, and both are ended."""
    silent = partial(tls_echoing, silent=True)
    with on_one_port(silent, lambda port: listening("127.0.0.2", port=port)) as (
        server,
        first,
    ):
        backend = pair.backend(racing(first, timeout=ours))
        async with leak_check(ignore_threads=["aioconnect-"]):
            plain = await backend.connect_tcp("localhost", server.port)
            with pytest.raises(pair.httpcore.ConnectTimeout):
                await plain.start_tls(server.client_context, "localhost", theirs)
        only_one_came(first)


async def test_a_scope_that_is_cancelled_while_a_loser_ends(listener: Server) -> None:
    """It knows the cancellation as its own, and the winner is closed as well."""
    is_second = asyncio.Event()
    streams: list[anyio.abc.SocketStream] = []

    async def first() -> anyio.abc.SocketStream:
        await is_second.wait()
        streams.append(await anyio.connect_tcp(listener.host, listener.port))
        return streams[0]

    async def others() -> anyio.abc.SocketStream:
        is_second.set()
        try:
            await asyncio.Event().wait()
        finally:
            scope.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        raise AssertionError

    async with leak_check(ignore_threads=["aioconnect-"]):
        with anyio.CancelScope() as scope:
            await first_usable(first(), others, 0.0)
    assert scope.cancelled_caught
    with pytest.raises(anyio.ClosedResourceError):
        await streams[0].send(b"word")


async def test_a_connection_is_kept(pair: Pair) -> None:
    with unused_port() as held:
        url = f"http://{held.host}:{held.port}/"
        async with (
            serving(host=held.host, port=held.port) as server,
            pair.client() as http,
        ):
            answers = [await http.get(url) for _ in range(5)]
            assert [answer.text for answer in answers] == ["1"] * 5
            assert {answer.http_version for answer in answers} == {"HTTP/1.1"}
            assert len(server.writers) == 1


async def test_a_unix_socket(pair: Pair, tmp_path: Path) -> None:
    path = str(tmp_path / "web")
    async with serving(path=path), pair.client(uds=path) as http:
        assert (await http.get("http://web/")).text == "1"


async def test_https(pair: Pair) -> None:
    """It sends the body of a request too, to a server with a certificate."""
    with tls_echoing() as server, unused_port() as held:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.ca.issue_cert("localhost").configure_cert(context)
        async with (
            serving(host=held.host, port=held.port, ssl=context),
            pair.client(verify=server.client_context) as http,
        ):
            for _ in range(2):
                answer = await http.get(f"https://localhost:{held.port}/")
                assert answer.text == "1"
        async with pair.client() as http:
            with pytest.raises(pair.httpx.ConnectError, match="certificate"):
                await http.get(f"https://localhost:{server.port}/")


async def test_http_whose_first_address_is_not_ready(pair: Pair) -> None:
    """A request goes to the second address, if the first accepts for nobody."""

    async def ready(stream: anyio.abc.ByteStream) -> None:
        if stream.extra(anyio.abc.SocketAttribute.remote_address)[0] == first.host:
            await stream.receive()  # nothing comes

    with on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
        held,
        first,
    ):
        connector = racing(first, ready=ready, timeout=PATIENCE)
        async with (
            serving(host=held.host, port=held.port) as server,
            pair.client(connector) as http,
        ):
            answer = await http.get(f"http://localhost:{held.port}/")
            assert answer.text == "1"
            assert len(server.writers) == 1
        only_one_came(first)


async def test_https_whose_first_address_stalls(pair: Pair) -> None:
    with (
        tls_echoing() as certified,
        on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
            held,
            first,
        ),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certified.ca.issue_cert("localhost").configure_cert(context)
        async with (
            serving(host=held.host, port=held.port, ssl=context) as server,
            pair.client(
                racing(first, timeout=3), verify=certified.client_context
            ) as http,
        ):
            answer = await http.get(f"https://localhost:{held.port}/")
            assert answer.text == "1"
            assert len(server.writers) == 1
        only_one_came(first)


async def test_tls_without_a_goodbye(pair: Pair) -> None:
    """It is a normal end, as in httpcore itself: many servers end like this."""
    with tls_echoing() as certified, unused_port() as held:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certified.ca.issue_cert("localhost").configure_cert(context)
        async with serving(host=held.host, port=held.port, ssl=context) as server:
            plain = await pair.backend().connect_tcp(held.host, held.port)
            stream = await plain.start_tls(certified.client_context, "localhost")
            await stream.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await stream.read(100)).endswith(b"\r\n\r\n1")
            await server.kill()
            assert await stream.read(1) == b""
            await stream.aclose()


async def test_many_requests(pair: Pair) -> None:
    """A pool makes no more connections than it may, and answers all."""
    with unused_port() as held:
        url = f"http://{held.host}:{held.port}/"
        # No idle connection expires, however slow the machine is.
        limits = pair.httpx.Limits(max_connections=10, keepalive_expiry=None)
        async with (
            serving(host=held.host, port=held.port) as server,
            pair.client(limits=limits) as http,
        ):
            answers = await asyncio.gather(*(http.get(url) for _ in range(100)))
            assert {answer.status_code for answer in answers} == {200}
            assert len(server.writers) <= 10


async def test_a_server_that_is_late_and_comes_back(pair: Pair) -> None:
    """It starts after the first request, is killed, and starts after the next one."""
    recorder = Recorder()
    started = asyncio.Event()

    def observer(event: Event) -> None:
        recorder(event)
        if isinstance(event, RetryScheduled):
            started.set()

    async def asked() -> str:
        started.clear()
        asking = asyncio.create_task(http.get(url))
        await started.wait()
        await server.listen(host=held.host, port=held.port)
        return str((await asking).text)

    waiting = Connector(timeout=PATIENCE, retry=Backoff(maximum=0.1), observer=observer)
    with unused_port() as held:
        url = f"http://{held.host}:{held.port}/"
        async with serving() as server, pair.client(waiting) as http:
            assert await asked() == "1"
            await server.kill()
            assert await asked() == "2"
    recorder.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)


async def test_requests_that_are_cancelled(pair: Pair) -> None:
    """Wherever they are cancelled, the pool and the loop are as before."""

    async def ask() -> None:
        async with pair.client() as http:
            await http.get(url)

    with unused_port() as held:
        url = f"http://{held.host}:{held.port}/never"
        async with serving(host=held.host, port=held.port) as server:
            await cancelled_anywhere(ask)
            await server.kill()


async def test_errors_are_those_of_httpx(pair: Pair) -> None:
    """They occur in a connect, in a response, and in its body."""
    with unused_port() as held:
        url = f"http://{held.host}:{held.port}"
        async with pair.client() as http:
            with pytest.raises(pair.httpx.ConnectError, match="refused") as caught:
                await http.get(url)
            assert caught.value.request.url == url
            assert isinstance(caught.value.__cause__, pair.httpcore.ConnectError)
            # The pool raises its error "from None", and the cause is still there.
            assert isinstance(caught.value.__cause__.__cause__, ConnectRefusedError)
            with pytest.raises(pair.httpx.ConnectError, match="host"):
                await http.get("http://a..b/")
            with pytest.raises(pair.httpx.ConnectError, match="host"):
                await http.get("http://a%b/")
            with pytest.raises(pair.httpx.UnsupportedProtocol):
                await http.get("ftp://localhost/")
            async with serving(host=held.host, port=held.port) as server:
                with pytest.raises(pair.httpx.RemoteProtocolError):
                    await http.get(f"{url}/cut")
                async with http.stream("GET", f"{url}/reset") as answer:
                    server.may_reset.set()
                    with pytest.raises(pair.httpx.ReadError, match=r"reset|closed"):
                        await answer.aread()
                times = pair.httpx.Timeout(PATIENCE, read=0.05)
                with pytest.raises(pair.httpx.ReadTimeout):
                    await http.get(f"{url}/never", timeout=times)


async def test_a_transport_needs_a_connector(pair: Pair) -> None:
    with pytest.raises(TypeError, match="connector must be a Connector"):
        pair.transport({"timeout": 1})
    await pair.transport().aclose()

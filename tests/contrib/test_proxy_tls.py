"""Proxies that speak TLS with their clients: https://."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from echoes import answers
from proxies import CREDENTIALS, PASSWORD, USER, ProxyServer, proxying
from tls_ending import client_context, server_context

import aioconnect
from aioconnect import (
    ConnectCertificateError,
    ConnectError,
    Connector,
    ConnectPermissionError,
    ConnectResetError,
    ConnectTimeoutError,
    ConnectTLSError,
    loop_factory,
)
from aioconnect._io.socket_ownership import Handover
from aioconnect._io.tls import TLSOptions
from aioconnect._io.transports import TransportWrap, discard_connection
from aioconnect._sansio.endpoints import Endpoint
from aioconnect.contrib import proxy
from aioconnect.contrib._proxy_channel import TransportChannel
from aioconnect.contrib._proxy_forwarder import Forwarder
from aioconnect.contrib._proxy_tls import SecureWrap
from aioconnect.contrib._proxy_tunnel import Tunnel
from aioconnect.contrib._proxy_url import hops_of
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import (
    EchoServer,
    Recorder,
    StaticResolver,
    echoing,
    leak_check,
    listening,
    on_one_port,
    tls_echoing,
)

secured = partial(proxying, "http", certified="127.0.0.1")


def through(server: ProxyServer, credentials: str = "", **options: Any) -> Any:
    """Return a connector through *server*, whose certificate it trusts."""
    return ProxyConnector(
        proxy=server.url(credentials), proxy_ssl=server.client_context, **options
    )


class Greeting(asyncio.Protocol):
    """A client that greets, and keeps what happens in order."""

    def __init__(self) -> None:
        self.events: list[object] = []
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[None] = loop.create_future()
        self.end: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)
        if not self.answer.done():
            self.answer.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.end.set_result(None)


# Success.


@pytest.mark.parametrize("drips", [False, True], ids=["whole", "drips"])
@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_streams(inside: str, drips: bool) -> None:
    """A plain target, and TLS inside TLS."""
    serve: Any = tls_echoing if inside == "TLS" else echoing
    with serve() as echo, secured(drips=drips, credentials=(USER, PASSWORD)) as server:
        connector = through(server, CREDENTIALS["http"])
        context = getattr(echo, "client_context", None)
        async with leak_check():
            streams = await connector.open_connection(echo.host, echo.port, ssl=context)
            assert await answers(streams)
        assert server.asked == [(echo.host, echo.port)]


@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_a_transport(inside: str) -> None:
    """The protocol is told in order."""
    serve: Any = tls_echoing if inside == "TLS" else echoing
    with serve() as echo, secured() as server:
        context = getattr(echo, "client_context", None)
        async with leak_check():
            transport, protocol = await proxy.create_connection(
                Greeting,
                echo.host,
                echo.port,
                proxy=server.url(),
                proxy_ssl=server.client_context,
                ssl=context,
            )
            await protocol.answer
            transport.close()
            await protocol.end
        assert protocol.events == ["made", b"hello", "lost"]


@pytest.mark.parametrize("is_buffered", [False, True], ids=["plain", "buffered"])
async def test_a_target_that_speaks_first(is_buffered: bool) -> None:
    """What comes with the proxy's answer is not lost, nor is what follows."""
    with echoing() as echo, secured(extra=b"220 first") as server:
        make: Any = Buffered if is_buffered else Greeting
        _, protocol = await through(server).create_connection(
            make, echo.host, echo.port
        )
        while b"".join(protocol.events[1:]) != b"220 firsthello":
            await asyncio.sleep(0)
        assert protocol.events[0] == "made"
        protocol.transport_abort() if is_buffered else _.abort()
        await protocol.end


class Buffered(asyncio.BufferedProtocol):
    """The same, with a buffer of three octets."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._buffer = bytearray(3)
        self._transport: Any = None
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def transport_abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")
        self._transport = transport
        transport.write(b"hello")

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.events.append(bytes(self._buffer[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end.set_result(None)


async def test_a_target_that_speaks_and_leaves() -> None:
    """The streams have its words, and then the end."""
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with secured(answers=(head + b"bye",)) as server:
        async with leak_check():
            reader, writer = await through(server).open_connection("192.0.2.1", 80)
            assert await reader.read() == b"bye"
            writer.close()
            await writer.wait_closed()


async def test_much_data() -> None:
    """Both ways, more than any buffer has room for."""
    data = bytes(range(256)) * 4096
    with tls_echoing() as echo, secured() as server:
        reader, writer = await through(server).open_connection(
            echo.host, echo.port, ssl=echo.client_context
        )
        writer.write(data)
        assert await reader.readexactly(len(data)) == data
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_in_a_chain(place: int, inside: str) -> None:
    """Wherever it is: those before get a plain request, those behind one in TLS."""
    serve: Any = tls_echoing if inside == "TLS" else echoing
    with serve() as echo, secured() as one, proxying() as two, proxying("socks4") as it:
        chain = [two, it]
        chain.insert(place, one)
        connector = ProxyConnector(
            proxy=[each.url() for each in chain], proxy_ssl=one.client_context
        )
        streams = await connector.open_connection(
            echo.host, echo.port, ssl=getattr(echo, "client_context", None)
        )
        assert await answers(streams)
        ends = [*((each.host, each.port) for each in chain[1:]), (echo.host, echo.port)]
        assert [each.asked for each in chain] == [[end] for end in ends]


async def test_reconnecting_through_it() -> None:
    with echoing() as echo, secured() as server:
        connections = through(server).reconnecting(echo.host, echo.port)
        async for streams in connections:
            assert await answers(streams)
            break
        await connections.aclose()


def test_a_loop() -> None:
    """Existing code goes through it too, if it asks for streams or a transport."""
    with tls_echoing() as echo, secured() as server:

        async def main() -> bool:
            return await answers(
                await asyncio.open_connection(
                    echo.host, echo.port, ssl=echo.client_context
                )
            )

        with asyncio.Runner(loop_factory=loop_factory(through(server))) as runner:
            assert runner.run(main())


async def test_ready_gets_the_result() -> None:
    asked: list[bytes] = []

    async def ready(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"?")
        asked.append(await reader.readexactly(1))
        return len(asked) == 2

    with echoing() as echo, secured() as server:
        connector = through(server, ready=ready, retry=(0,))
        assert await answers(await connector.open_connection(echo.host, echo.port))
    assert asked == [b"?", b"?"]


# Two addresses of one proxy.


@pytest.mark.parametrize("inside", ["plain", "TLS"])
@pytest.mark.parametrize("first", ["silent", "silent in TLS"])
async def test_a_race(first: str, inside: str) -> None:
    """The one that is usable wins, and only the winner gets a protocol."""
    mute = partial(secured, host="127.0.0.2", answers=(b"",) * 9, ending="wait")
    serve: Any = tls_echoing if inside == "TLS" else echoing
    with (
        serve() as echo,
        on_one_port(
            mute if first == "silent in TLS" else partial(listening, "127.0.0.2"),
            lambda port: proxying("http", certified="proxy.test", port=port),
        ) as (_, server),
    ):
        made: list[Greeting] = []

        def factory() -> Greeting:
            made.append(Greeting())
            return made[-1]

        connector = ProxyConnector(
            proxy=f"https://proxy.test:{server.port}",
            proxy_ssl=server.client_context,
            resolver=StaticResolver({"proxy.test": ["127.0.0.2", server.host]}),
            happy_eyeballs_delay=0.01,
            timeout=60,
        )
        async with leak_check():
            transport, protocol = await connector.create_connection(
                factory,
                echo.host,
                echo.port,
                ssl=getattr(echo, "client_context", None),
            )
            assert made == [protocol]
            await protocol.answer
            transport.abort()
            await protocol.end
        assert server.asked == [(echo.host, echo.port)]


@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_what_may_lose(inside: str) -> None:
    """The factory is called for the winner, which gets what has come meanwhile."""
    serve: Any = tls_echoing if inside == "TLS" else echoing
    loop = asyncio.get_running_loop()
    first = b"220 first" if inside == "plain" else b""
    with serve() as echo, secured(extra=first) as server:
        made: list[Greeting] = []

        def factory() -> Greeting:
            made.append(Greeting())
            return made[-1]

        tls = TLSOptions(ssl=getattr(echo, "client_context", None)).for_host(echo.host)
        hops = hops_of(server.url())
        wrap = TransportWrap(factory, tls)
        target = Endpoint(echo.host, echo.port)
        tunnel = Tunnel(Connector(), hops, target, wrap, server.client_context)
        assert isinstance(tunnel.wrap, SecureWrap)
        tunnel.wrap.requests = [(hops[0], "", echo.host, echo.port)]
        forms: list[Any] = []
        for _ in "12":
            sock = await aioconnect.connect(server.host, server.port)
            handover = Handover(loop, sock, None, may_lose=True)
            forms.append(await tunnel.wrap(handover))
        assert not made
        discard_connection(forms[0])
        transport, protocol = await tunnel.wrap.adopt(loop, forms[1], None)
        assert made == [protocol]
        while b"".join(protocol.events[1:]) != first + b"hello":
            await asyncio.sleep(0)
        transport.abort()
        await protocol.end


# Failure.


def only(error: ConnectError) -> tuple[str, int | None]:
    """Return the phase and the errno of the only attempt."""
    (attempt,) = error.attempts
    assert isinstance(attempt.error, OSError)
    return attempt.phase, attempt.error.errno


async def failure(connector: ProxyConnector, **tls: Any) -> ConnectError:
    """Return the error of streams to 192.0.2.1:80, which leave nothing behind."""
    async with leak_check():
        with pytest.raises(ConnectError) as caught:
            await connector.open_connection("192.0.2.1", 80, **tls)
    return caught.value


async def test_the_proxys_certificate() -> None:
    """It has to be for the proxy's host, and trusted; nothing is sent before."""
    with proxying("http", certified="other.test") as server:
        wrong = await failure(through(server))
        unknown = await failure(ProxyConnector(proxy=server.url()))
        for error in (wrong, unknown):
            assert isinstance(error, ConnectCertificateError)
            assert only(error)[0] == "proxy"
            assert error.rounds == 1
        assert not server.asked
        connector = ProxyConnector(
            proxy=f"https://other.test:{server.port}",
            proxy_ssl=server.client_context,
            resolver=StaticResolver({"other.test": [server.host]}),
        )
        with echoing() as echo:
            assert await answers(await connector.open_connection(echo.host, echo.port))


async def test_the_targets_certificate() -> None:
    """The phase tells whose certificate it is."""
    with tls_echoing(wrong_name=True) as echo, secured() as server:
        async with leak_check():
            with pytest.raises(ConnectCertificateError) as caught:
                await through(server).open_connection(
                    echo.host, echo.port, ssl=echo.client_context
                )
    assert only(caught.value)[0] == "tls"


@pytest.mark.parametrize(
    ("answer", "number", "kind"),
    [
        (b"HTTP/1.1 407 Who?\r\n\r\n", errno.EACCES, ConnectPermissionError),
        (b"HTTP/1.1 502 Bad\r\n\r\n", errno.EHOSTUNREACH, ConnectError),
        (b"SSH-2.0-x\r\n\r\n", errno.EPROTO, ConnectError),
        (b"HTTP/1.1 200", errno.ECONNRESET, ConnectResetError),
        (b"", errno.ECONNRESET, ConnectResetError),
    ],
)
async def test_a_bad_answer(answer: bytes, number: int, kind: type[OSError]) -> None:
    with secured(answers=(answer,)) as server:
        error = await failure(through(server))
    assert only(error) == ("proxy", number)
    assert isinstance(error, kind)


async def test_no_tls_at_all() -> None:
    """A proxy that speaks HTTP only."""
    with proxying("http", answers=(b"HTTP/1.1 400 Bad Request\r\n\r\n",)) as server:
        url = server.url(scheme="https")
        error = await failure(ProxyConnector(proxy=url))
    assert isinstance(error, ConnectTLSError)
    assert only(error)[0] == "proxy"


async def test_more_than_the_answer() -> None:
    """Nothing can come before the handshake with the target."""
    answer = b"HTTP/1.1 200 OK\r\n\r\nboo"
    with secured(answers=(answer,), ending="wait") as server, tls_echoing() as echo:
        error = await failure(through(server), ssl=echo.client_context)
    assert only(error) == ("proxy", errno.EPROTO)


@pytest.mark.parametrize("option", ["timeout", "attempt_timeout"])
@pytest.mark.parametrize("stage", ["no TLS", "no answer", "no handshake"])
async def test_silence(stage: str, option: str) -> None:
    """Each step is within the attempt's time."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" if stage == "no handshake" else b""
    with (
        listening() as silent,
        secured(answers=(answer,), ending="wait") as server,
        tls_echoing() as echo,
    ):
        at = silent if stage == "no TLS" else server
        # Time enough to get to that step on a busy machine.
        limit: dict[str, Any] = {option: 0.05 if stage == "no TLS" else 1.0}
        connector = ProxyConnector(
            proxy=f"https://{at.host}:{at.port}",
            proxy_ssl=server.client_context,
            **limit,
        )
        error = await failure(connector, ssl=echo.client_context)
    assert isinstance(error, ConnectTimeoutError)
    phase = "tls" if stage == "no handshake" else "proxy"
    assert only(error) == (phase, errno.ETIMEDOUT)


@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_a_proxy_that_closes_in_the_handshake(inside: str) -> None:
    """It is the end of the attempt, also inside TLS."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" if inside == "TLS" else b"HTTP/1.1 2"
    with secured(answers=(answer,)) as server, tls_echoing() as echo:
        error = await failure(through(server), ssl=echo.client_context)
    assert isinstance(error, ConnectResetError), error
    assert only(error)[0] == ("tls" if inside == "TLS" else "proxy")


@pytest.mark.parametrize("turns", range(4))
async def test_a_proxy_that_is_lost_when_the_handshake_begins(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then uvloop's `start_tls` returns as if it had shaken hands."""
    made: list[Any] = []
    loop = asyncio.get_running_loop()
    connection_made = TransportChannel.connection_made

    def note(channel: TransportChannel, transport: asyncio.BaseTransport) -> None:
        made.append(transport)
        connection_made(channel, transport)

    def lose(turns: int) -> None:
        if turns:
            loop.call_soon(lose, turns - 1)
        else:
            made[0].abort()

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.PhaseStarted) and event.phase == "tls":
            loop.call_soon(lose, turns)

    monkeypatch.setattr(TransportChannel, "connection_made", note)
    answer = b"HTTP/1.1 200 OK\r\n\r\n"
    with secured(answers=(answer,), ending="wait") as server, tls_echoing() as echo:
        connector = through(server, observer=observe)
        error = await failure(connector, ssl=echo.client_context)
    assert isinstance(error, ConnectResetError), error
    assert only(error)[0] == "tls"


@pytest.mark.parametrize("stage", ["no TLS", "no answer", "no handshake"])
async def test_a_cancellation(stage: str) -> None:
    """It leaves nothing at any step."""
    answer = b"HTTP/1.1 200 OK\r\n\r\n" if stage == "no handshake" else b""
    with (
        listening() as silent,
        secured(answers=(answer,), ending="wait") as server,
        tls_echoing() as echo,
    ):
        at = silent if stage == "no TLS" else server
        events = Recorder()
        connector = ProxyConnector(
            proxy=f"https://{at.host}:{at.port}",
            proxy_ssl=server.client_context,
            observer=events,
        )
        async with leak_check():
            task = asyncio.create_task(
                connector.open_connection("192.0.2.1", 80, ssl=echo.client_context)
            )
            reached: Callable[[], bool] = {
                "no TLS": lambda: "PhaseStarted" in str(events.events),
                "no answer": server.has_answered.is_set,
                "no handshake": lambda: "phase='tls'" in str(events.events),
            }[stage]
            while not reached():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@contextlib.contextmanager
def stubborn() -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """Give a TLS server that never says goodbye: port, its handshake, and its end."""
    shaken, gone = threading.Event(), threading.Event()

    def serve(listener: socket.socket) -> None:
        conn, _ = listener.accept()
        with server_context("127.0.0.1").wrap_socket(conn, server_side=True) as tls:
            shaken.set()
            with contextlib.suppress(ConnectionResetError):
                while os.read(tls.fileno(), 1 << 16):  # below TLS
                    pass
            gone.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], shaken, gone
        thread.join()


async def test_a_proxy_that_does_not_say_goodbye() -> None:
    """The connection ends at once.  The loop would wait for half a minute."""
    loop = asyncio.get_running_loop()
    with stubborn() as (port, shaken, gone):
        connector = ProxyConnector(
            proxy=f"https://127.0.0.1:{port}", proxy_ssl=client_context()
        )
        task = asyncio.create_task(connector.open_connection("192.0.2.1", 80))
        while not shaken.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        until = loop.time() + 10
        while not gone.is_set() and loop.time() < until:
            await asyncio.sleep(0.001)
        assert gone.is_set()


@pytest.mark.parametrize("inside", ["plain", "TLS"])
async def test_tls_that_the_caller_starts_and_that_fails(inside: str) -> None:
    """It ends the connection, and the loop has nothing to complain about."""
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    serve: Any = tls_echoing if inside == "TLS" else echoing
    with serve() as echo, secured() as server:
        async with leak_check():
            _, writer = await through(server).open_connection(
                echo.host, echo.port, ssl=getattr(echo, "client_context", None)
            )
            loop.set_exception_handler(lambda _, context: complaints.append(context))
            with pytest.raises(ssl.SSLError):  # the server echoes the greeting
                await writer.start_tls(client_context(), server_hostname="x.test")
            assert writer.transport.is_closing()
            writer.close()
    assert not complaints


@pytest.mark.parametrize("where", ["factory", "connection_made"])
async def test_a_mistake_is_raised(where: str) -> None:
    """The protocol's own error comes out unchanged, and everything is closed."""

    class Mistaken(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            raise ZeroDivisionError

    def mistaken() -> asyncio.Protocol:
        raise ZeroDivisionError

    make: Any = mistaken if where == "factory" else Mistaken
    with echoing() as echo, secured() as server:
        async with leak_check():
            with pytest.raises(ZeroDivisionError):
                await through(server).create_connection(make, echo.host, echo.port)


async def test_the_phases(echo: EchoServer) -> None:
    with tls_echoing() as target, secured() as server:
        events = Recorder()
        await answers(
            await through(server, observer=events).open_connection(
                target.host, target.port, ssl=target.client_context
            )
        )
    phases = [event.phase for event in events.events if hasattr(event, "phase")]
    assert phases == ["proxy", "tls"]


@pytest.fixture(name="echo")
def _echo() -> Any:
    with echoing() as server:
        yield server


@pytest.mark.parametrize("made", [None, asyncio.Protocol])
async def test_a_factory_of_something_else(made: Any) -> None:
    with echoing() as echo, secured() as server:
        async with leak_check():
            with pytest.raises(TypeError, match="must return a protocol"):
                await through(server).create_connection(
                    lambda: made, echo.host, echo.port
                )


# The channel by itself.


class Transport(asyncio.Transport):
    """A transport that does nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.has_paused = self.has_closed = False
        self.protocol: Any = None

    def pause_reading(self) -> None:
        self.asked.append("pause")
        self.has_paused = True

    def resume_reading(self) -> None:
        self.asked.append("resume")
        self.has_paused = False

    def is_reading(self) -> bool:
        return not self.has_paused

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.asked.append("set")
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def is_closing(self) -> bool:
        return self.has_closed

    def abort(self) -> None:
        self.has_closed = True


def channel() -> tuple[TransportChannel, Transport]:
    """Return a channel that is connected."""
    made = TransportChannel(asyncio.get_running_loop(), None)
    transport = Transport()
    made.connection_made(transport)
    return made, transport


async def test_a_flood_is_paused() -> None:
    """Nobody needs more than an answer before the protocol is there."""
    one, transport = channel()
    one.data_received(b"x" * 2**16)
    assert transport.asked == []
    one.data_received(b"x")
    assert transport.asked == ["pause"]
    assert one.has_unread


async def test_a_connection_that_is_lost_meanwhile() -> None:
    """The protocol is told all of it, in order."""
    one, transport = channel()
    one.data_received(b"bye")
    one.connection_lost(None)
    assert one.has_ended
    protocol = Greeting()
    protocol.connection_made = lambda *_: protocol.events.append("made")  # type: ignore[method-assign]  # it must not write
    one.hand_to(protocol)
    assert protocol.events == ["made", b"bye", "lost"]
    assert transport.asked == ["resume"]


async def test_an_end_that_has_come_meanwhile() -> None:
    """The protocol hears of the end of the stream, and later of the connection's."""
    one, _ = channel()
    one.data_received(b"bye")
    one.eof_received()
    protocol = Greeting()
    protocol.connection_made = lambda *_: protocol.events.append("made")  # type: ignore[method-assign]  # likewise
    protocol.eof_received = lambda: protocol.events.append("eof")  # type: ignore[method-assign]  # likewise
    one.hand_to(protocol)
    one.connection_lost(None)
    assert protocol.events == ["made", b"bye", "eof", "lost"]


async def test_both_ends_that_have_come_meanwhile() -> None:
    """The end of the stream is told also if the connection is lost already."""
    one, _ = channel()
    one.data_received(b"bye")
    one.eof_received()
    one.connection_lost(None)
    protocol = Greeting()
    protocol.connection_made = lambda *_: protocol.events.append("made")  # type: ignore[method-assign]  # likewise
    protocol.eof_received = lambda: protocol.events.append("eof")  # type: ignore[method-assign]  # likewise
    one.hand_to(protocol)
    assert protocol.events == ["made", b"bye", "eof", "lost"]


async def test_the_error_of_a_lost_connection() -> None:
    one, _ = channel()
    one.connection_lost(ConnectionResetError(errno.ECONNRESET, "reset"))
    with pytest.raises(ConnectionResetError):
        await one.recv(1, peek=False)
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


class Slow(asyncio.BufferedProtocol):
    """A client that pauses whenever its buffer of three octets is full.

    It starts paused.  It reads on in `read_on`, or if *reads_on*, a moment later.
    """

    def __init__(self, reads_on: bool) -> None:
        self.events: list[Any] = []
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None
        self._reads_on = reads_on
        self._buffer = bytearray(3)
        self._used = 0

    @property
    def heard(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))

    def connection_made(self, transport: Any) -> None:
        self.events.append("made")
        self.transport = transport
        self._pause()

    def _pause(self) -> None:
        self.transport.pause_reading()
        if self._reads_on:
            asyncio.get_running_loop().call_soon(self.read_on)

    def read_on(self) -> None:
        self._used = 0
        self.transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._used :]

    def buffer_updated(self, nbytes: int) -> None:
        assert self.transport.is_reading()
        self.events.append(bytes(self._buffer[self._used : self._used + nbytes]))
        self._used += nbytes
        if self._used == len(self._buffer):
            self._pause()

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.end.set_result(None)


async def test_a_slow_protocol() -> None:
    """What came with the proxy's answer waits until it reads; then comes the rest."""
    data = bytes(range(100))
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with secured(answers=(head + data,)) as server:
        async with leak_check():
            _, protocol = await through(server).create_connection(
                lambda: Slow(reads_on=True), "192.0.2.1", 80
            )
            await protocol.end
    assert protocol.heard == data
    assert protocol.events[-2:] == ["eof", "lost"]


@pytest.mark.parametrize("makes", [asyncio.Protocol, asyncio.BufferedProtocol])
async def test_a_protocol_that_pauses_at_once(
    makes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets nothing before it resumes, and then what came first."""
    heard: list[bytes] = []
    looks: list[Forwarder] = []
    look_again = Forwarder._look_again

    def looking(self: Forwarder) -> None:
        looks.append(self)
        look_again(self)

    monkeypatch.setattr(Forwarder, "_look_again", looking)

    class Paused(makes):  # type: ignore[misc]  # one of two bases
        def connection_made(self, transport: Any) -> None:
            transport.pause_reading()
            transport.write(b"hello")

        def data_received(self, data: bytes) -> None:
            heard.append(data)

        def get_buffer(self, sizehint: int) -> bytearray:
            self.buffer = bytearray(64)
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            heard.append(bytes(self.buffer[:nbytes]))

    with echoing() as echo, secured(extra=b"220 first") as server:
        transport, protocol = await through(server).create_connection(
            Paused, echo.host, echo.port
        )
        while len(looks) < 2 and not heard:
            await asyncio.sleep(0.001)
        assert not heard
        transport.resume_reading()
        while b"".join(heard) != b"220 firsthello":
            await asyncio.sleep(0.001)
        # From now on, nothing is between the two.
        assert transport.get_protocol() is protocol
        transport.abort()


async def slow_on_a_channel(data: bytes) -> tuple[TransportChannel, Transport, Slow]:
    """Return a channel that has got *data*, and a paused protocol that has it now."""
    one, transport = channel()
    one.data_received(data)
    protocol = Slow(reads_on=False)
    one.hand_to(protocol)
    assert protocol.events == ["made"]
    return one, transport, protocol


async def test_looks_get_rarer() -> None:
    """Up to a sixth of a second, the longer a protocol pauses; anew when it reads."""
    pauses: list[float] = []

    def call_later(delay: float, *_: object) -> Any:
        pauses.append(delay)
        return SimpleNamespace(cancel=lambda: None)

    clock: Any = SimpleNamespace(call_later=call_later)
    one, transport = channel()
    one._loop = clock
    one.data_received(bytes(9))
    protocol = Slow(reads_on=False)
    one.hand_to(protocol)
    forwarder = transport.protocol
    for _ in range(6):
        forwarder._look_again()
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.16, 0.16]
    transport.resume_reading()
    forwarder._look_again()
    assert pauses[7:] == [0.01]


async def test_ends_wait_for_a_slow_protocol() -> None:
    """All that comes while it has paused comes in order when it reads."""
    _, transport, protocol = await slow_on_a_channel(b"abc")
    forwarder = transport.get_protocol()
    forwarder.data_received(b"de")
    forwarder.eof_received()
    forwarder.connection_lost(None)
    assert protocol.events == ["made"]
    while "lost" not in protocol.events:
        protocol.read_on()
        await asyncio.sleep(0.001)
    assert protocol.events == ["made", b"abc", b"de", "eof", "lost"]


async def test_the_end_comes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol that never reads again is told that the connection has ended."""
    monkeypatch.setattr("aioconnect.contrib._proxy_forwarder._PATIENCE", 0.02)
    _, transport, protocol = await slow_on_a_channel(b"abc")
    transport.get_protocol().eof_received()
    transport.get_protocol().connection_lost(None)
    assert protocol.events == ["made"]
    await protocol.end
    assert protocol.events == ["made", "eof", "lost"]


async def test_a_paused_protocol_that_aborts() -> None:
    """It hears of the end at once, and no more data."""
    _, transport, protocol = await slow_on_a_channel(b"abc")
    transport.abort()
    transport.get_protocol().connection_lost(None)
    assert protocol.events == ["made", "lost"]


async def test_another_protocol_for_a_paused_transport() -> None:
    """The caller has set it, so it gets the data, and the transport."""
    _, transport, protocol = await slow_on_a_channel(b"abc")
    other = Slow(reads_on=False)
    other.transport = transport
    transport.set_protocol(other)
    while other.events != [b"abc"]:
        protocol.read_on()
        await asyncio.sleep(0.001)
    assert transport.get_protocol() is other
    assert protocol.events == ["made"]


async def test_writing_to_a_paused_transport() -> None:
    """The protocol hears that it should write no more, and that it may."""
    told: list[str] = []
    _, transport, protocol = await slow_on_a_channel(b"abc")
    protocol.pause_writing = lambda: told.append("pause")  # type: ignore[method-assign]  # it is asked only here
    protocol.resume_writing = lambda: told.append("resume")  # type: ignore[method-assign]  # likewise
    transport.get_protocol().pause_writing()
    transport.get_protocol().resume_writing()
    assert told == ["pause", "resume"]
    transport.abort()
    transport.get_protocol().connection_lost(None)


async def test_an_error_of_a_slow_protocol() -> None:
    """It goes to the loop's handler, and the connection ends."""
    told: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    _, transport, protocol = await slow_on_a_channel(b"abc")
    protocol.get_buffer = lambda *_: memoryview(b"")  # type: ignore[method-assign]  # the mistake
    protocol.read_on()
    while not told:
        await asyncio.sleep(0.001)
    assert "empty buffer" in str(told[0])
    assert transport.is_closing()


async def test_a_buffer_that_is_empty() -> None:
    """It is asyncio's error, and not a loop without end."""
    one, _ = channel()
    one.data_received(b"x")
    protocol = Buffered()
    protocol.connection_made = lambda *_: None  # type: ignore[method-assign]  # likewise
    protocol.get_buffer = lambda *_: bytearray()  # type: ignore[method-assign]  # likewise
    with pytest.raises(RuntimeError, match="empty buffer"):
        one.hand_to(protocol)


# What cannot be.


async def test_what_needs_a_socket() -> None:
    """One sentence says what works, before anything is connected."""
    connector = ProxyConnector(proxy="https://127.0.0.1:1")
    for call in (
        connector.connect("x.test", 80),
        connector.wait_until_up("x.test", 80, timeout=1),
        connector.connect_any([("x.test", 80)]),
        proxy.connect("x.test", 80, proxy="https://127.0.0.1:1"),
        Connectable("x.test:80", connector).connect(),
    ):
        with pytest.raises(ValueError, match="use open_connection or create_conn"):
            await call


def test_what_needs_a_socket_on_a_loop() -> None:
    async def ready(_: object) -> None: ...

    connector = ProxyConnector(proxy="https://127.0.0.1:1", ready=ready)
    factory = loop_factory(connector)
    with (
        asyncio.Runner(loop_factory=factory) as runner,
        pytest.raises(ValueError, match="ready: it needs a socket on this loop"),
    ):
        runner.run(asyncio.open_connection("x.test", 80))


def test_values() -> None:
    context = ssl.create_default_context()
    with pytest.raises(ValueError, match="proxy_ssl is only meaningful with an https"):
        ProxyConnector(proxy="http://a:1", proxy_ssl=context)
    with pytest.raises(TypeError, match="proxy_ssl must be an SSLContext or None, not"):
        ProxyConnector(proxy="https://a:1", proxy_ssl=True)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="only one proxy of a chain can be https"):
        ProxyConnector(proxy=["https://a:1", "https://b:1"])
    one, same = (ProxyConnector(proxy="https://a:1", proxy_ssl=context) for _ in "12")
    assert one == same
    assert one != ProxyConnector(proxy="https://a:1")
    assert one.connector == Connector()

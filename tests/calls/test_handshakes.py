"""Handshakes beside each other: a race ends when a connection is usable."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import functools
import gc
import itertools
import logging
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeAlias

import pytest
import trustme
from calls.resolvers import Answering

import aioconnect
from aioconnect import Address, Connector
from aioconnect._io.socket_ownership import Handover
from aioconnect._io.tls import TLSOptions
from aioconnect._io.transports import TransportWrap, discard_connection
from aioconnect.testing import (
    Recorder,
    black_hole,
    echoing,
    leak_check,
    listening,
    refusing,
)

Factory = Callable[[], asyncio.AbstractEventLoop]
Behave: TypeAlias = Callable[[socket.socket], object]

NAME = "handshakes"
IGNORED = (NAME, "asyncio_", "aioconnect-resolver")
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
GREETING = b"hello " * 1000


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


@functools.cache
def server_context(name: str = "localhost", *, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    not_after = LONG_AGO if expired else None
    authority().issue_cert(name, not_after=not_after).configure_cert(context)
    return context


class HasAddress(Protocol):
    """A server, of this module or of the kit."""

    @property
    def address(self) -> Address: ...


class Peer:
    """A server that does the same with each connection, in a thread for each.

    *count* connections were accepted, and *ended* of them were closed by the client.
    """

    def __init__(self, listener: socket.socket, behave: Behave) -> None:
        self.address = Address(listener.family, listener.getsockname())
        self.sockaddr = listener.getsockname()
        self.count = 0
        self.ended = 0
        self._behave = behave
        self._listener = listener
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name=NAME)]

    def start(self) -> None:
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.count += 1
                self._open.add(conn)
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=(conn,), name=NAME)
            self._threads.append(thread)
            thread.start()

    def _serve(self, conn: socket.socket) -> None:
        conn.settimeout(60)
        with contextlib.suppress(OSError):
            self._behave(conn)
        with self._changed, conn:
            self._open.discard(conn)
            self.ended += 1
            self._changed.notify_all()

    def accepted(self) -> int:
        """Return how many connections there were, once there was one."""
        with self._changed:
            self._changed.wait_for(lambda: self.count, 30)
            return self.count

    def wait_until_ended(self, count: int) -> None:
        """Wait until *count* connections have been served to their end."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.ended >= count, 30)

    def stop(self) -> None:
        """End the threads; a client that has kept a connection fails elsewhere."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        with self._changed:
            for conn in self._open:
                with contextlib.suppress(OSError):
                    conn.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@contextmanager
def serving(behave: Behave, host: str = "127.0.0.1") -> Generator[Peer]:
    """Yield a `Peer` on a port of *host*."""
    with socket.create_server((host, 0)) as listener:
        peer = Peer(listener, behave)
        peer.start()
        try:
            yield peer
        finally:
            peer.stop()


def stalls(conn: socket.socket) -> None:
    """Read until the client goes, and answer nothing."""
    while conn.recv(65536):
        pass


def resets(conn: socket.socket) -> None:
    conn.recv(65536)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(conn: socket.socket) -> None:
    conn.recv(65536)


def speaks_plain_text(conn: socket.socket) -> None:
    conn.sendall(b"SSH-2.0-hello\r\n")
    stalls(conn)


def tls(context: ssl.SSLContext, gate: threading.Event | None = None) -> Behave:
    """Return what shakes hands once the *gate* is open, and echoes."""

    def behave(conn: socket.socket) -> None:
        if gate is not None:
            assert gate.wait(60)
        secure = context.wrap_socket(conn.dup(), server_side=True)
        with secure:
            while data := secure.recv(65536):
                secure.sendall(data)

    return behave


def works(conn: socket.socket) -> None:
    tls(server_context())(conn)


def of_another(conn: socket.socket) -> None:
    tls(server_context("another.invalid"))(conn)


def expired(conn: socket.socket) -> None:
    tls(server_context(expired=True))(conn)


KINDS = [stalls, resets, closes, speaks_plain_text, of_another, expired]
FAILING = KINDS[1:]


def greets(ending: str) -> Behave:
    """Return what sends a greeting and its *ending* together with its last flight.

    This is TLS 1.2, where the server's last flight ends the handshake.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def behave(conn: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        secure = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                if outgoing.pending:
                    conn.sendall(outgoing.read())
                incoming.write(conn.recv(65536))
            else:
                break
        secure.write(GREETING)
        if ending == "end":
            with contextlib.suppress(ssl.SSLWantReadError):
                secure.unwrap()
        # The end comes in the packet of the data.
        conn.send(outgoing.read(), socket.MSG_MORE)
        if ending == "nothing":
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            conn.shutdown(socket.SHUT_WR)
        if ending == "reset":
            linger = struct.pack("ii", 1, 0)
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        else:
            stalls(conn)

    return behave


class Client(asyncio.Protocol):
    """A protocol that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.data = b""
        self.changed = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is none
        self.tell("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    def eof_received(self) -> None:
        self.tell("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell("lost")

    async def wait_for(self, is_there: Callable[[], bool]) -> None:
        """Wait until *is_there*; say what was told if it never is."""
        try:
            async with asyncio.timeout(20):
                while not is_there():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"{self.told}, {len(self.data)} octets") from None

    async def is_lost(self) -> None:
        await self.wait_for(lambda: "lost" in self.told)


class BufferedClient(asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    def __init__(self) -> None:
        self.client = Client()
        # Of what does not fit, asyncio loses most when the end has come as well.
        self.buffer = bytearray(2**16)
        self.connection_made = self.client.connection_made  # type: ignore[method-assign]
        self.connection_lost = self.client.connection_lost  # type: ignore[method-assign]
        self.eof_received = self.client.eof_received  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.client.data_received(bytes(self.buffer[:nbytes]))


Result: TypeAlias = "tuple[Any, Callable[[], object]]"


async def open_connection(*peers: HasAddress, **options: Any) -> Result:
    _, writer = await aioconnect.open_connection(
        "localhost", 1, resolver=Answering(*(one.address for one in peers)), **options
    )

    def close() -> None:
        # Keep the writer until then: it warns when it is collected unclosed.
        writer.transport.abort()

    return writer.get_extra_info("peername"), close


async def create_connection(*peers: HasAddress, **options: Any) -> Result:
    transport, protocol = await aioconnect.create_connection(
        Client,
        "localhost",
        1,
        resolver=Answering(*(one.address for one in peers)),
        **options,
    )
    assert protocol.transport is transport
    assert protocol.told == ["made"]
    return transport.get_extra_info("peername"), transport.abort


async def reconnecting(*peers: HasAddress, **options: Any) -> Result:
    resolver = Answering(*(one.address for one in peers))
    connections = aioconnect.reconnecting(
        "localhost", 1, resolver=resolver, retry=(), **options
    )
    _, writer = await anext(connections)
    peername = writer.get_extra_info("peername")
    writer.transport.abort()
    await connections.aclose()
    return peername, lambda: None


async def connect(*peers: HasAddress, **options: Any) -> Result:
    sock = await aioconnect.connect(
        "localhost", 1, resolver=Answering(*(one.address for one in peers)), **options
    )
    return sock.getpeername(), sock.close


async def connect_any(*peers: HasAddress, **options: Any) -> Result:
    targets = [one.address for one in peers]
    sock = await aioconnect.connect_any(targets, race=True, **options)
    return sock.getpeername(), sock.close


Way: TypeAlias = Callable[..., Coroutine[Any, Any, Result]]

OVER_TLS: list[Way] = [open_connection, create_connection, reconnecting]
SOCKETS: list[Way] = [connect, connect_any]


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that no task, watcher, timer or descriptor outlives the block."""
    async with leak_check(ignore_threads=IGNORED, patience=5):
        yield


async def until(is_there: Callable[[], object]) -> None:
    """Let the loop run until *is_there*."""
    async with asyncio.timeout(30):
        while not is_there():
            await asyncio.sleep(0.001)


def in_phase(recorder: Recorder, phase: str) -> list[Address]:
    """Return the addresses whose *phase* has begun."""
    events = recorder.of(aioconnect.PhaseStarted)
    return [event.address for event in events if event.phase == phase]


def failures(recorder: Recorder) -> list[tuple[Address | None, str]]:
    """Return the address and the phase of each attempt that has failed."""
    events = recorder.of(aioconnect.AttemptFailed)
    return [(event.attempt.address, event.attempt.phase) for event in events]


@pytest.mark.parametrize("behave", KINDS)
@pytest.mark.parametrize("way", OVER_TLS)
async def test_the_second_address_works(way: Way, behave: Behave) -> None:
    """Whatever is wrong with the first, the next one that works is used."""
    recorder = Recorder()
    with serving(behave) as first, serving(works, "127.0.0.2") as second:
        async with nothing_left():
            peername, close = await way(
                first,
                second,
                ssl=client_context(),
                # Else the second may be usable first, on a slow machine.
                happy_eyeballs_delay=0.01 if behave is stalls else 2.0,
                timeout=60,
                observer=recorder,
            )
            assert peername == second.sockaddr
            close()
        assert (first.accepted(), second.accepted()) == (1, 1)
        second.wait_until_ended(1)
        first.wait_until_ended(1)
    expected = [] if behave is stalls else [(first.address, "tls")]
    assert failures(recorder)[:1] == expected
    assert recorder.only(aioconnect.Connected).address == second.address


@pytest.mark.parametrize("behave", KINDS)
@pytest.mark.parametrize("over", ["streams", "transport"])
def test_over_a_loop(loop_factory: Factory, behave: Behave, over: str) -> None:
    """Code that knows only asyncio gets the same."""
    made: list[Client] = []

    def factory() -> Client:
        made.append(Client())
        return made[-1]

    async def main() -> None:
        context = client_context()
        async with nothing_left():
            if over == "streams":
                reader, writer = await asyncio.open_connection(
                    "localhost", 1, ssl=context
                )
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                transport: Any = writer.transport
            else:
                loop = asyncio.get_running_loop()
                transport, _ = await loop.create_connection(
                    factory, "localhost", 1, ssl=context
                )
                assert len(made) == 1
            assert transport.get_extra_info("peername") == second.sockaddr
            transport.abort()

    with serving(behave) as first, serving(works, "127.0.0.2") as second:
        connector = Connector(
            resolver=Answering(first.address, second.address),
            happy_eyeballs_delay=0.01,
            timeout=60,
        )
        ours = aioconnect.loop_factory(connector, base=loop_factory)
        with asyncio.Runner(loop_factory=ours, debug=True) as runner:
            runner.run(main())
        assert (first.accepted(), second.accepted()) == (1, 1)


def test_ready_over_a_loop(loop_factory: Factory) -> None:
    """`ready` gets the socket there, and the factory is called for the winner alone."""
    made: list[Client] = []

    def factory() -> Client:
        made.append(Client())
        return made[-1]

    async def only_the_second(sock: socket.socket) -> None:
        if sock.getpeername() != second.sockaddr:
            await asyncio.Event().wait()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for context in (None, client_context()):
            made.clear()
            async with nothing_left():
                transport, protocol = await loop.create_connection(
                    factory, "localhost", 1, ssl=context
                )
                assert made == [protocol]
                assert transport.get_extra_info("peername") == second.sockaddr
                transport.abort()

    with serving(works) as first, serving(works, "127.0.0.2") as second:
        connector = Connector(
            resolver=Answering(first.address, second.address),
            happy_eyeballs_delay=0.01,
            timeout=60,
            ready=only_the_second,
        )
        ours = aioconnect.loop_factory(connector, base=loop_factory)
        with asyncio.Runner(loop_factory=ours, debug=True) as runner:
            runner.run(main())


@pytest.mark.parametrize("behave", FAILING)
async def test_a_failed_handshake_starts_the_next_at_once(behave: Behave) -> None:
    """Nothing waits for the delay of two seconds."""
    recorder = Recorder()
    with serving(behave) as first, serving(works, "127.0.0.2") as second:
        _, close = await open_connection(
            first,
            second,
            ssl=client_context(),
            happy_eyeballs_delay=2,
            observer=recorder,
        )
        close()
    _, started = recorder.of(aioconnect.AttemptStarted)
    failed = recorder.only(aioconnect.AttemptFailed)
    assert 0 <= started.at - failed.at < 1


@pytest.mark.parametrize("winner", [0, 1, 2])
@pytest.mark.parametrize("way", OVER_TLS)
async def test_the_first_usable_wins(way: Way, winner: int) -> None:
    """All are connected; who ends the handshake first has won."""
    recorder = Recorder()
    gates = [threading.Event() for _ in range(3)]
    with ExitStack() as stack:
        for gate in gates:
            stack.callback(gate.set)
        peers = [
            stack.enter_context(serving(tls(server_context(), gate), f"127.0.0.{n}"))
            for n, gate in enumerate(gates, 1)
        ]
        async with nothing_left():
            calling = asyncio.ensure_future(
                way(
                    *peers,
                    ssl=client_context(),
                    happy_eyeballs_delay=0.01,
                    observer=recorder,
                )
            )
            await until(lambda: len(in_phase(recorder, "tls")) == 3)
            gates[winner].set()
            peername, close = await calling
            assert peername == peers[winner].sockaddr
            close()
            for gate in gates:
                gate.set()
        assert [peer.accepted() for peer in peers] == [1, 1, 1]
    recorder.assert_none(aioconnect.AttemptFailed)


@pytest.mark.parametrize("winner", [0, 1])
@pytest.mark.parametrize("way", [*SOCKETS, open_connection, create_connection])
async def test_the_first_ready_wins(way: Way, winner: int) -> None:
    """The same without TLS, where `ready` says what is usable."""
    asked: list[Any] = []
    is_open = asyncio.Event()

    async def ready(*connection: Any) -> None:
        first, second = (*connection, None)[:2]
        transport = second if isinstance(first, asyncio.StreamReader) else first
        sock = first if second is None else transport.get_extra_info("socket")
        asked.append(sock.getpeername())
        await is_open.wait()
        if asked[-1] and sock.getpeername() != peers[winner].sockaddr:
            await asyncio.Event().wait()

    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        peers = [first, second]
        async with nothing_left():
            calling = asyncio.ensure_future(
                way(*peers, ready=ready, happy_eyeballs_delay=0.01)
            )
            await until(lambda: len(asked) == 2)
            is_open.set()
            peername, close = await calling
            assert peername == peers[winner].sockaddr
            close()
        assert (first.accepted(), second.accepted()) == (1, 1)


@pytest.mark.parametrize("way", SOCKETS)
async def test_two_are_ready_in_the_same_turn(way: Way) -> None:
    """One is handed out, and the other is closed."""
    asked: list[socket.socket] = []
    is_open = asyncio.Event()

    async def ready(sock: socket.socket) -> None:
        asked.append(sock)
        await is_open.wait()

    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        async with nothing_left():
            calling = asyncio.ensure_future(
                way(first, second, ready=ready, happy_eyeballs_delay=0.01)
            )
            await until(lambda: len(asked) == 2)
            is_open.set()
            _, close = await calling
            assert [sock.fileno() == -1 for sock in asked] == [False, True]
            second.wait_until_ended(1)
            assert first.ended == 0
            close()
        assert (first.accepted(), second.accepted()) == (1, 1)


@pytest.mark.parametrize("way", OVER_TLS)
async def test_two_handshakes_end_in_the_same_turn(way: Way) -> None:
    """One is handed out, and the other is closed."""
    recorder, gate = Recorder(), threading.Event()
    socks: list[socket.socket] = []
    greeted: list[socket.socket] = []

    def behave(conn: socket.socket) -> None:
        assert conn.recv(1, socket.MSG_PEEK)  # the client's hello
        greeted.append(conn)
        tls(server_context(), gate)(conn)

    with serving(behave) as first, serving(behave, "127.0.0.2") as second:
        async with nothing_left():
            calling = asyncio.ensure_future(
                way(
                    first,
                    second,
                    ssl=client_context(),
                    happy_eyeballs_delay=0.01,
                    prepare=[lambda sock, _: socks.append(sock.dup())],
                    observer=recorder,
                )
            )
            await until(lambda: len(greeted) == 2)
            gate.set()
            # Hold the loop up until both answers are there.
            for sock in socks:
                assert select.select([sock], [], [], 30)[0]
                sock.close()
            _, close = await calling
            close()
        assert (first.accepted(), second.accepted()) == (1, 1)
        first.wait_until_ended(1)
        second.wait_until_ended(1)
    recorder.assert_none(aioconnect.AttemptFailed)


async def test_the_factory_is_called_once() -> None:
    """Most callers give ``lambda: protocol``: it gets one transport, the winner's."""
    made: list[Client] = []
    recorder = Recorder()

    def factory() -> Client:
        # The race is decided: the handshakes have had the placeholder.
        assert len(in_phase(recorder, "tls")) == 2
        made.append(Client())
        return made[-1]

    with serving(stalls) as first, serving(works, "127.0.0.2") as second:
        async with nothing_left():
            transport, protocol = await aioconnect.create_connection(
                factory,
                "localhost",
                1,
                resolver=Answering(first.address, second.address),
                ssl=client_context(),
                happy_eyeballs_delay=0.01,
                observer=recorder,
            )
            assert made == [protocol]
            assert transport.get_protocol() is protocol
            assert protocol.told == ["made"]
            assert protocol.transport is transport
            assert transport.is_reading()
            transport.write(b"ping")
            await protocol.wait_for(lambda: protocol.data == b"ping")
            transport.abort()
            await protocol.is_lost()
            assert protocol.told == ["made", "lost"]


def raced(behave: Behave, stack: ExitStack) -> dict[str, Any]:
    """Return the options of a call whose second address is served by *behave*."""
    first = stack.enter_context(serving(stalls))
    second = stack.enter_context(serving(behave, "127.0.0.2"))
    return {
        "host": "localhost",
        "port": 1,
        "resolver": Answering(first.address, second.address),
        "ssl": client_context(),
        "happy_eyeballs_delay": 0.01,
        "timeout": 60,
    }


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("ending", ["nothing", "end", "half", "reset"])
async def test_what_comes_with_the_handshake(ending: str, buffered: bool) -> None:
    """No octet is lost, and neither is the end of the stream."""
    with ExitStack() as stack:
        options = raced(greets(ending), stack)
        async with nothing_left():
            made: Any = BufferedClient if buffered else Client
            transport, protocol = await aioconnect.create_connection(made, **options)
            client: Client = protocol.client if buffered else protocol
            if ending == "nothing":
                await client.wait_for(lambda: client.data == GREETING)
                transport.abort()
            await client.is_lost()
            assert client.told[0] == "made"
            if ending != "reset":
                assert client.data == GREETING
            if ending == "end":
                assert client.told == ["made", "end", "lost"]


@pytest.mark.parametrize("ending", ["nothing", "end", "half"])
async def test_a_protocol_that_pauses_reading(ending: str) -> None:
    """It gets nothing until it resumes, and then everything."""
    is_uvloop = not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    if is_uvloop and ending != "nothing":
        pytest.skip("uvloop loses what a paused protocol has not read at the end")

    class Paused(Client):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            assert self.transport is not None
            self.transport.pause_reading()

    with ExitStack() as stack:
        options = raced(greets(ending), stack)
        async with nothing_left():
            transport, client = await aioconnect.create_connection(Paused, **options)
            assert not transport.is_reading()
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert client.told == ["made"]
            assert client.data == b""
            transport.resume_reading()
            await client.wait_for(lambda: client.data == GREETING)
            transport.abort()
            await client.is_lost()


async def test_the_second_to_be_usable_is_the_winner_after_all() -> None:
    """Nothing that has come meanwhile is lost."""
    loop = asyncio.get_running_loop()
    wrap = TransportWrap(Client, TLSOptions(client_context(), "localhost", None, None))
    with serving(greets("nothing")) as first, serving(greets("nothing")) as second:
        async with nothing_left():
            connections = []
            for peer in (first, second):
                sock = await aioconnect.connect_any([peer.address])
                connections.append(
                    await wrap(Handover(loop, sock, None, may_lose=True))
                )
            for _ in range(20):
                await asyncio.sleep(0.001)
            discard_connection(connections[0])
            wrap.winner = None
            transport, client = await wrap.adopt(loop, connections[1], None)
            await client.wait_for(lambda: client.data == GREETING)
            transport.abort()
            await client.is_lost()


def raises() -> Client:
    raise ZeroDivisionError


class Unmade(Client):
    """A protocol with a bug."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("factory", "error"),
    [
        (raises, ZeroDivisionError),
        (lambda: None, TypeError),
        (lambda: asyncio.Protocol, TypeError),
        (Unmade, ZeroDivisionError),
    ],
    ids=["raises", "returns-nothing", "returns-a-class", "has-a-bug"],
)
async def test_a_factory_with_a_bug(factory: Any, error: type[Exception]) -> None:
    """The call ends with its own exception, and nothing is open."""
    with ExitStack() as stack:
        options = raced(works, stack)
        async with nothing_left():
            with pytest.raises(error):
                await aioconnect.create_connection(factory, retry=(0, 0), **options)


async def test_ready_on_a_transport() -> None:
    """Each that proves itself has a protocol; those of the losers lose theirs."""
    made: list[Client] = []

    def factory() -> Client:
        made.append(Client())
        return made[-1]

    async def only_the_last(transport: asyncio.Transport, protocol: Client) -> None:
        if transport.get_extra_info("peername") != peers[2].sockaddr:
            await asyncio.Event().wait()

    for context in (None, client_context()):
        made.clear()
        with ExitStack() as stack:
            peers = [
                stack.enter_context(serving(works if context else stalls, host))
                for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3")
            ]
            async with nothing_left():
                transport, protocol = await aioconnect.create_connection(
                    factory,
                    "localhost",
                    1,
                    resolver=Answering(*(peer.address for peer in peers)),
                    ready=only_the_last,
                    ssl=context,
                    happy_eyeballs_delay=0.01,
                )
                assert len(made) == 3
                assert protocol is made[2]
                for loser in made[:2]:
                    await loser.is_lost()
                assert protocol.told == ["made"]
                transport.abort()
                await protocol.is_lost()


@pytest.mark.parametrize("behave", KINDS)
@pytest.mark.parametrize("way", [open_connection, create_connection])
async def test_losers_are_not_logged(
    way: Way, behave: Behave, caplog: pytest.LogCaptureFixture
) -> None:
    """No line of the loop, and no exception that was never retrieved."""
    logged: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: logged.append(context))
    with serving(behave) as first, serving(works, "127.0.0.2") as second:
        for _ in range(3):
            _, close = await way(
                first,
                second,
                first,
                ssl=client_context(),
                happy_eyeballs_delay=0.01,
            )
            close()
        first.wait_until_ended(3)
        for _ in range(5):
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
    loop.set_exception_handler(before)
    assert not logged
    records = [one for one in caplog.records if "took" not in one.getMessage()]
    assert not [one for one in records if one.levelno >= logging.WARNING]


@pytest.mark.parametrize("way", [open_connection, create_connection])
async def test_all_fail(way: Way) -> None:
    """The error lists every address with its phase, and is of no one's class."""
    with ExitStack() as stack:
        refused = stack.enter_context(refusing())
        peers = [
            stack.enter_context(serving(behave, f"127.0.0.{n}"))
            for n, behave in enumerate([expired, of_another, closes], 2)
        ]
        async with nothing_left():
            with pytest.raises(aioconnect.ConnectError) as caught:
                await way(
                    refused, *peers, ssl=client_context(), happy_eyeballs_delay=0.01
                )
    listed = {(one.address, one.phase) for one in caught.value.attempts}
    assert listed == {
        (refused.address, "connect"),
        *((peer.address, "tls") for peer in peers),
    }
    assert not isinstance(caught.value, aioconnect.ConnectCertificateError)
    for peer in peers:
        assert str(peer.address) in str(caught.value)


@pytest.mark.parametrize("way", OVER_TLS)
async def test_no_certificate_verifies(way: Way) -> None:
    """All agree on the class, and no other round follows, whatever the policy says."""
    retrying: dict[str, Any] = {}
    if way is not reconnecting:
        retrying = {"retry": (0, 0), "retry_on": lambda _: True}
    with serving(expired) as first, serving(of_another, "127.0.0.2") as second:
        async with nothing_left():
            with pytest.raises(aioconnect.ConnectCertificateError) as caught:
                await way(first, second, ssl=client_context(), **retrying)
        assert (first.accepted(), second.accepted()) == (1, 1)
    assert [(one.address, one.phase) for one in caught.value.attempts] == [
        (first.address, "tls"),
        (second.address, "tls"),
    ]
    assert caught.value.rounds == 1


@pytest.mark.parametrize("way", [open_connection, create_connection])
async def test_another_round_beside_a_certificate(way: Way) -> None:
    """What else has failed may be a reason for it.  The certificate is not tried."""
    recorder = Recorder()
    with serving(expired) as first, serving(closes, "127.0.0.2") as second:
        options = {"ssl": client_context(), "retry": (0, 0), "observer": recorder}
        with pytest.raises(aioconnect.ConnectError) as caught:
            await way(first, second, **options)
        second.wait_until_ended(3)
        assert (first.count, second.count) == (1, 3)
    # The last round has tried one address, and all listed are in the text.
    assert isinstance(caught.value, aioconnect.ConnectResetError)
    assert str(first.address) in str(caught.value)
    attempts = caught.value.attempts
    assert [(one.round, one.address, one.sent) for one in attempts] == [
        (number, address, number == 1 or address == second.address)
        for number in (1, 2, 3)
        for address in (first.address, second.address)
    ]
    assert len({one.error for one in attempts if one.address == first.address}) == 1
    started = [one.address for one in recorder.of(aioconnect.AttemptStarted)]
    assert started == [first.address] + 3 * [second.address]


async def test_a_certificate_that_is_no_reason_for_another_round() -> None:
    """Nor is it when it is the only address that the last round has."""
    answers = iter([2, 1, 1])

    async def resolver(*_: Any, **__: Any) -> list[Address]:
        return [first.address, second.address][: next(answers)]

    with serving(expired) as first, serving(closes, "127.0.0.2") as second:
        with pytest.raises(aioconnect.ConnectCertificateError) as caught:
            await aioconnect.open_connection(
                "localhost",
                1,
                resolver=resolver,
                ssl=client_context(),
                retry=(0, 0, 0),
                retry_on=lambda _: True,
            )
        assert (first.count, second.count) == (1, 1)
    assert caught.value.rounds == 2


async def test_a_certificate_says_nothing_about_a_later_round() -> None:
    """What was tried there decides whether another one follows, and which error."""

    async def resolver(*_: Any, **__: Any) -> list[Address]:
        if second.count:  # then nobody listens there any more
            return [first.address, refused.address]
        return [first.address, second.address]

    with (
        serving(expired) as first,
        serving(closes, "127.0.0.2") as second,
        refusing("127.0.0.3") as refused,
    ):
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.open_connection(
                "localhost",
                1,
                resolver=resolver,
                ssl=client_context(),
                retry=(0, 0),
            )
        assert (first.count, second.count) == (1, 1)
    assert caught.value.rounds == 3


async def test_a_certificate_is_tried_again_after_a_connection() -> None:
    """The connection was lost; what follows is like a new call."""
    with serving(expired) as first, serving(works, "127.0.0.2") as second:
        connections = aioconnect.reconnecting(
            "localhost",
            1,
            resolver=Answering(first.address, second.address),
            ssl=client_context(),
            retry=(0, 0),
        )
        for _ in range(2):
            _, writer = await anext(connections)
            writer.transport.abort()
        await connections.aclose()
        assert (first.count, second.count) == (2, 2)


async def test_the_certificates_that_are_remembered() -> None:
    """At most 64 are: a resolver may know ever new addresses."""
    with serving(expired, "0.0.0.0") as first, serving(closes) as second:
        port = first.sockaddr[1]
        peers = [
            Address(socket.AF_INET, (f"127.0.1.{number}", port))
            for number in range(1, 66)
        ]
        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.open_connection(
                "localhost",
                1,
                resolver=Answering(*peers, second.address),
                ssl=client_context(),
                happy_eyeballs_delay=None,
                retry=(0,),
            )
        assert first.count == len(peers) + 1
    assert caught.value.rounds == 2


async def test_the_time_is_up_during_two_handshakes() -> None:
    """Both are in the error, with what they were waiting for."""
    for way in (open_connection, create_connection):
        with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
            async with nothing_left():
                with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
                    await way(
                        first,
                        second,
                        ssl=client_context(),
                        happy_eyeballs_delay=0.01,
                        timeout=1,
                    )
            assert (first.accepted(), second.accepted()) == (1, 1)
        attempts = caught.value.attempts
        assert {(one.address, one.phase) for one in attempts} == {
            (first.address, "tls"),
            (second.address, "tls"),
        }
        for one in attempts:
            assert "the handshake has not ended yet" in str(one.error)
            assert isinstance(one.error, TimeoutError)


@pytest.mark.parametrize("way", SOCKETS)
async def test_the_time_is_up_while_two_prove_themselves(way: Way) -> None:
    async def never(sock: socket.socket) -> None:
        await asyncio.Event().wait()

    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        async with nothing_left():
            with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
                await way(
                    first, second, ready=never, happy_eyeballs_delay=0.01, timeout=1
                )
    assert [(one.address, one.phase) for one in caught.value.attempts] == [
        (first.address, "ready"),
        (second.address, "ready"),
    ]


async def test_the_time_of_an_attempt() -> None:
    """It covers the handshake; the call goes on without that attempt."""
    recorder = Recorder()
    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        async with nothing_left():
            with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
                await open_connection(
                    first,
                    second,
                    ssl=client_context(),
                    happy_eyeballs_delay=0.01,
                    attempt_timeout=0.3,
                    observer=recorder,
                )
    assert str(caught.value).startswith("cannot connect"), "the call had time"
    assert len(caught.value.attempts) == 2
    for one in caught.value.attempts:
        assert one.phase == "tls"
        assert "the handshake has not ended yet" in str(one.error)
        assert one.elapsed > 0.25  # uvloop's clock counts milliseconds


async def points() -> AsyncIterator[int]:
    """Yield numbers of the loop's turns at which to end a call."""
    for number in itertools.chain(range(4), range(4, 30, 2), range(30, 90, 15)):
        yield number


async def run_for(turns: int) -> None:
    for _ in range(turns):
        time.sleep(0.001)
        await asyncio.sleep(0)


def two_handshakes(
    recorder: Recorder, peers: tuple[Peer, Peer], way: Way, **options: Any
) -> Coroutine[Any, Any, Result]:
    return way(
        *peers,
        ssl=client_context(),
        happy_eyeballs_delay=0.01,
        observer=recorder,
        **options,
    )


@pytest.mark.parametrize("behave", [stalls, works, closes])
@pytest.mark.parametrize("way", [open_connection, create_connection])
async def test_cancelled(way: Way, behave: Behave) -> None:
    """At any turn, it arrives, and everything has ended before the caller sees it."""
    seen = set()
    before = asyncio.all_tasks()
    with serving(stalls) as first, serving(behave, "127.0.0.2") as second:
        async for turns in points():
            recorder = Recorder()
            async with nothing_left():
                calling = asyncio.ensure_future(
                    two_handshakes(recorder, (first, second), way)
                )
                await run_for(turns)
                if calling.done():
                    _, close = await calling
                    close()
                    continue
                seen.add(len(in_phase(recorder, "tls")))
                calling.cancel("by the test")
                with pytest.raises(asyncio.CancelledError):
                    await calling
                assert asyncio.all_tasks() == before
    assert 2 in seen or behave is works


@pytest.mark.parametrize(
    "behave", [pytest.param(stalls, marks=pytest.mark.thorough), works]
)
@pytest.mark.parametrize("way", [open_connection, create_connection])
async def test_abandoned(way: Way, behave: Behave) -> None:
    """A coroutine that is closed leaves nothing, as soon as the loop has run."""
    seen = set()
    with serving(stalls) as first, serving(behave, "127.0.0.2") as second:
        async for turns in points():
            recorder = Recorder()
            async with nothing_left():
                calling = two_handshakes(recorder, (first, second), way)
                for _ in range(turns):
                    try:
                        future = calling.send(None)
                    except StopIteration as stop:
                        stop.value[1]()
                        break
                    if future is not None:
                        future._asyncio_future_blocking = False  # as a task does
                        for _ in range(50):
                            if future.done():
                                break
                            await run_for(1)
                    else:
                        await asyncio.sleep(0)
                seen.add(len(in_phase(recorder, "tls")))
                calling.close()
    assert 2 in seen or behave is works


@pytest.mark.parametrize("way", OVER_TLS)
async def test_cancelled_while_another_is_ended(way: Way) -> None:
    """The winner is not handed out, and is closed as well."""
    is_ending = asyncio.Event()
    may_end = asyncio.Event()

    async def ready(*connection: Any) -> None:
        transport = connection[1].transport if way is not create_connection else None
        transport = transport or connection[0]
        if transport.get_extra_info("peername") == second.sockaddr:
            return
        try:
            await asyncio.Event().wait()
        finally:
            is_ending.set()
            while not may_end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await may_end.wait()

    with serving(works) as first, serving(works, "127.0.0.2") as second:
        async with nothing_left():
            calling = asyncio.ensure_future(
                two_handshakes(Recorder(), (first, second), way, ready=ready)
            )
            await is_ending.wait()
            calling.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
            assert not calling.done(), "everything has to end first"
            calling.cancel()
            may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await calling
        first.wait_until_ended(1)
        second.wait_until_ended(1)


class BugError(Exception):
    """A mistake in an observer."""


@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("way", OVER_TLS)
async def test_an_observer_with_a_bug(way: Way, number: int) -> None:
    """Its exception ends the call, whichever event it was, and nothing is open."""
    told = 0

    def observe(event: aioconnect.Event) -> None:
        nonlocal told
        told += 1
        if told == number:
            raise BugError

    with (
        serving(expired) as bad,
        serving(stalls, "127.0.0.2") as silent,
        serving(works, "127.0.0.3") as good,
    ):
        async with nothing_left():
            with pytest.raises(BugError):
                # Looked up, the three attempts with their phases, the failure, the end.
                await way(
                    bad,
                    silent,
                    good,
                    ssl=client_context(),
                    happy_eyeballs_delay=0.01,
                    observer=observe,
                )


async def test_a_ready_with_a_bug() -> None:
    """It comes through while another proves itself, and nothing is open."""

    async def ready(sock: socket.socket) -> None:
        if sock.getpeername() == first.sockaddr:
            await asyncio.Event().wait()
        raise BugError

    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        for way in SOCKETS:
            async with nothing_left():
                with pytest.raises(BugError):
                    await way(first, second, ready=ready, happy_eyeballs_delay=0.01)


async def test_a_ready_that_cancels_itself() -> None:
    """It is a failure of its address, and no end of the call."""
    recorder = Recorder()

    async def ready(sock: socket.socket) -> None:
        if sock.getpeername() == first.sockaddr:
            raise asyncio.CancelledError

    with serving(stalls) as first, serving(stalls, "127.0.0.2") as second:
        async with nothing_left():
            peername, close = await connect(
                first, second, ready=ready, observer=recorder
            )
            assert peername == second.sockaddr
            close()
    assert failures(recorder) == [(first.address, "ready")]


async def count_tasks(ready_for: Any, **options: Any) -> tuple[Any, list[int]]:
    """Return the peer of a connect, and how many tasks there were in each `ready`."""
    counts: list[int] = []
    before = len(asyncio.all_tasks())

    async def ready(sock: socket.socket) -> bool:
        counts.append(len(asyncio.all_tasks()) - before)
        return bool(sock.getpeername() == ready_for)

    sock = await aioconnect.connect("localhost", 1, ready=ready, **options)
    with sock:
        return sock.getpeername(), counts


async def test_tasks() -> None:
    """One for each that is connected while others may still win, and none else."""
    with listening() as first, listening() as second, refusing() as refused:
        found = [first.address, refused.address, second.address]
        options: dict[str, Any] = {"resolver": Answering(*found)}
        _, counts = await count_tasks(second.sockaddr, **options)
        assert counts == [1, 0]  # the last is the only one left
        options["happy_eyeballs_delay"] = None
        _, counts = await count_tasks(second.sockaddr, **options)
        assert counts == [0, 0]
        options = {"resolver": Answering(first.address)}
        _, counts = await count_tasks(first.sockaddr, **options)
        assert counts == [0]


async def test_without_a_handshake_there_is_no_task() -> None:
    """The first that is connected wins at once, as ever."""
    made: list[str] = []
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()

    def make(
        loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> asyncio.Task[Any]:
        made.append(coro.__qualname__)
        return asyncio.Task(coro, loop=loop, **options)

    with listening() as first, listening() as second:
        for way in (connect, open_connection, create_connection):
            recorder = Recorder()
            loop.set_task_factory(make)
            peername, close = await way(first, second, observer=recorder)
            loop.set_task_factory(before)
            assert peername == first.sockaddr
            close()
            assert len(recorder.of(aioconnect.AttemptStarted)) == 1
    assert not [name for name in made if "Handshake" in name]


async def test_six_at_a_time() -> None:
    """A seventh waits until one of six handshakes has failed; nobody is given up."""
    recorder = Recorder()
    is_open = asyncio.Event()
    live: set[Any] = set()

    async def ready(sock: socket.socket) -> bool:
        live.add(sock.getpeername())
        assert len(live) <= 6
        try:
            await is_open.wait()
            return bool(sock.getpeername() == peers[-1].sockaddr)
        finally:
            live.remove(sock.getpeername())

    with ExitStack() as stack:
        peers = [stack.enter_context(listening()) for _ in range(8)]
        async with nothing_left():
            calling = asyncio.ensure_future(
                aioconnect.connect(
                    "localhost",
                    1,
                    resolver=Answering(*(peer.address for peer in peers)),
                    ready=ready,
                    happy_eyeballs_delay=0.01,
                    observer=recorder,
                )
            )
            await until(lambda: len(live) == 6)
            await asyncio.sleep(0.1)  # many delays: a seventh would have started
            assert len(recorder.of(aioconnect.AttemptStarted)) == 6
            recorder.assert_none(aioconnect.AttemptFailed)
            is_open.set()
            with await calling as sock:
                assert sock.getpeername() == peers[-1].sockaddr
    phases = [phase for _, phase in failures(recorder)]
    assert phases == ["ready"] * len(phases)


async def test_a_silent_one_is_given_up_beside_handshakes() -> None:
    """Of five that shake hands and one that is silent, the silent one makes room."""
    recorder = Recorder()
    with ExitStack() as stack:
        silent = [stack.enter_context(serving(stalls)) for _ in range(3)]
        holes = [stack.enter_context(black_hole()) for _ in range(3)]
        good = stack.enter_context(serving(works, "127.0.0.2"))
        async with nothing_left():
            peername, close = await open_connection(
                *silent,
                *holes,
                good,
                ssl=client_context(),
                happy_eyeballs_delay=0.01,
                timeout=60,
                observer=recorder,
            )
            assert peername == good.sockaddr
            close()
    for event in recorder.of(aioconnect.AttemptFailed):
        assert event.attempt.address in [hole.address for hole in holes]


@pytest.mark.parametrize("behave", [resets, closes])
async def test_ready_over_streams_of_losers(behave: Behave) -> None:
    """Streams over which a `ready` was reading are torn down without a word."""

    async def answers(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"

    with (
        serving(stalls) as first,
        serving(behave, "127.0.0.2") as second,
        echoing("127.0.0.3") as good,
    ):
        async with nothing_left():
            _, writer = await aioconnect.open_connection(
                "localhost",
                1,
                resolver=Answering(first.address, second.address, good.address),
                ready=answers,
                happy_eyeballs_delay=0.01,
            )
            assert writer.get_extra_info("peername") == good.sockaddr
            writer.transport.abort()


async def test_different_causes_have_no_errno() -> None:
    """A reset and a refusal of `ready` agree on nothing."""

    async def ready(sock: socket.socket) -> None:
        code = errno.ECONNRESET if sock.getpeername() == first.sockaddr else errno.EPIPE
        raise OSError(code, "not ready")

    with (
        serving(stalls) as first,
        serving(stalls, "127.0.0.2") as second,
        pytest.raises(aioconnect.ConnectError) as caught,
    ):
        await connect(first, second, ready=ready)
    assert type(caught.value) is aioconnect.ConnectError
    assert [one.phase for one in caught.value.attempts] == ["ready", "ready"]

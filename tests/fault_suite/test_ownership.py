"""Each descriptor has one owner: no socket object closes a number that it has lost.

uvloop closes the descriptor, and asyncio closes the socket object (K5, K18).  A socket
object that is not told closes the number again when it is collected, even if other code
has opened it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from typing import Any

import pytest
import trustme
from anyio.abc import ByteStream

import aioconnect
from aioconnect import Address, Connector
from aioconnect.contrib.anyio import Connectable
from aioconnect.testing import (
    Server,
    UnixServer,
    leak_check,
    listening,
    tls_echoing,
    unix_listening,
)

Factory = Callable[[], asyncio.AbstractEventLoop]

# More iterations of the loop than any call here takes.
TURNS = 8

TIMES, STRANGERS = 3, 100


@dataclass(frozen=True)
class There:
    """A listener, and the functions that connect to it over the running loop."""

    server: Server | UnixServer
    by_loop: bool

    def create(self, factory: Callable[[], Any], **options: Any) -> Awaitable[Any]:
        """Connect, or take the connected ``sock=``, and make a transport."""
        if isinstance(self.server, UnixServer):
            create: Any = aioconnect.create_unix_connection
            if self.by_loop:
                create = asyncio.get_running_loop().create_unix_connection
            where: tuple[Any, ...] = (self.server.path,)
        else:
            create = aioconnect.create_connection
            if self.by_loop:
                create = asyncio.get_running_loop().create_connection
            where = (self.server.host, self.server.port)
        made: Awaitable[Any] = create(
            factory, *(() if "sock" in options else where), **options
        )
        return made

    async def connected(self) -> socket.socket:
        """Return a socket that is connected to the listener."""
        return await aioconnect.connect_address(self.server.address)

    def streams(self, **options: Any) -> Awaitable[Any]:
        """Connect, and make streams."""
        if isinstance(self.server, UnixServer):
            return aioconnect.open_unix_connection(self.server.path, **options)
        return aioconnect.open_connection(*self.server.sockaddr, **options)


class Aborts(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.abort()


class Closes(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.close()


class SaysGoodbye(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"goodbye")
        transport.close()


class Breaks(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.abort()
        raise ZeroDivisionError


def streams_that_close() -> asyncio.StreamReaderProtocol:
    """Return asyncio streams whose callback closes them."""
    return asyncio.StreamReaderProtocol(
        asyncio.StreamReader(), lambda _, writer: writer.close()
    )


def raises() -> asyncio.Protocol:
    raise ZeroDivisionError


def speechless() -> ssl.SSLContext:
    """Return a context whose handshake fails before it has sent anything."""
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def making(there: There, factory: Callable[[], Any]) -> object:
    with contextlib.suppress(ZeroDivisionError):
        return await there.create(factory)
    return None


async def given(there: There, factory: Callable[[], Any]) -> object:
    sock = await there.connected()
    with contextlib.suppress(ZeroDivisionError):
        return sock, await there.create(factory, sock=sock)
    assert sock.fileno() != -1  # no transport was made, so the caller owns it
    sock.close()
    return sock


async def cancelled(calling: Callable[[], Awaitable[Any]]) -> object:
    """Cancel the call after each number of iterations; return the results."""
    kept: list[Any] = []
    for turns in range(TURNS):
        task = asyncio.ensure_future(calling())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            *others, transport, protocol = await task
            transport.abort()
            kept += *others, transport, protocol
    return kept


async def closed_half_way(there: There, is_given: bool = False) -> object:
    """Drop the call when the loop has a transport that is not connected yet."""
    options = {"sock": await there.connected()} if is_given else {}
    creating: Any = there.create(asyncio.Protocol, **options)
    creating.send(None)
    creating.close()
    return options


async def cancelled_with(there: There) -> object:
    sock = await there.connected()
    return sock, await cancelled(lambda: there.create(asyncio.Protocol, sock=sock))


TLS: dict[str, Any] = {"server_hostname": "localhost"}


async def failing(there: There, **tls: Any) -> object:
    with pytest.raises(aioconnect.ConnectError):
        await there.create(asyncio.Protocol, **TLS, **tls)
    return None


async def answered_with_garbage(there: There) -> object:
    sock = await there.connected()
    with there.server.accept() as peer:
        peer.send(b"SSH-2.0-hello\r\n")
        with pytest.raises(ssl.SSLError):
            await there.create(
                asyncio.Protocol, sock=sock, ssl=ssl.create_default_context(), **TLS
            )
    return sock


async def ready_that_ends(there: There, end: Callable[[Any], object]) -> object:
    async def ready(*made: Any) -> None:
        end(made[-1])

    with pytest.raises(aioconnect.ConnectAbortedError):
        await there.streams(ready=ready)
    return None


async def ready_that_ends_socket(
    there: There, end: Callable[[socket.socket], Any]
) -> object:
    numbers: list[int | None] = []

    async def ready(sock: socket.socket) -> None:
        numbers.append(end(sock))

    with pytest.raises(aioconnect.ConnectAbortedError):
        await Connector(ready=ready).connect_address(there.server.address)
    for number in numbers:
        if number is not None:
            os.close(number)
    return None


async def over_anyio(there: There) -> object:
    connectable = Connectable(there.server.address)

    async def connect() -> Any:
        stream: Any = await connectable.connect()
        await stream.aclose()
        raise asyncio.CancelledError

    return await cancelled(connect)


async def anyio_whose_ready_ends(there: There) -> object:
    async def ready(stream: ByteStream) -> None:
        await stream.aclose()

    connectable = Connectable(there.server.address, Connector(ready=ready))
    with pytest.raises(aioconnect.ConnectAbortedError):
        await connectable.connect()
    return None


async def reconnecting(there: There, end: Callable[[Any], object]) -> object:
    connector = Connector(retry=(0,) * 10)
    if isinstance(there.server, UnixServer):
        iterator = connector.reconnecting_unix(there.server.path)
    else:
        iterator = connector.reconnecting(there.server.host, there.server.port)
    for _ in range(3):
        _, writer = await anext(iterator)
        end(writer)
    await iterator.aclose()
    return iterator


async def used_and_dropped(there: There, end: Callable[[Any], object]) -> object:
    """Use the socket of a live transport, and the caller's own."""
    sock = await there.connected()
    transport, _ = await there.create(asyncio.Protocol, sock=sock)
    for one in (sock, transport.get_extra_info("socket")):
        assert one.getpeername() == there.server.sockaddr
    number = sock.fileno()
    end(transport)
    assert sock.fileno() in (number, -1)
    return sock, transport


async def over_tls(there: There, factory: Callable[[], Any]) -> object:
    path = None if isinstance(there.server, Server) else f"{there.server.path}.tls"
    with tls_echoing(path=path) as server:

        async def create() -> Any:
            sock = await aioconnect.connect_address(server.address)
            context = server.client_context
            return sock, *await there.create(factory, sock=sock, ssl=context, **TLS)

        return [await create(), await cancelled(create)]


async def two_handshakes(
    _: There,
    factory: Callable[[], Any],
    *,
    silent: bool = False,
    observer: Callable[[aioconnect.Event], None] | None = None,
) -> object:
    """Race for TLS, where the first address stalls, and with *silent* the second too.

    Keep the socket objects of both.
    """
    socks: list[socket.socket] = []
    with (
        tls_echoing("127.0.0.2", silent=True) as first,
        tls_echoing(silent=silent) as second,
    ):

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [first.address, second.address]

        connector = Connector(
            resolver=resolver,
            prepare=[lambda sock, _: socks.append(sock)],
            happy_eyeballs_delay=0.01,
            observer=observer,
        )
        with contextlib.suppress(ZeroDivisionError, asyncio.CancelledError):
            transport, protocol = await connector.create_connection(
                factory, "localhost", 1, ssl=second.client_context
            )
            transport.abort()
            return socks, transport, protocol
        return socks


async def two_handshakes_cancelled(there: There) -> object:
    """Cancel the call when both shake hands."""
    phases: list[aioconnect.Event] = []

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.PhaseStarted):
            phases.append(event)
            if len(phases) == 2:
                task.cancel()

    task = asyncio.ensure_future(
        two_handshakes(there, asyncio.Protocol, silent=True, observer=observe)
    )
    return await task


async def two_to_be_ready(_: There) -> object:
    """Race until one is ready, and keep the streams of both."""
    kept: list[Any] = []

    async def ready(*streams: Any) -> None:
        kept.append(streams)
        if len(kept) == 1:
            await asyncio.sleep(3600)

    with listening() as first, listening() as second:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [first.address, second.address]

        connector = Connector(resolver=resolver, ready=ready, happy_eyeballs_delay=0.01)
        streams = await connector.open_connection("name", 1)
        streams[1].transport.abort()
    assert len(kept) == 2
    return kept


WAYS: dict[str, Callable[[There], Awaitable[object]]] = {
    "aborts": partial(making, factory=Aborts),
    "closes": partial(making, factory=Closes),
    "says goodbye": partial(making, factory=SaysGoodbye),
    "breaks": partial(making, factory=Breaks),
    "streams that close": partial(making, factory=streams_that_close),
    "raises": partial(making, factory=raises),
    "given, aborts": partial(given, factory=Aborts),
    "given, closes": partial(given, factory=Closes),
    "given, says goodbye": partial(given, factory=SaysGoodbye),
    "given, breaks": partial(given, factory=Breaks),
    "given, streams that close": partial(given, factory=streams_that_close),
    "given, raises": partial(given, factory=raises),
    "given, closed": partial(used_and_dropped, end=methodcaller("close")),
    "given, aborted": partial(used_and_dropped, end=methodcaller("abort")),
    "cancelled": lambda there: cancelled(lambda: there.create(asyncio.Protocol)),
    "given, cancelled": cancelled_with,
    "closed half-way": closed_half_way,
    "given, closed half-way": partial(closed_half_way, is_given=True),
    "TLS aborts": partial(over_tls, factory=Aborts),
    "TLS closes": partial(over_tls, factory=Closes),
    "TLS says goodbye": partial(over_tls, factory=SaysGoodbye),
    "TLS of garbage": answered_with_garbage,
    "TLS that is late": partial(failing, ssl=True, ssl_handshake_timeout=0.05),
    "TLS that cannot begin": lambda there: failing(there, ssl=speechless()),
    "two handshakes": partial(two_handshakes, factory=asyncio.Protocol),
    "two handshakes, aborts": partial(two_handshakes, factory=Aborts),
    "two handshakes, says goodbye": partial(two_handshakes, factory=SaysGoodbye),
    "two handshakes, breaks": partial(two_handshakes, factory=Breaks),
    "two handshakes, raises": partial(two_handshakes, factory=raises),
    "two handshakes, cancelled": two_handshakes_cancelled,
    "two to be ready": two_to_be_ready,
    "ready closes": partial(ready_that_ends, end=asyncio.StreamWriter.close),
    "ready aborts": partial(
        ready_that_ends, end=lambda writer: writer.transport.abort()
    ),
    "ready closes the socket": partial(ready_that_ends_socket, end=socket.socket.close),
    "ready takes the socket": partial(ready_that_ends_socket, end=socket.socket.detach),
    "anyio, cancelled": over_anyio,
    "anyio, ready closes": anyio_whose_ready_ends,
    "reconnecting, closed": partial(reconnecting, end=asyncio.StreamWriter.close),
    "reconnecting, aborted": partial(
        reconnecting, end=lambda writer: writer.transport.abort()
    ),
}


@pytest.fixture(params=["TCP, by function", "Unix, by the loop's method"])
def there(request: pytest.FixtureRequest) -> Iterator[There]:
    """Give a listener of either kind."""
    if request.param.startswith("TCP"):
        with listening() as server:
            yield There(server, by_loop=False)
    else:
        with unix_listening() as unix_server:
            yield There(unix_server, by_loop=True)


@pytest.fixture
def collecting_is_cheap() -> Iterator[None]:
    """Let the collector look only at what the test makes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("collecting_is_cheap")
@pytest.mark.parametrize("way", WAYS)
def test_nobody_closes_a_stranger_s_descriptor(
    way: str, there: There, loop_factory: Factory
) -> None:
    """The next owner of a number keeps it, however the transport has ended."""
    base = aioconnect.loop_factory(base=loop_factory) if there.by_loop else loop_factory
    lost = 0

    async def meet_strangers() -> None:
        nonlocal lost
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # Breaks'
        kept = [await WAYS[way](there) for _ in range(TIMES)]
        for _ in range(3):  # the transports end and tell their protocols
            await asyncio.sleep(0)
        strangers = [os.open(os.devnull, os.O_RDONLY) for _ in range(STRANGERS)]
        del kept
        gc.collect()
        for number in strangers:
            try:
                os.close(number)
            except OSError:
                lost += 1

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(meet_strangers())
    assert lost == 0


async def test_a_connected_protocol_is_told_of_the_end(port: int) -> None:
    """Whenever the call is cancelled, a connected protocol also gets its end."""
    heard: list[str] = []

    class Hears(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            heard.append("made")

        def connection_lost(self, exc: Exception | None) -> None:
            heard.append("lost")

    for turns in range(TURNS):
        heard.clear()
        call = aioconnect.create_connection(Hears, "127.0.0.1", port)
        task = asyncio.ensure_future(call)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            transport, _ = await task
            transport.abort()
        for _ in range(2):
            await asyncio.sleep(0)
        assert heard in ([], ["made", "lost"])


@pytest.mark.usefixtures("collecting_is_cheap")
@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-hello\r\n", b"\x15\x03\x03\0\2\2\x78"]
)
async def test_a_handshake_that_fails_while_it_is_cancelled(
    listener: Server, answer: bytes
) -> None:
    """Whenever failure and cancellation meet, nothing is logged and no timer is left.

    The answer is there before the handshake, so that the handshake fails at once.
    """
    context = ssl.create_default_context()
    for turns in range(1, TURNS):
        async with leak_check(patience=0):
            sock = await aioconnect.connect("127.0.0.1", listener.port)
            with listener.accept() as peer:
                peer.send(answer)
                peer.shutdown(socket.SHUT_WR)
            task = asyncio.ensure_future(
                aioconnect.open_connection(sock=sock, ssl=context, **TLS)
            )
            del sock
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises((asyncio.CancelledError, OSError)):
                await task
            del task
            for _ in range(3):
                await asyncio.sleep(0)
            gc.collect()  # futures then report their exceptions, see nothing_pending


async def test_a_handshake_that_ends_while_it_is_cancelled() -> None:
    """Nothing is logged either, although uvloop has a "Fatal error on SSL protocol"."""
    with tls_echoing() as server:
        for turns in range(1, TURNS):
            sock = await aioconnect.connect_address(server.address)
            number = sock.fileno()
            context = server.client_context
            task = asyncio.ensure_future(
                aioconnect.open_connection(sock=sock, ssl=context, **TLS)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
                # Let the server answer, if it has received anything.
                select.select([number], [], [], 0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await task)[1].transport.abort()
            for _ in range(3):
                await asyncio.sleep(0)


def shake_hands(listener: Server, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Accept one connection, shake hands, and send nothing more."""
    return context.wrap_socket(listener.accept(), server_side=True)


class Cancels(asyncio.Protocol):
    """A protocol that cancels its own call, with more to send than the peer reads."""

    task: asyncio.Task[Any]
    transport: asyncio.Transport
    is_lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(bytes(10_000_000))
        self.task.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True


@pytest.mark.parametrize("is_tls", [False, True])
async def test_cancelled_when_the_peer_no_longer_listens(
    listener: Server, is_tls: bool
) -> None:
    """No transport without an owner waits for the peer to read or to close."""
    tls: dict[str, Any] = {}
    accept: Callable[[], socket.socket] = listener.accept
    if is_tls:
        ca = trustme.CA()
        context = ssl.create_default_context()
        tls = {"ssl": context, **TLS}
        ca.configure_trust(context)
        of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(of_server)
        accept = partial(shake_hands, listener, of_server)
    loop = asyncio.get_running_loop()
    protocol = Cancels()
    accepting = loop.run_in_executor(None, accept)
    protocol.task = asyncio.ensure_future(
        aioconnect.create_connection(
            lambda: protocol, "127.0.0.1", listener.port, **tls
        )
    )
    with pytest.raises(asyncio.CancelledError):
        await protocol.task
    for _ in range(3):
        await asyncio.sleep(0)
    is_lost = protocol.is_lost
    protocol.transport.abort()
    (await accepting).close()
    await loop.shutdown_default_executor()
    assert is_lost


def test_a_loop_that_closes_before_the_call(
    loop_factory: Factory, listener: Server
) -> None:
    """A descriptor that the loop has closed is not closed or shut down again."""

    async def start() -> Any:
        there = There(listener, by_loop=False)
        creating: Any = there.create(asyncio.Protocol, sock=await there.connected())
        creating.send(None)
        return creating

    loop = loop_factory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the loop's own transport
        creating = loop.run_until_complete(start())
        loop.close()
        strangers = [socket.socketpair() for _ in range(STRANGERS)]
        with contextlib.suppress(RuntimeError):  # asyncio raises it for a closed loop
            creating.close()
        del creating
        gc.collect()
    for one, other in strangers:
        with one, other:
            one.send(b"x")
            assert other.recv(1) == b"x"


def test_a_loop_that_closes_with_the_call(
    loop_factory: Factory, listener: Server
) -> None:
    """A transport that the loop has made is dropped without any message."""

    async def ready(*_: object) -> None:
        await asyncio.Event().wait()

    async def start() -> asyncio.Task[Any]:
        call = aioconnect.open_connection("127.0.0.1", listener.port, ready=ready)
        task = asyncio.ensure_future(call)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return task

    loop = loop_factory()
    loop.set_exception_handler(lambda *_: None)  # it reports the destroyed task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the loop's own transport
        task = [loop.run_until_complete(start())]
        loop.close()
        task.clear()
        gc.collect()

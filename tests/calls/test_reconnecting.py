"""Reconnecting: the connection of each turn, and that nothing of it is left open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import math
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

import aioconnect
from aioconnect import (
    AttemptFailed,
    AttemptStarted,
    Backoff,
    Connected,
    Connector,
    GaveUp,
    Reconnecting,
    RetryScheduled,
)
from aioconnect.testing import (
    BlackHole,
    EchoServer,
    HeldPort,
    Recorder,
    Server,
    TLSEchoServer,
    Word,
    echoing,
    flaky,
    refusing,
    tls_echoing,
)

LOCAL = "127.0.0.1"

# No connection of a test lasts this long.
NEVER = 3600.0

# More than the kernel buffers while nobody reads.
MUCH = bytes(1 << 24)

ACKNOWLEDGING = Path(__file__).parents[1] / "scripts" / "acknowledging.py"


def event_of(kind: type) -> tuple[Callable[[aioconnect.Event], None], asyncio.Event]:
    """Return an observer, and the event that it sets when a *kind* has come."""
    happened = asyncio.Event()

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, kind):
            happened.set()

    return observe, happened


async def received(server: Server) -> bytes:
    """Return all that the next client sends until it closes the connection."""
    loop, parts = asyncio.get_running_loop(), []
    with server.accept() as peer:
        peer.setblocking(False)
        async with asyncio.timeout(30):
            while part := await loop.sock_recv(peer, 1 << 18):
                parts.append(part)
    return b"".join(parts)


async def check_echo(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Check that the other end echoes."""
    reader, writer = streams
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"


async def wait_closed(*writers: asyncio.StreamWriter) -> None:
    """Wait until the connections are gone, which somebody has closed."""
    for writer in writers:
        assert writer.is_closing()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def collect_writers(
    iterator: Reconnecting, given: list[asyncio.StreamWriter]
) -> None:
    """Append each writer of *iterator* to *given* when its connection has ended."""
    async for reader, writer in iterator:
        assert await reader.read() == b""
        given.append(writer)


async def check_ended(iterator: Reconnecting) -> None:
    """Check that the iteration has ended for good."""
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_turns(echo_server: EchoServer) -> None:
    """Each turn has a new connection, and the previous one is closed."""
    writers: list[asyncio.StreamWriter] = []
    iterator = aioconnect.reconnecting(LOCAL, echo_server.port, stable_after=0.0)
    assert aiter(iterator) is iterator
    async for reader, writer in iterator:
        if writers:
            assert writers[-1].is_closing()
            assert writers[-1].get_extra_info("peername") == echo_server.sockaddr
        writers.append(writer)
        await check_echo((reader, writer))
        if len(writers) == 4:
            break
        echo_server.reset_connections()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert echo_server.connections == 4
    assert not writer.is_closing()  # because the iterator still has a name
    await iterator.aclose()
    await wait_closed(*writers)


async def test_body_that_ends_early(
    listener: Server, port: int, recorder: Recorder
) -> None:
    """A connection that still works is closed too, after all data is sent."""
    iterator = aioconnect.reconnecting(LOCAL, port, stable_after=0.0, observer=recorder)
    for _ in range(2):
        _, writer = await anext(iterator)
        writer.write(MUCH)
    recorder.assert_kinds(*(AttemptStarted, Connected) * 2)
    assert await received(listener) == MUCH
    await iterator.aclose()
    assert await received(listener) == MUCH


@pytest.mark.parametrize("is_aborted", [False, True])
async def test_writer_that_the_body_closed(
    echo_server: EchoServer, is_aborted: bool
) -> None:
    turns = 0
    async for _, writer in aioconnect.reconnecting(
        LOCAL, echo_server.port, stable_after=0.0
    ):
        turns += 1
        if turns == 3:
            break
        if is_aborted:
            writer.transport.abort()
        writer.close()
        await wait_closed(writer)
    await wait_closed(writer)
    echo_server.wait_for_connections(3)


async def test_accept_then_close_is_a_refusal(recorder: Recorder) -> None:
    """K7: such a server is treated like one that refuses, with growing delays."""
    words: tuple[Word, ...]
    words = ("accept_close", "refuse", "accept_close", "accept_close", "accept")
    delays = (0.01, 0.02, 0.03, 0.04)
    with flaky(words) as server:
        async for streams in aioconnect.reconnecting(
            server.host,
            server.port,
            retry=delays,
            stable_after=NEVER,
            prepare=[server],
            observer=recorder,
        ):
            if len(server.log) == len(words):
                await check_echo(streams)
                break
            assert await streams[0].read() == b""
        assert tuple(server.log) == words
    scheduled = recorder.of(RetryScheduled)
    assert [event.delay for event in scheduled] == list(delays)
    assert [event.round for event in scheduled] == [1, 2, 3, 4]
    started = recorder.of(AttemptStarted)
    assert [event.round for event in started] == [1, 2, 3, 4, 5]
    for event, following in zip(scheduled, started[1:], strict=True):
        waited = following.at - event.at
        assert waited >= event.delay - 0.002  # uvloop counts milliseconds
    await wait_closed(streams[1])


async def test_connection_that_has_lasted(recorder: Recorder) -> None:
    """The next connect follows at once, and the policy begins anew."""
    with flaky(["accept_close", "refuse", "accept"]) as server:
        async for streams in Connector(
            retry=(0.01, 0.02), prepare=[server], observer=recorder
        ).reconnecting(server.host, server.port, stable_after=0.0):
            if len(server.log) == 3:
                break
            assert await streams[0].read() == b""
    recorder.assert_kinds(
        *(AttemptStarted, Connected),
        *(AttemptStarted, AttemptFailed, RetryScheduled),
        *(AttemptStarted, Connected),
    )
    assert recorder.only(RetryScheduled).delay == 0.01
    assert [event.round for event in recorder.of(AttemptStarted)] == [1, 1, 2]
    await wait_closed(streams[1])


async def test_only_what_lasts_counts(recorder: Recorder) -> None:
    """The delays go on after a short connection, and begin anew after a long one."""
    words: tuple[Word, ...] = ("refuse", "accept")
    stable_after = 0.5
    loop = asyncio.get_running_loop()
    with flaky(words * 3) as server:
        iterator = aioconnect.reconnecting(
            server.host,
            server.port,
            retry=(0.001, 0.002, 0.003, 0.004),
            stable_after=stable_after,
            prepare=[server],
            observer=recorder,
        )
        await anext(iterator)
        last = recorder.events[-1].at
        await anext(iterator)
        is_short = recorder.of(AttemptFailed)[1].at - last < stable_after
        until = loop.time() + stable_after
        while (rest := until - loop.time()) > 0:
            await asyncio.sleep(rest)
        _, writer = await anext(iterator)
        await iterator.aclose()
    if not is_short:
        pytest.skip("this machine took half a second for a turn")
    delays = [event.delay for event in recorder.of(RetryScheduled)]
    assert delays == [0.001, 0.002, 0.003, 0.001]
    await wait_closed(writer)


async def test_policy_of_its_own(recorder: Recorder) -> None:
    """Without delays among the options, the policy is `Backoff`."""
    with flaky(["refuse", "accept_close", "refuse", "accept"]) as server:
        async for _, writer in aioconnect.reconnecting(
            server.host, server.port, prepare=[server], observer=recorder
        ):
            if len(server.log) == 4:
                break
            writer.close()
    delays = [event.delay for event in recorder.of(RetryScheduled)]
    wholes = list(Backoff(jitter=0.0, attempts=3))
    assert len(delays) == 3
    assert all(map(float.__le__, delays, wholes)), (delays, wholes)
    await wait_closed(writer)


async def test_giving_up(recorder: Recorder) -> None:
    """The error lists all attempts when the policy gives up, and the iteration ends."""
    with flaky(["accept_close"]) as server:
        iterator = aioconnect.reconnecting(
            server.host, server.port, retry=(0, 0), prepare=[server], observer=recorder
        )
        given: list[asyncio.StreamWriter] = []
        with pytest.raises(aioconnect.ConnectResetError) as caught:
            await collect_writers(iterator, given)
        await check_ended(iterator)
        assert server.log == ["accept_close"] * 3
    error = caught.value
    assert len(given) == error.attempt_count == error.rounds == 3
    assert (error.host, error.port) == (server.host, server.port)
    assert error.errno == errno.ECONNRESET
    assert [attempt.phase for attempt in error.attempts] == ["ready"] * 3
    assert [attempt.round for attempt in error.attempts] == [1, 2, 3]
    assert {attempt.address for attempt in error.attempts} == {
        event.address for event in recorder.of(Connected)
    }
    assert str(error).count("the connection ended within 10 s") == 1
    assert recorder.only(GaveUp).error is error
    assert error.elapsed >= sum(attempt.elapsed for attempt in error.attempts)


async def test_giving_up_on_a_refusal() -> None:
    """The last round decides the error's class.  All attempts are listed."""
    with flaky(["refuse", "accept_close", "refuse"]) as server:
        iterator = aioconnect.reconnecting(
            server.host, server.port, retry=(0, 0), prepare=[server]
        )
        reader, _ = await anext(iterator)
        assert await reader.read() == b""
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await anext(iterator)
        await check_ended(iterator)
    phases = [attempt.phase for attempt in caught.value.attempts]
    assert phases == ["connect", "ready", "connect"]


async def test_events(recorder: Recorder) -> None:
    """The observer gets events for every turn, and for the end of each."""
    with flaky(["accept_close", "accept_close", "accept"]) as server:
        connector = Connector(retry=(0,) * 4, prepare=[server], observer=recorder)
        async for streams in connector.reconnecting(server.host, server.port):
            if len(server.log) == 3:
                break
            assert await streams[0].read() == b""
    a_turn = (AttemptStarted, Connected)
    lost = (AttemptFailed, RetryScheduled)
    recorder.assert_kinds(*a_turn, *lost, *a_turn, *lost, *a_turn)
    times = [event.at for event in recorder.events]
    assert times == sorted(times)
    connected = recorder.of(Connected)
    for connect, event in zip(connected, recorder.of(AttemptFailed), strict=False):
        attempt = event.attempt
        assert (attempt.phase, attempt.address) == ("ready", connect.address)
        assert isinstance(attempt.error, ConnectionResetError)
        assert (attempt.round, attempt.sent) == (connect.round, True)
        assert connect.at <= attempt.started <= event.at
        assert attempt.elapsed == pytest.approx(event.at - attempt.started, abs=1e-6)
        # The next connect's time is from the end of this connection.
        following = connected[connect.round]
        assert 0 <= following.elapsed <= following.at - event.at + 1e-6
    await wait_closed(streams[1])


@pytest.mark.parametrize("stable_after", [0.0, NEVER])
async def test_timeout_of_a_turn(stable_after: float) -> None:
    """A turn has all of its time, however long the body before has lasted."""
    timeout = 1.0
    loop = asyncio.get_running_loop()
    with flaky(["accept", "hang"]) as server:
        iterator = aioconnect.reconnecting(
            server.host,
            server.port,
            retry=(0,),
            timeout=timeout,
            stable_after=stable_after,
            prepare=[server],
        )
        streams = await anext(iterator)
        until = loop.time() + timeout + 0.1
        while (rest := until - loop.time()) > 0:
            await asyncio.sleep(rest)
        await check_echo(streams)  # the timeout does not end a connection either
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await anext(iterator)
        await check_ended(iterator)
    assert str(caught.value).startswith("not connected within 1 s to ")
    attempt = caught.value.attempts[-1]
    assert attempt.phase == "connect"
    assert attempt.elapsed >= 0.9 * timeout
    before = [attempt.phase for attempt in caught.value.attempts[:-1]]
    assert before == (["ready"] if stable_after else [])


async def test_retry_on() -> None:
    """It is asked about connects that fail, and not about connections that end."""
    asked: list[int | None] = []

    def accepts(error: OSError) -> bool:
        asked.append(error.errno)
        return len(asked) == 1

    with flaky(["accept_close", "refuse", "accept_close", "refuse"]) as server:
        iterator = aioconnect.reconnecting(
            server.host,
            server.port,
            retry=(0,) * 9,
            retry_on=accepts,
            prepare=[server],
        )
        for _ in range(2):
            reader, _ = await anext(iterator)
            assert await reader.read() == b""
        with pytest.raises(aioconnect.ConnectRefusedError):
            await anext(iterator)
    assert asked == [errno.ECONNREFUSED] * 2


async def test_break(listener: Server, port: int) -> None:
    """It closes the connection at once, and no written data is lost."""
    async for _, writer in aioconnect.reconnecting(LOCAL, port):
        writer.write(MUCH)
        break
    assert writer.is_closing()
    assert await received(listener) == MUCH


async def test_exception_in_the_body(listener: Server, port: int) -> None:
    given: list[asyncio.StreamWriter] = []

    async def breaks() -> None:
        async for _, writer in aioconnect.reconnecting(LOCAL, port):
            given.append(writer)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaks()
    assert given[0].is_closing()
    assert await received(listener) == b""


async def test_cancelled_in_the_body(listener: Server, port: int) -> None:
    given = asyncio.get_running_loop().create_future()

    async def read() -> None:
        async for reader, writer in aioconnect.reconnecting(LOCAL, port):
            given.set_result(writer)
            await reader.read()

    task = asyncio.ensure_future(read())
    writer = await given
    assert not writer.is_closing()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert writer.is_closing()
    assert await received(listener) == b""


async def test_cancelled_while_connecting(black_hole: BlackHole) -> None:
    """Nothing of the attempt is left, and the iterator can go on."""
    observe, started = event_of(AttemptStarted)
    iterator = aioconnect.reconnecting(LOCAL, black_hole.port, observer=observe)
    task = asyncio.ensure_future(anext(iterator))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    black_hole.open()
    _, writer = await anext(iterator)
    assert not writer.is_closing()
    await iterator.aclose()
    await wait_closed(writer)


async def test_cancelled_while_waiting(listener: Server) -> None:
    """The previous connection is closed by then."""
    observe, waits = event_of(RetryScheduled)
    iterator = aioconnect.reconnecting(
        LOCAL, listener.port, retry=(NEVER,), observer=observe
    )
    _, writer = await anext(iterator)
    task = asyncio.ensure_future(anext(iterator))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert writer.is_closing()
    assert await received(listener) == b""
    await iterator.aclose()
    await check_ended(iterator)


async def test_dropped_while_connecting(black_hole: BlackHole) -> None:
    """A cancelled task that is dropped with its iterator leaves nothing open."""
    observe, started = event_of(AttemptStarted)
    task = asyncio.ensure_future(
        anext(aioconnect.reconnecting(LOCAL, black_hole.port, observer=observe))
    )
    await started.wait()
    task.cancel()
    await asyncio.wait([task])


async def test_aclose(listener: Server, port: int) -> None:
    """It closes the connection and ends the iteration, however often it is called."""
    iterator = aioconnect.reconnecting(LOCAL, port, stable_after=0.0)
    async with contextlib.aclosing(iterator):
        _, writer = await anext(iterator)
        assert not writer.is_closing()
    assert writer.is_closing()
    assert await received(listener) == b""
    await iterator.aclose()
    await check_ended(iterator)


async def test_aclose_before_the_first_turn(listener: Server, port: int) -> None:
    iterator = aioconnect.reconnecting(LOCAL, port)
    await iterator.aclose()
    await check_ended(iterator)
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0)


async def test_two_tasks(held_port: HeldPort) -> None:
    """The second task gets an error, and does no harm to the first."""
    observe, waits = event_of(RetryScheduled)
    iterator = aioconnect.reconnecting(
        LOCAL, held_port.port, retry=(1.0, NEVER), observer=observe
    )
    first = asyncio.ensure_future(anext(iterator))
    await waits.wait()
    held_port.listen()
    for call in (iterator.__anext__, iterator.aclose):
        with pytest.raises(RuntimeError, match="in another task"):
            await call()
    _, writer = await first
    assert not writer.is_closing()
    await iterator.aclose()
    await wait_closed(writer)


@pytest.mark.parametrize("kind", [AttemptStarted, Connected, AttemptFailed])
async def test_observer_that_breaks(
    kind: type, echo_server: EchoServer, recorder: Recorder
) -> None:
    """A bug in an observer comes through, and no connection is left open."""

    def breaks(event: aioconnect.Event) -> None:
        recorder(event)
        if isinstance(event, kind) and len(recorder.events) > 2:
            raise ZeroDivisionError

    iterator = aioconnect.reconnecting(
        LOCAL, echo_server.port, retry=(0,), observer=breaks
    )
    _, writer = await anext(iterator)
    with pytest.raises(ZeroDivisionError):
        await anext(iterator)
    assert writer.is_closing()
    await check_ended(iterator)
    await wait_closed(writer)


class Client:
    """A cycle that users make: the iterator's observer is a method of its owner."""

    def __init__(self, port: int) -> None:
        self.turns = aioconnect.reconnecting(
            LOCAL, port, limit=1000, observer=self.observe
        )
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def observe(self, event: aioconnect.Event) -> None:
        pass

    async def turn(self) -> None:
        self.streams = await anext(self.turns)


def in_this_thread(function: Callable[[], object]) -> None:
    """Call *function* in the loop's thread."""
    function()


def in_another_thread(function: Callable[[], object]) -> None:
    """Call *function* in another thread."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@pytest.mark.parametrize("where", [in_this_thread, in_another_thread])
async def test_dropped(
    listener: Server, port: int, where: Callable[[Callable[[], object]], None]
) -> None:
    """When the last reference goes, in any thread, the connection is closed."""
    held = [aioconnect.reconnecting(LOCAL, port)]
    _, writer = await anext(held[0])
    where(held.clear)
    assert await received(listener) == b""
    assert writer.is_closing()


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("where", [in_this_thread, in_another_thread])
async def test_collected(
    listener: Server,
    port: int,
    where: Callable[[Callable[[], object]], None],
    is_paused: bool,
) -> None:
    """The garbage collector, in any thread, closes the connection silently."""
    client = Client(port)
    await client.turn()
    assert client.streams is not None
    with listener.accept() as peer:
        peer.setblocking(False)
        if is_paused:
            # The loop does not refer to a paused transport.
            transport: Any = client.streams[1].transport
            peer.send(bytes(4000))
            async with asyncio.timeout(30):
                while transport.is_reading():
                    await asyncio.sleep(0)
            del transport
        del client
        where(gc.collect)
        with contextlib.suppress(ConnectionResetError):  # because of unread data
            async with asyncio.timeout(30):
                assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""


def test_dropped_after_the_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """It is silent then: no loop is left to close the connection."""

    async def give() -> Reconnecting:
        iterator = aioconnect.reconnecting(LOCAL, listener.port)
        _, writer = await anext(iterator)
        writer.close()
        await wait_closed(writer)
        return iterator

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        held = [runner.run(give())]
    held.clear()


async def test_tls_and_limit(tls_echo_server: TLSEchoServer) -> None:
    """The arguments of `open_connection` apply to every turn."""
    server, writers = tls_echo_server, []
    async for reader, writer in aioconnect.reconnecting(
        LOCAL,
        server.port,
        stable_after=0.0,
        limit=1000,
        ssl=server.client_context,
        server_hostname="localhost",
        ssl_handshake_timeout=20,
        ssl_shutdown_timeout=20,
    ):
        writers.append(writer)
        assert reader._limit == 1000  # type: ignore[attr-defined]  # no public attribute has it
        assert writer.get_extra_info("ssl_object").server_hostname == "localhost"
        await check_echo((reader, writer))
        if len(writers) == 3:
            break
    await wait_closed(*writers)


async def stay(_: socket.socket, __: asyncio.StreamWriter) -> None: ...


async def close_politely(_: socket.socket, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(sock: socket.socket, writer: asyncio.StreamWriter) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def half_close(sock: socket.socket, _: asyncio.StreamWriter) -> None:
    sock.shutdown(socket.SHUT_WR)  # without a TLS close_notify


Conduct = Callable[[socket.socket, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tls_serving(conduct: Conduct) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Serve TLS as *conduct* says; yield the port, and a context that trusts it."""
    ca, ours = trustme.CA(), ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(LOCAL).configure_cert(context)
    ca.configure_trust(ours)
    writers: list[asyncio.StreamWriter] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        # Use a real socket: the object that uvloop returns refuses shutdown().
        number = os.dup(writer.get_extra_info("socket").fileno())
        with socket.socket(fileno=number) as sock:
            await conduct(sock, writer)

    server = await asyncio.start_server(serve, LOCAL, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], ours
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def close_twice(writer: asyncio.StreamWriter) -> None:
    writer.close()
    writer.close()


def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


def close_and_abort(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(AttributeError):  # Python 3.11.2 raises it for TLS
        writer.transport.abort()


BODIES: dict[str, Callable[[asyncio.StreamWriter], object]] = {
    "leaves": lambda _: None,
    "closes": asyncio.StreamWriter.close,
    "closes twice": close_twice,
    "aborts": abort,
    "closes, aborts": close_and_abort,
}


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("conduct", [stay, close_politely, reset, half_close])
async def test_tls_that_has_ended(conduct: Conduct, body: str, waits: bool) -> None:
    """A next turn follows, whichever side ends a TLS connection, and however."""
    writers = []
    async with tls_serving(conduct) as (port, context):
        iterator = aioconnect.reconnecting(
            LOCAL, port, ssl=context, retry=(0,) * 3, timeout=60
        )
        async for reader, writer in iterator:
            writers.append(writer)
            if conduct is not stay:
                with contextlib.suppress(OSError):
                    assert await reader.read() == b""
            BODIES[body](writer)
            if waits and body != "leaves":
                await wait_closed(writer)
            if len(writers) == 3:
                break
        await iterator.aclose()
        await wait_closed(*writers)


async def test_certificate_that_does_not_verify() -> None:
    """It is final here too."""
    with tls_echoing(expired=True) as server:
        iterator = aioconnect.reconnecting(
            "localhost", server.port, ssl=server.client_context
        )
        with pytest.raises(aioconnect.ConnectCertificateError):
            await anext(iterator)
        await check_ended(iterator)


async def test_unix(tmp_path: Path, recorder: Recorder) -> None:
    """A Unix socket is reconnected too, also after its path was away."""
    path, writers = tmp_path / "socket", []
    iterator = aioconnect.reconnecting_unix(
        path, retry=Backoff(0.01, maximum=0.01), limit=1000, observer=recorder
    )
    for _ in range(2):
        with echoing(path=path):
            reader, writer = await anext(iterator)
            assert reader._limit == 1000  # type: ignore[attr-defined]  # as above
            await check_echo((reader, writer))
            writers.append(writer)
        assert await reader.read() == b""
    task = asyncio.ensure_future(anext(iterator))
    with echoing(path=path):
        await check_echo(await task)
    await iterator.aclose()
    await wait_closed(*writers)
    assert len(recorder.of(Connected)) == 3
    failed = [event.attempt for event in recorder.of(AttemptFailed)]
    assert [one.phase for one in failed].count("ready") == 2
    assert {str(one.address) for one in failed} == {f"unix:{path}"}


async def test_unix_connector_and_tls(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with tls_echoing(path=path) as server:
        async for streams in Connector().reconnecting_unix(
            path, ssl=server.client_context, server_hostname="localhost"
        ):
            await check_echo(streams)
            break
        await wait_closed(streams[1])


async def test_name(listener: Server, port: int, recorder: Recorder) -> None:
    """Every turn looks the name up.  A lost connection names its own address."""
    iterator = aioconnect.reconnecting(
        "localhost", port, retry=(0,), family=socket.AF_INET, observer=recorder
    )
    for _ in range(2):
        _, writer = await anext(iterator)
        listener.accept().close()
    await iterator.aclose()
    await wait_closed(writer)
    assert recorder.kinds().count("Resolved") == 2
    attempt = recorder.only(AttemptFailed).attempt
    assert attempt.address == recorder.of(Connected)[0].address


WRONG: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "stable_after must be 0 or more": ({"stable_after": -1.0}, ValueError),
    "stable_after must be .* finite, not nan": ({"stable_after": math.nan}, ValueError),
    "stable_after must be .* finite, not inf": ({"stable_after": math.inf}, ValueError),
    "stable_after must be a number": ({"stable_after": "1"}, TypeError),
    "limit must be": ({"limit": 0}, ValueError),
    "server_hostname is only": ({"server_hostname": "localhost"}, ValueError),
    "ssl must be": ({"ssl": 1}, TypeError),
}


@pytest.mark.parametrize("text", WRONG)
def test_bad_arguments(text: str, tmp_path: Path) -> None:
    """The call raises, before any iteration, and nothing else is reported."""
    arguments, error = WRONG[text]
    connector = Connector()
    calls: tuple[Callable[..., Reconnecting], ...] = (
        partial(aioconnect.reconnecting, LOCAL, 80),
        partial(aioconnect.reconnecting_unix, tmp_path / "socket"),
        partial(connector.reconnecting, LOCAL, 80),
        partial(connector.reconnecting_unix, tmp_path / "socket"),
    )
    for call in calls:
        with pytest.raises(error, match=text):
            call(**arguments)


def test_bad_endpoint() -> None:
    """The same holds for a bad endpoint, and for bad options."""
    for host in ("", "two words", "a" * 64 + ".example"):
        with pytest.raises(ValueError, match="host"):
            aioconnect.reconnecting(host, 80)
    with pytest.raises(ValueError, match="port"):
        aioconnect.reconnecting(LOCAL, 65536)
    with pytest.raises(ValueError, match="path"):
        aioconnect.reconnecting_unix("x" * 200)
    with pytest.raises(ValueError, match="timeout"):
        aioconnect.reconnecting(LOCAL, 80, timeout=-1)
    with pytest.raises(ValueError, match="server_hostname"):
        aioconnect.reconnecting_unix("socket", ssl=True)


@contextlib.contextmanager
def acknowledging(port: int, journal: Path) -> Iterator[None]:
    """Run a server that stores each line before it echoes it; kill it at exit."""
    command = (sys.executable, "-S", "-E", ACKNOWLEDGING, str(port), journal)
    with subprocess.Popen(command) as server:
        try:
            yield
        finally:
            server.kill()


class Sender:
    """Send numbered lines, and repeat those that were not acknowledged.

    *acknowledged* counts the acknowledged lines.  It is the number of the next line.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self.turns = 0
        self._has_stopped = False
        self._progress = asyncio.Event()

    async def run(self, turns: Reconnecting) -> None:
        """Send until `stop` is called."""
        async for reader, writer in turns:
            self.turns += 1
            self._progress.set()
            with contextlib.suppress(OSError):
                await self._talk(reader, writer)
            if self._has_stopped:
                break

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        following = self.acknowledged
        while not self._has_stopped:
            # Some lines are always under way when the server is killed.
            while following < self.acknowledged + 16:
                writer.write(b"%d\n" % following)
                following += 1
            await writer.drain()
            line = await reader.readline()
            if not line.endswith(b"\n"):
                return
            assert int(line) == self.acknowledged
            self.acknowledged += 1
            self._progress.set()

    async def progress(self, count: int) -> None:
        """Wait for the next turn, and for *count* acknowledged lines in it."""
        turn = self.turns + 1
        await self._wait_for(lambda: self.turns >= turn)
        until = self.acknowledged + count
        await self._wait_for(lambda: self.acknowledged >= until)

    async def _wait_for(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            self._progress.clear()
            await self._progress.wait()

    def stop(self) -> None:
        """Stop sending after the next acknowledged line."""
        self._has_stopped = True


async def test_server_that_is_killed_again_and_again(
    held_port: HeldPort, tmp_path: Path, recorder: Recorder
) -> None:
    """Every turn reconnects, and no acknowledged line is lost."""
    # Between two servers the port refuses: only `held_port` is bound to it then.
    port, journal, sender = held_port.port, tmp_path / "journal", Sender()
    turns = aioconnect.reconnecting(
        LOCAL, port, retry=Backoff(0.001, maximum=0.02), observer=recorder
    )
    # Kill it at its start, once connected, after its first lines, or amid traffic.
    draw = random.Random(50)
    moments = [draw.choice((None, 0, 1, 7, 40)) for _ in range(50)]
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        sending = group.create_task(sender.run(turns))
        for count in moments:
            with acknowledging(port, journal):
                if count is not None:
                    await sender.progress(count)
        with acknowledging(port, journal):
            await sender.progress(40)
            sender.stop()
            await sending
    await turns.aclose()
    kept = journal.read_bytes()
    assert kept.endswith(b"\n")
    assert set(map(int, kept.split())) >= set(range(sender.acknowledged))
    assert sender.turns > 50 - moments.count(None)
    assert len(recorder.of(Connected)) == sender.turns
    failed = [event.attempt.phase for event in recorder.of(AttemptFailed)]
    assert failed.count("ready") == sender.turns - 1


@contextlib.contextmanager
def flush_timeout(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """Give up after *seconds* on a peer that does not read."""
    with monkeypatch.context() as patched:
        patched.setattr("aioconnect._calls.reconnecting._FLUSH_TIMEOUT", seconds)
        yield


async def test_a_peer_that_has_stopped_to_read(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each turn gives up the unread data, and so frees its descriptor."""
    policy: Any = {"retry": (0,) * 9}
    with flush_timeout(monkeypatch, 0.1), contextlib.ExitStack() as stack:
        turns = 0
        async for _, writer in aioconnect.reconnecting(
            listener.host, listener.port, **policy
        ):
            stack.enter_context(listener.accept())
            writer.write(b"x" * 20_000_000)
            turns += 1
            if turns == 3:
                break
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert others, "all of it was taken"
        await asyncio.wait(others)
    assert writer.transport.get_write_buffer_size() == 0


async def test_a_tls_peer_without_goodbye(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The iterator does not wait for it, even if the body closed the writer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca, ours = trustme.CA(), ssl.create_default_context()
    ca.issue_cert(LOCAL).configure_cert(context)
    ca.configure_trust(ours)
    loop = asyncio.get_running_loop()
    shaking = loop.run_in_executor(
        None, lambda: context.wrap_socket(listener.accept(), server_side=True)
    )
    with flush_timeout(monkeypatch, 0.1):
        iterator = aioconnect.reconnecting(
            LOCAL, listener.port, ssl=ours, ssl_shutdown_timeout=60
        )
        _, writer = await anext(iterator)
        with await shaking:
            writer.close()
            await iterator.aclose()
            async with asyncio.timeout(30):
                await wait_closed(writer)
    await loop.shutdown_default_executor()


def test_the_end_of_the_loop_waits_for_nobody(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """A peer that does not read keeps no program from ending."""

    async def main() -> None:
        async for _, writer in aioconnect.reconnecting(listener.host, listener.port):
            writer.write(b"x" * 20_000_000)
            break

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    with listener.accept() as peer:
        peer.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            while peer.recv(1_000_000):
                pass


async def test_a_cancelled_turn_is_no_way_around_the_policy(
    recorder: Recorder,
) -> None:
    """The next turn waits for the rest of the delay, and not for a new one."""
    loop = asyncio.get_running_loop()
    with refusing() as port:
        connections = aioconnect.reconnecting(
            port.host, port.port, retry=(0, 0.4), observer=recorder
        )
        for _ in range(3):
            turn = asyncio.ensure_future(anext(connections))
            while len(recorder.of(RetryScheduled)) < 2:
                await asyncio.sleep(0)
            turn.cancel()
            with pytest.raises(asyncio.CancelledError):
                await turn
        due = recorder.of(RetryScheduled)[1].at + 0.4
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await anext(connections)
        assert loop.time() >= due - 0.002  # uvloop's clock counts milliseconds
    assert caught.value.attempt_count == 3
    assert [event.delay for event in recorder.of(RetryScheduled)] == [0, 0.4]


async def test_a_cancelled_attempt_is_made_again(black_hole: BlackHole) -> None:
    """It has not failed: no delay is due, and no delay of the policy is used up."""
    recorder = Recorder()
    connections = aioconnect.reconnecting(
        black_hole.host,
        black_hole.port,
        retry=(0,),
        attempt_timeout=0.1,
        observer=recorder,
    )
    for number in (1, 2, 3):
        turn = asyncio.ensure_future(anext(connections))
        while len(recorder.of(AttemptStarted)) < number:
            await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await anext(connections)
    assert caught.value.attempt_count == 2
    assert {event.round for event in recorder.of(AttemptStarted)} == {1, 2}


async def test_rest_of_a_delay_after_a_cancelled_turn() -> None:
    """The turn that waits for the rest of a delay measures it by its own time."""
    with refusing() as port:
        connections = aioconnect.reconnecting(
            port.host, port.port, retry=(1.2,), timeout=1.7
        )
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await anext(connections)
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await anext(connections)
    assert caught.value.attempt_count == 2


async def test_time_after_a_cancelled_turn(black_hole: BlackHole) -> None:
    """The next turn has its own time."""
    connections = aioconnect.reconnecting(
        black_hole.host, black_hole.port, timeout=0.6, retry=(0, 0)
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.4):
            await anext(connections)
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await anext(connections)
    (attempt,) = caught.value.attempts
    assert attempt.elapsed > 0.3  # and not what the first turn has left


def test_another_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """An iterator may go on in another loop, and begins anew there."""
    connections = aioconnect.reconnecting(
        listener.host, listener.port, retry=(NEVER,), stable_after=NEVER
    )

    async def turn() -> None:
        _, writer = await anext(connections)
        listener.accept().close()
        writer.transport.abort()

    for _ in range(2):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(turn())


def test_repr() -> None:
    assert repr(aioconnect.reconnecting("db", 5432)) == "<Reconnecting db:5432>"
    unix = aioconnect.reconnecting_unix("/run/x")
    assert repr(unix) == "<Reconnecting unix:/run/x>"


def test_no_such_argument() -> None:
    options: Any = {"timeout": 5}
    with pytest.raises(TypeError, match="no such argument: 'timeout'"):
        Connector().reconnecting("db", 5432, **options)

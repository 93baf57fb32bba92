"""Staying connected: what each turn gives, and that nothing stays of it."""

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

# No connection of a test lasts as long.
NEVER = 3600.0

# More than the kernel takes before anybody reads.
MUCH = bytes(1 << 24)

ACKNOWLEDGING = Path(__file__).parents[1] / "scripts" / "acknowledging.py"


def telling(kind: type) -> tuple[Callable[[aioconnect.Event], None], asyncio.Event]:
    """Return an observer, and what it sets when an event of *kind* has come."""
    happened = asyncio.Event()

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, kind):
            happened.set()

    return observe, happened


async def said(server: Server) -> bytes:
    """Return all that the next client says, once it has closed the connection."""
    loop, parts = asyncio.get_running_loop(), []
    with server.accept() as peer:
        peer.setblocking(False)
        async with asyncio.timeout(30):
            while part := await loop.sock_recv(peer, 1 << 18):
                parts.append(part)
    return b"".join(parts)


async def echoed(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Check that the other end echoes."""
    reader, writer = streams
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"


async def closed(*writers: asyncio.StreamWriter) -> None:
    """Wait until the connections, which somebody has closed, are gone."""
    for writer in writers:
        assert writer.is_closing()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def all_of(iterator: Reconnecting, given: list[asyncio.StreamWriter]) -> None:
    """Put what *iterator* gives into *given*, each when its connection has ended."""
    async for reader, writer in iterator:
        assert await reader.read() == b""
        given.append(writer)


async def over(iterator: Reconnecting) -> None:
    """Check that it has ended, and stays so."""
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_turns(echo_server: EchoServer) -> None:
    """Each turn has a connection of its own, and the one before is closed."""
    writers: list[asyncio.StreamWriter] = []
    iterator = aioconnect.reconnecting(LOCAL, echo_server.port, stable_after=0.0)
    assert aiter(iterator) is iterator
    async for reader, writer in iterator:
        if writers:
            assert writers[-1].is_closing()
            assert writers[-1].get_extra_info("peername") == echo_server.sockaddr
        writers.append(writer)
        await echoed((reader, writer))
        if len(writers) == 4:
            break
        echo_server.reset_connections()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert echo_server.connections == 4
    assert not writer.is_closing()  # the iterator has a name here
    await iterator.aclose()
    await closed(*writers)


async def test_body_that_only_leaves(
    listener: Server, port: int, recorder: Recorder
) -> None:
    """The connection that still works is closed too, with all that was written."""
    iterator = aioconnect.reconnecting(LOCAL, port, stable_after=0.0, observer=recorder)
    for _ in range(2):
        _, writer = await anext(iterator)
        writer.write(MUCH)
    recorder.assert_kinds(*(AttemptStarted, Connected) * 2)
    assert await said(listener) == MUCH
    await iterator.aclose()
    assert await said(listener) == MUCH


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
        await closed(writer)
    await closed(writer)
    echo_server.wait_for_connections(3)


async def test_accept_then_close_is_a_refusal(recorder: Recorder) -> None:
    """K7: such a server is approached as politely as one that refuses."""
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
                await echoed(streams)
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
    await closed(streams[1])


async def test_connection_that_has_lasted(recorder: Recorder) -> None:
    """After it the next connect is at once, and the policy begins anew."""
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
    await closed(streams[1])


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
    await closed(writer)


async def test_policy_of_its_own(recorder: Recorder) -> None:
    """Without delays it is `Backoff`, and not one round."""
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
    await closed(writer)


async def test_giving_up(recorder: Recorder) -> None:
    """When the policy gives up, the error lists all that was tried; then it ends."""
    with flaky(["accept_close"]) as server:
        iterator = aioconnect.reconnecting(
            server.host, server.port, retry=(0, 0), prepare=[server], observer=recorder
        )
        given: list[asyncio.StreamWriter] = []
        with pytest.raises(aioconnect.ConnectResetError) as caught:
            await all_of(iterator, given)
        await over(iterator)
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
    assert str(error).count("the connection has not lasted 10 s") == 1
    assert recorder.only(GaveUp).error is error
    assert error.elapsed >= sum(attempt.elapsed for attempt in error.attempts)


async def test_giving_up_on_a_refusal() -> None:
    """The last round says which error it is, all of them are listed."""
    with flaky(["refuse", "accept_close", "refuse"]) as server:
        iterator = aioconnect.reconnecting(
            server.host, server.port, retry=(0, 0), prepare=[server]
        )
        reader, _ = await anext(iterator)
        assert await reader.read() == b""
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await anext(iterator)
        await over(iterator)
    phases = [attempt.phase for attempt in caught.value.attempts]
    assert phases == ["connect", "ready", "connect"]


async def test_events(recorder: Recorder) -> None:
    """The observer is told of every turn, also of the end of each."""
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
    for made, event in zip(connected, recorder.of(AttemptFailed), strict=False):
        attempt = event.attempt
        assert (attempt.phase, attempt.address) == ("ready", made.address)
        assert isinstance(attempt.error, ConnectionResetError)
        assert (attempt.round, attempt.sent) == (made.round, True)
        assert made.at <= attempt.started <= event.at
        assert attempt.elapsed == pytest.approx(event.at - attempt.started, abs=1e-6)
        # The next connect's time is from the end of this connection.
        following = connected[made.round]
        assert 0 <= following.elapsed <= following.at - event.at + 1e-6
    await closed(streams[1])


@pytest.mark.parametrize("stable_after", [0.0, NEVER])
async def test_timeout_is_a_turn_s(stable_after: float) -> None:
    """A turn has the whole of it, however long the body before has lasted."""
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
        await echoed(streams)  # nor does it end a connection
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await anext(iterator)
        await over(iterator)
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
    """It ends the connection at once, and loses nothing that was written."""
    async for _, writer in aioconnect.reconnecting(LOCAL, port):
        writer.write(MUCH)
        break
    assert writer.is_closing()
    assert await said(listener) == MUCH


async def test_exception_in_the_body(listener: Server, port: int) -> None:
    given: list[asyncio.StreamWriter] = []

    async def breaks() -> None:
        async for _, writer in aioconnect.reconnecting(LOCAL, port):
            given.append(writer)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaks()
    assert given[0].is_closing()
    assert await said(listener) == b""


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
    assert await said(listener) == b""


async def test_cancelled_while_connecting(black_hole: BlackHole) -> None:
    """Nothing stays of the connect, and it can be asked again."""
    observe, begun = telling(AttemptStarted)
    iterator = aioconnect.reconnecting(LOCAL, black_hole.port, observer=observe)
    task = asyncio.ensure_future(anext(iterator))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    black_hole.open()
    _, writer = await anext(iterator)
    assert not writer.is_closing()
    await iterator.aclose()
    await closed(writer)


async def test_cancelled_while_waiting(listener: Server) -> None:
    """The connection before is closed by then, and stays so."""
    observe, waits = telling(RetryScheduled)
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
    assert await said(listener) == b""
    await iterator.aclose()
    await over(iterator)


async def test_dropped_while_connecting(black_hole: BlackHole) -> None:
    """A task that is cancelled and forgotten with the iterator leaves nothing."""
    observe, begun = telling(AttemptStarted)
    task = asyncio.ensure_future(
        anext(aioconnect.reconnecting(LOCAL, black_hole.port, observer=observe))
    )
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])


async def test_aclose(listener: Server, port: int) -> None:
    """It ends the connection, and the iteration, as often as it is called."""
    iterator = aioconnect.reconnecting(LOCAL, port, stable_after=0.0)
    async with contextlib.aclosing(iterator):
        _, writer = await anext(iterator)
        assert not writer.is_closing()
    assert writer.is_closing()
    assert await said(listener) == b""
    await iterator.aclose()
    await over(iterator)


async def test_aclose_before_the_first_turn(listener: Server, port: int) -> None:
    iterator = aioconnect.reconnecting(LOCAL, port)
    await iterator.aclose()
    await over(iterator)
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0)


async def test_two_tasks(held_port: HeldPort) -> None:
    """One at a time; the other one is told, and does no harm to the first."""
    observe, waits = telling(RetryScheduled)
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
    await closed(writer)


@pytest.mark.parametrize("kind", [AttemptStarted, Connected, AttemptFailed])
async def test_observer_that_breaks(
    kind: type, echo_server: EchoServer, recorder: Recorder
) -> None:
    """A bug in an observer comes through, and no connection is left behind."""

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
    await over(iterator)
    await closed(writer)


class Client:
    """What users make: it has the iterator, which has it as its observer."""

    def __init__(self, port: int) -> None:
        self.turns = aioconnect.reconnecting(
            LOCAL, port, limit=1000, observer=self.observe
        )
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def observe(self, event: aioconnect.Event) -> None:
        pass

    async def turn(self) -> None:
        self.streams = await anext(self.turns)


def here(function: Callable[[], object]) -> None:
    """Call *function* in the loop's thread."""
    function()


def elsewhere(function: Callable[[], object]) -> None:
    """Call *function* in another thread."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@pytest.mark.parametrize("where", [here, elsewhere])
async def test_dropped(
    listener: Server, port: int, where: Callable[[Callable[[], object]], None]
) -> None:
    """When the last reference goes, in whichever thread, the connection ends."""
    held = [aioconnect.reconnecting(LOCAL, port)]
    _, writer = await anext(held[0])
    where(held.clear)
    assert await said(listener) == b""
    assert writer.is_closing()


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("where", [here, elsewhere])
async def test_collected(
    listener: Server,
    port: int,
    where: Callable[[Callable[[], object]], None],
    is_paused: bool,
) -> None:
    """The garbage collector, in whichever thread, ends the connection in silence."""
    client = Client(port)
    await client.turn()
    assert client.streams is not None
    with listener.accept() as peer:
        peer.setblocking(False)
        if is_paused:
            # Then not even the loop refers to the transport.
            transport: Any = client.streams[1].transport
            peer.send(bytes(4000))
            async with asyncio.timeout(30):
                while transport.is_reading():
                    await asyncio.sleep(0)
            del transport
        del client
        where(gc.collect)
        with contextlib.suppress(ConnectionResetError):  # what was not read
            async with asyncio.timeout(30):
                assert await asyncio.get_running_loop().sock_recv(peer, 1) == b""


def test_dropped_after_the_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """It says nothing then: there is no one to close for."""

    async def give() -> Reconnecting:
        iterator = aioconnect.reconnecting(LOCAL, listener.port)
        _, writer = await anext(iterator)
        writer.close()
        await closed(writer)
        return iterator

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        held = [runner.run(give())]
    held.clear()


async def test_tls_and_limit(tls_echo_server: TLSEchoServer) -> None:
    """The arguments of `open_connection` are there, and hold for every turn."""
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
        assert reader._limit == 1000  # type: ignore[attr-defined]  # nobody else says
        assert writer.get_extra_info("ssl_object").server_hostname == "localhost"
        await echoed((reader, writer))
        if len(writers) == 3:
            break
    await closed(*writers)


async def stay(_: socket.socket, __: asyncio.StreamWriter) -> None: ...


async def close_politely(_: socket.socket, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(sock: socket.socket, writer: asyncio.StreamWriter) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def half_close(sock: socket.socket, _: asyncio.StreamWriter) -> None:
    sock.shutdown(socket.SHUT_WR)  # without a word of TLS


Conduct = Callable[[socket.socket, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tls_serving(conduct: Conduct) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Serve TLS as *conduct* says; give the port and a context that trusts it."""
    ca, ours = trustme.CA(), ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(LOCAL).configure_cert(context)
    ca.configure_trust(ours)
    writers: list[asyncio.StreamWriter] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        # By a socket of the module's: uvloop's stand-in cannot be shut down.
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
    with contextlib.suppress(AttributeError):  # so says Python 3.11.2 of TLS
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
    """However a turn of TLS ends, and whoever ends it, there is a next one."""
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
                await closed(writer)
            if len(writers) == 3:
                break
        await iterator.aclose()
        await closed(*writers)


async def test_certificate_that_does_not_verify() -> None:
    """It is never tried again, not even here."""
    with tls_echoing(expired=True) as server:
        iterator = aioconnect.reconnecting(
            "localhost", server.port, ssl=server.client_context
        )
        with pytest.raises(aioconnect.ConnectCertificateError):
            await anext(iterator)
        await over(iterator)


async def test_unix(tmp_path: Path, recorder: Recorder) -> None:
    """A Unix socket is reconnected too, and is not there for a while meanwhile."""
    path, writers = tmp_path / "socket", []
    iterator = aioconnect.reconnecting_unix(
        path, retry=Backoff(0.01, maximum=0.01), limit=1000, observer=recorder
    )
    for _ in range(2):
        with echoing(path=path):
            reader, writer = await anext(iterator)
            assert reader._limit == 1000  # type: ignore[attr-defined]  # as above
            await echoed((reader, writer))
            writers.append(writer)
        assert await reader.read() == b""
    task = asyncio.ensure_future(anext(iterator))
    with echoing(path=path):
        await echoed(await task)
    await iterator.aclose()
    await closed(*writers)
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
            await echoed(streams)
            break
        await closed(streams[1])


async def test_name(listener: Server, port: int, recorder: Recorder) -> None:
    """A name is looked up in every turn; what is lost is the address that it was."""
    iterator = aioconnect.reconnecting(
        "localhost", port, retry=(0,), family=socket.AF_INET, observer=recorder
    )
    for _ in range(2):
        _, writer = await anext(iterator)
        listener.accept().close()
    await iterator.aclose()
    await closed(writer)
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
def test_arguments_that_cannot_work(text: str, tmp_path: Path) -> None:
    """The call says so, before anybody iterates, and nothing else is said."""
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


def test_place_that_cannot_be() -> None:
    """So it is with where to connect, and with the options."""
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
    """Run a server that keeps each line before it sends it back; kill it at exit."""
    command = (sys.executable, "-S", "-E", ACKNOWLEDGING, str(port), journal)
    with subprocess.Popen(command) as server:
        try:
            yield
        finally:
            server.kill()


class Sender:
    """Send numbered lines, and again those that nobody has acknowledged.

    *acknowledged* is how many were, which is the number of the next.
    """

    def __init__(self) -> None:
        self.acknowledged = 0
        self.turns = 0
        self._is_over = False
        self._progress = asyncio.Event()

    async def run(self, turns: Reconnecting) -> None:
        """Send until `stop` is called."""
        async for reader, writer in turns:
            self.turns += 1
            self._progress.set()
            with contextlib.suppress(OSError):
                await self._talk(reader, writer)
            if self._is_over:
                break

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        following = self.acknowledged
        while not self._is_over:
            # There are always lines on their way: a kill meets them.
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
        """Wait for the next turn, and until *count* lines are acknowledged in it."""
        turn = self.turns + 1
        await self._reach(lambda: self.turns >= turn)
        until = self.acknowledged + count
        await self._reach(lambda: self.acknowledged >= until)

    async def _reach(self, is_there: Callable[[], bool]) -> None:
        while not is_there():
            self._progress.clear()
            await self._progress.wait()

    def stop(self) -> None:
        """Send no more after the next that is acknowledged."""
        self._is_over = True


async def test_server_that_is_killed_again_and_again(
    held_port: HeldPort, tmp_path: Path, recorder: Recorder
) -> None:
    """Every turn comes back, and nothing is lost that was acknowledged."""
    # Between two lives the port refuses: only `held_port` is bound to it then.
    port, journal, sender = held_port.port, tmp_path / "journal", Sender()
    turns = aioconnect.reconnecting(
        LOCAL, port, retry=Backoff(0.001, maximum=0.02), observer=recorder
    )
    # At its start, when it is connected to, in its first lines, or amid the traffic.
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
def impatient(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """Give peers that do not read so many *seconds*."""
    with monkeypatch.context() as patched:
        patched.setattr("aioconnect._calls.reconnecting._FLUSH_TIMEOUT", seconds)
        yield


async def test_a_peer_that_has_stopped_to_read(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not take is given up, turn by turn: a descriptor is not."""
    policy: Any = {"retry": (0,) * 9}
    with impatient(monkeypatch, 0.1), contextlib.ExitStack() as stack:
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


async def test_a_peer_of_tls_that_says_no_goodbye(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for either, when the body has closed the writer already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca, ours = trustme.CA(), ssl.create_default_context()
    ca.issue_cert(LOCAL).configure_cert(context)
    ca.configure_trust(ours)
    loop = asyncio.get_running_loop()
    shaking = loop.run_in_executor(
        None, lambda: context.wrap_socket(listener.accept(), server_side=True)
    )
    with impatient(monkeypatch, 0.1):
        iterator = aioconnect.reconnecting(
            LOCAL, listener.port, ssl=ours, ssl_shutdown_timeout=60
        )
        _, writer = await anext(iterator)
        with await shaking:
            writer.close()
            await iterator.aclose()
            async with asyncio.timeout(30):
                await closed(writer)
    await loop.shutdown_default_executor()


def test_the_end_of_the_loop_waits_for_nobody(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """A peer that does not read keeps no program from ending, and nothing is left."""

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
    """Whoever asks again waits for the rest of the delay, and not for another."""
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
    """It has not failed: no delay is due, and none of the policy's is used up."""
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


async def test_a_wait_that_would_overrun_after_a_cancelled_turn() -> None:
    """The rest of a delay is measured against the time of the turn that waits it."""
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
    """The next one has its own."""
    connections = aioconnect.reconnecting(
        black_hole.host, black_hole.port, timeout=0.2, retry=(0, 0)
    )
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await anext(connections)
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await anext(connections)
    (attempt,) = caught.value.attempts
    assert attempt.elapsed >= 0.19


def test_one_loop_after_the_other(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], listener: Server
) -> None:
    """An iterator that is kept may go on in another loop, and begins anew there."""
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


def test_what_is_shown() -> None:
    assert repr(aioconnect.reconnecting("db", 5432)) == "<Reconnecting db:5432>"
    unix = aioconnect.reconnecting_unix("/run/x")
    assert repr(unix) == "<Reconnecting unix:/run/x>"


def test_no_such_argument() -> None:
    options: Any = {"timeout": 5}
    with pytest.raises(TypeError, match="no such argument: 'timeout'"):
        Connector().reconnecting("db", 5432, **options)

"""Connected is not ready: a coroutine function, or time, has to prove it."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import aioconnect
from aioconnect import Address, Connector, testing
from aioconnect.testing import (
    BlackHole,
    Recorder,
    Server,
    echoing,
    flaky,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
)

V6 = socket.AF_INET6


async def echoes(sock: socket.socket) -> bool:
    """Tell whether the server echoes on the raw socket."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"ping")
    return await loop.sock_recv(sock, 4) == b"ping"


async def stream_echoes(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"


async def never(*connection: object) -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def test_the_arguments_are_what_the_call_returns() -> None:
    """The socket, the streams, or the transport and the protocol."""
    given: list[tuple[Any, ...]] = []

    async def note(*connection: object) -> None:
        given.append(connection)

    ready = Connector(ready=note)
    with echoing() as server:
        sock = await ready.connect(server.host, server.port)
        sock.close()
        streams = await ready.open_connection(server.host, server.port)
        streams[1].transport.abort()
        pair = await ready.create_connection(asyncio.Protocol, server.host, server.port)
        pair[0].abort()
        with socket.socket() as own:
            own.setblocking(False)
            await ready.connect_sock(own, server.sockaddr)
            assert given == [(sock,), streams, pair, (own,)]


async def test_it_passes() -> None:
    with echoing() as server:
        to = server.host, server.port
        (await aioconnect.connect(*to, ready=echoes)).close()
        _, writer = await aioconnect.open_connection(*to, ready=stream_echoes)
        writer.transport.abort()


async def test_over_tls() -> None:
    """It is called after the handshake."""
    with tls_echoing() as server:
        _, writer = await aioconnect.open_connection(
            server.host, server.port, ssl=server.client_context, ready=stream_echoes
        )
        writer.transport.abort()


async def no(*connection: object) -> bool:
    return False


async def ends(*connection: object) -> None:
    raise asyncio.IncompleteReadError(b"", 4)


async def resets(*connection: object) -> None:
    raise ConnectionResetError(errno.ECONNRESET, "said the ping")


async def final(*connection: object) -> None:
    raise OSError("it is another server")


@pytest.mark.parametrize(
    ("ready", "kind", "says", "attempts"),
    [
        (no, aioconnect.ConnectAbortedError, "the ready check returned False", 3),
        (ends, aioconnect.ConnectResetError, "the peer has closed", 3),
        (resets, aioconnect.ConnectResetError, "said the ping", 3),
        (final, aioconnect.ConnectError, "it is another server", 1),
    ],
)
async def test_it_does_not_pass(
    ready: Callable[..., Awaitable[Any]],
    kind: type[aioconnect.ConnectError],
    says: str,
    attempts: int,
) -> None:
    """The attempt fails in phase ``ready``, and the policy decides on a retry."""
    recorder = Recorder()
    options: Any = {"ready": ready, "retry": (0, 0), "observer": recorder}
    with echoing() as server:
        to = server.host, server.port
        for connect in (aioconnect.connect, aioconnect.open_connection):
            with pytest.raises(kind, match=f"ready: {says}") as caught:
                await connect(*to, **options)
            assert type(caught.value) is kind
            assert [one.phase for one in caught.value.attempts] == ["ready"] * attempts
            assert {one.address for one in caught.value.attempts} == {server.address}
    assert not recorder.of(aioconnect.Connected)


async def test_until_it_passes() -> None:
    """A server that accepts and closes is not ready.  One that echoes is."""
    with flaky(["accept_close", "accept_close", "accept"]) as server:
        _, writer = await aioconnect.open_connection(
            server.host,
            server.port,
            ready=stream_echoes,
            retry=(0, 0),
            prepare=[server],
        )
        assert server.log == ["accept_close", "accept_close", "accept"]
        writer.transport.abort()


@pytest.mark.parametrize("connect", [aioconnect.connect, aioconnect.open_connection])
async def test_time(connect: Callable[..., Awaitable[Any]]) -> None:
    """It counts to the attempt's time, and to the call's."""
    with echoing() as server:
        to = server.host, server.port
        with pytest.raises(
            aioconnect.ConnectTimeoutError, match=r"within 0\.5 s"
        ) as one:
            await connect(*to, ready=never, timeout=0.5, retry=(0, 0))
        assert [attempt.phase for attempt in one.value.attempts] == ["ready"]
        with pytest.raises(
            aioconnect.ConnectTimeoutError, match="cannot connect"
        ) as two:
            await connect(*to, ready=never, attempt_timeout=0.02, retry=(0, 0))
        assert [attempt.phase for attempt in two.value.attempts] == ["ready"] * 3
        assert all(attempt.elapsed >= 0.01 for attempt in two.value.attempts)


async def test_a_timeout_of_its_own() -> None:
    """Its own timeout is a failed attempt, and not the end of the call."""

    async def impatient(sock: socket.socket) -> None:
        async with asyncio.timeout(0.01):
            await never()

    with echoing() as server, pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            server.host, server.port, ready=impatient, timeout=30, retry=(0,)
        )
    assert caught.value.attempt_count == 2
    assert str(caught.value).startswith("cannot connect")


async def test_a_bug_in_it() -> None:
    """It comes through as it is, after everything is closed."""

    async def breaks(*connection: object) -> None:
        raise ZeroDivisionError

    def is_none(*connection: object) -> None:
        """Be a plain function, which returns no awaitable."""

    value: Any
    with echoing() as server:
        to = server.host, server.port
        for connect in (aioconnect.connect, aioconnect.open_connection):
            with pytest.raises(ZeroDivisionError):
                await connect(*to, ready=breaks, retry=(0, 0))
            value = is_none
            with pytest.raises(TypeError, match="ready must be a coroutine function"):
                await connect(*to, ready=value)
    value = "ping"
    with pytest.raises(TypeError, match="ready must be callable"):
        Connector(ready=value)


async def test_own_socket_stays_open(listener: Server) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(aioconnect.ConnectAbortedError):
            await Connector(ready=no).connect_sock(sock, listener.sockaddr)
        assert sock.fileno() != -1


async def test_the_next_address(black_hole: BlackHole) -> None:
    """An address that is connected and not ready has failed: the race goes on.

    Attempts under way beside it go on too, and the remaining addresses are tried.
    """
    asked: list[Any] = []

    async def only_echo(sock: socket.socket) -> bool:
        asked.append(sock.getpeername())
        return bool(asked[-1] == good.sockaddr)

    recorder = Recorder()
    with listening() as first, listening() as second, echoing() as good:
        found = [black_hole.address, first.address, second.address, good.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != V6 else []

        sock = await aioconnect.connect(
            "four",
            1,
            resolver=resolver,
            ready=only_echo,
            happy_eyeballs_delay=0.01,
            timeout=30,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == good.sockaddr
        assert asked == [first.sockaddr, second.sockaddr, good.sockaddr]
    failed = [event.attempt for event in recorder.of(aioconnect.AttemptFailed)]
    assert [(one.address, one.phase) for one in failed] == [
        (first.address, "ready"),
        (second.address, "ready"),
    ]


async def test_a_concurrent_attempt_may_win() -> None:
    """An attempt that was under way while another had to prove itself may win."""
    found: list[Address] = []

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        return found if family != V6 else []

    async def open_the_hole(sock: socket.socket) -> bool:
        if sock.getpeername() == hole.sockaddr:
            return True
        hole.open()
        return False

    recorder = Recorder()
    with testing.black_hole() as hole, listening() as server:
        found += [hole.address, server.address]
        sock = await aioconnect.connect(
            "two",
            1,
            resolver=resolver,
            ready=open_the_hole,
            happy_eyeballs_delay=0.01,
            timeout=30,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == hole.sockaddr
    assert len(recorder.of(aioconnect.AttemptStarted)) == 2


async def test_others_go_on_meanwhile() -> None:
    """While a connection proves itself, others are watched, and may win."""
    found: list[Address] = []

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        return found if family != V6 else []

    async def open_the_hole(sock: socket.socket) -> None:
        if sock.getpeername() != hole.sockaddr:
            hole.open()
            await never()

    recorder = Recorder()
    with testing.black_hole() as hole, listening() as server:
        found += [hole.address, server.address]
        async with leak_check():
            with await aioconnect.connect(
                "two",
                1,
                resolver=resolver,
                ready=open_the_hole,
                happy_eyeballs_delay=0.01,
                timeout=60,
                observer=recorder,
            ) as sock:
                assert sock.getpeername() == hole.sockaddr
    recorder.assert_none(aioconnect.AttemptFailed)


async def test_different_failures() -> None:
    """One family refuses, and the other's server is not ready: no errno is both."""
    with (
        on_one_port(lambda: refusing("::1"), lambda port: listening(port=port)) as (
            _,
            server,
        ),
        pytest.raises(aioconnect.ConnectError) as caught,
    ):
        await aioconnect.connect("localhost", server.port, ready=resets)
    assert type(caught.value) is aioconnect.ConnectError
    phases = [one.phase for one in caught.value.attempts]
    assert phases == ["connect", "ready"]


async def test_a_silent_server_leaves_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that accepts and is silent holds nobody up.

    One address at a time, it has its share of the time, and no more.
    """
    monkeypatch.setattr("aioconnect._sansio.deadline.LEAST_SHARE", 0.1)
    with listening() as silent, echoing() as good:
        found = [silent.address, good.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != V6 else []

        for options in ({}, {"happy_eyeballs_delay": None, "timeout": 1.5}):
            settings: Any = options
            sock = await aioconnect.connect(
                "two", 1, resolver=resolver, ready=echoes, **settings
            )
            with sock:
                assert sock.getpeername() == good.sockaddr
        sock = await aioconnect.connect_any(found, race=True, ready=echoes)
        sock.close()


async def test_a_silent_server_has_the_whole_turn() -> None:
    """Beside the others, it needs no share: the end of its time is the call's."""
    with listening() as silent, refusing() as refused:
        found = [silent.address, refused.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != V6 else []

        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "two", 1, resolver=resolver, ready=echoes, timeout=1.5, retry=(0,)
            )
    refusal, silence = caught.value.attempts
    assert (refusal.address, refusal.phase) == (refused.address, "connect")
    assert (silence.address, silence.phase) == (silent.address, "ready")
    assert "ready: no answer yet" in str(caught.value)
    assert silence.elapsed > 1.4


async def says_no(*connection: object) -> bool:
    try:
        await never()
    except asyncio.CancelledError:
        return False
    return True


async def says_the_end(*connection: object) -> None:
    try:
        await never()
    except asyncio.CancelledError:
        raise EOFError from None


async def fails_when_cancelled(*connection: object) -> None:
    try:
        await never()
    except asyncio.CancelledError:
        raise OSError(errno.ECONNRESET, "cancelled") from None


HOOKS = [says_no, says_the_end, fails_when_cancelled]


@pytest.mark.parametrize("ready", HOOKS)
async def test_a_hook_that_swallows_the_timeout(ready: Callable[..., Any]) -> None:
    """A deadline is a timeout, whatever the hook makes of its cancellation."""
    with echoing() as server, pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(server.host, server.port, ready=ready, timeout=0.05)


@pytest.mark.parametrize("ready", HOOKS)
async def test_a_hook_that_swallows_a_cancellation(
    ready: Callable[..., Any],
) -> None:
    """It arrives all the same, and nothing is tried again."""
    recorder = Recorder()
    with echoing() as server:
        connecting = asyncio.ensure_future(
            aioconnect.connect(
                server.host, server.port, ready=ready, retry=(0,) * 9, observer=recorder
            )
        )
        for _ in range(5):
            await asyncio.sleep(0)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
    assert len(recorder.of(aioconnect.AttemptStarted)) == 1


async def closes(first: Any, second: Any = None) -> None:
    (second or first).close()


async def test_a_hook_that_closes_the_connection() -> None:
    """It is not returned: a call returns what is connected."""
    with echoing() as server:
        for connect in (aioconnect.connect, aioconnect.open_connection):
            with pytest.raises(aioconnect.ConnectAbortedError, match="closed during"):
                await connect(server.host, server.port, ready=closes)


async def test_frames_of_a_hook_are_not_kept() -> None:
    """Neither the hook's error nor its cause holds frames."""

    class Canary:
        pass

    references: list[weakref.ref[Canary]] = []

    async def fails(sock: socket.socket) -> None:
        canary = Canary()
        references.append(weakref.ref(canary))
        async with asyncio.timeout(0):
            await never()

    with echoing() as server:
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
                await aioconnect.connect(server.host, server.port, ready=fails)
            assert caught.value.attempt_count == 1
            assert references[0]() is None
        finally:
            gc.enable()


async def test_a_hook_that_ran_out_of_time_is_not_kept() -> None:
    """No reference cycle holds it until the next collection."""

    class Hook:
        async def __call__(self, sock: socket.socket) -> None:
            await never()

    async def fail() -> weakref.ref[Hook]:
        hook = Hook()
        with pytest.raises(aioconnect.ConnectTimeoutError):
            await aioconnect.connect(server.host, server.port, ready=hook, timeout=0.01)
        return weakref.ref(hook)

    with echoing() as server:
        gc.collect()
        gc.disable()
        try:
            reference = await fail()
            await asyncio.sleep(0)  # until then, the loop holds the timer's handle
            assert reference() is None
        finally:
            gc.enable()


async def test_a_failed_handshake_goes_on_to_the_next_address() -> None:
    """Of a certificate and a `ready` that fail, the one that works wins."""
    with tls_echoing(expired=True) as expired, tls_echoing("127.0.0.2") as other:
        other.ca.configure_trust(expired.client_context)
        found = [expired.address, other.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != V6 else []

        recorder = Recorder()
        _, writer = await aioconnect.open_connection(
            "localhost",
            1,
            ssl=expired.client_context,
            resolver=resolver,
            ready=stream_echoes,
            observer=recorder,
        )
        assert writer.get_extra_info("peername") == other.sockaddr
        writer.transport.abort()
    failed = recorder.only(aioconnect.AttemptFailed).attempt
    assert (failed.address, failed.phase) == (expired.address, "tls")

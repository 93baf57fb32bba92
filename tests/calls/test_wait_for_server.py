"""Up means connected for a while.  Down means refused or gone, and not slow."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import pickle
import select
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import aioconnect
from aioconnect import (
    Address,
    AttemptFailed,
    AttemptStarted,
    Connected,
    Connector,
    GaveUp,
    RetryScheduled,
)
from aioconnect._calls.ready import _has_ended as has_ended
from aioconnect.testing import (
    BlackHole,
    FullBacklog,
    Lookup,
    Recorder,
    ScriptedResolver,
    Server,
    StaticResolver,
    UnixServer,
    echoing,
    flaky,
    leak_check,
    listening,
    on_one_port,
    refusing,
    unix_listening,
    unused_port,
)

# asm-generic/socket.h and linux/net_tstamp.h: SOF_TIMESTAMPING_SOFTWARE, _TX_SOFTWARE.
SO_TIMESTAMPING, TX_SOFTWARE = 37, 1 << 4 | 1 << 1

# SO_LINGER on, 0 seconds: close(2) resets.
RESET = b"\x01\0\0\0\0\0\0\0"


def refuse_retry(error: OSError) -> bool:
    """Refuse another round."""
    return False


async def test_up_at_once(listener: Server, unix_listener: UnixServer) -> None:
    """It returns how many seconds it took."""
    took = await aioconnect.wait_until_up(listener.host, listener.port, timeout=30)
    assert isinstance(took, float)
    assert 0 <= took < 30
    assert await aioconnect.wait_until_up_unix(unix_listener.path, timeout=30) < 30


async def test_up_later() -> None:
    """Without a retry policy among the options, the wait has its own."""
    recorder = Recorder()
    with unused_port() as held:
        waiting = asyncio.ensure_future(
            aioconnect.wait_until_up(
                held.host, held.port, timeout=30, observer=recorder
            )
        )
        while len(recorder.of(AttemptFailed)) < 3:
            await asyncio.sleep(0)
        held.listen()
        took = await waiting
    first = recorder.of(AttemptFailed)[0].attempt
    assert took >= recorder.of(AttemptFailed)[-1].at - first.started


async def test_up_on_unix_later(tmp_path: Path) -> None:
    """It waits for a path that does not exist yet."""
    recorder = Recorder()
    path = tmp_path / "socket"
    waiting = asyncio.ensure_future(
        aioconnect.wait_until_up_unix(path, timeout=30, observer=recorder)
    )
    while not recorder.of(AttemptFailed):
        await asyncio.sleep(0)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        await waiting


NONE = Lookup(error=socket.EAI_NONAME)


async def test_a_name_that_comes_later() -> None:
    """In a cluster the name comes with the server.  `is_unknown_name` accepts it."""
    with unused_port() as held:
        held.listen()
        resolver = ScriptedResolver({"db.test": [NONE, NONE, Lookup(["127.0.0.1"])]})
        await aioconnect.wait_until_up(
            "db.test",
            held.port,
            timeout=30,
            resolver=resolver,
            retry_on=aioconnect.is_transient | aioconnect.is_unknown_name,
        )
    assert len(resolver.calls) > 2


HINT = "; retry_on=is_transient | is_unknown_name waits for a name that does not"


@pytest.mark.parametrize(
    ("host", "code", "options", "has_hint"),
    [
        ("db.test", socket.EAI_NONAME, {}, True),
        ("db.test", socket.EAI_NONAME, {"retry_on": aioconnect.is_refused}, True),
        ("db.test", socket.EAI_FAIL, {}, False),
        (
            "db.test",
            socket.EAI_NONAME,
            {"retry_on": aioconnect.is_unknown_name, "retry": (0,)},
            False,
        ),
    ],
)
async def test_the_error_says_how_to_wait_for_a_name(
    host: str, code: int, options: dict[str, Any], has_hint: bool
) -> None:
    """It does so only where that helps, and keeps its class and errno."""
    resolver = ScriptedResolver({"db.test": Lookup(error=code)})
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.wait_until_up(host, 1, timeout=9, resolver=resolver, **options)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (HINT in str(error)) == (HINT in repr(error)) == has_hint
        assert error.errno == code


async def test_the_delays_of_the_options() -> None:
    recorder = Recorder()
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.wait_until_up(
            refused.host, refused.port, timeout=None, retry=(0, 0.01), observer=recorder
        )
    assert caught.value.attempt_count == 3
    assert [event.delay for event in recorder.of(RetryScheduled)] == [0, 0.01]


async def test_not_up_in_time() -> None:
    with refusing() as refused:
        with pytest.raises(aioconnect.ConnectTimeoutError, match="refused") as caught:
            await aioconnect.wait_until_up(refused.host, refused.port, timeout=1)
        assert caught.value.attempt_count > 1
        with pytest.raises(aioconnect.ConnectTimeoutError, match="nothing was tried"):
            await aioconnect.wait_until_up(refused.host, refused.port, timeout=0)


async def test_settled() -> None:
    """A proxy that accepts and closes is not up.  A silent server is."""
    with flaky(["accept_close", "reset", "accept_close", "accept_silent"]) as server:
        took = await aioconnect.wait_until_up(
            server.host, server.port, timeout=30, settle=0.1, prepare=[server]
        )
        assert server.log == ["accept_close", "reset", "accept_close", "accept_silent"]
    assert took >= 0.09


async def test_not_settled() -> None:
    with (
        flaky(["accept_close"]) as server,
        pytest.raises(aioconnect.ConnectResetError) as caught,
    ):
        await aioconnect.wait_until_up(
            server.host, server.port, timeout=30, settle=20, retry=(0, 0)
        )
    assert [one.phase for one in caught.value.attempts] == ["ready"] * 3
    assert "the peer closed the connection within 20 s" in str(caught.value)


async def test_data_while_settling(listener: Server) -> None:
    """A banner does not end the connection.  An end after it does."""
    recorder = Recorder()
    waiting = asyncio.ensure_future(
        aioconnect.wait_until_up(
            listener.host,
            listener.port,
            timeout=30,
            settle=20,
            retry=(0,),
            observer=recorder,
        )
    )
    for number in (1, 2):
        while len(recorder.of(AttemptStarted)) < number:
            await asyncio.sleep(0)
        with listener.accept() as peer:
            peer.sendall(b"220 ready\r\n" * 1000)
    with pytest.raises(aioconnect.ConnectResetError) as caught:
        await waiting
    assert caught.value.attempt_count == 2


@pytest.mark.namespace
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_answer_is_waited_for(in_namespace: Callable[..., str], loop: str) -> None:
    """K20: with TCP Fast Open too, a server is up only when it has answered."""
    in_namespace("unanswered.py", loop)


Settling = Callable[..., Awaitable[float]]


@pytest.fixture(params=["TCP", "Unix"])
def settling(
    request: pytest.FixtureRequest, listener: Server, unix_listener: UnixServer
) -> tuple[Settling, Server | UnixServer]:
    """Return a wait until a server is up, and the server, of either kind."""
    if request.param == "Unix":
        up = partial(aioconnect.wait_until_up_unix, unix_listener.path, timeout=60)
        return up, unix_listener
    return partial(aioconnect.wait_until_up, *listener.sockaddr, timeout=60), listener


@pytest.fixture
def polls(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Record the result of each poll for an end behind data."""
    seen: list[bool] = []

    def look(sock: socket.socket) -> bool:
        seen.append(has_ended(sock))
        return seen[-1]

    monkeypatch.setattr("aioconnect._calls.ready._has_ended", look)
    return seen


async def test_settling_reads_nothing(
    settling: tuple[Settling, Server | UnixServer], polls: list[bool]
) -> None:
    """However much the peer sends, nothing is read and few polls are made."""
    up, server = settling
    kept: list[socket.socket] = []
    sent = 0

    async def ready(sock: socket.socket) -> None:
        nonlocal sent
        kept.append(sock.dup())
        peer = server.accept()
        kept.append(peer)
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += peer.send(bytes(1 << 16))

    await up(settle=0.5, ready=ready)
    received = 0
    with kept[0] as sock, kept[1] as peer:
        peer.close()
        while data := sock.recv(1 << 16):
            received += len(data)
    assert received == sent > 0
    assert 0 < len(polls) < 40


@pytest.mark.parametrize("ending", ["close", "shutdown", "reset"])
async def test_an_end_behind_data(
    settling: tuple[Settling, Server | UnixServer], polls: list[bool], ending: str
) -> None:
    """It is noticed, although the data before it is not read."""
    up, server = settling
    is_connected = asyncio.Event()

    async def ready(sock: socket.socket) -> None:
        sock.send(b"unread, this makes a reset of a close")
        is_connected.set()

    waiting = asyncio.ensure_future(up(settle=50, retry_on=refuse_retry, ready=ready))
    await is_connected.wait()
    with server.accept() as peer:
        peer.sendall(b"220 ready\r\n" * 1000)
        while len(polls) < 3:
            await asyncio.sleep(0)
        if ending == "shutdown":
            peer.shutdown(socket.SHUT_WR)
        elif ending == "close":
            peer.recv(100)
            peer.close()
        else:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()
        with pytest.raises(aioconnect.ConnectResetError) as caught:
            await waiting
    assert caught.value.attempt_count == 1
    said = "reset by peer" if ending == "reset" else "closed the connection"
    assert said in str(caught.value)


async def test_a_message_in_the_error_queue_is_no_end(listener: Server) -> None:
    """For example a timestamp of sent data, if somebody asked for it."""

    def prepare(sock: socket.socket, address: Address) -> None:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE)

    async def ready(sock: socket.socket) -> None:
        sock.send(b"now")
        poll = select.poll()
        poll.register(sock, 0)
        assert poll.poll(5000) == [(sock.fileno(), select.POLLERR)]

    await aioconnect.wait_until_up(
        *listener.sockaddr, timeout=60, settle=0.05, prepare=[prepare], ready=ready
    )


async def test_settling_a_closed_socket(listener: Server) -> None:
    """A socket that *ready* closed does not count as open."""

    async def ready(sock: socket.socket) -> None:
        sock.close()

    with pytest.raises(aioconnect.ConnectAbortedError, match="closed during"):
        await aioconnect.wait_until_up(
            *listener.sockaddr, timeout=60, settle=1, ready=ready, retry_on=refuse_retry
        )


async def test_ready_and_then_settled() -> None:
    """Both have to pass, within the attempt's time."""
    asked: list[socket.socket] = []

    async def ready(sock: socket.socket) -> bool:
        asked.append(sock)
        return len(asked) > 1

    with echoing() as server:
        to = server.host, server.port
        connector = Connector(ready=ready, timeout=30)
        took = await connector.wait_until_up(*to, settle=0.05)
        assert len(asked) == 2
        assert took >= 0.04
        assert {sock.fileno() for sock in asked} == {-1}


async def test_cancelled_while_it_settles() -> None:
    with echoing() as server:
        async with leak_check():
            task = asyncio.ensure_future(
                aioconnect.wait_until_up(
                    server.host, server.port, timeout=None, settle=60
                )
            )
            for _ in range(5):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("settle", [-1, math.nan, math.inf, "1"])
async def test_bad_settle(settle: Any, listener: Server) -> None:
    with pytest.raises((ValueError, TypeError), match="settle"):
        await aioconnect.wait_until_up(
            listener.host, listener.port, timeout=1, settle=settle
        )


@pytest.mark.parametrize("name", ["timeout", "attempt_timeout"])
async def test_no_time_to_settle(name: str, listener: Server) -> None:
    options: Any = {"timeout": 30, name: 0.5}
    with pytest.raises(
        ValueError, match=rf"settle \(0.5 s\) must be shorter than {name} \(0.5 s\)"
    ):
        await aioconnect.wait_until_up(
            listener.host, listener.port, settle=0.5, **options
        )


async def test_a_server_that_sends_all_the_time_settles() -> None:
    """A server that sends all the time does not prolong the wait."""
    loop = asyncio.get_running_loop()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 100_000)
                await writer.drain()
        writer.close()

    async def keep_busy() -> None:
        while True:
            await asyncio.sleep(0)

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as server:
        busy = asyncio.ensure_future(keep_busy())
        host, port = server.sockets[0].getsockname()
        started = loop.time()
        await aioconnect.wait_until_up(host, port, timeout=None, settle=0.2)
        assert loop.time() - started < 20
        busy.cancel()
    await asyncio.wait([busy])
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others)


async def test_ready_that_is_no_coroutine_function(listener: Server) -> None:
    """The error names it, also with *settle*."""
    ready: Any = print
    with pytest.raises(TypeError, match="ready must be a coroutine function, not"):
        await aioconnect.wait_until_up(
            listener.host, listener.port, timeout=30, settle=0.1, ready=ready
        )


async def test_a_silent_address_beside_one_that_comes_up(
    black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look ends, and the other address has another one: a firewall may drop IPv6."""
    monkeypatch.setattr("aioconnect._calls.wait_for_server._ATTEMPT_TIMEOUT", 0.1)
    with unused_port() as held:
        found = [black_hole.address, held.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != socket.AF_INET6 else []

        recorder = Recorder()
        waiting = asyncio.ensure_future(
            aioconnect.wait_until_up(
                "two", 1, timeout=30, resolver=resolver, observer=recorder
            )
        )
        while not recorder.of(AttemptFailed):
            await asyncio.sleep(0)
        held.listen()
        await waiting


async def test_unknown_names_are_not_up() -> None:
    """An error that the policy does not accept is raised at once."""
    with pytest.raises(aioconnect.ResolveError):
        await aioconnect.wait_until_up(
            "unknown", 80, timeout=None, resolver=StaticResolver({})
        )


async def test_down_at_once(tmp_path: Path) -> None:
    with refusing() as refused:
        took = await aioconnect.wait_until_down(refused.host, refused.port, timeout=30)
    assert 0 <= took < 30
    assert await aioconnect.wait_until_down_unix(tmp_path / "none", timeout=30) < 30


async def test_down_later(unix_listener: UnixServer) -> None:
    """It looks until the server refuses."""
    recorder = Recorder()
    to = unix_listener.path
    waiting = asyncio.ensure_future(
        aioconnect.wait_until_down_unix(to, timeout=30, observer=recorder)
    )
    for number in (1, 2, 3):
        while len(recorder.of(Connected)) < number:
            await asyncio.sleep(0)
        unix_listener.accept().close()
    unix_listener.sock.close()
    await waiting


Wait = Callable[..., Awaitable[float]]


async def test_not_down_in_time(listener: Server) -> None:
    """The error says that the server is up, and how many looks there were."""
    to = listener.host, listener.port
    for options in ({"timeout": 1}, {"timeout": None, "retry": (0, 0)}):
        wait: Wait = aioconnect.wait_until_down
        with pytest.raises(aioconnect.ConnectTimeoutError, match="still up") as caught:
            await wait(*to, **options)
        assert (caught.value.host, caught.value.port) == to
        assert caught.value.rounds > 1
    assert caught.value.rounds == 3


async def test_too_late_for_another_look(listener: Server) -> None:
    """If the loop was busy until the deadline, the error is about the last look."""

    def busy(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            time.sleep(0.6)

    with pytest.raises(aioconnect.ConnectTimeoutError, match="still up") as caught:
        await aioconnect.wait_until_down(
            listener.host, listener.port, timeout=0.5, observer=busy
        )
    assert caught.value.rounds == 1


async def test_slow_is_not_down(
    black_hole: BlackHole, full_backlog_listener: FullBacklog
) -> None:
    to = black_hole.host, black_hole.port
    with pytest.raises(aioconnect.ConnectTimeoutError, match="no answer yet") as caught:
        await aioconnect.wait_until_down(*to, timeout=0.2)
    assert caught.value.attempts
    with pytest.raises(aioconnect.ConnectTimeoutError, match="no answer yet") as caught:
        await aioconnect.wait_until_down(
            *to, timeout=None, attempt_timeout=0.02, retry=(0, 0)
        )
    assert caught.value.rounds == 3
    with pytest.raises(aioconnect.ConnectTimeoutError, match="backlog"):
        await aioconnect.wait_until_down_unix(full_backlog_listener.path, timeout=0.1)


async def test_not_down_though_the_loop_was_late(listener: Server) -> None:
    """Without time for a last look, the error is about the look before."""

    def blocks(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            time.sleep(0.3)

    to = listener.host, listener.port
    with pytest.raises(aioconnect.ConnectTimeoutError, match="still up") as caught:
        await aioconnect.wait_until_down(*to, timeout=0.2, observer=blocks)
    assert caught.value.rounds == 1
    assert caught.value.elapsed > 0.2


async def test_slow_until_the_time_is_up(black_hole: BlackHole) -> None:
    """*retry_on* is not asked about a look that the deadline cut short."""
    to = black_hole.host, black_hole.port
    for timeout in (0.0, 0.1):
        with pytest.raises(aioconnect.ConnectTimeoutError, match="is not down within"):
            await aioconnect.wait_until_down(
                *to, timeout=timeout, retry_on=aioconnect.is_refused
            )


async def test_one_address_that_is_slow(black_hole: BlackHole) -> None:
    """The server is down only when all of its addresses are gone."""
    with refusing() as refused:
        found = [refused.address, black_hole.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != socket.AF_INET6 else []

        with pytest.raises(aioconnect.ConnectTimeoutError, match="is not down"):
            await aioconnect.wait_until_down(
                "two", 1, timeout=0.3, attempt_timeout=0.02, resolver=resolver
            )
        found.pop()
        await aioconnect.wait_until_down("two", 1, timeout=30, resolver=resolver)


async def test_a_name_that_is_gone() -> None:
    """A name that does not exist is down.  One that cannot be looked up is not."""
    await aioconnect.wait_until_down(
        "unknown", 80, timeout=30, resolver=StaticResolver({})
    )

    async def failing(host: str, port: int, **_: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    with pytest.raises(aioconnect.ConnectTimeoutError, match="later"):
        await aioconnect.wait_until_down(
            "name", 80, timeout=None, retry=(0,), resolver=failing
        )


async def test_local_errors_are_raised() -> None:
    """An error of this machine shows neither up nor down."""
    with pytest.raises(aioconnect.AddressBlockedError):
        await aioconnect.wait_until_down(
            "127.0.0.1", 1, timeout=None, allow=aioconnect.only_public
        )

    def emfile(sock: socket.socket, address: Address) -> None:
        raise OSError(errno.EMFILE, "no descriptor")

    with pytest.raises(aioconnect.ConnectError, match="no descriptor"):
        await aioconnect.wait_until_down("127.0.0.1", 1, timeout=None, prepare=[emfile])


def raise_enoent(sock: socket.socket, address: Address) -> None:
    raise FileNotFoundError(errno.ENOENT, "a hook's own")


def allow_nothing(ip: object, port: int) -> bool:
    return False


def allow_the_first(ip: object, port: int) -> bool:
    return str(ip) == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("127.0.0.1", {"local_addr": ("no-such-name.invalid", 0)}),
        ("127.0.0.1", {"prepare": [raise_enoent]}),
        ("127.0.0.1", {"family": socket.AF_INET6}),
        ("fe80::1%no-such-if", {}),
        ("127.0.0.1", {"allow": allow_nothing}),
    ],
)
async def test_local_failures_are_not_down(
    host: str, options: dict[str, Any], listener: Server
) -> None:
    """A server that cannot be asked from here may be up."""
    with pytest.raises(aioconnect.ConnectError):
        await aioconnect.wait_until_down(
            host, listener.port, timeout=None, retry=(0, 0), **options
        )


async def test_all_other_addresses_refuse() -> None:
    """The server may be at the one address that could not be tried."""
    with on_one_port(refusing, lambda port: listening("127.0.0.2", port=port)) as (
        refused,
        server,
    ):
        found = [refused.address, server.address]

        def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
            return found if family != socket.AF_INET6 else []

        def no_descriptor(sock: socket.socket, address: Address) -> None:
            if address == server.address:
                raise OSError(errno.EMFILE, "no descriptor")

        for options in (
            {"prepare": [no_descriptor]},
            {"allow": allow_the_first},
        ):
            wait: Wait = aioconnect.wait_until_down
            with pytest.raises(aioconnect.ConnectTimeoutError, match="is not down"):
                await wait(
                    "two", 1, timeout=None, retry=(0,), resolver=resolver, **options
                )


async def test_a_family_that_could_not_be_asked_for() -> None:
    """The server may be at one of its addresses."""

    async def half(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        if family != socket.AF_INET:
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return [refused.address]

    with (
        refusing() as refused,
        pytest.raises(aioconnect.ConnectTimeoutError, match="is not down"),
    ):
        await aioconnect.wait_until_down(
            "half", 1, timeout=None, retry=(0,), resolver=half
        )


async def test_history_of_the_looks(listener: Server) -> None:
    """The looks have one history and one end; a failed look does not end the wait."""
    recorder = Recorder()
    with (
        flaky(["hang", "accept", "hang"]) as server,
        pytest.raises(aioconnect.ConnectTimeoutError) as caught,
    ):
        await aioconnect.wait_until_down(
            server.host,
            server.port,
            timeout=None,
            attempt_timeout=0.05,
            retry=(0, 0.001),
            prepare=[server],
            observer=recorder,
        )
    assert [one.round for one in caught.value.attempts] == [1, 3]
    assert (caught.value.rounds, caught.value.attempt_count) == (3, 2)
    assert recorder.only(GaveUp).error is caught.value
    assert [event.delay for event in recorder.of(RetryScheduled)] == [0, 0.001]


async def test_ready_is_not_asked_when_it_is_to_go_down(listener: Server) -> None:
    async def ready(sock: socket.socket) -> bool:
        raise ZeroDivisionError

    with pytest.raises(aioconnect.ConnectTimeoutError, match="still up"):
        await Connector(ready=ready, retry=(0,)).wait_until_down(
            listener.host, listener.port
        )


async def test_methods(listener: Server, unix_listener: UnixServer) -> None:
    """Without a *timeout* of the call, that of the connector counts."""
    connector = Connector(timeout=0.1)
    await connector.wait_until_up(listener.host, listener.port)
    await connector.wait_until_up_unix(unix_listener.path)
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await connector.wait_until_down(listener.host, listener.port)
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await Connector().wait_until_down_unix(unix_listener.path, timeout=0.1)
    with refusing() as refused, pytest.raises(aioconnect.ConnectTimeoutError):
        await connector.wait_until_up(refused.host, refused.port)


def test_silent_listeners_are_up() -> None:
    """A connection that nobody accepts is connected: only *ready* can tell."""
    with listening() as server:
        asyncio.run(aioconnect.wait_until_up(server.host, server.port, timeout=30))


async def test_other_kinds_of_unix_sockets() -> None:
    """Another kind of socket at the path is an error at once."""
    with (
        unix_listening(kind=socket.SOCK_SEQPACKET) as server,
        pytest.raises(aioconnect.ConnectError, match="wrong type"),
    ):
        await aioconnect.wait_until_down_unix(server.path, timeout=30)

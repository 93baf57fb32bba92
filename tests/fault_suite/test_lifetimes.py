"""Forks, threads, shut-downs and garbage collection in mid-connect do no harm."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import signal
import ssl
import subprocess
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from programs import run_script
from thrown import Thrown

import aioconnect
from aioconnect import Address, Connector
from aioconnect.testing import (
    EchoServer,
    Recorder,
    TLSEchoServer,
    black_hole,
    echoing,
    full_backlog,
    leak_check,
    refusing,
    tls_echoing,
    unix_listening,
)

SCRIPTS = Path(__file__).parent.parent / "scripts"
LOOPS = ["asyncio", "uvloop"]
NOTHING_LEFT = "nothing left"

Factory = Callable[[], asyncio.AbstractEventLoop]


# Processes


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("moment", ["pending", "settling", "retrying"])
@pytest.mark.parametrize(
    "child",
    [
        "leave_it",
        "close_all",
        "close_coroutine",
        "cancel",
        "go_on",
        "go_on_by_the_loop",
    ],
)
def test_fork(thrown: Thrown, loop: str, moment: str, child: str) -> None:
    """Whatever a forked child does with the connect, the parent's connect succeeds.

    The child ends, and uses no CPU time.
    """
    script = str(SCRIPTS / "forked.py")
    run_script(sys.executable, script, loop, moment, child)
    thrown("lifetimes", NOTHING_LEFT)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_connector_in_another_process(thrown: Thrown, loop: str, method: str) -> None:
    """A Connector can be sent to another process, and connects there."""
    script = str(SCRIPTS / "pickled.py")
    run_script(sys.executable, "-X", "dev", script, loop, method)
    thrown("lifetimes", NOTHING_LEFT)


# Threads

THREADS, CONNECTS = 16, 100


def test_many_loops_in_many_threads(thrown: Thrown) -> None:
    """Loops of both kinds, each in its own thread, share only a Connector."""
    connector = Connector(timeout=60, retry=(0.01, 0.1), observer=Recorder())
    failures: list[BaseException] = []

    def work(server: EchoServer, factory: Factory) -> None:
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(echo_often(connector, server))
        except BaseException as exc:  # the test raises it
            failures.append(exc)

    with echoing(backlog=1024) as server:
        threads = [
            threading.Thread(target=work, args=(server, factory))
            for factory in (asyncio.new_event_loop, uvloop.new_event_loop)
            for _ in range(THREADS // 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    thrown("lifetimes", NOTHING_LEFT, THREADS * CONNECTS)


async def echo_often(connector: Connector, server: EchoServer) -> None:
    loop = asyncio.get_running_loop()
    for number in range(CONNECTS):
        mine = f"{threading.get_ident()} {number}".encode()
        with await connector.connect(server.host, server.port) as sock:
            await loop.sock_sendall(sock, mine)
            assert await loop.sock_recv(sock, 100) == mine


# The interpreter's end

ENDS: list[tuple[str, int, str]] = [
    ("return_", 0, ""),
    ("exit_in_main", 3, ""),
    ("exit_in_task", 3, ""),
    ("raise_", 1, "ZeroDivisionError"),
    ("interrupt", -signal.SIGINT, "KeyboardInterrupt"),
    ("leave_threads", 0, ""),
]

# asyncio's messages about any task on a loop that was closed or forgotten.  Sockets
# cause messages too: the collector may find a socket before the object that closes it.
ASYNCIOS_OWN = re.compile(
    r"Task was destroyed but it is pending!\ntask: .*\n"
    r"|.*ResourceWarning: unclosed (event loop|<socket).*\n(  .*\n)*"
)


def shut_down(loop: str, end: str) -> subprocess.CompletedProcess[str]:
    # Without -X dev: in debug mode, asyncio's handles cannot be cancelled this late.
    python = (sys.executable, "-W", "default", str(SCRIPTS / "shut_down.py"))
    return subprocess.run(
        [*python, loop, end], capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("end", "status", "last"), ENDS)
def test_shut_down(thrown: Thrown, loop: str, end: str, status: int, last: str) -> None:
    """A program with pending connects of each kind ends as it would without them.

    It does not hang, and prints only what ended it.
    """
    done = shut_down(loop, end)
    assert done.returncode == status, done.stderr
    assert done.stderr.rstrip().rpartition("\n")[2].strip() == last, done.stderr
    complaint = "Warning|never retrieved|was destroyed|ignored in"
    assert not re.search(complaint, done.stderr), done.stderr
    thrown("lifetimes", NOTHING_LEFT)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("end", ["close_loop", "forget_loop"])
def test_shut_down_without_its_loop(thrown: Thrown, loop: str, end: str) -> None:
    """Where asyncio reports pending tasks, no message comes from this package."""
    done = shut_down(loop, end)
    assert done.returncode == 0, done.stderr
    assert not ASYNCIOS_OWN.sub("", done.stderr), done.stderr
    thrown("lifetimes", NOTHING_LEFT)


# The garbage collector

Start = Callable[[contextlib.ExitStack], Coroutine[Any, Any, Any]]


def shaking_hands(stack: contextlib.ExitStack) -> Coroutine[Any, Any, Any]:
    hole = stack.enter_context(black_hole())
    return aioconnect.connect(hole.host, hole.port, timeout=60)


def waiting_for_a_slot(stack: contextlib.ExitStack) -> Coroutine[Any, Any, Any]:
    return aioconnect.connect_unix(stack.enter_context(full_backlog()).path)


def between_rounds(stack: contextlib.ExitStack) -> Coroutine[Any, Any, Any]:
    refused = stack.enter_context(refusing())
    return Connector(retry=(60,)).open_connection(refused.host, refused.port)


STARTS = [shaking_hands, waiting_for_a_slot, between_rounds]


@pytest.mark.parametrize("start", STARTS)
async def test_never_awaited(thrown: Thrown, start: Start) -> None:
    """A coroutine that is never awaited opens nothing; Python warns of it."""
    with contextlib.ExitStack() as stack:
        coroutine = start(stack)
        with leak_check(patience=0), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            del coroutine
            gc.collect()
    (warning,) = said
    assert "was never awaited" in str(warning.message)
    thrown("lifetimes", NOTHING_LEFT)


@pytest.mark.parametrize("start", STARTS)
async def test_dropped_half_way(thrown: Thrown, start: Start) -> None:
    """A coroutine that is dropped or closed while it waits leaves nothing at all."""
    for drop in (True, False):
        with contextlib.ExitStack() as stack:
            coroutine = start(stack)
            with leak_check(patience=0):
                coroutine.send(None)
                if not drop:
                    coroutine.close()
                del coroutine
                await asyncio.sleep(0)  # nothing tells it
    thrown("lifetimes", NOTHING_LEFT, 2)


async def test_nobody_refers_to_the_task(thrown: Thrown) -> None:
    """A task that only the loop could know continues, with everything that it needs."""
    recorder = Recorder()

    def start(host: str, port: int) -> None:
        connector = Connector(observer=recorder)
        asyncio.create_task(connect_and_close(connector, host, port))  # noqa: RUF006  # that is the test

    async def connect_and_close(connector: Connector, host: str, port: int) -> None:
        connecting = connector.connect(host, port)
        del connector
        (await connecting).close()

    with black_hole() as hole:
        start(hole.host, hole.port)
        await asyncio.sleep(0)
        gc.collect()
        hole.open()
        async with asyncio.timeout(60):
            while not recorder.of(aioconnect.Connected):
                await asyncio.sleep(0.01)
    assert not recorder.of(aioconnect.AttemptFailed)
    thrown("lifetimes", NOTHING_LEFT)


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "forgotten"])
@pytest.mark.parametrize("start", STARTS)
def test_dropped_loop(
    thrown: Thrown, loop_factory: Factory, start: Start, is_closed: bool
) -> None:
    """A loop that is dropped with a connect pending on it frees everything with it.

    asyncio warns only of a loop that was not closed, and of what is on it.
    """
    if not is_closed and loop_factory is uvloop.new_event_loop:
        pytest.skip("uvloop leaves its own descriptors open, if nobody closes it")
    with contextlib.ExitStack() as stack:
        coroutine = start(stack)
        with leak_check(patience=0), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ResourceWarning)
            drop_loop(loop_factory(), coroutine, is_closed)
            del coroutine
            gc.collect()
    assert is_closed or said
    assert not (is_closed and said), [str(each.message) for each in said]
    thrown("lifetimes", NOTHING_LEFT)


def drop_loop(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], closed: bool
) -> None:
    async def begin() -> None:
        task = asyncio.ensure_future(coroutine)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # nor is asyncio to say so
        for _ in range(3):
            await asyncio.sleep(0)
        assert not task.done()

    loop.run_until_complete(begin())
    if closed:
        loop.close()


# Reference cycles


async def to_streams() -> None:
    with echoing() as server:
        await abort(await aioconnect.open_connection(server.host, server.port))


async def to_streams_of_a_path() -> None:
    with unix_listening() as server:
        await abort(await aioconnect.open_unix_connection(server.path))


async def through_tls() -> None:
    with tls_echoing() as server:
        context = server.client_context
        await abort(
            await aioconnect.open_connection("localhost", server.port, ssl=context)
        )


async def not_to_be_resolved() -> None:
    with contextlib.suppress(aioconnect.ResolveError):
        await aioconnect.connect("no-such-name.invalid", 80, retry=(0,))


async def observed() -> None:
    with refusing() as refused, contextlib.suppress(ExceptionGroup):
        await aioconnect.open_connection(
            refused.host, refused.port, all_errors=True, observer=Recorder()
        )


async def expired_handshake() -> None:
    with tls_echoing(silent=True) as server, contextlib.suppress(TimeoutError):
        context = server.client_context
        await aioconnect.open_connection(
            "localhost", server.port, ssl=context, timeout=0.1
        )


async def unverified() -> None:
    with tls_echoing(wrong_name=True) as server, contextlib.suppress(ssl.SSLError):
        context = server.client_context
        await aioconnect.open_connection(server.host, server.port, ssl=context)


async def two_handshakes() -> None:
    """Race for TLS, where the first address stalls."""
    with tls_echoing(silent=True) as first, tls_echoing() as second:
        await abort(await raced(first, second))


async def two_unverified() -> None:
    with (
        tls_echoing(wrong_name=True) as first,
        tls_echoing(wrong_name=True) as second,
        contextlib.suppress(ssl.SSLError),
    ):
        await raced(first, second)


async def two_expired_handshakes() -> None:
    with (
        tls_echoing(silent=True) as first,
        tls_echoing(silent=True) as second,
        contextlib.suppress(TimeoutError),
    ):
        await raced(first, second, timeout=0.1)


async def two_to_be_ready() -> None:
    """Cancel the *ready* of the loser."""
    count = 0

    async def ready(*_: object) -> None:
        nonlocal count
        count += 1
        if count == 1:
            await asyncio.sleep(3600)

    with tls_echoing() as first, tls_echoing() as second:
        first.ca.configure_trust(second.client_context)
        await abort(await raced(first, second, ready=ready))


async def two_and_a_bug() -> None:
    """Raise in *ready* while others may still win."""

    async def ready(*_: object) -> None:
        raise ZeroDivisionError

    with (
        tls_echoing() as second,
        tls_echoing(silent=True) as first,
        contextlib.suppress(ZeroDivisionError),
    ):
        await raced(first, second, ready=ready)


async def raced(first: TLSEchoServer, second: TLSEchoServer, **options: Any) -> Any:
    """Shake hands with both."""

    async def resolver(*_: Any, **__: Any) -> list[Address]:
        return [first.address, second.address]

    connector = Connector(resolver=resolver, happy_eyeballs_delay=0.01, **options)
    return await connector.open_connection("localhost", 1, ssl=second.client_context)


async def abort(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    streams[1].transport.abort()
    await asyncio.sleep(0)


WHOLE_CALLS = [
    to_streams,
    to_streams_of_a_path,
    through_tls,
    not_to_be_resolved,
    observed,
    expired_handshake,
    unverified,
    two_handshakes,
    two_unverified,
    two_expired_handshakes,
    two_to_be_ready,
    two_and_a_bug,
]


@pytest.mark.parametrize("call", WHOLE_CALLS)
async def test_no_reference_cycles(
    thrown: Thrown, call: Callable[[], Awaitable[None]]
) -> None:
    """Cycles that asyncio's transports leave hold no object of this package.

    Transports, streams and TLS make cycles of their own. Only cycles
    that hold an object or a frame of this package count.
    """
    await call()  # this fills the caches
    await asyncio.sleep(0)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await call()
        await asyncio.sleep(0)
        gc.collect()
        found = [repr(each) for each in gc.garbage if is_ours(each)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not found
    thrown("lifetimes", NOTHING_LEFT)


def is_ours(thing: object) -> bool:
    frame = getattr(thing, "f_globals", None) or getattr(thing, "__globals__", {})
    module = frame.get("__name__") or type(thing).__module__
    return str(module).partition(".")[0] == "aioconnect"

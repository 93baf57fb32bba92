"""Known bugs of other libraries do not occur here; each docstring names the library.

Only what no module's own test covers is here, on real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from programs import run_script
from thrown import Thrown

import aioconnect
from aioconnect import Address, Connector
from aioconnect.testing import (
    BlackHole,
    Recorder,
    black_hole,
    echoing,
    flaky,
    full_backlog,
    leak_check,
    listening,
    refusing,
    tls_echoing,
)

SCRIPTS = Path(__file__).parent.parent / "scripts"

NOT_OURS = "does not happen here"

Start = Callable[[], Coroutine[Any, Any, Any]]


def unconnected() -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    return sock


async def pending(task: asyncio.Task[Any]) -> None:
    """Let *task* run until it waits for the kernel."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done(), task


async def discard(made: Any) -> None:
    """Close the result of a connect: a socket, streams, or a transport."""
    if isinstance(made, tuple):
        transport: Any = getattr(made[1], "transport", None) or made[0]
        transport.abort()
        await asyncio.sleep(0)
    elif made is not None:
        made.close()


# Reused descriptors


async def again_and_again(
    hole: BlackHole, replace: Callable[[], Awaitable[asyncio.Task[Any]]]
) -> None:
    """Replace an old connect with a new one 100 times; all new ones succeed."""
    connects = [await replace() for _ in range(100)]
    hole.open(backlog=1024)
    for made in await asyncio.wait_for(asyncio.gather(*connects), 60):
        await discard(made)


async def test_cancelled_and_connected_again_in_one_tick(thrown: Thrown) -> None:
    """gh-131728, aiohttp#10617: a connect on a cancelled one's descriptor hung.

    K12: a connect that gets the descriptor in the same tick polls for the answer.
    """
    numbers: list[int] = []

    def number(sock: socket.socket, address: Address) -> None:
        numbers.append(sock.fileno())

    with black_hole() as hole:
        connector = Connector(prepare=[number])

        async def replace() -> asyncio.Task[Any]:
            first = asyncio.create_task(connector.connect_address(hole.address))
            await pending(first)
            first.cancel()
            second = asyncio.create_task(connector.connect_address(hole.address))
            with pytest.raises(asyncio.CancelledError):
                await first
            return second

        await again_and_again(hole, replace)
    # An eager task opens its socket before the other task has closed its own.
    if not is_eager():
        assert numbers[::2] == numbers[1::2]
    thrown("peers", NOT_OURS, 100)


def is_eager() -> bool:
    return asyncio.get_running_loop().get_task_factory() is not None


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_closed_and_connected_again_in_one_tick(
    thrown: Thrown, is_cancelled: bool
) -> None:
    """gh-131728: a descriptor that was closed while watched was never polled again.

    K12: with `connect_sock` the caller may close first, or never cancel.
    """
    with black_hole() as hole, contextlib.ExitStack() as stack:
        forgotten: list[asyncio.Task[None]] = []

        async def replace() -> asyncio.Task[Any]:
            sock = unconnected()
            first = asyncio.create_task(aioconnect.connect_sock(sock, hole.sockaddr))
            await pending(first)
            forgotten.append(first)
            if is_cancelled:
                first.cancel()
            sock.close()
            sock = stack.enter_context(unconnected())
            return asyncio.create_task(aioconnect.connect_sock(sock, hole.sockaddr))

        await again_and_again(hole, replace)
        for task in forgotten:
            task.cancel()
            # uvloop has delayed the close, and given the answer to the first connect.
            with pytest.raises((asyncio.CancelledError, aioconnect.ConnectError)):
                await task
    thrown("peers", NOT_OURS, 100)


async def test_descriptor_of_a_stranger_that_was_closed_while_watched(
    thrown: Thrown,
) -> None:
    """K12: asyncio never polls it for the next owner, which may be this package."""
    loop = asyncio.get_running_loop()
    with black_hole() as hole:
        stranger = unconnected()
        stranger.connect_ex(hole.sockaddr)
        loop.add_writer(stranger, lambda: None)
        await asyncio.sleep(0)
        old = stranger.fileno()
        stranger.close()
        connecting = asyncio.create_task(aioconnect.connect_address(hole.address))
        await pending(connecting)
        hole.open()
        with await asyncio.wait_for(connecting, 60) as sock:
            if isinstance(loop, asyncio.SelectorEventLoop):
                assert sock.fileno() == old
        # uvloop has delayed the stranger's close until now.
        loop.remove_writer(old)
    thrown("peers", NOT_OURS)


async def test_duplicate_of_a_cancelled_socket(thrown: Thrown) -> None:
    """epoll(7), Q6: a stale watcher of a descriptor whose copy is open never sleeps.

    asyncio called it 60,000 times in 0.3 s, uvloop 220,000 times.
    """
    copies: list[int] = []

    def copy(sock: socket.socket, address: Address) -> None:
        copies.append(os.dup(sock.fileno()))

    with black_hole() as hole:
        connecting = asyncio.create_task(
            aioconnect.connect_address(hole.address, prepare=[copy])
        )
        await pending(connecting)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        hole.open()
        with socket.socket(fileno=copies.pop()) as sock:
            while sock.connect_ex(hole.sockaddr) not in (0, errno.EISCONN):
                await asyncio.sleep(0.05)  # the connect continues in the kernel
            spent = time.process_time()
            await asyncio.sleep(1)
            spent = time.process_time() - spent
    assert spent < 0.1, f"{spent} s of CPU in a second of waiting"
    thrown("peers", NOT_OURS)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_close_under_a_watcher(thrown: Thrown, loop: str) -> None:
    """uvloop#100, uvloop#424: a close under a watcher aborted the process (K11).

    Therefore the test runs in a process of its own.
    """
    script = str(SCRIPTS / "closed_while_watched.py")
    run_script(sys.executable, "-X", "dev", script, loop)
    thrown("peers", NOT_OURS, 200)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("given", [False, True], ids=["own", "given"])
async def test_cancelled_adoption_closes_once(
    thrown: Thrown, tls: bool, given: bool
) -> None:
    """uvloop#738, #645, #653, aiohttp#10506: a descriptor was closed twice.

    By then it was a stranger's.  Other code that opens descriptors right after a
    cancellation keeps them, and everything that it writes.
    """
    let_uvloop_complain()
    with tls_echoing() as secure, echoing() as plain:
        server = secure if tls else plain
        options: Any = {"timeout": 60}
        if tls:
            options |= {"ssl": secure.client_context, "server_hostname": "localhost"}
        for steps in range(15):
            sock = await aioconnect.connect(server.host, server.port) if given else None
            where = (None, None) if given else (server.host, server.port)
            adopted: list[asyncio.Protocol] = []
            factory = partial(adopt, adopted)
            start = aioconnect.create_connection(factory, *where, sock=sock, **options)
            await strangers_keep_theirs(steps, start)
            if sock is not None and not adopted:
                sock.close()
    thrown("peers", NOT_OURS, 15)


def adopt(adopted: list[asyncio.Protocol]) -> asyncio.Protocol:
    """Note that a transport owns the socket now."""
    adopted.append(asyncio.Protocol())
    return adopted[-1]


def let_uvloop_complain() -> None:
    """Allow uvloop to log that it writes to a TLS transport that it has closed."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.SelectorEventLoop):
        loop.set_exception_handler(lambda *_: None)


async def strangers_keep_theirs(steps: int, start: Coroutine[Any, Any, Any]) -> None:
    """Cancel *start* after some steps, then open what a second close would hit."""
    task = asyncio.create_task(start)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    made = None
    with contextlib.suppress(asyncio.CancelledError):
        made = await task
    strangers = [socket.socketpair() for _ in range(3)]
    await discard(made)
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    for number, (one, other) in enumerate(strangers):
        with one, other:
            one.send(bytes([number]))
            assert other.recv(16) == bytes([number])


# Wrong answers


@pytest.mark.parametrize("what", ["streams", "transport", "sock"])
async def test_full_backlog_is_no_connection(thrown: Thrown, what: str) -> None:
    """mio#1560, asio#1365, curl#18748: "connected" (asyncio, uvloop, trio), or a spin.

    K1, for each function that test_sockets.py does not cover.
    """
    with full_backlog() as full, socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        starts: dict[str, Start] = {
            "streams": lambda: aioconnect.open_unix_connection(full.path, timeout=0.5),
            "transport": lambda: aioconnect.create_unix_connection(
                asyncio.Protocol, full.path, timeout=0.5
            ),
            "sock": lambda: aioconnect.connect_sock(sock, full.path, timeout=0.5),
        }
        spent = time.process_time()
        with pytest.raises(aioconnect.ConnectTimeoutError, match="still full"):
            await starts[what]()
        spent = time.process_time() - spent
    assert spent < 0.1, f"{spent} s of CPU in half a second of waiting"
    thrown("peers", NOT_OURS)


async def test_spurious_wake_up(thrown: Thrown) -> None:
    """go#14548: a wake-up that came too early was taken for a connection."""
    with black_hole() as hole:
        connecting = asyncio.create_task(
            aioconnect.connect_address(hole.address, timeout=60)
        )
        for _ in range(20):
            await pending(connecting)
            waiter: Any = connecting._fut_waiter  # type: ignore[attr-defined]  # what it waits for
            if not waiter.done():
                waiter.set_result(False)
        await pending(connecting)
        hole.open()
        with await connecting as sock:
            assert sock.getpeername() == hole.sockaddr
    thrown("peers", NOT_OURS, 20)


@pytest.mark.parametrize("what", ["connect", "streams", "transport", "sock"])
async def test_ports_that_wrap(thrown: Thrown, what: str) -> None:
    """zuvloop#18: uvloop takes ports 65536 + p, p - 65536 and 2**32 + p for p."""
    with listening() as server, unconnected() as sock:
        host, port = server.host, server.port
        starts: dict[str, Callable[[int], Coroutine[Any, Any, Any]]] = {
            "connect": lambda n: aioconnect.connect(host, n),
            "streams": lambda n: aioconnect.open_connection(host, n),
            "transport": lambda n: aioconnect.create_connection(
                asyncio.Protocol, host, n
            ),
            "sock": lambda n: aioconnect.connect_sock(sock, (host, n)),
        }
        wrapping = (65536 + port, port - 65536, -port, 2**32 + port, 2**64 + port)
        for number in wrapping:
            with pytest.raises(ValueError, match="port must be between 0 and 65535"):
                await starts[what](number)
        with pytest.raises(BlockingIOError):
            server.sock.accept()
    thrown("peers", NOT_OURS, len(wrapping))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_bad_port_in_a_race(thrown: Thrown, host: str) -> None:
    """gh-135836, aiohappyeyeballs#93, #112, #207: IndexError, and not the error."""
    for port in (99999, -1, "99999", "no-such-service"):
        with pytest.raises(ValueError, match="port"):
            await aioconnect.open_connection(host, port, happy_eyeballs_delay=0.1)
    thrown("peers", NOT_OURS, 4)


# Several addresses: ::1 and 127.0.0.1, of which the kit's servers have the second


@pytest.fixture
def needs_two_addresses() -> None:
    found = socket.getaddrinfo(None, 80, type=socket.SOCK_STREAM)
    if len(found) < 2:
        pytest.skip(f"this machine has one loopback address: {found}")


@pytest.mark.usefixtures("needs_two_addresses")
async def test_several_addresses(thrown: Thrown) -> None:
    """gh-124309, aiohttp#8599: AssertionError, with eager tasks.

    uvloop#406: TypeError.
    """
    options: Any = {"happy_eyeballs_delay": 0.1, "interleave": 1}
    with listening() as server, refusing() as refused:
        made = await aioconnect.open_connection(None, server.port, **options)
        assert made[1].get_extra_info("peername") == server.sockaddr
        await discard(made)
        with pytest.raises(ExceptionGroup):
            await aioconnect.open_connection(
                None, refused.port, all_errors=True, **options
            )
    thrown("peers", NOT_OURS, 2)


@pytest.mark.usefixtures("needs_two_addresses")
async def test_each_address_once(thrown: Thrown) -> None:
    """A race of aiohttp made 36 connects to 8 addresses; gh-74166: no errno."""
    recorder = Recorder()
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.open_connection(None, refused.port, observer=recorder)
    tried = [attempt.address for attempt in caught.value.attempts]
    assert len(recorder.of(aioconnect.AttemptStarted)) == len(tried) == len(set(tried))
    assert caught.value.errno == errno.ECONNREFUSED
    thrown("peers", NOT_OURS)


@pytest.mark.usefixtures("needs_two_addresses")
async def test_deadline_keeps_what_was_refused(thrown: Thrown) -> None:
    """K6: a deadline lost all errors in asyncio, aiohappyeyeballs, anyio and trio."""
    with black_hole() as hole, pytest.raises(TimeoutError) as caught:
        await aioconnect.open_connection(None, hole.port, timeout=1)
    error = caught.value
    assert isinstance(error, aioconnect.ConnectTimeoutError)
    errors = [attempt.error for attempt in error.attempts]
    assert [type(each) for each in errors] == [ConnectionRefusedError, TimeoutError]
    thrown("peers", NOT_OURS)


# Cancelled right after success


async def cancelled_at_wake(start: Start, number: int) -> bool:
    """Cancel when the *number*-th wait of the task has just ended.

    The task has not resumed by then.  Return whether it waited that often.
    """
    task = asyncio.create_task(start())
    woken: list[Any] = []
    while not task.done():
        waiter: Any = task._fut_waiter  # type: ignore[attr-defined]  # what it waits for
        if waiter is not None and waiter.done() and waiter not in woken:
            woken.append(waiter)
            if len(woken) == number:
                assert task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await discard(await task)
                return True
        await asyncio.sleep(0)
    await discard(await task)
    return False


async def through_tls() -> Any:
    """Connect with a look-up, two addresses, a hand-over and a handshake."""
    with tls_echoing() as server:
        return await aioconnect.open_connection(
            "localhost",
            server.port,
            ssl=server.client_context,
            timeout=60,
            happy_eyeballs_delay=0,
        )


async def through_rounds() -> Any:
    """Connect after two rounds that are refused, with a hand-over."""
    with flaky(["refuse", "refuse", "accept"]) as server:
        return await aioconnect.open_connection(
            server.host, server.port, retry=(0.001,) * 5, prepare=[server]
        )


async def through_a_backlog() -> Any:
    """Connect when a slot in the backlog becomes free."""
    with full_backlog() as full:
        timer = asyncio.get_running_loop().call_later(0.01, full.free_slot)
        try:
            return await aioconnect.connect_unix(full.path, timeout=60)
        finally:
            timer.cancel()


@pytest.mark.parametrize("start", [through_tls, through_rounds, through_a_backlog])
async def test_cancelled_when_it_succeeds(thrown: Thrown, start: Start) -> None:
    """gh-86296, gh-81839: wait_for swallowed it; gh-128475: a race lost its winner.

    Neither is used here (K13).  At each wake-up in turn the cancellation arrives, and
    nothing is left, even without garbage collection.
    """
    let_uvloop_complain()
    async with leak_check(patience=5, ignore_threads=["asyncio_"]):
        number = 1
        while await cancelled_at_wake(start, number):
            number += 1
    assert number > 1
    thrown("peers", NOT_OURS, number - 1)


# Reference cycles


async def succeed() -> None:
    with listening() as server:
        (await aioconnect.connect(server.host, server.port)).close()


async def be_refused() -> None:
    with refusing() as refused, contextlib.suppress(ConnectionRefusedError):
        await aioconnect.connect(refused.host, refused.port, retry=(0, 0.001))


async def expire() -> None:
    with black_hole() as hole, contextlib.suppress(TimeoutError):
        await aioconnect.connect(hole.host, hole.port, timeout=0.01)


async def be_cancelled() -> None:
    with black_hole() as hole:
        task = asyncio.create_task(aioconnect.connect(hole.host, hole.port))
        await pending(task)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("end", [succeed, be_refused, expire, be_cancelled])
async def test_no_reference_cycles(
    thrown: Thrown, end: Callable[[], Awaitable[None]]
) -> None:
    """gh-88863, gh-124858, anyio#809: cycles held sockets, frames and errors."""
    await end()  # this fills the caches
    await asyncio.sleep(0)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await end()
        await asyncio.sleep(0)
        gc.collect()
        found = list(map(repr, gc.garbage))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not found
    thrown("peers", NOT_OURS)

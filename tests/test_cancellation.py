"""Cancelled at every iteration of the loop: nothing is left, and it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from faults import descriptors, timers, watchers

import aioconnect
from aioconnect import Address
from aioconnect.testing import BlackHole, FullBacklog

# How many iterations of the loop the sweep goes through, one cancellation each.
POINTS = 60

Start = Callable[[], Coroutine[Any, Any, Any]]


async def discard(made: Any) -> None:
    """Close what a connect returned before it could be cancelled."""
    if isinstance(made, tuple):
        transport: Any = getattr(made[1], "transport", made[0])
        transport.abort()
        await asyncio.sleep(0)
    elif made is not None:
        made.close()


async def nested(start: Start) -> Any:
    """Await it below two more coroutines, one of which has a cleanup of its own."""

    async def inner() -> Any:
        try:
            return await start()
        finally:
            await asyncio.sleep(0)

    return await inner()


async def cancelled_after(start: Start, iterations: int) -> bool:
    """Cancel after so many iterations; tell whether that was before the end."""
    loop = asyncio.get_running_loop()
    before, watched, timed = descriptors(), watchers(loop), len(timers(loop))
    task = asyncio.ensure_future(start())
    for _ in range(iterations):
        await asyncio.sleep(0)
    asked = task.cancel()
    made = None
    try:
        made = await task
    except asyncio.CancelledError:
        assert task.cancelled()
    except aioconnect.ConnectError:
        assert not asked
    else:
        assert not asked, "the cancellation was swallowed"
    await discard(made)
    for _ in range(3):
        await asyncio.sleep(0)
    assert watchers(loop) == watched
    assert len(timers(loop)) <= timed
    assert {fd for fd in descriptors() if fd not in before} == set()
    return asked


async def sweep(start: Start, points: int = POINTS) -> int:
    """Cancel at each iteration in turn; return how many came before the end."""
    gc.disable()  # what only the collector would close is a leak
    try:
        return sum([await cancelled_after(start, point) for point in range(points)])
    finally:
        gc.enable()


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "nested"])
async def test_pending_connect(black_hole: BlackHole, wrap: bool) -> None:
    async def start() -> Any:
        return await aioconnect.connect("127.0.0.1", black_hole.port, timeout=60)

    chosen = (lambda: nested(start)) if wrap else start
    assert await sweep(chosen) == POINTS


async def test_connect_sock(black_hole: BlackHole) -> None:
    async def start() -> Any:
        with socket.socket() as sock:
            sock.setblocking(False)
            await aioconnect.connect_sock(sock, black_hole.sockaddr)

    assert await sweep(start) == POINTS


async def test_full_backlog(full_backlog: FullBacklog) -> None:
    kind = full_backlog.address.type

    async def start() -> Any:
        return await aioconnect.connect_unix(full_backlog.path, kind=kind)

    assert await sweep(start) == POINTS


async def test_retry(refused_port: int) -> None:
    """Between rounds, and in them."""

    async def start() -> Any:
        return await aioconnect.connect("127.0.0.1", refused_port, retry=(0,) * 500)

    assert await sweep(start) == POINTS


async def test_look_up(port: int) -> None:
    async def start() -> Any:
        return await aioconnect.connect("localhost", port, timeout=60)

    assert await sweep(start, 8) > 0


@pytest.mark.parametrize("what", ["streams", "transport"])
async def test_adoption(port: int, what: str) -> None:
    async def start() -> Any:
        if what == "streams":
            return await aioconnect.open_connection("127.0.0.1", port)
        return await aioconnect.create_connection(asyncio.Protocol, "127.0.0.1", port)

    assert await sweep(start, 8) > 0


async def test_handshake(port: int) -> None:
    """The server accepts and says nothing: the handshake never ends."""
    context = ssl.create_default_context()

    async def start() -> Any:
        return await aioconnect.open_connection("localhost", port, ssl=context)

    assert await sweep(start, 20) > 0


async def test_cancelled_and_connected_in_one_tick(black_hole: BlackHole) -> None:
    """The socket that has just become ready is closed, not lost."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(aioconnect.connect("127.0.0.1", black_hole.port))
    await asyncio.sleep(0)
    waiter: Any = task._fut_waiter  # type: ignore[attr-defined]  # what it waits for
    ended = loop.create_future()

    def cancel_when_ready() -> None:
        # In the iteration that wakes the waiter, and before the task goes on.
        if waiter.done():
            task.cancel()
            ended.set_result(None)
        else:
            loop.call_soon(cancel_when_ready)

    cancel_when_ready()
    black_hole.open()
    await asyncio.wait_for(ended, 30)
    with pytest.raises(asyncio.CancelledError):
        await task


def test_abandoned(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], black_hole: BlackHole
) -> None:
    """A coroutine that is closed, or collected, half-way leaves nothing either."""
    loop = loop_factory()

    async def start_and_close() -> None:
        connecting = aioconnect.connect("127.0.0.1", black_hole.port, timeout=60)
        connecting.send(None)
        connecting.close()

    async def leave_it() -> Coroutine[Any, Any, Any]:
        connecting = aioconnect.connect("127.0.0.1", black_hole.port, timeout=60)
        connecting.send(None)
        return connecting

    loop.run_until_complete(start_and_close())
    left = loop.run_until_complete(leave_it())
    loop.close()
    left.close()


async def test_many_tasks_and_reused_descriptors(
    port: int, black_hole: BlackHole
) -> None:
    """Connects that are cancelled touch no stranger's descriptor."""
    hole = Address(socket.AF_INET, black_hole.sockaddr)

    async def churn() -> None:
        for _ in range(50):
            task = asyncio.ensure_future(aioconnect.connect_address(hole))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def traffic() -> None:
        for _ in range(50):
            reader, writer = await aioconnect.open_connection("127.0.0.1", echo)
            writer.write(b"x" * 100)
            assert await reader.readexactly(100) == b"x" * 100
            writer.close()
            await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    echo = server.sockets[0].getsockname()[1]
    jobs: list[Awaitable[None]] = [churn(), churn(), traffic(), traffic()]
    await asyncio.gather(*jobs)
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.01)


def test_closed_loops_are_collected(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], black_hole: BlackHole
) -> None:
    """A loop that was closed with a connect pending on it is kept by nobody."""

    async def begin() -> asyncio.Future[socket.socket]:
        # Before its task is destroyed, which the loop would report.
        task = asyncio.ensure_future(aioconnect.connect("127.0.0.1", black_hole.port))
        await asyncio.sleep(0)
        return task

    class Witness:
        pass

    loop = loop_factory()
    loop.set_exception_handler(lambda *_: None)
    task = loop.run_until_complete(begin())
    witness = Witness()
    task.witness = witness  # type: ignore[attr-defined]  # it lives as long as the task
    gone = weakref.ref(witness)
    loop.close()
    del loop, task, witness
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    assert gone() is None

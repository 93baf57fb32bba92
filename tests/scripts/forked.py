"""Fork in the middle of a connect; the connect of the parent must not be affected."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop
from _loops import run

import aioconnect
from aioconnect import Event, RetryScheduled
from aioconnect.testing import black_hole, listening, unused_port

# In seconds: what the parent's connect may take, and what its event comes within.
DEADLINE, PATIENCE = 40.0, 20.0


async def leave_it(connecting: asyncio.Task[object] | None) -> None:
    """Do nothing with what was inherited."""


async def close_all(connecting: asyncio.Task[object] | None) -> None:
    """Close every descriptor that was inherited, as a daemon does."""
    os.closerange(3, 1024)


async def close_coroutine(connecting: asyncio.Task[object] | None) -> None:
    """Throw the connect away."""
    if connecting is not None:
        connecting.get_coro().close()


async def cancel(connecting: asyncio.Task[object] | None) -> None:
    """Cancel, and let the loop that was inherited do what follows."""
    if connecting is not None:
        # A child has no running loop since Python 3.14: a task's step would only fail.
        asyncio._set_running_loop(connecting.get_loop())
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting


async def go_on(connecting: asyncio.Task[object] | None) -> None:
    """Connect on a loop of its own."""

    async def connect() -> None:
        with listening() as server:
            (await aioconnect.connect_address(server.address)).close()

    asyncio._set_running_loop(None)
    factory = uvloop.new_event_loop if sys.argv[1] == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(connect())


async def go_on_by_the_loop(connecting: asyncio.Task[object] | None) -> None:
    """Let asyncio connect on a loop of `loop_factory`."""

    async def connect() -> None:
        with listening() as server:
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.transport.abort()

    asyncio._set_running_loop(None)
    base = uvloop.new_event_loop if sys.argv[1] == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=aioconnect.loop_factory(base=base)) as runner:
        runner.run(connect())


CHILDREN: dict[str, Callable[[asyncio.Task[object] | None], Awaitable[None]]] = {
    each.__name__: each
    for each in (leave_it, close_all, close_coroutine, cancel, go_on, go_on_by_the_loop)
}


async def fork(connecting: asyncio.Task[object] | None) -> None:
    """Fork, let the child run its part, and wait for it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            await CHILDREN[sys.argv[3]](connecting)
            status = 0 if time.process_time() < 10 else 2
        finally:
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, f"the child has ended with {status}"
    spent = usage.ru_utime + usage.ru_stime
    assert spent < 2, f"the child has spent {spent} s of CPU"


async def while_pending() -> None:
    """Fork while the handshake is under way."""
    with black_hole() as hole:
        connecting = asyncio.create_task(
            aioconnect.connect_address(hole.address, timeout=DEADLINE)
        )
        for _ in range(3):
            await asyncio.sleep(0)
        await fork(connecting)
        started = time.monotonic()
        hole.open()
        (await connecting).close()
        # And not at the deadline, when the kernel is asked once more.
        assert time.monotonic() - started < PATIENCE, "the parent was never told"


async def while_settling() -> None:
    """Fork while it is watched whether what was connected stays open; it does not."""
    with listening() as server:
        settling = asyncio.create_task(
            aioconnect.wait_until_up(
                server.host, server.port, timeout=DEADLINE, settle=DEADLINE / 2
            )
        )
        peer = await asyncio.to_thread(server.accept)
        await asyncio.sleep(0)
        await fork(settling)
        started = time.monotonic()
        peer.close()
        # The next look finds it open, and would find it settled only long after.
        (await asyncio.to_thread(server.accept)).close()
        assert time.monotonic() - started < PATIENCE, "the parent was never told"
        settling.cancel()


async def while_retrying() -> None:
    """Fork between two rounds, of which the next one succeeds."""
    forked: list[asyncio.Task[None]] = []
    with unused_port() as held:

        def observe(event: Event) -> None:
            if isinstance(event, RetryScheduled) and event.round == 2:
                forked.append(asyncio.create_task(fork(None)))
                held.listen()

        connector = aioconnect.Connector(retry=(0.01,) * 5, observer=observe)
        (await connector.connect(held.host, held.port)).close()
        await forked[0]


MOMENTS = {
    "pending": while_pending,
    "settling": while_settling,
    "retrying": while_retrying,
}

run(MOMENTS[sys.argv[2]]())

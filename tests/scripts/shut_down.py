"""End the interpreter while connects are pending, in each way that there is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any, NoReturn

import uvloop
from _loops import run

import aioconnect
from aioconnect.testing import black_hole, full_backlog, refusing, tls_echoing

# Until the interpreter ends, or another one is asked for.
PENDING: list[object] = []

Start = Callable[[], Coroutine[Any, Any, Any]]


def starts(stack: ExitStack, tls: bool = True) -> list[Start]:
    """Return what begins a connect of each kind that waits."""
    hole = stack.enter_context(black_hole())
    full = stack.enter_context(full_backlog())
    refused = stack.enter_context(refusing())
    silent = stack.enter_context(tls_echoing(silent=True))
    found: list[Start] = [
        lambda: aioconnect.connect(hole.host, hole.port),
        lambda: aioconnect.connect(hole.host, hole.port, timeout=3600),
        lambda: aioconnect.open_connection(hole.host, hole.port),
        lambda: aioconnect.connect_unix(full.path),
        lambda: aioconnect.connect(refused.host, refused.port, retry=(3600,)),
    ]
    if tls:
        # Its own side of the connection it can only close once it has that.
        stack.callback(silent.wait_for_connections, 1, timeout=60)
        found.append(
            lambda: aioconnect.open_connection(
                silent.host, silent.port, ssl=silent.client_context
            )
        )
    return found


async def begin(found: list[Start]) -> None:
    """Begin all of them, and let each of them wait."""
    tasks = [asyncio.ensure_future(start()) for start in found]
    PENDING.append(tasks)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks), tasks


async def return_() -> None:
    """Return from main."""


async def exit_in_main() -> None:
    """Exit in main."""
    sys.exit(3)


async def exit_in_task() -> None:
    """Exit in another task."""

    async def leave() -> NoReturn:
        sys.exit(3)

    await asyncio.create_task(leave())


async def raise_() -> None:
    """Let an exception through."""
    raise ZeroDivisionError


async def interrupt() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(60)


ENDS = {
    each.__name__: each
    for each in (return_, exit_in_main, exit_in_task, raise_, interrupt)
}


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of the kind that was asked for."""
    if sys.argv[1] == "uvloop":
        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def close_loop(found: list[Start]) -> None:
    """Close the loop on which they are pending."""
    loop = new_loop()
    loop.run_until_complete(begin(found))
    loop.close()


def forget_loop(found: list[Start]) -> None:
    """Leave the loop, and all that is pending on it, to the interpreter."""
    loop = new_loop()
    loop.run_until_complete(begin(found))
    PENDING.append(loop)


def leave_threads(found: list[Start]) -> None:
    """Leave loops running in daemon threads."""

    async def wait(begun: threading.Event) -> None:
        await begin(found)
        begun.set()
        await asyncio.sleep(3600)

    for _ in range(4):
        begun = threading.Event()
        run_wait = partial(new_loop().run_until_complete, wait(begun))
        threading.Thread(target=run_wait, daemon=True).start()
        assert begun.wait(60)


# What becomes of a transport then is between asyncio and its loop: no TLS.
LOOSE: dict[str, Callable[[list[Start]], None]] = {
    each.__name__: each for each in (close_loop, forget_loop, leave_threads)
}


async def main(found: list[Start]) -> None:
    await begin(found)
    await ENDS[sys.argv[2]]()


with ExitStack() as stack:
    if sys.argv[2] in ENDS:
        run(main(starts(stack)))
    else:
        LOOSE[sys.argv[2]](starts(stack, tls=False))

"""Count what a connect asks of the loop, and what it holds: ``gate`` judges it.

The counts are the same on every run.  Needs nothing but the standard library and
`aioconnect`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import aioconnect
from aioconnect.testing import (
    BlackHole,
    Server,
    black_hole,
    listening,
    refusing,
)

from .tracing import calls, is_traceable, modules

__all__ = ["CountingLoop", "counted"]

# Functions of the package that connects are counted, and none of its kit.
OURS = str(Path(aioconnect.__file__).parent)
KIT = str(Path(aioconnect.__file__).parent / "testing")

T = TypeVar("T")

# A power of two, so that what each makes is exact.
TIMES = 64


class CountingLoop(asyncio.SelectorEventLoop):
    """A loop that counts what is asked of it, as all of asyncio does."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        super().__init__()
        self.counts.clear()

    def create_future(self) -> asyncio.Future[Any]:
        """Count a future."""
        self.counts["futures"] += 1
        return super().create_future()

    def create_task(self, *args: Any, **options: Any) -> asyncio.Task[Any]:
        """Count a task; its first step is a handle, too."""
        self.counts["tasks"] += 1
        return super().create_task(*args, **options)

    def call_soon(  # type: ignore[override]  # whatever it is given
        self, *args: Any, **options: Any
    ) -> asyncio.Handle:
        """Count a handle."""
        self.counts["handles"] += 1
        return super().call_soon(*args, **options)

    def call_at(  # type: ignore[override]  # the same
        self, *args: Any, **options: Any
    ) -> asyncio.TimerHandle:
        """Count a timer; call_later comes here, too."""
        self.counts["timers"] += 1
        return super().call_at(*args, **options)

    def add_writer(self, *args: Any) -> None:  # type: ignore[override]  # the same
        """Count a watcher."""
        self.counts["watchers"] += 1
        super().add_writer(*args)

    def add_reader(self, *args: Any) -> None:  # type: ignore[override]  # the same
        """Count a watcher."""
        self.counts["watchers"] += 1
        super().add_reader(*args)


Connect = Callable[[], Coroutine[Any, Any, Any]]


def counted() -> dict[str, float]:
    """Return all counts, by their names; without strace not those of `STRACED`."""
    counts: dict[str, float] = {}
    counts |= _connected()
    counts |= _refused()
    counts |= _waiting()
    counts |= _functions()
    counts |= modules()
    if is_traceable():
        counts |= calls()
    return counts


def _connected() -> dict[str, float]:
    with listening(backlog=4 * TIMES) as server:
        to = (server.host, server.port)
        there = [
            aioconnect.Address(socket.AF_INET, (f"127.0.0.{n}", server.port))
            for n in (1, 2, 3)
        ]
        plain = _asked(lambda: aioconnect.connect(*to))
        timed = _asked(lambda: aioconnect.connect(*to, timeout=60))
        raced = _asked(lambda: aioconnect.connect_any(there, race=True))
    return (
        _named("a connect", plain)
        | _named("a connect with a timeout", timed)
        | _named("a race", raced)
    )


KINDS = ("futures", "handles", "timers", "tasks", "watchers")


def _named(what: str, counts: Mapping[str, float]) -> dict[str, float]:
    return {f"{kind} of {what}": counts.get(kind, 0.0) for kind in KINDS}


def _asked(connect: Connect) -> dict[str, float]:
    """Return what one connect asks of the loop, and close what it gives."""

    async def run() -> dict[str, float]:
        (await connect()).close()  # what is made once
        with _counting() as counts:
            for _ in range(TIMES):
                (await connect()).close()
        return _each(counts)

    return _run(run)


def _refused() -> dict[str, float]:
    with refusing() as port:

        async def run() -> dict[str, float]:
            with _counting() as counts:
                try:
                    await aioconnect.connect(
                        port.host, port.port, retry=(0.0,) * (TIMES - 1)
                    )
                except ConnectionRefusedError:
                    return _each(counts)
            raise AssertionError("connected to a port that refuses")

        return _named("an attempt that is refused", _run(run))


def _waiting() -> dict[str, float]:
    """Return what a connect takes that gets no answer, with the task that awaits it."""
    with black_hole() as hole:
        to = (hole.host, hole.port)
        plain = _run(lambda: _pending(lambda: aioconnect.connect(*to)))
        timed = _run(lambda: _pending(lambda: aioconnect.connect(*to, timeout=60)))
    named = _named("a connect that waits with a timeout", timed)
    named["bytes of a connect that waits"] = plain["bytes"]
    return named | _named("a connect that waits", plain)


def _functions() -> dict[str, float]:
    """Return how often functions of the package are entered, or go on, in a call."""
    counts = {}
    for what, function in (
        ("a connect", aioconnect.connect),
        ("streams", aioconnect.open_connection),
    ):
        with listening() as server:
            counts[f"functions of {what}"] = _run(partial(_entered, function, server))
        with black_hole() as hole:
            name = f"functions of {what} that wait{'s' * (what != 'streams')}"
            counts[name] = _run(partial(_entered, function, hole))
    return counts


async def _entered(
    function: Callable[[str, int], Coroutine[Any, Any, Any]], to: Server | BlackHole
) -> float:
    async def call() -> Any:
        return await function(to.host, to.port)

    # What is made once, and what is learnt of an address.
    if isinstance(to, Server):
        _close(await call())
    else:
        await _cancelled(await _begun(call, 1))
    entered = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal entered
        name = frame.f_code.co_filename
        entered += event == "call" and name.startswith(OURS) and KIT not in name

    sys.setprofile(count)
    try:
        if isinstance(to, Server):
            opened = await call()
        else:
            (task,) = await _begun(call, 1)
            sys.setprofile(None)
            to.open()
            sys.setprofile(count)
            opened = await task
    finally:
        sys.setprofile(None)
    _close(opened)
    return entered


def _close(opened: Any) -> None:
    opened = opened[1] if isinstance(opened, tuple) else opened
    opened.close()


async def _pending(connect: Connect) -> dict[str, float]:
    await _cancelled(await _begun(connect, TIMES))  # what is made once
    with _counting() as counts:
        tasks = await _begun(connect, TIMES)
        asked = _each(counts)
    await _cancelled(tasks)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tasks = await _begun(connect, TIMES)
        asked["bytes"] = (tracemalloc.get_traced_memory()[0] - before) / TIMES
    finally:
        tracemalloc.stop()
    await _cancelled(tasks)
    return asked


async def _begun(connect: Connect, times: int) -> list[asyncio.Future[Any]]:
    tasks: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(connect()) for _ in range(times)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks), "it does not wait"
    return tasks


async def _cancelled(tasks: list[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _counting() -> Iterator[Counter[str]]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    loop.counts.clear()
    yield loop.counts


def _each(counts: Counter[str]) -> dict[str, float]:
    return {kind: count / TIMES for kind, count in counts.items()}


def _run(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        return runner.run(function())

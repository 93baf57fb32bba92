"""Fail when more is open at the end than at the beginning.

What `_traces` sees is compared; nothing is closed or cancelled here.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

from ._open_resources import Trace, spare, traces, warm_up

__all__ = ["LeakCheck", "leak_check"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

_TICKS = 10


class LeakCheck:
    """A context manager, with and without ``async``: see `leak_check`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None,
        patience: float,
        ignored_threads: Collection[str],
    ) -> None:
        self._loop = loop
        self._patience = patience
        self._ignored_threads = tuple(ignored_threads)
        self._before: set[Trace] = set()
        self._is_gc_enabled = False

    def __enter__(self) -> Self:
        warm_up()
        if self._loop is None:
            self._loop = _running_loop()
        self._is_gc_enabled = gc.isenabled()
        gc.disable()
        self._before = traces(self._loop)
        return self

    async def __aenter__(self) -> Self:
        return self.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if new := self._wait_for_others():
                self._tell(new, exc)
        finally:
            self._restore()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if new := await self._wait():
                self._tell(new, exc)
        finally:
            self._restore()

    def leaks(self) -> list[str]:
        """Return what is open now and was not at the beginning, a line each."""
        return sorted(map(str, self._new()))

    def _new(self) -> set[Trace]:
        new = traces(self._loop) - self._before
        return {trace for trace in new if not self._is_ignored(trace)} - spare(new)

    def _is_ignored(self, trace: Trace) -> bool:
        if trace.kind == "task":
            # A fixture can be torn down in another task than it was set up in.
            return trace.thing is asyncio.current_task(self._loop)
        if trace.kind != "thread":
            return False
        return str(trace.thing.name).startswith(self._ignored_threads)

    def _wait_for_others(self) -> set[Trace]:
        """Let threads end, and close what they are about to close; return the rest."""
        deadline = time.monotonic() + self._patience
        while True:
            new = self._new()
            kinds = {trace.kind for trace in new}
            if not kinds & {"descriptor", "thread"} or time.monotonic() >= deadline:
                return new
            time.sleep(0.005)

    async def _wait(self) -> set[Trace]:
        """Let the loop do what it was already about to do; return the rest."""
        for _ in range(_TICKS):
            if not (new := self._new()):
                return new
            await asyncio.sleep(0)
        deadline = time.monotonic() + self._patience
        while (new := self._new()) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return new

    def _tell(self, new: set[Trace], exc: BaseException | None) -> None:
        # What only the collector closes is a leak all the same, and worth a word.
        lines = {(trace.kind, trace.identity): str(trace) for trace in new}
        new.clear()
        gc.collect()
        left = {(trace.kind, trace.identity) for trace in self._new()}
        text = "".join(
            f"\n  {line}" + ("" if key in left else ", until garbage was collected")
            for key, line in sorted(lines.items(), key=lambda item: item[1])
        )
        message = f"left open:{text}"
        if exc is None:
            raise AssertionError(message)
        exc.add_note(message)

    def _restore(self) -> None:
        self._before = set()
        if self._is_gc_enabled:
            gc.enable()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def leak_check(
    loop: asyncio.AbstractEventLoop | None = None,
    *,
    patience: float = 1.0,
    ignore_threads: Collection[str] = (),
) -> LeakCheck:
    """Fail if the block leaves a descriptor, thread, task, timer or watcher.

    ``async with`` looks at the running loop, and lets it run for up to *patience*
    seconds until what is ending has ended.  ``with`` looks at *loop*, or at the
    running one if there is one; it waits for other threads, for as long, and
    cannot let the loop run.  Threads whose names begin with one of
    *ignore_threads* may stay (``"asyncio_"`` are those of ``to_thread``).  The
    task that looks is no leak: around the ``yield`` of an asynchronous fixture it
    may be another at the end.

    What a server of this package opens while it runs, such as its side of each
    connection, is the server's, and no leak; a server that is never left is one.
    Nor are the threads that look names up for this package: they wait some
    seconds for the next name, and end.

    A descriptor that only the garbage collector closes is a leak: the collector
    is off inside the block, and runs after the comparison, to tell which they
    were.  A block that raises keeps its exception, with a note of what was left.

    uvloop keeps its timers and watchers to itself; they are found by way of
    `gc.get_referents`, which uvloop 0.21 to 0.23 allow.  A transport's own watcher
    is not among them there, but its descriptor is.  libuv keeps a ``/dev/null`` in
    reserve once a loop has had a stream: where uvloop is imported, one of those
    may come to be.  The timer of a TLS handshake that was cancelled, which uvloop
    forgets, is no leak of the block's.

    Raises:
        AssertionError: On exit; it lists what was left, a line each.
    """
    return LeakCheck(loop, patience, ignore_threads)

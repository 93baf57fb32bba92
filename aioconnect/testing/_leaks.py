"""Fail when more is open at the end of a block than at its beginning.

This module compares what `_open_resources` sees.  It closes and cancels nothing.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

from ._open_resources import (
    Resource,
    libuv_reserve,
    open_resources,
    open_uvloop_descriptors,
)

__all__ = ["LeakCheck", "leak_check"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

_LOOP_ITERATIONS = 10


class LeakCheck:
    """A context manager, for ``with`` and ``async with``: see `leak_check`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None,
        patience: float,
        ignored_threads: Collection[str],
    ) -> None:
        self._loop = loop
        self._patience = patience
        self._ignored_threads = tuple(ignored_threads)
        self._before: set[Resource] = set()
        self._is_gc_enabled = False

    def __enter__(self) -> Self:
        open_uvloop_descriptors()
        if self._loop is None:
            self._loop = _running_loop()
        self._is_gc_enabled = gc.isenabled()
        gc.disable()
        self._before = open_resources(self._loop)
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
            if new := self._wait_for_threads():
                self._report(new, exc)
        finally:
            self._restore_gc()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if new := await self._wait_in_loop():
                self._report(new, exc)
        finally:
            self._restore_gc()

    def leaks(self) -> list[str]:
        """Return a line for each thing that is open now but was not at first."""
        return sorted(map(str, self._new_resources()))

    def _new_resources(self) -> set[Resource]:
        new = open_resources(self._loop) - self._before
        ignored = {resource for resource in new if self._is_ignored(resource)}
        return new - ignored - libuv_reserve(new)

    def _is_ignored(self, resource: Resource) -> bool:
        if resource.kind == "task":
            # A fixture can be set up in one task and torn down in another.
            return resource.value is asyncio.current_task(self._loop)
        if resource.kind != "thread":
            return False
        return str(resource.value.name).startswith(self._ignored_threads)

    def _wait_for_threads(self) -> set[Resource]:
        """Wait until threads have ended and closed their sockets; return the rest."""
        deadline = time.monotonic() + self._patience
        while True:
            new = self._new_resources()
            kinds = {resource.kind for resource in new}
            if not kinds & {"descriptor", "thread"} or time.monotonic() >= deadline:
                return new
            time.sleep(0.005)

    async def _wait_in_loop(self) -> set[Resource]:
        """Let the loop finish what is about to end; return the rest."""
        for _ in range(_LOOP_ITERATIONS):
            if not (new := self._new_resources()):
                return new
            await asyncio.sleep(0)
        deadline = time.monotonic() + self._patience
        while (new := self._new_resources()) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        return new

    def _report(self, new: set[Resource], exc: BaseException | None) -> None:
        # A resource that only the garbage collector closes is a leak too.  Its line in
        # the message says so.
        lines = {(resource.kind, resource.identity): str(resource) for resource in new}
        new.clear()
        gc.collect()
        left = {
            (resource.kind, resource.identity) for resource in self._new_resources()
        }
        text = "".join(
            f"\n  {line}" + ("" if key in left else ", until garbage was collected")
            for key, line in sorted(lines.items(), key=lambda item: item[1])
        )
        message = f"left open:{text}"
        if exc is None:
            raise AssertionError(message)
        exc.add_note(message)

    def _restore_gc(self) -> None:
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
    """Fail if the block leaves a descriptor, thread, task, timer or watcher open.

    ``async with`` checks the running loop.  It lets the loop run for up to *patience*
    seconds (1), so that what is about to end can end.  ``with`` checks *loop*, by
    default the running loop if there is one.  It waits equally long for other threads,
    but cannot let the loop run.

    Threads whose names begin with one of *ignore_threads* may stay (``"asyncio_"``
    stands for those of ``to_thread``).  The task that runs the check is not a leak:
    around the ``yield`` of an asynchronous fixture, it may be another task at the end.

    Sockets that a server of this package opens while it runs, such as its side of each
    connection, belong to the server and are not leaks.  A server that is never closed
    is a leak.  The threads in which this package looks up names are not leaks: they
    wait a few seconds for the next name, and then end.

    A descriptor that only the garbage collector closes is a leak.  The collector is off
    inside the block.  It runs after the comparison, and the message names what it
    closed.  If the block raises, its exception gets a note that lists the leaks.

    uvloop hides its timers and watchers.  They are found with `gc.get_referents`,
    which works with uvloop 0.21 to 0.23.  A transport's own watcher is not found
    there, but its descriptor is.  libuv keeps a ``/dev/null`` in reserve once a loop
    has had a stream, so where uvloop is imported, one new ``/dev/null`` is allowed.
    uvloop forgets the timer of a cancelled TLS handshake; that timer is not a leak.

    Raises:
        AssertionError: At exit, with a line for each thing that was left open.
    """
    return LeakCheck(loop, patience, ignore_threads)

"""Run blocking look-ups in a bounded number of threads that all loops share (K8)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from .shared_lookup import (
    AddrInfo,
    AnswerWaiter,
    GaiQuery,
    SharedLookup,
    answer,
    set_answer,
)

__all__ = ["MOST_THREADS", "THREAD_NAMES", "GetaddrinfoPool"]

THREAD_NAMES = "aioconnect-resolver-"

# A name with a silent DNS server holds a thread for as long as the system's resolver
# keeps trying (seconds, resolv.conf(5)).  While half of the threads are free, it holds
# two more, for AAAA and A.  Once all threads hang, other names wait for a free one.  A
# thread that hangs in recvmsg(2) costs some ten kilobytes.
MOST_THREADS = 1024

# In seconds: long enough for the next round of a retry, short enough that a program
# which connects once soon has no threads left.
_IDLE_TIMEOUT = 5.0

# An abandoned query is asked again, because the first look-up may wait for a lost
# packet.  But a retry loop must not fill the threads with one dead name.
_MOST_COPIES = 4

# Wakes an idle thread, and identifies a thread in the pool's tables.
_Worker: TypeAlias = "queue.SimpleQueue[None]"


class GetaddrinfoPool:
    """A pool of at most *limit* threads that call *look_up*.

    A thread starts when there is a query and no thread is free, and ends after
    *idle_timeout* seconds without a query.  *daemons* do not delay the interpreter's
    exit while they hang.
    """

    def __init__(
        self,
        look_up: Callable[[GaiQuery], tuple[AddrInfo, ...]],
        *,
        limit: int = MOST_THREADS,
        idle_timeout: float = _IDLE_TIMEOUT,
        daemons: bool = True,
    ) -> None:
        self._look_up = look_up
        self._limit = limit
        self._idle_timeout = idle_timeout
        self._daemons = daemons
        self.forget()

    def forget(self) -> None:
        """Start again without threads.

        A forked child has none of its parent's threads, and may have a locked lock.
        """
        self._lock = threading.Lock()
        # The look-up that the next one to ask a query joins, if it is still wanted.
        self._lookups: dict[GaiQuery, SharedLookup] = {}
        self._queued: OrderedDict[GaiQuery, SharedLookup] = OrderedDict()
        # Every live thread, with the look-up that it runs or shall run.
        self._workers: dict[_Worker, SharedLookup | None] = {}
        self._starting: set[_Worker] = set()  # those that have not begun yet
        # A stack.  In a queue the threads would take turns, and none would ever end.
        self._idle: list[_Worker] = []
        self._numbers = itertools.count(1)

    def ask(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str | None,
        port: int,
        family: int,
        flags: int,
    ) -> AnswerWaiter:
        """Return a future of *loop* for getaddrinfo's answer, in its own order.

        Equal queries that are under way, of any loop, share one look-up.  Cancelling
        the future abandons the query.  When all its futures are cancelled, a queued
        query is dropped, and the answer of a running one is ignored.  An error that
        nobody retrieves is not logged.  If no thread lives and the system allows none,
        the future has a `socket.gaierror` that says so.

        Raises:
            Exception: Something else prevents a thread, a `MemoryError` say.  The next
                call tries again.
        """
        query = (host, port, family, flags)
        waiter: AnswerWaiter = loop.create_future()
        with self._lock:
            lookup = self._join_or_queue(query)
            lookup.waiters.add(waiter)
            try:
                if query in self._queued:
                    self._dispatch(lookup)
            except BaseException as exc:
                self._remove_waiter(lookup, waiter)
                if not _is_lack_of_threads(exc):
                    raise
                text = f"no resolver thread: {exc}"
                set_answer(waiter, (), socket.gaierror(socket.EAI_AGAIN, text))
        waiter.add_done_callback(partial(self._waiter_done, lookup))
        return waiter

    def lookups_ahead(
        self, host: str | None, port: int, family: int, flags: int
    ) -> int | None:
        """Return how many look-ups hold the threads that this query waits for.

        The result is None if the query does not wait for a thread.
        """
        with self._lock:
            is_queued = (host, port, family, flags) in self._queued
            return len(self._workers) if is_queued else None

    def is_crowded(self) -> bool:
        """Tell whether more than half of the threads that are allowed are at work."""
        return len(self._workers) - len(self._idle) > self._limit // 2

    def _join_or_queue(self, query: GaiQuery) -> SharedLookup:
        """Return a look-up of *query* that can still answer; queue one if needed."""
        lookup = self._lookups.get(query)
        copy = 1
        if lookup is not None:
            can_answer = query in self._queued or lookup.is_wanted()
            if can_answer or lookup.copy >= _MOST_COPIES:
                return lookup
            copy = lookup.copy + 1
        lookup = SharedLookup(query, copy)
        self._queued[query] = self._lookups[query] = lookup
        return lookup

    def _dispatch(self, lookup: SharedLookup) -> None:
        """Give the queued *lookup* to an idle thread, or start a thread for it.

        If neither is possible, *lookup* stays in the queue for the next free thread.

        Raises:
            Exception: No thread lives, and none can be started.
        """
        if self._idle:
            worker = self._idle[-1]
            try:  # a signal handler can raise between any two calls
                self._workers[worker] = lookup
                self._idle.pop()
                worker.put(None)
                del self._queued[lookup.query]
            except BaseException:
                self._set_idle(worker)
                raise
        elif self._needs_thread():
            try:
                self._start_thread()
            except Exception:
                if not self._workers:
                    raise
                # A live thread will take the look-up from the queue.

    def _set_idle(self, worker: _Worker) -> None:
        self._workers[worker] = None
        if worker not in self._idle:
            self._idle.append(worker)

    def _needs_thread(self) -> bool:
        """Tell whether to start a thread: the starting ones cannot empty the queue."""
        is_allowed = len(self._workers) < self._limit
        return is_allowed and len(self._queued) > len(self._starting)

    def _start_thread(self) -> None:
        """Start a thread, which begins with the first look-up in the queue."""
        worker: _Worker = queue.SimpleQueue()
        unanswered: set[AnswerWaiter] = set()
        name = f"{THREAD_NAMES}{next(self._numbers)}"
        thread = threading.Thread(
            target=self._run, args=(worker, unanswered), name=name, daemon=self._daemons
        )
        try:
            self._workers[worker] = None
            self._starting.add(worker)
            # Python 3.14t's threads inherit the caller's context, and keep it alive.
            contextvars.Context().run(thread.start)
        except BaseException:
            self._workers.pop(worker, None)
            self._starting.discard(worker)
            raise

    def _waiter_done(self, lookup: SharedLookup, waiter: AnswerWaiter) -> None:
        if waiter.cancelled():
            with self._lock:
                self._remove_waiter(lookup, waiter)

    def _remove_waiter(self, lookup: SharedLookup, waiter: AnswerWaiter) -> None:
        """Drop *lookup*, too, if it is still queued and has no other waiter."""
        lookup.waiters.discard(waiter)
        query = lookup.query
        if not lookup.waiters and self._queued.get(query) is lookup:
            del self._queued[query], self._lookups[query]

    def _run(self, worker: _Worker, unanswered: set[AnswerWaiter]) -> None:
        """Run as a thread.  *unanswered*, at first empty, holds a look-up's waiters."""
        try:
            with self._lock:
                # thread.start() waits for the thread to begin, and can be interrupted
                # meanwhile.  Then _start_thread has removed this live thread.
                self._workers[worker] = None
                self._starting.discard(worker)
                lookup = self._take_from_queue(worker)
            while (lookup := lookup or self._wait(worker)) is not None:
                found: tuple[AddrInfo, ...] = ()
                error: BaseException | None = None
                try:
                    found = self._look_up(lookup.query)
                except BaseException as exc:  # the waiters get it, whatever it is
                    error = exc
                with self._lock:
                    self._finish(lookup, unanswered)
                    # Before the answer is out: a waiter may ask again at once.
                    lookup = self._take_from_queue(worker)
                answer(unanswered, found, error)
                del found, error  # an idle thread keeps nothing alive
        except BaseException as exc:  # out of memory, say: no waiter may hang
            self._thread_died(worker, unanswered, exc)
            raise

    def _thread_died(
        self, worker: _Worker, unanswered: set[AnswerWaiter], error: BaseException
    ) -> None:
        """Remove a thread, and give *error* to all waiters that only it could serve."""
        with self._lock:
            running = self._workers.pop(worker, None)
            self._starting.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)
            if running is not None:
                self._finish(running, unanswered)
            while self._queued and not self._workers:
                _, lookup = self._queued.popitem()
                self._finish(lookup, unanswered)
        answer(unanswered, (), error)

    def _finish(self, lookup: SharedLookup, unanswered: set[AnswerWaiter]) -> None:
        """Forget *lookup*, and move its waiters to *unanswered*."""
        unanswered |= lookup.waiters
        if self._lookups.get(lookup.query) is lookup:  # no newer copy is there
            del self._lookups[lookup.query]
        lookup.waiters.clear()

    def _take_from_queue(self, worker: _Worker) -> SharedLookup | None:
        """Return the first queued look-up that is wanted, or None and become idle."""
        while self._queued:
            query, lookup = next(iter(self._queued.items()))
            self._workers[worker] = lookup
            del self._queued[query]
            if lookup.is_wanted():
                # More are left if the system allowed no thread for a while.
                if self._needs_thread():
                    with contextlib.suppress(Exception):
                        self._start_thread()
                return lookup
            self._finish(lookup, set())
        self._set_idle(worker)
        return None

    def _wait(self, worker: _Worker) -> SharedLookup | None:
        """Wait for a look-up, or return None when the idle thread has to end."""
        with contextlib.suppress(queue.Empty):
            worker.get(timeout=self._idle_timeout)
        with self._lock:
            while not worker.empty():  # it was woken just after the timeout
                worker.get()
            lookup = self._workers[worker]
            if lookup is None:
                self._idle.remove(worker)
                del self._workers[worker]
            return lookup


def _is_lack_of_threads(exc: BaseException) -> bool:
    # Python raises a RuntimeError, "can't start new thread".  A RecursionError is a
    # RuntimeError, too, but more threads would not help.
    is_candidate = isinstance(exc, RuntimeError | OSError)
    return is_candidate and not isinstance(exc, RecursionError)

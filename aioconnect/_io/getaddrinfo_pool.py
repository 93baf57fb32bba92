"""Ask the system's getaddrinfo in daemon threads of our own (K8).

The threads know neither addresses nor errors of this package: what getaddrinfo
says is what whoever asked gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import encodings.idna
import importlib
import itertools
import os
import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

__all__ = [
    "MOST_THREADS",
    "THREAD_NAMES",
    "AddrInfo",
    "GaiQuery",
    "GetaddrinfoPool",
    "getaddrinfo",
    "hung_before",
]

# What getaddrinfo imports when it is first asked for a str: with no descriptor
# left that would fail (K14).
_IMPORTED = encodings.idna

THREAD_NAMES = "aioconnect-resolver-"

# A name whose DNS server is silent holds two threads, AAAA and A, for as long as
# the resolver has patience (seconds, resolv.conf(5)).  Once 512 names hang, others
# wait for a free thread.  One that hangs in recvmsg(2) costs some ten kilobytes.
MOST_THREADS = 1024

# Long enough for the next round of a retry, short enough for a program that
# connects once to be rid of them.
_IDLE = 5.0

# A question that everybody gave up is asked anew, because the old one may wait
# for a lost packet; but a retry loop must not fill the threads with one dead name.
_TURNS = 4

# The host as text, the port, family and flags.
GaiQuery: TypeAlias = tuple[str | None, int, int, int]

AddrInfo: TypeAlias = tuple[
    int,
    int,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
Waiter: TypeAlias = "asyncio.Future[tuple[AddrInfo, ...]]"

# What wakes an idle thread; the thread's identity, too.
_Inbox: TypeAlias = "queue.SimpleQueue[None]"


class _Lookup:
    """One question that is queued or being asked, and who waits for the answer."""

    __slots__ = ("question", "turn", "waiters")

    def __init__(self, question: GaiQuery, turn: int) -> None:
        self.question = question
        self.turn = turn
        self.waiters: set[Waiter] = set()

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits, in a loop that can still run."""
        return any(
            not waiter.done() and not waiter.get_loop().is_closed()
            for waiter in self.waiters
        )


class GetaddrinfoPool:
    """Threads that ask *look_up*, at most *limit* of them.

    They are started when there is a question and none of them is free, and end
    after *idle* seconds without one.  As *daemons*, they do not delay the
    interpreter's exit while they hang.
    """

    def __init__(
        self,
        look_up: Callable[[GaiQuery], tuple[AddrInfo, ...]],
        *,
        limit: int = MOST_THREADS,
        idle: float = _IDLE,
        daemons: bool = True,
    ) -> None:
        self._look_up = look_up
        self._limit = limit
        self._patience = idle
        self._daemons = daemons
        self.forget()

    def forget(self) -> None:
        """Begin anew: a forked child has none of the threads, perhaps the lock."""
        self._lock = threading.Lock()
        self._asked: dict[GaiQuery, _Lookup] = {}
        self._queued: OrderedDict[GaiQuery, _Lookup] = OrderedDict()
        # All threads that live, with what each has in hand; those that have not begun,
        # and the idle ones.  Of these the last one in is the first one out, or all
        # would stay in use in turn.
        self._threads: dict[_Inbox, _Lookup | None] = {}
        self._starting: set[_Inbox] = set()
        self._idle: list[_Inbox] = []
        self._numbers = itertools.count(1)

    def ask(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str | None,
        port: int,
        family: int,
        flags: int,
    ) -> Waiter:
        """Return a future of *loop* for what getaddrinfo says, in its own order.

        A question that is being asked already, by anybody, is not asked again.
        Cancelling the future is giving up: the last to do so drops a question
        that no thread has begun with, and the answer of one that has.  An error
        that nobody looks at is not logged.  Where no thread lives and the system
        allows none, the future has a `socket.gaierror` that says so.

        Raises:
            Exception: What else keeps a thread from being made, a `MemoryError` say.
                The next one who asks begins anew.
        """
        question = (host, port, family, flags)
        waiter: Waiter = loop.create_future()
        with self._lock:
            lookup = self._current(question)
            lookup.waiters.add(waiter)
            try:
                if question in self._queued:
                    self._hand_over(lookup)
            except BaseException as exc:
                self._withdraw(lookup, waiter)
                if not _is_want_of_threads(exc):
                    raise
                text = f"no resolver thread: {exc}"
                _settle(waiter, (), socket.gaierror(socket.EAI_AGAIN, text))
        waiter.add_done_callback(partial(self._left, lookup))
        return waiter

    def hung_before(
        self, host: str | None, port: int, family: int, flags: int
    ) -> int | None:
        """Return how many look-ups hold the threads that this one waits for.

        None is returned if it waits for no thread.
        """
        with self._lock:
            is_queued = (host, port, family, flags) in self._queued
            return len(self._threads) if is_queued else None

    def _current(self, question: GaiQuery) -> _Lookup:
        """Return the look-up of *question* that an answer can be expected of."""
        lookup = self._asked.get(question)
        turn = 1
        if lookup is not None:
            if question in self._queued or lookup.is_wanted() or lookup.turn >= _TURNS:
                return lookup
            turn = lookup.turn + 1
        lookup = _Lookup(question, turn)
        self._queued[question] = self._asked[question] = lookup
        return lookup

    def _hand_over(self, lookup: _Lookup) -> None:
        """Give *lookup*, which is queued, to a thread, now or later.

        Raises:
            Exception: No thread lives, and none can be made.
        """
        if self._idle:
            inbox = self._idle[-1]
            try:  # a signal's handler can raise after any call
                self._threads[inbox] = lookup
                self._idle.pop()
                inbox.put(None)
                del self._queued[lookup.question]
            except BaseException:
                self._be_idle(inbox)
                raise
        elif self._is_short_of_threads():
            try:
                self._start_thread()
            except Exception:
                if not self._threads:
                    raise
                # A thread that lives takes it from the queue.

    def _be_idle(self, inbox: _Inbox) -> None:
        self._threads[inbox] = None
        if inbox not in self._idle:
            self._idle.append(inbox)

    def _is_short_of_threads(self) -> bool:
        """Tell whether one more may be made, for what no starting one will take."""
        is_allowed = len(self._threads) < self._limit
        return is_allowed and len(self._queued) > len(self._starting)

    def _start_thread(self) -> None:
        """Start a thread, which begins with the first look-up in the queue."""
        inbox: _Inbox = queue.SimpleQueue()
        untold: set[Waiter] = set()
        name = f"{THREAD_NAMES}{next(self._numbers)}"
        thread = threading.Thread(
            target=self._work, args=(inbox, untold), name=name, daemon=self._daemons
        )
        try:
            self._threads[inbox] = None
            self._starting.add(inbox)
            thread.start()
        except BaseException:
            self._threads.pop(inbox, None)
            self._starting.discard(inbox)
            raise

    def _left(self, lookup: _Lookup, waiter: Waiter) -> None:
        """Drop *lookup* if nobody else waits for it, and it has not begun."""
        if waiter.cancelled():
            with self._lock:
                self._withdraw(lookup, waiter)

    def _withdraw(self, lookup: _Lookup, waiter: Waiter) -> None:
        lookup.waiters.discard(waiter)
        question = lookup.question
        if not lookup.waiters and self._queued.get(question) is lookup:
            del self._queued[question], self._asked[question]

    def _work(self, inbox: _Inbox, untold: set[Waiter]) -> None:
        """Run as a thread.  *untold*, empty at first, gets the waiters of an answer."""
        try:
            with self._lock:
                # start() can raise although the thread lives, while it waits for it
                # to begin: then it was counted out.
                self._threads[inbox] = None
                self._starting.discard(inbox)
                lookup = self._next(inbox)
            while (lookup := lookup or self._wait(inbox)) is not None:
                found: tuple[AddrInfo, ...] = ()
                error: BaseException | None = None
                try:
                    found = self._look_up(lookup.question)
                except BaseException as exc:  # it goes to the waiters, whatever it is
                    error = exc
                with self._lock:
                    self._end(lookup, untold)
                    # Before the answer is out: a waiter may ask again at once.
                    lookup = self._next(inbox)
                _tell(untold, found, error)
                del found, error  # an idle thread keeps nothing
        except BaseException as exc:  # no memory, say: nobody may wait for the dead
            self._bury(inbox, untold, exc)
            raise

    def _bury(self, inbox: _Inbox, untold: set[Waiter], error: BaseException) -> None:
        """Count a thread out, and give *error* to all that only it could answer."""
        with self._lock:
            in_hand = self._threads.pop(inbox, None)
            self._starting.discard(inbox)
            if inbox in self._idle:
                self._idle.remove(inbox)
            if in_hand is not None:
                self._end(in_hand, untold)
            while self._queued and not self._threads:
                _, lookup = self._queued.popitem()
                self._end(lookup, untold)
        _tell(untold, (), error)

    def _end(self, lookup: _Lookup, untold: set[Waiter]) -> None:
        """Forget *lookup*, unless it was asked anew; add who waits to *untold*."""
        untold |= lookup.waiters
        if self._asked.get(lookup.question) is lookup:
            del self._asked[lookup.question]
        lookup.waiters.clear()

    def _next(self, inbox: _Inbox) -> _Lookup | None:
        """Return the first in the queue that somebody waits for; or be idle."""
        while self._queued:
            question, lookup = next(iter(self._queued.items()))
            self._threads[inbox] = lookup
            del self._queued[question]
            if lookup.is_wanted():
                # More are left where no thread could be made for a while.
                if self._is_short_of_threads():
                    with contextlib.suppress(Exception):
                        self._start_thread()
                return lookup
            self._end(lookup, set())
        self._be_idle(inbox)
        return None

    def _wait(self, inbox: _Inbox) -> _Lookup | None:
        """Return what comes within a while, or None: the thread has to end."""
        with contextlib.suppress(queue.Empty):
            inbox.get(timeout=self._patience)
        with self._lock:
            while not inbox.empty():  # it came when the time was up
                inbox.get()
            lookup = self._threads[inbox]
            if lookup is None:
                self._idle.remove(inbox)
                del self._threads[inbox]
            return lookup


def _is_want_of_threads(exc: BaseException) -> bool:
    # Python says "can't start new thread" with a RuntimeError.  That is a call which is
    # too deep, too, and more threads would not help it.
    is_one = isinstance(exc, RuntimeError | OSError)
    return is_one and not isinstance(exc, RecursionError)


def _tell(
    waiters: set[Waiter], found: tuple[AddrInfo, ...], error: BaseException | None
) -> None:
    """Give each of *waiters* the answer, in its own loop."""
    while waiters:
        waiter = next(iter(waiters))
        # A loop that is closed, or broken, must not end the thread: others wait.
        with contextlib.suppress(Exception):
            waiter.get_loop().call_soon_threadsafe(_settle, waiter, found, error)
        waiters.discard(waiter)


def _settle(
    waiter: Waiter, found: tuple[AddrInfo, ...], error: BaseException | None
) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(found)
        return
    if type(error) in (OSError, socket.gaierror):
        # Raised in two tasks, one and the same would hold the frames of both.
        error = type(error)(*error.args)
    elif isinstance(error, StopIteration | asyncio.CancelledError):
        # A future does not take the first, and looks cancelled with the second.
        error = RuntimeError(f"getaddrinfo raised {error!r}")
    waiter.set_exception(error)
    waiter.exception()  # seen: it is not logged when nobody waits any more


def _getaddrinfo(question: GaiQuery) -> tuple[AddrInfo, ...]:
    host, port, family, flags = question
    # As asyncio calls it, looked up now and by position: what is put in its place, to
    # pin or to cache names, knows this form.
    return tuple(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags))


def _is_main_interpreter() -> bool:
    """Tell whether this is no subinterpreter, of which nothing public tells."""
    tells = getattr(threading, "_is_main_interpreter", None)  # since 3.12
    if tells is not None:
        return bool(tells())
    try:
        interpreters = importlib.import_module("_xxsubinterpreters")
    except ImportError:
        return True  # a Python that has none
    return bool(interpreters.get_current() == interpreters.get_main())


# A subinterpreter that ends while a daemon thread of it lives aborts the process, and
# an isolated one allows no daemons.  It waits for its threads, so they are never idle.
_pool = (
    GetaddrinfoPool(_getaddrinfo)
    if _is_main_interpreter()
    else GetaddrinfoPool(_getaddrinfo, idle=0.0, daemons=False)
)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)

getaddrinfo = _pool.ask
hung_before = _pool.hung_before

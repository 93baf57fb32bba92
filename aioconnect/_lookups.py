"""Ask the system's getaddrinfo in daemon threads of our own (K8).

The threads know neither addresses nor errors of this package: what getaddrinfo
says is what whoever asked gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import encodings.idna
import itertools
import os
import queue
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

__all__ = ["MOST_THREADS", "THREAD_NAMES", "AddrInfo", "Lookups", "Question", "ask"]

# What getaddrinfo imports when it is first asked for a str: with no descriptor
# left that would fail (K14).
_IMPORTED = encodings.idna

THREAD_NAMES = "aioconnect-resolver-"

# A name whose DNS server is silent holds two threads, AAAA and A, for as long as
# the resolver has patience (seconds, resolv.conf(5)).  64 such names, which no
# other may wait for, are 128 threads; the rest is room.  A thread that hangs in
# recvmsg(2) costs some ten kilobytes.
MOST_THREADS = 256

# Long enough for the next round of a retry, short enough for a program that
# connects once to be rid of them.
_IDLE = 5.0

# A question that everybody gave up is asked anew, because the old one may wait
# for a lost packet; but a retry loop must not fill the threads with one dead name.
_TURNS = 4

# The host as getaddrinfo takes it, the port, family and flags.
Question: TypeAlias = tuple[bytes | None, int, int, int]

AddrInfo: TypeAlias = tuple[
    int,
    int,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
Waiter: TypeAlias = "asyncio.Future[tuple[AddrInfo, ...]]"


class _Lookup:
    """One question that is queued or being asked, and who waits for the answer."""

    __slots__ = ("question", "turn", "waiters")

    def __init__(self, question: Question, turn: int) -> None:
        self.question = question
        self.turn = turn
        self.waiters: set[Waiter] = set()

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits, in a loop that can still run."""
        return any(
            not waiter.done() and not waiter.get_loop().is_closed()
            for waiter in self.waiters
        )


class Lookups:
    """Threads that ask *look_up*, at most *limit* of them.

    They are started when there is a question and none of them is free, and end
    after *idle* seconds without one.  They are daemons: one that hangs does not
    delay the interpreter's exit.
    """

    def __init__(
        self,
        look_up: Callable[[Question], tuple[AddrInfo, ...]],
        *,
        limit: int = MOST_THREADS,
        idle: float = _IDLE,
    ) -> None:
        self._look_up = look_up
        self._limit = limit
        self._patience = idle
        self.forget()

    def forget(self) -> None:
        """Begin anew: a forked child has none of the threads, perhaps the lock."""
        self._lock = threading.Lock()
        self._asked: dict[Question, _Lookup] = {}
        self._queued: OrderedDict[Question, _Lookup] = OrderedDict()
        # The last one in is the first one out, or all would stay in use in turn.
        self._idle: list[queue.SimpleQueue[_Lookup]] = []
        self._count = 0
        self._numbers = itertools.count(1)

    def ask(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str | bytes | None,
        port: int,
        family: int,
        flags: int,
    ) -> Waiter:
        """Return a future of *loop* for what getaddrinfo says, in its own order.

        A question that is being asked already, by anybody, is not asked again.
        Cancelling the future is giving up: the last to do so drops a question
        that no thread has begun with, and the answer of one that has.  An error
        that nobody looks at is not logged.

        Raises:
            UnicodeError: *host* has no encoding as a host name.
        """
        if isinstance(host, str):
            host = host.encode("idna")  # as socket.getaddrinfo does
        question = (host, port, family, flags)
        waiter: Waiter = loop.create_future()
        with self._lock:
            lookup = self._asked.get(question)
            if lookup is None or not (lookup.is_wanted() or lookup.turn >= _TURNS):
                turn = 1 if lookup is None else lookup.turn + 1
                lookup = self._asked[question] = _Lookup(question, turn)
                lookup.waiters.add(waiter)
                refused = self._hand_over(lookup)
                if refused is not None:
                    _tell(self._end(lookup), (), refused)
            else:
                lookup.waiters.add(waiter)
        waiter.add_done_callback(partial(self._left, lookup))
        return waiter

    def _hand_over(self, lookup: _Lookup) -> socket.gaierror | None:
        """Give *lookup* to a thread, now or later; return why there is none."""
        if self._idle:
            self._idle.pop().put(lookup)
        elif self._count >= self._limit:
            self._queued[lookup.question] = lookup
        else:
            name = f"{THREAD_NAMES}{next(self._numbers)}"
            thread = threading.Thread(
                target=self._work, args=(lookup,), name=name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError as exc:
                return socket.gaierror(socket.EAI_AGAIN, f"no resolver thread: {exc}")
            self._count += 1
        return None

    def _left(self, lookup: _Lookup, waiter: Waiter) -> None:
        """Drop *lookup* if nobody else waits for it, and it has not begun."""
        if not waiter.cancelled():
            return
        with self._lock:
            lookup.waiters.discard(waiter)
            question = lookup.question
            if not lookup.waiters and self._queued.get(question) is lookup:
                del self._queued[question], self._asked[question]

    def _work(self, lookup: _Lookup | None) -> None:
        inbox: queue.SimpleQueue[_Lookup] = queue.SimpleQueue()
        while lookup is not None:
            found: tuple[AddrInfo, ...] = ()
            error: Exception | None = None
            try:
                found = self._look_up(lookup.question)
            except Exception as exc:  # whatever it is, it goes to whoever asked
                error = exc
            with self._lock:
                waiters = self._end(lookup)
                lookup = self._next()
                if lookup is None:
                    # Before the answer is out: whoever gets it may ask again.
                    self._idle.append(inbox)
            _tell(waiters, found, error)
            del found, error  # an idle thread keeps nothing
            if lookup is None:
                lookup = self._wait(inbox)

    def _end(self, lookup: _Lookup) -> set[Waiter]:
        """Forget *lookup*, unless it was asked anew; return who waited for it."""
        if self._asked.get(lookup.question) is lookup:
            del self._asked[lookup.question]
        waiters, lookup.waiters = lookup.waiters, set()
        return waiters

    def _next(self) -> _Lookup | None:
        """Return the first in the queue that somebody waits for."""
        while self._queued:
            _, lookup = self._queued.popitem(last=False)
            if lookup.is_wanted():
                return lookup
            self._end(lookup)
        return None

    def _wait(self, inbox: queue.SimpleQueue[_Lookup]) -> _Lookup | None:
        """Return what comes within a while, or None: the thread has to end."""
        with contextlib.suppress(queue.Empty):
            return inbox.get(timeout=self._patience)
        with self._lock:
            if inbox in self._idle:
                self._idle.remove(inbox)
                self._count -= 1
                return None
        return inbox.get()  # it came when the time was up


def _tell(
    waiters: set[Waiter], found: tuple[AddrInfo, ...], error: Exception | None
) -> None:
    """Give each of *waiters* the answer, in its own loop."""
    while waiters:
        waiter = waiters.pop()
        with contextlib.suppress(RuntimeError):  # its loop is closed
            waiter.get_loop().call_soon_threadsafe(_settle, waiter, found, error)


def _settle(
    waiter: Waiter, found: tuple[AddrInfo, ...], error: Exception | None
) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(found)
        return
    if type(error) in (OSError, socket.gaierror):
        # Raised in two tasks, one and the same would hold the frames of both.
        error = type(error)(*error.args)
    waiter.set_exception(error)
    waiter.exception()  # seen: it is not logged when nobody waits any more


def _getaddrinfo(question: Question) -> tuple[AddrInfo, ...]:
    host, port, family, flags = question
    return tuple(
        socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    )


_lookups = Lookups(_getaddrinfo)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_lookups.forget)

ask = _lookups.ask

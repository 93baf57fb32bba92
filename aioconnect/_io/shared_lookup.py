"""Give the answer of one look-up to all futures that wait for it, in any loop.

The code here knows neither addresses nor errors of this package: a waiter gets what
getaddrinfo returned or raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TypeAlias

__all__ = [
    "AddrInfo",
    "AnswerWaiter",
    "GaiQuery",
    "SharedLookup",
    "answer",
    "set_answer",
]

# The host as text, the port, family and flags.
GaiQuery: TypeAlias = tuple[str | None, int, int, int]

AddrInfo: TypeAlias = tuple[
    int,
    int,
    int,
    str,
    tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
]
AnswerWaiter: TypeAlias = "asyncio.Future[tuple[AddrInfo, ...]]"


class SharedLookup:
    """A *query* that is queued or being asked, and the futures that wait for it.

    *copy* counts from 1: an abandoned look-up may still hang when its query is asked
    again.
    """

    __slots__ = ("copy", "query", "waiters")

    def __init__(self, query: GaiQuery, copy: int) -> None:
        self.query = query
        self.copy = copy
        self.waiters: set[AnswerWaiter] = set()

    def is_wanted(self) -> bool:
        """Tell whether a future still waits, in a loop that can still run."""
        return any(
            not waiter.done() and not waiter.get_loop().is_closed()
            for waiter in self.waiters
        )


def answer(
    waiters: set[AnswerWaiter], found: tuple[AddrInfo, ...], error: BaseException | None
) -> None:
    """Give the answer to each of *waiters*, in its own loop, and empty the set.

    Call it from any thread.
    """
    while waiters:
        waiter = next(iter(waiters))
        # A closed or broken loop must not end the thread: other loops wait, too.
        with contextlib.suppress(Exception):
            waiter.get_loop().call_soon_threadsafe(set_answer, waiter, found, error)
        waiters.discard(waiter)


def set_answer(
    waiter: AnswerWaiter, found: tuple[AddrInfo, ...], error: BaseException | None
) -> None:
    """Give the answer to *waiter*, in the thread of its loop, unless it is done."""
    if waiter.done():
        return
    if error is None:
        waiter.set_result(found)
        return
    if type(error) in (OSError, socket.gaierror):
        # A copy for each waiter: one object raised in two tasks would hold the frames
        # of both.
        error = type(error)(*error.args)
    elif isinstance(error, StopIteration | asyncio.CancelledError):
        # A future refuses the first, and looks cancelled with the second.
        error = RuntimeError(f"getaddrinfo raised {error!r}")
    waiter.set_exception(error)
    waiter.exception()  # retrieved: asyncio logs nothing if no task waits any more

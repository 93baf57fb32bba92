"""Keep the attempts that are connected while others may still win, each in a task.

A handshake is all that makes a connection usable: with a proxy, of TLS, and the option
*ready*.  A `HandshakeSet` owns the connections, from the socket on.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from .._io.timers import end_tasks
from .._sansio.addresses import Address
from .._sansio.errors import AttemptError, os_error
from .._sansio.happy_eyeballs import HappyEyeballs
from .dialer import Connected, Dialer

__all__ = ["HandshakeSet", "Usable"]


class Usable(NamedTuple):
    """An attempt that has won, and its *connection* if the handshake is done."""

    connected: Connected
    connection: Any = None


class _Handshake:
    """A handshake under way, in a *task*, over a *connected* socket."""

    __slots__ = ("connected", "has_begun", "task")

    def __init__(self, connected: Connected) -> None:
        self.connected = connected
        self.has_begun = False  # whether the task owns the socket
        self.task: asyncio.Task[Any] | None = None


class HandshakeSet:
    """The handshakes of a race by *rules*, with what *dialer* has connected.

    *wake* is called when one has ended.
    """

    __slots__ = ("_dialer", "_handshakes", "_rules", "_wake")

    def __init__(
        self, dialer: Dialer, rules: HappyEyeballs, wake: Callable[[], object]
    ) -> None:
        self._dialer = dialer
        self._rules = rules
        self._wake = wake
        self._handshakes: list[_Handshake] = []  # the oldest first

    def __len__(self) -> int:
        """How many are under way, or have ended and are not taken yet."""
        return len(self._handshakes)

    def begun(self) -> list[tuple[Address, float]]:
        """Return the address and the start of each attempt under way."""
        live = (handshake.connected for handshake in self._handshakes)
        return [(one.address, one.started) for one in live if one.address is not None]

    def start(self, connected: Connected) -> None:
        """Start the handshake of an attempt that is *connected*."""
        handshake = _Handshake(connected)
        self._handshakes.append(handshake)  # from here on, `close` closes the socket
        task = self._dialer.loop.create_task(self._run(handshake))
        handshake.task = task
        task.add_done_callback(self._ended)

    async def _run(self, handshake: _Handshake) -> Any:
        handshake.has_begun = True
        connected = handshake.connected
        # It refers to the task, whose error will have this frame.
        del handshake
        return await self._dialer.shake_hands(connected)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # retrieved: asyncio logs nothing if nobody takes it
        self._wake()

    @property
    def is_ready(self) -> bool:
        """Whether `take` has something to take."""
        return any(map(_has_ended, self._handshakes))

    def take(self) -> Usable | None:
        """Return the first connection that has become usable; record what failed.

        Raises:
            Exception: A handshake raised it, and it is no failure of an attempt.
        """
        for handshake in tuple(self._handshakes):
            if not _has_ended(handshake):
                continue
            error = _error(handshake)
            if error is None:
                assert handshake.task is not None
                connection = handshake.task.result()
                if not self._dialer.may_win(connection):
                    continue  # another one is about to
                self._handshakes.remove(handshake)
                return Usable(handshake.connected, connection)
            self._handshakes.remove(handshake)
            if not handshake.has_begun:
                handshake.connected.sock.close()
            if not isinstance(error, AttemptError):
                try:
                    raise error
                finally:
                    del error, handshake
            self.failed(error, handshake.connected)
        return None

    def failed(self, error: AttemptError, connected: Connected) -> None:
        """Record that *connected* failed afterwards with *error*."""
        _, address, started, deadline = connected
        self._rules.failed(was_connected=True)
        failure = error.with_traceback(None)
        self._dialer.record.failed(failure, address, started, deadline)

    async def close(self) -> None:
        """End all handshakes, and close their connections.

        A cancellation that comes meanwhile is raised when all have ended.
        """
        ending, self._handshakes = self._handshakes, []
        if not ending:
            return
        try:
            cancelled = await end_tasks([one.task for one in ending if one.task])
            while ending:
                self._discard(ending.pop())
        finally:
            self._discard_later(ending)
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def abandon(self) -> None:
        """Do the same without waiting: the caller's coroutine is being closed."""
        ending, self._handshakes = self._handshakes, []
        for handshake in ending:
            if handshake.task is not None:
                handshake.task.cancel()
        self._discard_later(ending)

    def _discard_later(self, ending: list[_Handshake]) -> None:
        for handshake in ending:
            if handshake.task is not None:
                ended = partial(self._discard_ended, handshake)
                handshake.task.add_done_callback(ended)

    def _discard_ended(self, handshake: _Handshake, _: asyncio.Task[Any]) -> None:
        self._discard(handshake)

    def _discard(self, handshake: _Handshake) -> None:
        """Close the connection of *handshake*, which has ended."""
        task = handshake.task
        if not handshake.has_begun:
            handshake.connected.sock.close()
        elif task is not None and not task.cancelled() and task.exception() is None:
            self._dialer.discard(task.result())


def _has_ended(handshake: _Handshake) -> bool:
    return handshake.task is None or handshake.task.done()


def _error(handshake: _Handshake) -> BaseException | None:
    """Return what ended *handshake*, or None if its connection is usable."""
    task = handshake.task
    assert task is not None
    if task.cancelled():
        # A hook did that: a race that ends takes no more connections.
        error = os_error(errno.ECANCELED, "it was cancelled")
        return AttemptError("ready", error)
    return task.exception()

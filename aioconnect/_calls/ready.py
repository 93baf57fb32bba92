"""Prove that a connection is ready: ask the caller's function, or see it stay open.

The caller of these functions owns the connection, before and after.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from .._io.fd_watchers import is_readable
from .._io.sockets import system_error
from .._io.timers import sleep_until
from .._sansio.errors import AttemptError, AttemptExpired, os_error
from .._sansio.text import safe_repr

__all__ = ["Ready", "pass_ready", "stay_open"]

# Called with what the connecting function returns: the socket, the reader and the
# writer, or the transport and the protocol.
Ready: TypeAlias = Callable[..., Awaitable[object]]

# poll(2): the peer has closed its side, and all its data has arrived.  A system without
# this event reports only that both sides have ended: POLLHUP, without being asked.
_POLLRDHUP = getattr(select, "POLLRDHUP", 0)

# The pauses, in seconds, between two polls for an end of the stream behind data.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


async def pass_ready(ready: Ready, connection: Any, deadline: float | None) -> None:
    """Await *ready* with *connection*: a socket, streams, or transport and protocol.

    Raises:
        AttemptError: It returned False, raised an `OSError`, or met the end of the
            stream.
        AttemptExpired: It had not ended by *deadline*, on the loop's clock.
        Exception: It raised another exception.
    """
    task = asyncio.current_task()
    scope = asyncio.timeout_at(deadline)
    try:
        cancellations = task.cancelling() if task is not None else 0
        error: OSError | None = None
        try:
            async with scope:
                if await _call_ready(ready, connection) is False:
                    error = os_error(
                        errno.ECONNABORTED, "the ready check returned False"
                    )
                elif _is_closed(connection):
                    text = "the connection was closed during the check"
                    error = os_error(errno.ECONNABORTED, text)
        except EOFError:
            error = os_error(errno.ECONNRESET, "the peer has closed the connection")
        except OSError as exc:
            error = exc
        try:
            if task is not None and task.cancelling() > cancellations:
                # The hook swallowed a cancellation.  Deliver it all the same.
                raise asyncio.CancelledError
            if scope.expired():
                raise AttemptExpired(
                    "ready", os_error(errno.ETIMEDOUT, "no answer yet")
                )
            if error is not None:
                raise AttemptError("ready", error)
        finally:
            del error  # its traceback refers to this frame
    finally:
        del task, scope  # the task's error has this frame


def _call_ready(ready: Ready, connection: Any) -> Awaitable[object]:
    awaitable: Awaitable[object] | object = (
        ready(*connection) if isinstance(connection, tuple) else ready(connection)
    )
    if not isinstance(awaitable, Awaitable):
        text = f"it returned {safe_repr(awaitable)}, which cannot be awaited"
        raise TypeError(
            f"ready must be a coroutine function, not {safe_repr(ready)}: {text}"
        )
    return awaitable


def _is_closed(connection: Any) -> bool:
    if isinstance(connection, socket.socket):
        return connection.fileno() == -1
    first, second = connection
    transport = second if isinstance(first, asyncio.StreamReader) else first
    return bool(transport.is_closing())


async def stay_open(seconds: float, ready: Ready | None, sock: socket.socket) -> bool:
    """Await *ready*, if there is one, and then prove that *sock* stays open.

    With its first two arguments bound, this is a `Ready` of a socket.

    Raises:
        OSError: The peer closed or reset *sock* within *seconds*.
    """
    if ready is not None and await _call_ready(ready, sock) is False:
        return False
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    # Read nothing: a peer that floods would take all the time.  While unread data comes
    # before the end of the stream, no event announces the end, so poll for it.
    if sock.fileno() == -1 or not await is_readable(loop, sock, deadline):
        return True
    pause = _FIRST_PAUSE
    while not _has_ended(sock):
        now = loop.time()
        if now >= deadline:
            return True
        await sleep_until(loop, min(now + pause, deadline))
        pause = min(pause * 2, _LONGEST_PAUSE)
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise system_error(code)
    text = f"the peer closed the connection within {seconds:g} s"
    raise os_error(errno.ECONNRESET, text)


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether the peer has closed or reset *sock*, even if data is unread."""
    poll = select.poll()
    poll.register(sock, _POLLRDHUP)
    # POLLERR alone only means a message in the error queue.
    return any(event & ~select.POLLERR for _, event in poll.poll(0))

"""Ask whether what was connected is ready: by a coroutine of the caller's, or by time.

Whoever calls owns the connection, before and after.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from .._io.fd_watchers import is_readable
from .._io.sockets import system_error
from .._io.timers import sleep_until
from .._sansio.errors import AttemptError, AttemptExpired, os_error
from .._sansio.text import safe_repr

__all__ = ["Ready", "pass_ready", "stays_open"]

# Is called with the socket, the reader and the writer, or the transport and the
# protocol: with what the call would return.
Ready: TypeAlias = Callable[..., Awaitable[object]]

# poll(2): the peer has closed its side, and all that it sent has come.  A system
# without this event tells of the end of both sides only: POLLHUP, unasked.
_POLLRDHUP = getattr(select, "POLLRDHUP", 0)

# The pauses, in seconds, between two looks for an end behind data.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


async def pass_ready(ready: Ready, made: Any, deadline: float | None) -> None:
    """Await *ready* of *made*: a socket, or a pair.

    Raises:
        AttemptError: It said no, raised an `OSError`, or met the end of the stream.
        Expired: It had not ended at *deadline*, a time of the loop's clock.
        Exception: Another, of *ready*'s own.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task is not None else 0
    scope = asyncio.timeout_at(deadline)
    error: OSError | None = None
    try:
        async with scope:
            if await _asked(ready, made) is False:
                error = os_error(errno.ECONNABORTED, "it says that it is not")
            elif _is_closed(made):
                error = os_error(errno.ECONNABORTED, "it has closed the connection")
    except EOFError:
        error = os_error(errno.ECONNRESET, "the peer has closed the connection")
    except OSError as exc:
        error = exc
    try:
        if task is not None and task.cancelling() > cancelled:
            # Whoever cancelled does not wait for a hook that has passed it over.
            raise asyncio.CancelledError
        if scope.expired():
            raise AttemptExpired("ready", os_error(errno.ETIMEDOUT, "no answer yet"))
        if error is not None:
            raise AttemptError("ready", error)
    finally:
        del error  # which has this frame


def _asked(ready: Ready, made: Any) -> Awaitable[object]:
    asked: Awaitable[object] | object = (
        ready(*made) if isinstance(made, tuple) else ready(made)
    )
    if not isinstance(asked, Awaitable):
        text = f"it returned {safe_repr(asked)}, which cannot be awaited"
        raise TypeError(
            f"ready must be a coroutine function, not {safe_repr(ready)}: {text}"
        )
    return asked


def _is_closed(made: Any) -> bool:
    if isinstance(made, socket.socket):
        return made.fileno() == -1
    first, second = made
    transport = second if isinstance(first, asyncio.StreamReader) else first
    return bool(transport.is_closing())


def stays_open(seconds: float, ready: Ready | None) -> Ready:
    """Return a `Ready`: *ready*, and then the socket is open for so many *seconds*."""
    return partial(_settled, seconds, ready)


async def _settled(seconds: float, ready: Ready | None, sock: socket.socket) -> bool:
    if ready is not None and await _asked(ready, sock) is False:
        return False
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    # Nothing is read: a peer that floods would be read from all the time.  With data in
    # front of it the end of the stream is no event, so it is looked for now and then.
    if sock.fileno() == -1 or not await is_readable(loop, sock, until):
        return True
    pause = _FIRST_PAUSE
    while not _has_ended(sock):
        now = loop.time()
        if now >= until:
            return True
        await sleep_until(loop, min(now + pause, until))
        pause = min(pause * 2, _LONGEST_PAUSE)
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise system_error(code)
    text = f"closed again, and not open for {seconds:g} s"
    raise os_error(errno.ECONNRESET, text)


def _has_ended(sock: socket.socket) -> bool:
    """Tell whether the peer has closed or reset *sock*; what it sent may be unread."""
    poll = select.poll()
    poll.register(sock, _POLLRDHUP)
    # POLLERR alone is a message in the error queue.
    return any(event & ~select.POLLERR for _, event in poll.poll(0))

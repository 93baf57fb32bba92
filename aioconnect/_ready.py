"""Ask whether what was connected is ready: by a coroutine of the caller's, or by time.

Whoever calls owns the connection, before and after.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from ._errors import AttemptError, Expired, os_error
from ._shown import shown
from ._watchers import is_readable

__all__ = ["Ready", "pass_ready", "settled"]

# Is called with the socket, the reader and the writer, or the transport and the
# protocol: with what the call would return.
Ready: TypeAlias = Callable[..., Awaitable[object]]


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
            raise Expired("ready", os_error(errno.ETIMEDOUT, "no answer yet"))
        if error is not None:
            raise AttemptError("ready", error)
    finally:
        del error  # which has this frame


def _asked(ready: Ready, made: Any) -> Awaitable[object]:
    asked: Awaitable[object] | object = (
        ready(*made) if isinstance(made, tuple) else ready(made)
    )
    if not isinstance(asked, Awaitable):
        text = f"it returned {shown(asked)}, which cannot be awaited"
        raise TypeError(
            f"ready must be a coroutine function, not {shown(ready)}: {text}"
        )
    return asked


def _is_closed(made: Any) -> bool:
    if isinstance(made, socket.socket):
        return made.fileno() == -1
    first, second = made
    transport = second if isinstance(first, asyncio.StreamReader) else first
    return bool(transport.is_closing())


def settled(seconds: float, ready: Ready | None) -> Ready:
    """Return a `Ready`: *ready*, and then the socket is open for so many *seconds*."""
    return partial(_settled, seconds, ready)


async def _settled(seconds: float, ready: Ready | None, sock: socket.socket) -> bool:
    if ready is not None and await _asked(ready, sock) is False:
        return False
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    # Whoever speaks all the time is looked at no longer for it.
    while loop.time() < until and await is_readable(loop, sock, until):
        # What the server says is for somebody else; that it ends is for us.
        try:
            if not sock.recv(65536):
                text = f"closed again, and not open for {seconds:g} s"
                raise os_error(errno.ECONNRESET, text)
        except (BlockingIOError, InterruptedError):
            continue
    return True

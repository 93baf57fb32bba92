"""Ask whether what was connected is ready: by a coroutine of the caller's, or by time.

Whoever calls owns the connection, before and after.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, cast

from ._errors import AttemptError, Expired, os_error
from ._shown import shown
from ._waits import Waiter, wake

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
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            asked: Any = ready(*made) if isinstance(made, tuple) else ready(made)
            if not isinstance(asked, Awaitable):
                text = f"ready must be a coroutine function, not {shown(ready)}"
                raise TypeError(text)
            passed = await cast("Awaitable[object]", asked)
    except EOFError:
        text = "the peer has closed the connection"
        failure = AttemptError("ready", os_error(errno.ECONNRESET, text))
    except OSError as exc:
        failure = AttemptError("ready", exc)
        if scope.expired():
            failure = Expired("ready", os_error(errno.ETIMEDOUT, "no answer yet"))
    else:
        if passed is not False:
            return
        text = "it says that it is not"
        failure = AttemptError("ready", os_error(errno.ECONNABORTED, text))
    try:
        raise failure  # not above: its context would hold frames
    finally:
        del failure


def settled(seconds: float, ready: Ready | None) -> Ready:
    """Return a `Ready`: *ready*, and then the socket is open for so many *seconds*."""
    return partial(_settled, seconds, ready)


async def _settled(seconds: float, ready: Ready | None, sock: socket.socket) -> bool:
    if ready is not None and await ready(sock) is False:
        return False
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while await _is_readable(loop, sock, until):
        # What the server says is for somebody else; that it ends is for us.
        try:
            if not sock.recv(65536):
                text = f"closed again, and not open for {seconds:g} s"
                raise os_error(errno.ECONNRESET, text)
        except (BlockingIOError, InterruptedError):
            continue
    return True


async def _is_readable(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float
) -> bool:
    """Wait for something to read, or its end; tell whether it came before *until*."""
    waiter: Waiter = loop.create_future()
    loop.add_reader(sock, wake, waiter, False)
    timer = loop.call_at(until, wake, waiter, True)
    try:
        return not await waiter
    finally:
        timer.cancel()
        loop.remove_reader(sock)

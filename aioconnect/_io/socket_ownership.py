"""Keep a socket object and a transport from both closing one descriptor.

Only this module knows how the loops differ.  asyncio's transports close the socket
object.  uvloop's close the descriptor, and tell the socket object, which they get only
when the call that makes the transport succeeds (K5, K18).  Another socket object has
to be detached: it would close the number again when it is collected, whoever has that
by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import types
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, TypeAlias, TypeVar

__all__ = [
    "Identity",
    "abort_transport",
    "closes_sockets",
    "identity_of",
    "in_step",
]

T = TypeVar("T")

# The device and the inode of a file.
Identity: TypeAlias = tuple[int, int]


def closes_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether the transports of *loop* close socket objects, not descriptors."""
    return isinstance(loop, asyncio.BaseEventLoop)


def identity_of(sock: socket.socket) -> Identity | None:
    """Return what tells the file behind the descriptor of *sock* from all others."""
    try:
        status = os.fstat(sock.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino


def abort_transport(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, identity: Identity | None
) -> None:
    """Close the transport of *loop* over *sock* at once: nobody waits for it any more.

    A loop closes it politely when the call that makes it is cancelled.  It may go on
    with the handshake, or wait for the peer to read and to say goodbye.  The loops give
    the transport to nobody.  asyncio's know it by its number; on another loop it is
    shown the end of the connection, if *sock* still has its *identity*.
    """
    transports: Mapping[int, asyncio.Transport] = getattr(loop, "_transports", {})
    transport = transports.get(sock.fileno())
    if transport is not None:
        transport.abort()
    elif identity is not None and identity_of(sock) == identity:
        with contextlib.suppress(OSError):  # the peer was faster
            sock.shutdown(socket.SHUT_RDWR)


@types.coroutine
def in_step(
    creating: Awaitable[T], drop: Callable[[T], object]
) -> Generator[Any, Any, T]:
    """Await *creating*, which first waits for a transport of uvloop's to be connected.

    uvloop connects the protocol in the next turn of the loop, and wakes who waits for
    that in the turn after it.  If the call is ended before it is woken, uvloop closes
    the descriptor, and tells neither the protocol nor the socket object.  TLS goes on
    with its handshake: it keeps a timer for a minute, logs "Fatal error on SSL
    protocol", and leaves a future whose exception nobody retrieves.  If the call is
    ended before the protocol is connected, the process dies.

    So this takes the next turn too, and is not woken.  What is made although the call
    was ended is given to *drop*.
    """
    steps = creating.__await__()
    try:
        waiter = next(steps)
    except StopIteration as made:
        return made.value  # type: ignore[no-any-return]  # a generator's is Any
    for pending in (None, waiter):
        if _is_done(waiter):
            break
        try:
            yield pending
        except BaseException:
            if pending is None and asyncio.isfuture(waiter) and not waiter.done():
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    waiter.get_loop().call_soon(_end, steps, waiter, drop)
            else:
                _end(steps, waiter, drop)
            raise
    return (yield from steps)


def _is_done(waiter: object) -> bool:
    return asyncio.isfuture(waiter) and waiter.done() and not waiter.cancelled()


def _end(
    steps: Generator[Any, Any, T], waiter: object, drop: Callable[[T], object]
) -> None:
    """End *steps* where they stand once they have seen that *waiter* is done."""
    # What ended the call counts, and not an error that the call would have had.
    with contextlib.suppress(Exception):
        try:
            if _is_done(waiter):
                # With TLS, that is the handshake's.  It gets the peer's error later on,
                # which the loop would log if nobody has retrieved it by then.
                following = next(steps)
                if asyncio.isfuture(following):
                    following.cancel()
            steps.close()
        except StopIteration as made:  # there was nothing more to wait for
            drop(made.value)

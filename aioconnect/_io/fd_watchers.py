"""Watch a descriptor on a loop, and stop watching, even if others have it by then.

Only this module calls ``add_writer``, ``add_reader`` and their counterparts.
"""

from __future__ import annotations

import asyncio
import os
import socket
import weakref
from collections.abc import Callable, Container
from functools import partial
from typing import TypeAlias

from .._sansio.errors import AttemptError
from .timers import Waiter, wake

__all__ = [
    "Watcher",
    "check_loop",
    "forget_watchers",
    "forks",
    "is_readable",
    "unwatch",
    "watch",
]

# Returns None once the loop has forgotten the registered callback.
Watcher: TypeAlias = Callable[[], object]

# The number of forks between this process and the first one.  A forked child shares the
# poller with its parent.
_forks = 0


def forks() -> int:
    """Return the number of forks; a watcher with another number is the parent's."""
    return _forks


def _note_fork() -> None:
    global _forks  # noqa: PLW0603  # a process has one count
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def check_loop(
    loop: asyncio.AbstractEventLoop | type[asyncio.AbstractEventLoop],
) -> None:
    """Raise `NotImplementedError` unless *loop*, or its class, watches descriptors."""
    method = getattr(loop, "add_writer", None)
    if method is None or getattr(method, "__func__", method) is _ABSTRACT:
        raise _cannot_watch(loop if isinstance(loop, type) else type(loop))


_ABSTRACT = asyncio.AbstractEventLoop.add_writer


def _cannot_watch(loop: type[asyncio.AbstractEventLoop]) -> NotImplementedError:
    return NotImplementedError(
        f"{loop.__name__} has no add_writer: aioconnect needs asyncio's"
        " SelectorEventLoop, uvloop, or another loop that watches descriptors"
    )


def forget_watchers(
    loop: asyncio.AbstractEventLoop, fd: int, *, reads: bool = True
) -> None:
    """Make *loop* forget the stale writer of a new *fd*, and with *reads* the reader.

    They were registered for a closed file that had the same number.  Without this,
    the loop would never poll the new file (K12).
    """
    # asyncio takes ten times as long to find out that it has nothing to remove.
    selector = getattr(loop, "_selector", None)
    watched: Container[int] | None = getattr(selector, "_fd_to_key", None)
    if watched is not None and fd not in watched:
        return
    try:
        loop.remove_writer(fd)
        if reads:
            loop.remove_reader(fd)
    except FileNotFoundError:
        # Both were registered, and the poller no longer knows the descriptor.  asyncio
        # has forgotten both before it raises this.
        pass


async def is_readable(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float | None
) -> bool:
    """Tell whether data, or the end of the stream, comes before *until*."""
    # Not with loop.sock_recv: a closed coroutine would leave its watcher behind.
    waiter: Waiter = loop.create_future()
    forks_before = _forks
    forget_watchers(loop, sock.fileno())
    loop.add_reader(sock, wake, waiter, False)
    timer = None if until is None else loop.call_at(until, wake, waiter, True)
    try:
        return not await waiter
    finally:
        if timer is not None:
            timer.cancel()
        if forks_before == _forks:  # a forked child would remove its parent's reader
            loop.remove_reader(sock)


def watch(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    callback: Callable[[], object],
    owned: bool,
) -> Watcher:
    """Make *loop* call *callback* when *sock* is writable; return the watcher.

    If *sock* is not *owned* but the caller's, *callback* is called once.

    Raises:
        AttemptError: The loop cannot watch the socket.
        NotImplementedError: The loop watches no descriptors at all.
    """
    # A caller's socket may have a reader.  The writer is replaced: loop.sock_connect
    # does that, too.
    forget_watchers(loop, fd := sock.fileno(), reads=owned)
    # Nobody else closes an owned socket: its watcher stays until it is removed here.
    watcher: Watcher = _present
    if not owned:
        callback = partial(_call_once, loop, sock, fd, callback)
        # Only the loop refers to this callback, so it dies when the loop forgets it.
        # A weakref.ref would not do: the collector clears it together with its owner.
        finalizer = weakref.finalize(callback, _present)
        finalizer.atexit = False
        watcher = finalizer.peek
    try:
        loop.add_writer(_handle(loop, sock, fd), callback)
    except NotImplementedError:
        raise _cannot_watch(type(loop)) from None
    except OSError as exc:
        raise AttemptError("connect", exc) from None
    return watcher


def _handle(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int
) -> socket.socket | int:
    """Return the form of *sock* that *loop* shall watch: its number, or the object.

    asyncio gets the number: it makes the repr of an unknown object, with two system
    calls.  uvloop gets the object: it then defers a close that comes too early, instead
    of aborting the process (K11).
    """
    return fd if isinstance(loop, asyncio.BaseEventLoop) else sock


def _present() -> bool:
    return True


def _call_once(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    fd: int,
    callback: Callable[[], object],
) -> None:
    # A loop calls no callback that it has replaced, so this watcher is still in place.
    # Later nobody could tell: uvloop forgets the callback when a poll fails, and keeps
    # the socket open until the watcher is removed.
    _remove(loop, sock, fd)
    callback()


def unwatch(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int, watcher: Watcher
) -> None:
    """Remove the registration of *watcher*, if it is still there.

    The caller of `connect_sock` may have closed the socket.  Then another file may have
    the descriptor *fd* by now, with a watcher of its own (K11).  Only the loop refers
    to the callback, and it forgets a callback that it has replaced.
    """
    if watcher is _present:
        loop.remove_writer(_handle(loop, sock, fd))
    elif watcher() is not None:
        _remove(loop, sock, fd)


def _remove(loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int) -> None:
    if sock.fileno() == fd:
        loop.remove_writer(_handle(loop, sock, fd))
        return
    try:
        loop.remove_writer(fd)
    except RuntimeError:
        # A transport has the descriptor, and the callback is still registered on it.
        # asyncio protects a transport's descriptor from callers, and has no public
        # function that removes a stale callback.
        loop._remove_writer(fd)  # type: ignore[attr-defined]  # noqa: SLF001

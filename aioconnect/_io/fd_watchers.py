"""Watch a descriptor on a loop, and stop watching it, whoever has it by then.

Only this module calls ``add_writer``, ``add_reader`` and what ends them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import weakref
from collections.abc import Callable
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

# Gives None when a loop has forgotten the callback that it registered for us.
Watcher: TypeAlias = Callable[[], object]

# How many forks this process is away from the first: one that was forked shares the
# poller with its parent.
_forks = 0


def forks() -> int:
    """Return by what to tell the watchers of this process from its parent's."""
    return _forks


def _note_fork() -> None:
    global _forks  # noqa: PLW0603  # a process has but one
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
    """Have *loop* forget who watches *fd*, and who waits to read from it with *reads*.

    They watch one that was closed, whose number this is now: it would never be
    polled again (K12).
    """
    try:
        loop.remove_writer(fd)
        if reads:
            loop.remove_reader(fd)
    except FileNotFoundError:
        # Both were there, and the poller no longer knows them: asyncio forgets both
        # before it says so.
        pass


async def is_readable(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, until: float | None
) -> bool:
    """Wait for something to read, or its end; tell whether it came before *until*."""
    # Not by the loop's sock_recv, which a coroutine that is closed leaves behind.
    waiter: Waiter = loop.create_future()
    process = _forks
    forget_watchers(loop, sock.fileno())
    loop.add_reader(sock, wake, waiter, False)
    timer = None if until is None else loop.call_at(until, wake, waiter, True)
    try:
        return not await waiter
    finally:
        if timer is not None:
            timer.cancel()
        if process == _forks:  # a forked child would take its parent's reader away
            loop.remove_reader(sock)


def watch(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    callback: Callable[[], object],
    owned: bool,
) -> Watcher:
    """Have *loop* call *callback* when *sock* is writable; return the watcher.

    For a socket that is not *owned* but the caller's it is called once.
    """
    # On a caller's socket, loop.sock_connect replaces who waits to write, too.
    forget_watchers(loop, fd := sock.fileno(), reads=owned)
    # Nobody but us closes a socket of ours: its watcher is there until we say so.
    watcher: Watcher = _present
    if not owned:
        callback = partial(_call_once, loop, sock, fd, callback)
        # And not a weakref.ref, which the collector clears with whoever has it.
        end = weakref.finalize(callback, _present)
        end.atexit = False
        watcher = end.peek
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
    """Return what to give *loop* for *sock*.

    Its number where that will do: asyncio makes the repr of an object that it does
    not know, with two system calls.  But uvloop defers a close that comes too early
    if it has the socket, instead of aborting (K11).
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
    # A loop does not call what it has replaced, so this is still ours.  Later that
    # could not be told: uvloop forgets the callback when a poll fails, and keeps
    # the socket from being closed until the watcher is removed.
    _remove(loop, sock, fd)
    callback()


def unwatch(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int, watcher: Watcher
) -> None:
    """Remove a registration, if it is still there.

    The caller of `connect_sock` may have closed the socket: then somebody else
    may have the descriptor *fd* by now, and the watcher on it (K11).  Only the
    loop refers to the callback, and forgets one that it has replaced.
    """
    if watcher() is not None and not loop.is_closed():
        _remove(loop, sock, fd)


def _remove(loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int) -> None:
    if sock.fileno() == fd:
        loop.remove_writer(_handle(loop, sock, fd))
        return
    try:
        loop.remove_writer(fd)
    except RuntimeError:
        # A transport has the descriptor and our callback is still on it: asyncio
        # protects the one from strangers, and has no public way to remove the other.
        loop._remove_writer(fd)  # type: ignore[attr-defined]  # noqa: SLF001

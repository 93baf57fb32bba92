"""See what is open in this process: descriptors, threads, and a loop's own.

Only this module looks into event loops.  It changes nothing, and runs nothing.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import socket
import sys
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .._io.getaddrinfo_pool import THREAD_NAMES
from ._ports import kept_descriptors

__all__ = ["Trace", "spare", "traces", "warm_up"]

_DIRECTIONS = ("reading", "writing")

_HANDSHAKE = "SSLProtocol._start_handshake"

_FD_DIRECTORY = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing that is open; two are equal when they are the same thing.

    *thing* is held, so that nothing else can take over its identity.
    """

    kind: str
    identity: Hashable
    thing: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.kind == "descriptor":
            fd, target = self.thing
            return f"descriptor {fd}: {target}{_names_of_socket(fd, target)}"
        if self.kind == "watcher":
            fd, what = self.thing
            return f"watcher of descriptor {fd}, {what}"
        return f"{self.kind} {self.thing!r}"


def traces(loop: asyncio.AbstractEventLoop | None) -> set[Trace]:
    """Return everything that is open now; of *loop* too, if there is one."""
    own = _own_descriptors(loop)
    found = {Trace("descriptor", opened, opened) for opened in _descriptors(own)}
    found |= {Trace("thread", id(t), t) for t in threading.enumerate() if _is_told(t)}
    if loop is not None and not loop.is_closed():
        found |= {Trace("task", id(t), t) for t in asyncio.all_tasks(loop)}
        found |= {Trace("timer", id(t), t) for t in _timers(loop)}
        watchers = [watched for watched in _watchers(loop) if watched[0] not in own]
        found |= {Trace("watcher", watched, watched) for watched in watchers}
    return found


def _is_told(thread: threading.Thread) -> bool:
    # Those that look names up stay for the next name, and end by themselves.
    return not thread.name.startswith(THREAD_NAMES)


def warm_up() -> None:
    """Let uvloop open now what it opens once in a process, and keeps."""
    if uvloop := sys.modules.get("uvloop"):
        _open_and_close(uvloop)


@functools.cache
def _open_and_close(uvloop: Any) -> None:
    uvloop.new_event_loop().close()


def spare(new: set[Trace]) -> set[Trace]:
    """Return the descriptor that uvloop, if it is there, has opened for itself."""
    # uv__stream_init: it is closed when there is no other left, to accept and
    # close whoever waits.
    if "uvloop" not in sys.modules:
        return set()
    unused = [t for t in new if t.kind == "descriptor" and t.thing[1] == os.devnull]
    return set(unused[:1])


def _own_descriptors(loop: asyncio.AbstractEventLoop | None) -> set[int]:
    """Return what uvloop wakes itself with, which it opens anew with each run."""
    if loop is None or hasattr(loop, "_ssock"):
        return set()  # asyncio's stay for as long as the loop
    return {sock.fileno() for sock in _members(loop, socket.socket)}


def _descriptors(own: set[int]) -> Iterator[tuple[int, str]]:
    passed_over = own | kept_descriptors()
    for name in os.listdir(_FD_DIRECTORY):
        fd = int(name)
        if fd in passed_over:
            continue
        try:
            yield fd, os.readlink(f"{_FD_DIRECTORY}/{fd}")
        except OSError:
            # Without links, as in /dev/fd, or the one that listed the directory.
            if _is_open(fd):
                yield fd, "open"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _names_of_socket(fd: int, target: str) -> str:
    """Say what a socket is connected to, which /proc does not."""
    if not target.startswith("socket:"):
        return ""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            own = sock.getsockname()
            family = socket.AddressFamily(sock.family).name
            try:
                return f" ({family} {own!r} to {sock.getpeername()!r})"
            except OSError:
                return f" ({family} {own!r})"
    except (OSError, ValueError):
        return ""


def _timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    scheduled: Any = getattr(loop, "_scheduled", None)
    timers: list[asyncio.TimerHandle] = list(scheduled or ())
    if scheduled is None:
        for members in _members(loop, set):
            timers += [m for m in members if type(m).__name__ == "TimerHandle"]
        # uvloop forgets that of a handshake which was cancelled: nobody can end it.
        timers = [timer for timer in timers if _HANDSHAKE not in repr(timer)]
    return [timer for timer in timers if not timer.cancelled()]


def _watchers(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[int, str]]:
    selector: Any = getattr(loop, "_selector", None)
    if selector is None:
        yield from _uv_watchers(loop)
        return
    waker: Any = getattr(loop, "_ssock", None)
    registered: dict[int, Any] = dict(selector.get_map() or {})
    for key in registered.values():
        reader, writer = key.data
        if reader is not None and key.fileobj is not waker:
            yield key.fd, "reading"
        if writer is not None:
            yield key.fd, "writing"


def _uv_watchers(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[int, str]]:
    for polls in _members(loop, dict):
        for fd, poll in polls.items():
            if type(poll).__name__ == "UVPoll":
                handles = gc.get_referents(poll)
                # The last two are the reader and the writer, or None.
                for what, handle in zip(_DIRECTIONS, handles[-2:], strict=True):
                    if handle is not None:
                        yield fd, what


def _members(loop: asyncio.AbstractEventLoop, kind: type[Any]) -> list[Any]:
    # uvloop's attributes are C's.  Its sets, dicts and sockets are reached the way
    # that the garbage collector reaches them.
    return [found for found in gc.get_referents(loop) if type(found) is kind]

"""List what is open in this process: descriptors, threads, and a loop's resources.

Only this module looks into event loops.  It changes nothing and runs nothing.
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
from ._ports import server_descriptors

__all__ = ["Resource", "libuv_reserve", "open_resources", "open_uvloop_descriptors"]

_DIRECTIONS = ("reading", "writing")

_HANDSHAKE_TIMER = "SSLProtocol._start_handshake"

_FD_DIRECTORY = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that is open.  Two resources are equal if they are the same thing.

    The reference to *value* keeps the identity from being reused for something else.
    """

    kind: str
    identity: Hashable
    value: Any = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.kind == "descriptor":
            fd, target = self.value
            return f"descriptor {fd}: {target}{_socket_addresses(fd, target)}"
        if self.kind == "watcher":
            fd, what = self.value
            return f"watcher of descriptor {fd}, {what}"
        return f"{self.kind} {self.value!r}"


def open_resources(loop: asyncio.AbstractEventLoop | None) -> set[Resource]:
    """Return everything that is open now, including what *loop* has, if not None."""
    wakeup = _uvloop_wakeup_descriptors(loop)
    found = {Resource("descriptor", opened, opened) for opened in _descriptors(wakeup)}
    found |= {Resource("thread", id(thread), thread) for thread in _threads()}
    if loop is not None and not loop.is_closed():
        found |= {Resource("task", id(task), task) for task in asyncio.all_tasks(loop)}
        found |= {Resource("timer", id(timer), timer) for timer in _timers(loop)}
        watchers = [watched for watched in _watchers(loop) if watched[0] not in wakeup]
        found |= {Resource("watcher", watched, watched) for watched in watchers}
    return found


def _threads() -> list[threading.Thread]:
    # Resolver threads are left out: they stay for the next name, and end by themselves.
    threads = threading.enumerate()
    return [thread for thread in threads if not thread.name.startswith(THREAD_NAMES)]


def open_uvloop_descriptors() -> None:
    """Let uvloop open now what it opens once in a process and keeps open."""
    if uvloop := sys.modules.get("uvloop"):
        _open_and_close_loop(uvloop)


@functools.cache
def _open_and_close_loop(uvloop: Any) -> None:
    uvloop.new_event_loop().close()


def libuv_reserve(new: set[Resource]) -> set[Resource]:
    """Return the one descriptor among *new* that libuv holds in reserve, if any."""
    # uv__stream_init opens it.  When a process has no descriptor left, libuv closes
    # it, to accept a waiting client and close that connection.
    if "uvloop" not in sys.modules:
        return set()
    unused = [t for t in new if t.kind == "descriptor" and t.value[1] == os.devnull]
    return set(unused[:1])


def _uvloop_wakeup_descriptors(loop: asyncio.AbstractEventLoop | None) -> set[int]:
    """Return the descriptors that uvloop opens in each run, to wake itself."""
    if loop is None or hasattr(loop, "_ssock"):
        return set()  # an asyncio loop keeps its own for as long as it lives
    return {sock.fileno() for sock in _referents_of_type(loop, socket.socket)}


def _descriptors(wakeup: set[int]) -> Iterator[tuple[int, str]]:
    ignored = wakeup | server_descriptors()
    for name in os.listdir(_FD_DIRECTORY):
        fd = int(name)
        if fd in ignored:
            continue
        try:
            yield fd, os.readlink(f"{_FD_DIRECTORY}/{fd}")
        except OSError:
            # Either the directory has no links, as /dev/fd, or this was the
            # descriptor with which listdir() read it.
            if _is_open(fd):
                yield fd, "open"


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _socket_addresses(fd: int, target: str) -> str:
    """Return the addresses of a socket as text, which /proc does not show."""
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
        for members in _referents_of_type(loop, set):
            timers += [m for m in members if type(m).__name__ == "TimerHandle"]
        # uvloop forgets the timer of a cancelled handshake, so nobody can end it.
        timers = [timer for timer in timers if _HANDSHAKE_TIMER not in repr(timer)]
    return [timer for timer in timers if not timer.cancelled()]


def _watchers(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[int, str]]:
    selector: Any = getattr(loop, "_selector", None)
    if selector is None:
        yield from _uvloop_watchers(loop)
        return
    waker: Any = getattr(loop, "_ssock", None)
    registered: dict[int, Any] = dict(selector.get_map() or {})
    for key in registered.values():
        reader, writer = key.data
        if reader is not None and key.fileobj is not waker:
            yield key.fd, "reading"
        if writer is not None:
            yield key.fd, "writing"


def _uvloop_watchers(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[int, str]]:
    for polls in _referents_of_type(loop, dict):
        for fd, poll in polls.items():
            if type(poll).__name__ == "UVPoll":
                handles = gc.get_referents(poll)
                # The last two referents are the reader and the writer, or None.
                for what, handle in zip(_DIRECTIONS, handles[-2:], strict=True):
                    if handle is not None:
                        yield fd, what


def _referents_of_type(loop: asyncio.AbstractEventLoop, kind: type[Any]) -> list[Any]:
    # uvloop's attributes are in C.  The garbage collector can reach its sets, dicts
    # and sockets, and so does this.
    return [found for found in gc.get_referents(loop) if type(found) is kind]

"""What the tests break connects with, and what they look for afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
from typing import Any


def descriptors() -> dict[int, str]:
    """Return what this process has open, but for /dev/null.

    libuv opens that once for each loop that has a stream, to be able to refuse
    connections when there is no descriptor left.
    """
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: what for fd, what in found.items() if what != "/dev/null"}


def watchers(loop: asyncio.AbstractEventLoop) -> int:
    """Return how many descriptors *loop* watches; uvloop does not tell."""
    selector = getattr(loop, "_selector", None)
    return len(selector.get_map()) if selector is not None else 0


def timers(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Return the timers of *loop* that are yet to fire."""
    scheduled: Any = getattr(loop, "_scheduled", None) or getattr(loop, "_timers", ())
    return [timer for timer in scheduled if not timer.cancelled()]


class BlackHole:
    """A port whose SYNs are dropped, because its accept queue is full."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._listener = stack.enter_context(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.sockaddr = self._listener.getsockname()
        self.port = self.sockaddr[1]
        while True:
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(self.sockaddr)
            # On loopback a handshake has completed by now, or its SYN was dropped.
            if filler.connect_ex(self.sockaddr):
                return

    def open(self) -> None:
        """Make room in the queue: each SYN that comes again is answered."""
        # Room for all: the socket that found the queue full sends its SYN too.
        self._listener.listen(128)


class FullBacklog:
    """A Unix listener that has no slot free: a connect gives EAGAIN."""

    def __init__(self, path: str, stack: contextlib.ExitStack, kind: int) -> None:
        self.path = path
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        self.listener.bind(path)
        self.listener.listen(0)
        while True:
            filler = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            filler.setblocking(False)
            if filler.connect_ex(path) == errno.EAGAIN:
                return

    def free_slot(self) -> None:
        """Accept one connection, and close it."""
        self.listener.accept()[0].close()


def run_script(*command: str, timeout: float = 100.0) -> str:
    """Run *command*, which must succeed; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout

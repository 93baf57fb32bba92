"""Open, silence and close a port while holding it all the time.

Only this module changes how a scripted port answers a connect.
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable
from typing import Literal, TypeAlias

from ._bpf_filters import detach_filter, drop_new_connections
from ._refusing import HeldPort
from ._server_thread import ServerThread

__all__ = ["PortState", "SwitchablePort"]

PortState: TypeAlias = Literal["open", "silent", "closed"]


class SwitchablePort:
    """A port that is open (it listens), silent (it drops SYNs) or closed (it refuses).

    It is not thread-safe: its owner needs a lock.  *on_readable* is called in *thread*
    whenever a connection may be waiting.
    """

    def __init__(
        self,
        held_port: HeldPort,
        thread: ServerThread,
        on_readable: Callable[[], object],
    ) -> None:
        self._held_port = held_port
        self._thread = thread
        self._on_readable = on_readable
        self._listener: socket.socket | None = None
        self.state: PortState = "closed"

    def switch_to(self, state: PortState, backlog: int) -> None:
        """Switch to *state* before returning, with room for *backlog* + 1 clients."""
        if state == "closed":
            self.close()
            return
        listener = self._listener or self._held_port.bound_too()
        if state == "silent":
            # The filter comes before listen(2), so that no SYN gets in between.
            drop_new_connections(listener)
        elif self.state == "silent":
            detach_filter(listener)
        listener.listen(backlog)
        self.state = state
        if self._listener is None:
            self._listener = listener
            self._thread.watch(listener, selectors.EVENT_READ, self._on_readable)

    def silence(self) -> None:
        """Drop new SYNs.  Connections that wait already can still be accepted."""
        if self._listener is not None:
            drop_new_connections(self._listener)
            self.state = "silent"

    def close(self) -> None:
        """Refuse from now on.  Connections that were not accepted are reset."""
        self.state = "closed"
        if self._listener is not None:
            self._thread.unwatch(self._listener)
            self._listener.close()
            self._listener = None

    def accept(self) -> tuple[socket.socket, int] | None:
        """Return a waiting connection and its peer's port, or None."""
        if self._listener is None:
            return None
        try:
            conn, peer = self._listener.accept()
        except OSError:
            # This is EAGAIN, or ECONNABORTED on the BSDs.
            return None
        return conn, peer[1]

    def wait_readable(self, timeout: float) -> None:
        """Wait at most *timeout* seconds for a connection."""
        poller = select.poll()
        if self._listener is not None:
            poller.register(self._listener, select.POLLIN)
        poller.poll(timeout * 1000)

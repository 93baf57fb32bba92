"""Open, silence and close a port without ever letting go of it.

Only this module changes what a connect to a scripted port meets.
"""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable
from typing import Literal, TypeAlias

from .._sansio.addresses import Address
from ._bpf_filters import drop_new_connections, hear_again
from ._refusing import HeldPort
from ._server_thread import Worker

__all__ = ["Gate", "State"]

State: TypeAlias = Literal["open", "silent", "closed"]


class Gate:
    """A port that is open (it listens), silent (it drops SYNs) or closed.

    Not thread-safe: whoever owns it has a lock.  *on_readable* is called in the
    worker's thread whenever a connection may be waiting.
    """

    def __init__(
        self, held: HeldPort, worker: Worker, on_readable: Callable[[], object]
    ) -> None:
        self._held = held
        self._worker = worker
        self._on_readable = on_readable
        self._listener: socket.socket | None = None
        self.state: State = "closed"

    @property
    def address(self) -> Address:
        """Where it is."""
        return self._held.address

    def show(self, state: State, backlog: int) -> None:
        """Be in *state* when this returns, with room for *backlog* + 1 clients."""
        if state == "closed":
            self.close()
            return
        listener = self._listener or self._held.bound_too()
        if state == "silent":
            # Before it listens: there is no moment in which a SYN gets in.
            drop_new_connections(listener)
        elif self.state == "silent":
            hear_again(listener)
        listener.listen(backlog)
        self.state = state
        if self._listener is None:
            self._listener = listener
            self._worker.watch(listener, selectors.EVENT_READ, self._on_readable)

    def silence(self) -> None:
        """Let no new client in; those that wait can still be accepted."""
        if self._listener is not None:
            drop_new_connections(self._listener)
            self.state = "silent"

    def close(self) -> None:
        """Refuse; connections that nobody accepted are reset."""
        self.state = "closed"
        if self._listener is not None:
            self._worker.unwatch(self._listener)
            self._listener.close()
            self._listener = None

    def accept(self) -> tuple[socket.socket, int] | None:
        """Return a connection that waits and its peer's port, or None."""
        if self._listener is None:
            return None
        try:
            conn, peer = self._listener.accept()
        except OSError:
            # EAGAIN, or ECONNABORTED on the BSDs.
            return None
        return conn, peer[1]

    def wait(self, timeout: float) -> None:
        """Wait for a connection, at most *timeout* seconds."""
        poller = select.poll()
        if self._listener is not None:
            poller.register(self._listener, select.POLLIN)
        poller.poll(timeout * 1000)

"""Treat accepted connections the way a server's script says.

Only this module reads from and writes to connections; it runs in a worker's
thread, and owns every connection that it is given.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Literal, TypeAlias

from ._ports import keep, reset
from ._server_thread import Worker

__all__ = ["Conduct", "Connections", "serving"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

Conduct: TypeAlias = Literal["accept", "accept_close", "accept_silent", "reset"]

# A client that writes without reading is made to wait at this many bytes.
_MOST_PENDING = 1 << 18

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connections:
    """The connections of one server: how many there were, and those that live."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._is_over = False
        self._live: dict[socket.socket, _Echo] = {}
        self._counted = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """How many were accepted so far."""
        return self._count

    def wait_for(self, count: int, timeout: float) -> None:
        """Wait until *count* were accepted.

        Raises:
            TimeoutError: They were not within *timeout* seconds.
        """
        with self._counted:
            if not self._counted.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(
                    f"{self._count} connections within {timeout:g} s, not {count}"
                )

    def serve(self, conn: socket.socket, conduct: Conduct) -> None:
        """Take *conn* over, and treat it as *conduct* says; from any thread.

        ``accept`` echoes, ``accept_close`` ends its side at once and discards
        what comes, ``accept_silent`` neither reads nor writes, ``reset`` resets.
        """
        keep(conn)
        conn.setblocking(False)
        if conduct == "reset":
            reset(conn)
        else:
            self._worker.call_soon(partial(self._begin, conn, conduct))
        with self._counted:
            self._count += 1
            self._counted.notify_all()

    def _begin(self, conn: socket.socket, conduct: Conduct) -> None:
        if self._is_over:
            reset(conn)
            return
        self._live[conn] = _Echo(conn, is_discarding=conduct == "accept_close")
        if conduct == "accept_close":
            with suppress(OSError):
                conn.shutdown(socket.SHUT_WR)
        if conduct != "accept_silent":
            self._turn(conn)

    def _turn(self, conn: socket.socket) -> None:
        echo = self._live.get(conn)
        if echo is None:
            return
        try:
            events = echo.turn()
        except OSError:
            # A client that resets, or that does not like the certificate.
            self._end(conn)
            return
        if events:
            self._worker.watch(conn, events, partial(self._turn, conn))
        else:
            self._end(conn)

    def _end(self, conn: socket.socket) -> None:
        del self._live[conn]
        self._worker.unwatch(conn)
        conn.close()

    def reset_all(self) -> None:
        """Reset every connection that lives; in the worker, or after its end."""
        while self._live:
            conn, _ = self._live.popitem()
            self._worker.unwatch(conn)
            reset(conn)

    def close(self) -> None:
        """Reset every connection that lives, or is accepted from now on."""
        self._is_over = True
        self.reset_all()


class _Echo:
    """What one connection has said and not yet heard back."""

    def __init__(self, conn: socket.socket, *, is_discarding: bool) -> None:
        self._conn = conn
        self._is_discarding = is_discarding
        self._is_at_end = False
        self._pending = bytearray()

    def turn(self) -> int:
        """Do what can be done now, and return the events to wait for; 0 at the end.

        Raises:
            OSError: The connection is of no use any more.
        """
        # A TLS socket can hold decrypted data with nothing to poll for: read on
        # until it says that it has to wait.
        event = 0
        while not event:
            event = self._read()
            if wanted := self._write():
                return event | wanted
            if self._is_at_end:
                self._say_end()
                return 0
        return event

    def _read(self) -> int:
        while not self._is_at_end and len(self._pending) < _MOST_PENDING:
            try:
                data = self._conn.recv(1 << 16)
            except ssl.SSLWantWriteError:
                return selectors.EVENT_WRITE
            except _LATER:
                return selectors.EVENT_READ
            self._is_at_end = not data
            if not self._is_discarding:
                self._pending += data
        return 0

    def _write(self) -> int:
        while self._pending:
            try:
                sent = self._conn.send(self._pending)
            except ssl.SSLWantReadError:
                return selectors.EVENT_READ
            except _LATER:
                return selectors.EVENT_WRITE
            del self._pending[:sent]
        return 0

    def _say_end(self) -> None:
        if isinstance(self._conn, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                self._conn.unwrap()


@contextmanager
def serving(worker: Worker) -> Generator[Connections]:
    """Give the connections of a server, and reset those that live at exit."""
    connections = Connections(worker)
    try:
        yield connections
    finally:
        done = threading.Event()
        worker.call_soon(connections.close)
        worker.call_soon(done.set)
        done.wait(10.0)

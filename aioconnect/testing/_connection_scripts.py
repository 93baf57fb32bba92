"""Treat accepted connections as a server's script says.

Only this module reads from and writes to connections.  It runs in a server's thread
and owns every connection that it takes over.
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

from ._ports import close_with_reset, register_server_socket
from ._server_thread import ServerThread

__all__ = ["ConnectionScript", "ScriptedConnections", "scripted_connections"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

ConnectionScript: TypeAlias = Literal[
    "accept", "accept_close", "accept_silent", "reset"
]

# A client that writes and does not read has to wait while this many bytes are pending.
_MAX_PENDING = 1 << 18

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ScriptedConnections:
    """The connections of one server: a count of all, and those that are open."""

    def __init__(self, thread: ServerThread) -> None:
        self._thread = thread
        self._is_closed = False
        self._open_connections: dict[socket.socket, _EchoConnection] = {}
        self._count_changed = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """The number of connections accepted so far."""
        return self._count

    def wait_for(self, count: int, timeout: float) -> None:
        """Wait until *count* connections have been accepted, in all.

        Raises:
            TimeoutError: Fewer were accepted within *timeout* seconds.
        """
        with self._count_changed:
            if not self._count_changed.wait_for(lambda: self._count >= count, timeout):
                raise TimeoutError(
                    f"{self._count} connections within {timeout:g} s, not {count}"
                )

    def serve(self, conn: socket.socket, script: ConnectionScript) -> None:
        """Take *conn* over and treat it as *script* says.  Thread-safe.

        ``accept`` echoes.  ``accept_close`` ends its side at once and discards what
        comes.  ``accept_silent`` neither reads nor writes.  ``reset`` resets.
        """
        register_server_socket(conn)
        conn.setblocking(False)
        if script == "reset":
            close_with_reset(conn)
        else:
            self._thread.call_soon(partial(self._start, conn, script))
        with self._count_changed:
            self._count += 1
            self._count_changed.notify_all()

    def _start(self, conn: socket.socket, script: ConnectionScript) -> None:
        if self._is_closed:
            close_with_reset(conn)
            return
        self._open_connections[conn] = _EchoConnection(
            conn, is_discarding=script == "accept_close"
        )
        if script == "accept_close":
            with suppress(OSError):
                conn.shutdown(socket.SHUT_WR)
        if script != "accept_silent":
            self._echo(conn)

    def _echo(self, conn: socket.socket) -> None:
        echo = self._open_connections.get(conn)
        if echo is None:
            return
        try:
            events = echo.exchange()
        except OSError:
            # The client has reset the connection, or rejected the certificate.
            self._close(conn)
            return
        if events:
            self._thread.watch(conn, events, partial(self._echo, conn))
        else:
            self._close(conn)

    def _close(self, conn: socket.socket) -> None:
        del self._open_connections[conn]
        self._thread.unwatch(conn)
        conn.close()

    def reset_all(self) -> None:
        """Reset every open connection.

        Call this in the server's thread, or after that thread has ended.
        """
        while self._open_connections:
            conn, _ = self._open_connections.popitem()
            self._thread.unwatch(conn)
            close_with_reset(conn)

    def close(self) -> None:
        """Reset every open connection, and each that is accepted from now on."""
        self._is_closed = True
        self.reset_all()


class _EchoConnection:
    """One connection, and the bytes from it that were not echoed yet."""

    def __init__(self, conn: socket.socket, *, is_discarding: bool) -> None:
        self._conn = conn
        self._is_discarding = is_discarding
        self._is_at_end = False
        self._pending = bytearray()

    def exchange(self) -> int:
        """Read and write what is possible now; return the events to wait for next.

        Return 0 when the connection has ended.

        Raises:
            OSError: The connection has failed.
        """
        # A TLS socket can hold decrypted data that no poller reports.  Read on until
        # the socket says that it would block.
        event = 0
        while not event:
            event = self._read()
            if wanted := self._write():
                return event | wanted
            if self._is_at_end:
                self._send_close_notify()
                return 0
        return event

    def _read(self) -> int:
        while not self._is_at_end and len(self._pending) < _MAX_PENDING:
            try:
                data = self._conn.recv(1 << 16)
            except ssl.SSLWantWriteError:
                return selectors.EVENT_WRITE
            except _WOULD_BLOCK:
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
            except _WOULD_BLOCK:
                return selectors.EVENT_WRITE
            del self._pending[:sent]
        return 0

    def _send_close_notify(self) -> None:
        if isinstance(self._conn, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                self._conn.unwrap()


@contextmanager
def scripted_connections(thread: ServerThread) -> Generator[ScriptedConnections]:
    """Yield the connections of a server, and reset the open ones at exit."""
    connections = ScriptedConnections(thread)
    try:
        yield connections
    finally:
        done = threading.Event()
        thread.call_soon(connections.close)
        thread.call_soon(done.set)
        done.wait(10.0)

"""Send octets to a proxy and receive its own: over a socket, or over a transport."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol

from .._io.fd_watchers import is_readable
from .._io.timers import wait_until_done
from ._proxy_forwarder import Forwarder

__all__ = ["Channel", "SocketChannel", "TransportChannel"]

# How many octets a peer may send before someone asks for them.
_MOST_UNREAD = 2**16


class Channel(Protocol):
    """A connection to a proxy, for its handshake."""

    def send(self, data: bytes) -> None:
        """Send *data*, for which there is always room.

        The data is small, and the proxy has answered everything sent before.
        """

    async def recv(self, max_size: int, *, peek: bool) -> bytes | None:
        """Return up to *max_size* octets, and keep them with *peek*.

        The result is empty at the end of the stream, and None at the deadline.
        """


class SocketChannel:
    """A channel over the non-blocking *sock* until *deadline*, on the loop's clock."""

    __slots__ = ("_deadline", "_loop", "_sock")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        deadline: float | None,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._deadline = deadline

    def send(self, data: bytes) -> None:
        """Send *data*: see `Channel`."""
        try:
            while data:
                data = data[self._sock.send(data) :]
        finally:
            del data  # a traceback must not show it

    async def recv(self, max_size: int, *, peek: bool) -> bytes | None:
        """Receive: see `Channel`."""
        flags = socket.MSG_PEEK if peek else 0
        while True:
            try:
                return self._sock.recv(max_size, flags)
            except BlockingIOError:
                pass
            if not await is_readable(self._loop, self._sock, self._deadline):
                return None


class TransportChannel(asyncio.Protocol):
    """A channel over a transport, until a protocol of the caller's takes it over.

    The data that has come by then goes to that protocol.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float | None) -> None:
        self._loop = loop
        self._deadline = deadline
        self._unread = bytearray()
        self._has_ended = self._has_eof = False
        self._is_lost = False
        self._error: Exception | None = None
        self._successor: Forwarder | None = None
        self._waiter: asyncio.Future[None] | None = None
        # With TLS, uvloop's is no `asyncio.Transport`.
        self.transport: Any = None

    @property
    def has_unread(self) -> bool:
        """Whether there is data that nobody has received."""
        return bool(self._unread)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._has_ended or self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep the data."""
        self._unread += data
        if len(self._unread) > _MOST_UNREAD and self.transport is not None:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note the end of the stream: the transport closes itself."""
        self._has_ended = self._has_eof = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection, or tell the protocol that has it by now."""
        if self._successor is not None:
            # uvloop has chosen the protocol to tell before it was replaced.
            self._successor.connection_lost(exc)
            return
        self._has_ended = self._is_lost = True
        self._error = exc
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def send(self, data: bytes) -> None:
        """Send *data*: see `Channel`."""
        try:
            if self._has_ended:
                raise BrokenPipeError
            self.transport.write(data)
        finally:
            del data  # a traceback must not show it

    async def recv(self, max_size: int, *, peek: bool) -> bytes | None:
        """Receive: see `Channel`."""
        while not (self._unread or self._has_ended):
            self._waiter = self._loop.create_future()
            if not await wait_until_done(self._loop, self._waiter, self._deadline):
                return None
        if not self._unread and isinstance(self._error, OSError):
            raise self._error
        data = bytes(self._unread[:max_size])
        if not peek:
            del self._unread[:max_size]
        return data

    def hand_to(self, protocol: Any) -> None:
        """Give the transport, and all that has happened to it, to *protocol*."""
        transport = self.transport
        self._successor = successor = Forwarder(
            self._loop, transport, protocol, self._unread
        )
        if not self._is_lost:
            transport.set_protocol(protocol)
        # Data comes in the next turn of the loop at the earliest.
        transport.resume_reading()
        protocol.connection_made(transport)
        successor.has_eof = self._has_eof
        if self._is_lost:
            successor.connection_lost(self._error)
        else:
            successor.forward()

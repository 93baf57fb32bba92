"""Talk with a peer over what a connecting function returns, and leave that open.

A connection is a socket, a reader and a writer, or a transport and its protocol.  Its
owner is the caller, before and after.  Each receive is bounded, and so is the sum.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

from .._sansio.text import safe_repr
from .fd_watchers import is_readable
from .timers import Waiter, wake

__all__ = ["MOST_RECEIVED", "Channel", "TLSChannel", "TooMuchReceivedError", "channel"]

T = TypeVar("T")

# In bytes: what is read of a peer, at most, TLS handshake included.
MOST_RECEIVED = 65536

_CHUNK = 16384


class TooMuchReceivedError(Exception):
    """The peer has sent more than `MOST_RECEIVED` bytes."""


class Channel(Protocol):
    """A way to send and to receive."""

    @property
    def peername(self) -> object:
        """The socket address of the peer, or None if it is not known."""

    async def send(self, data: bytes) -> None:
        """Send *data*.  Raises `OSError` if the connection has failed."""

    async def receive(self) -> bytes:
        """Return the next bytes, or none at the end of the stream.

        Raises:
            OSError: The connection has failed.
            TooMuchReceivedError: The limit is reached.
        """
        ...


@contextlib.contextmanager
def channel(connection: tuple[Any, ...]) -> Generator[Channel]:
    """Yield a channel over *connection*: what a function ``ready`` gets.

    A transport's protocol gets its events again afterwards.

    Raises:
        TypeError: *connection* is something else.
    """
    match connection:
        case (asyncio.StreamReader() as reader, asyncio.StreamWriter() as writer):
            yield _StreamsChannel(reader, writer)
        case (transport, protocol) if hasattr(transport, "set_protocol"):
            collector = _Collector(transport, protocol)
            try:
                yield _TransportChannel(transport, collector)
            finally:
                collector.give_back()
        case (sock,) if hasattr(sock, "recv") and hasattr(sock, "fileno"):
            yield _SocketChannel(sock)
        case _:
            given = ", ".join(map(safe_repr, connection))
            raise TypeError(
                "a check takes a socket, a reader and a writer, or a transport and a"
                f" protocol, not ({given})"
            )


class _Allowance:
    """How many bytes may still be received."""

    def __init__(self) -> None:
        self._left = MOST_RECEIVED

    def next_size(self) -> int:
        """Return how many bytes to ask for."""
        if not self._left:
            raise TooMuchReceivedError
        return min(_CHUNK, self._left)

    def spend(self, data: bytes) -> bytes:
        """Count *data*, and return it."""
        self._left -= len(data)
        return data


class _SocketChannel:
    """A channel over a non-blocking socket."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._allowance = _Allowance()

    @property
    def peername(self) -> object:
        return self._sock.getpeername()

    async def send(self, data: bytes) -> None:
        # The buffer of a new connection is empty, so this does not have to wait.
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        size = self._allowance.next_size()
        while True:
            try:
                return self._allowance.spend(self._sock.recv(size))
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await is_readable(loop, self._sock, None)


class _StreamsChannel:
    """A channel over asyncio's streams."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._allowance = _Allowance()

    @property
    def peername(self) -> object:
        return self._writer.get_extra_info("peername")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        size = self._allowance.next_size()
        return self._allowance.spend(await self._reader.read(size))


class _Collector(asyncio.Protocol):
    """The protocol of *transport* for a while, in place of *owner*.

    It keeps what comes.  *owner* learns of the end of the stream all the same.
    """

    def __init__(self, transport: Any, owner: Any) -> None:
        self._transport = transport
        self._owner = owner
        self._data = bytearray()
        self._waiter: Waiter | None = None
        self._has_ended = False
        self._error: Exception | None = None
        transport.set_protocol(self)

    def give_back(self) -> None:
        """Make *owner* the protocol again."""
        if not self._has_ended:
            self._transport.set_protocol(self._owner)

    async def take(self, size: int) -> bytes:
        """Return up to *size* bytes, or none at the end of the stream."""
        while not (self._data or self._has_ended):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = bytes(self._data[:size])
        del self._data[:size]
        if not data and self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return data

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._wake()

    def eof_received(self) -> bool | None:
        self._has_ended = True
        self._transport.set_protocol(self._owner)
        self._wake()
        keeps_open: bool | None = self._owner.eof_received()
        return keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_ended, self._error = True, exc
        self._wake()
        self._owner.connection_lost(exc)

    def _wake(self) -> None:
        if self._waiter is not None:
            wake(self._waiter, False)


class _TransportChannel:
    """A channel over a transport, whose protocol is *collector* meanwhile."""

    def __init__(self, transport: Any, collector: _Collector) -> None:
        self._transport = transport
        self._collector = collector
        self._allowance = _Allowance()

    @property
    def peername(self) -> object:
        return self._transport.get_extra_info("peername")

    async def send(self, data: bytes) -> None:
        self._transport.write(data)

    async def receive(self) -> bytes:
        size = self._allowance.next_size()
        return self._allowance.spend(await self._collector.take(size))


class TLSChannel:
    """TLS over the channel *inner*: call `shake_hands` before anything else."""

    def __init__(
        self, inner: Channel, context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        self._inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )

    @property
    def peername(self) -> object:
        return self._inner.peername

    async def shake_hands(self) -> None:
        """Make the TLS handshake.

        Raises:
            OSError: It failed; an `ssl.SSLError` if TLS did.
        """
        await self._exchange(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        await self._exchange(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        # The end of the stream is an error of TLS, which says so.
        return await self._exchange(lambda: self._tls.read(_CHUNK))

    async def _exchange(self, step: Callable[[], T]) -> T:
        """Return the result of *step*, after sending and receiving what it needs."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                if data := await self._inner.receive():
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._inner.send(data)

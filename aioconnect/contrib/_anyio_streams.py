"""Wrap a connected socket in anyio's own streams, and shake hands over them.

Only this module knows who owns the socket meanwhile: see `to_stream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass

from anyio import BrokenResourceError, CancelScope, EndOfStream
from anyio.abc import (
    AnyByteStream,
    ByteStream,
    SocketStream,
    UNIXSocketStream,
)
from anyio.streams.tls import TLSStream

from .._io.socket_ownership import Handover, await_creation, closes_sockets
from .._io.sockets import system_error
from .._io.tls import server_name
from .._io.transports import Wrap
from .._sansio.errors import AttemptError, AttemptExpired, os_error

__all__ = [
    "StreamTransport",
    "StreamWrap",
    "TLSHandshake",
    "abort",
    "to_stream",
    "underlying_error",
]

_UNEXPECTED_EOF = "UNEXPECTED_EOF_WHILE_READING"


@dataclass(frozen=True, slots=True)
class TLSHandshake:
    """A TLS handshake: the arguments of `TLSStream.wrap`.

    *hostname* may have any form that a URL or a resolver accepts: see `server_name`.
    """

    context: ssl.SSLContext
    hostname: str | None
    is_standard_compatible: bool

    async def over(self, stream: AnyByteStream) -> TLSStream:
        """Shake hands over *stream*, which the caller still owns if this raises."""
        name = self.hostname
        return await TLSStream.wrap(
            stream,
            server_side=False,
            hostname=None if name is None else server_name(name),
            ssl_context=self.context,
            standard_compatible=self.is_standard_compatible,
        )


class StreamTransport:
    """The methods of a transport that this package calls, for an anyio stream."""

    __slots__ = ("_sock", "_stream")

    def __init__(self, stream: SocketStream, sock: socket.socket) -> None:
        self._stream = stream
        # The loop closes the socket with the transport; uvloop's transport then
        # forgets it.
        self._sock = sock

    def is_closing(self) -> bool:
        """Tell whether the socket is closed."""
        return self._sock.fileno() == -1

    def abort(self) -> None:
        """Close the stream at once."""
        abort(self._stream)


class StreamWrap(Wrap[tuple[StreamTransport, ByteStream]]):
    """Makes an anyio stream, with a *handshake* if that is not None."""

    def __init__(self, handshake: TLSHandshake | None) -> None:
        self._handshake = handshake
        self.has_handshake = handshake is not None

    def __call__(
        self, handover: Handover
    ) -> Awaitable[tuple[StreamTransport, ByteStream]]:
        """Return the stream, and a transport to abort it: see `to_stream`."""
        return to_stream(handover, self._handshake)


async def to_stream(
    handover: Handover, handshake: TLSHandshake | None
) -> tuple[StreamTransport, ByteStream]:
    """Return an anyio stream over the connected socket, and a transport to abort it.

    This function takes the ownership of the socket, even if it raises.

    Raises:
        AttemptError: The handshake failed, or the loop made no stream.
        AttemptExpired: The handshake had not ended at the deadline.
    """
    sock, tell = handover.sock, handover.tell
    stream = await _socket_stream(handover.loop, sock)
    transport = StreamTransport(stream, sock)
    if handshake is None:
        return transport, stream
    try:
        if tell is not None:
            tell("tls")
        return transport, await _with_handshake(handshake, stream, handover.deadline)
    except BaseException:
        transport.abort()
        raise


async def _socket_stream(
    loop: asyncio.AbstractEventLoop, sock: socket.socket
) -> SocketStream:
    kind = UNIXSocketStream if sock.family == socket.AF_UNIX else SocketStream
    loop_closes_socket = closes_sockets(loop)
    stream: SocketStream | None = None
    try:
        creation = kind.from_socket(sock)
        stream = await (
            creation if loop_closes_socket else await_creation(creation, abort)
        )
        _pause_reading(stream)
        return stream
    except ValueError:
        # from_socket raises this for a connection that has been reset meanwhile.
        failure = AttemptError("adopt", system_error(errno.ECONNRESET))
    except OSError as exc:
        failure = AttemptError("adopt", exc)
    except (asyncio.CancelledError, GeneratorExit):
        if not loop_closes_socket:
            sock.detach()  # a transport exists by now, and owns the descriptor
        raise
    finally:
        if stream is None:
            sock.close()
    try:
        # Raised in an except block, the failure would get the original error as its
        # context, which keeps these frames alive.
        raise failure
    finally:
        del failure


def _pause_reading(stream: SocketStream) -> None:
    """Let *stream* read nothing until its user does, as after anyio's own connect.

    A stream made by ``from_socket`` reads at once, and without a limit.  anyio has no
    public access to the transport.
    """
    transport: asyncio.ReadTransport | None = getattr(stream, "_transport", None)
    if transport is not None and not transport.is_closing():
        transport.pause_reading()


async def _with_handshake(
    handshake: TLSHandshake, stream: SocketStream, deadline: float | None
) -> TLSStream:
    failure: AttemptError
    try:
        with CancelScope(deadline=math.inf if deadline is None else deadline):
            return await handshake.over(stream)
        error = os_error(errno.ETIMEDOUT, "the handshake has not ended yet")
        failure = AttemptExpired("tls", error)
    except (OSError, BrokenResourceError, EndOfStream) as exc:
        failure = AttemptError("tls", underlying_error(exc))
    try:
        raise failure
    finally:
        del failure


def underlying_error(exc: Exception) -> OSError:
    """Return the error of the system or of TLS behind the error of a stream.

    If the peer has gone, TLS may report an end that violates the protocol, and anyio
    may report the end of the stream.  Both become ECONNRESET here.
    """
    cause = exc if isinstance(exc, OSError) else exc.__cause__
    if isinstance(cause, OSError) and not _is_unexpected_eof(cause):
        return cause
    return os_error(errno.ECONNRESET, "the peer has closed the connection")


def _is_unexpected_eof(error: OSError) -> bool:
    # With OpenSSL 3, Python before 3.11.4 does not raise SSLEOFError for this.
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLEOFError) or reason == _UNEXPECTED_EOF


def abort(stream: ByteStream) -> None:
    """Close a socket stream, or a TLS stream without its closing handshake, at once.

    This also runs in coroutines that are being closed, which must not await.  Therefore
    it drives ``aclose()`` by hand, which only lets the loop run between its steps.
    """
    closing = stream.aclose()
    with contextlib.closing(closing), contextlib.suppress(StopIteration):
        for _ in range(_MAX_CLOSING_STEPS):
            closing.send(None)


# anyio 4.10 closes the transport in one iteration of the loop and aborts it in the
# next.  Later versions abort it at once.
_MAX_CLOSING_STEPS = 3

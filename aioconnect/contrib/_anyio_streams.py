"""Make anyio's own streams of a connected socket, and shake hands over them.

Only this module knows who owns the socket meanwhile: see `to_stream`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
import socket
import ssl
from dataclasses import dataclass

from anyio import BrokenResourceError, CancelScope, EndOfStream
from anyio.abc import (
    AnyByteStream,
    ByteStream,
    SocketStream,
    UNIXSocketStream,
)
from anyio.streams.tls import TLSStream

from .._io.socket_ownership import await_creation, closes_sockets
from .._io.sockets import system_error
from .._io.tls import server_name
from .._io.transports import OnPhase
from .._sansio.errors import AttemptError, AttemptExpired, os_error

__all__ = ["Handshake", "StreamTransport", "abort", "reason_of", "to_stream"]

_UNEXPECTED_EOF = "UNEXPECTED_EOF_WHILE_READING"


@dataclass(frozen=True, slots=True)
class Handshake:
    """A TLS handshake to make: the arguments of `TLSStream.wrap`.

    The *hostname* may be written as a URL or a resolver takes it: see `server_name`.
    """

    context: ssl.SSLContext
    hostname: str | None
    is_standard: bool

    async def over(self, stream: AnyByteStream) -> TLSStream:
        """Shake hands over *stream*, which stays the caller's when this raises."""
        name = self.hostname
        return await TLSStream.wrap(
            stream,
            server_side=False,
            hostname=None if name is None else server_name(name),
            ssl_context=self.context,
            standard_compatible=self.is_standard,
        )


class StreamTransport:
    """What the package asks of a transport, of one that an anyio stream has."""

    __slots__ = ("_sock", "_stream")

    def __init__(self, stream: SocketStream, sock: socket.socket) -> None:
        self._stream = stream
        # The loops close it with the transport; uvloop's forgets it then.
        self._sock = sock

    def is_closing(self) -> bool:
        """Tell whether the socket is closed."""
        return self._sock.fileno() == -1

    def abort(self) -> None:
        """Close the stream at once."""
        abort(self._stream)


async def to_stream(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    deadline: float | None,
    /,
    *,
    handshake: Handshake | None,
    owned: bool = True,  # noqa: ARG001  # it always is
    tell: OnPhase | None = None,
) -> tuple[StreamTransport, ByteStream]:
    """Return anyio's stream over the connected *sock*, and what closes it at once.

    The socket is given away, whatever happens.

    Raises:
        AttemptError: The handshake, or the loop, failed.
        Expired: The handshake had not ended at *deadline*.
    """
    stream = await _wrapped(loop, sock)
    transport = StreamTransport(stream, sock)
    if handshake is None:
        return transport, stream
    try:
        if tell is not None:
            tell("tls")
        return transport, await _shaken(handshake, stream, deadline)
    except BaseException:
        transport.abort()
        raise


async def _wrapped(
    loop: asyncio.AbstractEventLoop, sock: socket.socket
) -> SocketStream:
    kind = UNIXSocketStream if sock.family == socket.AF_UNIX else SocketStream
    is_told = closes_sockets(loop)
    stream: SocketStream | None = None
    try:
        making = kind.from_socket(sock)
        stream = await (making if is_told else await_creation(making, abort))
        _pause(stream)
        return stream
    except ValueError:
        # So says from_socket of one that was connected, and has been reset since.
        failure = AttemptError("adopt", system_error(errno.ECONNRESET))
    except OSError as exc:
        failure = AttemptError("adopt", exc)
    except (asyncio.CancelledError, GeneratorExit):
        if not is_told:
            sock.detach()  # what was waited for is a transport, which has it
        raise
    finally:
        if stream is None:
            sock.close()
    try:
        # Not above: the error would be its context, and hold these frames.
        raise failure
    finally:
        del failure


def _pause(stream: SocketStream) -> None:
    """Have *stream* read nothing until it is asked to, as anyio's own connect does.

    That of from_socket reads whatever comes before that, and without an end; anyio has
    no public way to the transport.
    """
    transport: asyncio.ReadTransport | None = getattr(stream, "_transport", None)
    if transport is not None and not transport.is_closing():
        transport.pause_reading()


async def _shaken(
    handshake: Handshake, stream: SocketStream, deadline: float | None
) -> TLSStream:
    failure: AttemptError
    try:
        with CancelScope(deadline=math.inf if deadline is None else deadline):
            return await handshake.over(stream)
        error = os_error(errno.ETIMEDOUT, "the handshake has not ended yet")
        failure = AttemptExpired("tls", error)
    except (OSError, BrokenResourceError, EndOfStream) as exc:
        failure = AttemptError("tls", reason_of(exc))
    try:
        raise failure
    finally:
        del failure


def reason_of(exc: Exception) -> OSError:
    """Return the error of the system, or of TLS, that an error of a stream stands for.

    TLS may say of a peer that has gone that its end is against the protocol; anyio,
    that it is the end of the stream.
    """
    cause = exc if isinstance(exc, OSError) else exc.__cause__
    if isinstance(cause, OSError) and not _is_end(cause):
        return cause
    return os_error(errno.ECONNRESET, "the peer has closed the connection")


def _is_end(error: OSError) -> bool:
    # With OpenSSL 3, Python before 3.11.4 has no class of its own for it.
    reason = getattr(error, "reason", None)
    return isinstance(error, ssl.SSLEOFError) or reason == _UNEXPECTED_EOF


def abort(stream: ByteStream) -> None:
    """Close *stream* at once: one of a socket, or of TLS without a closing handshake.

    Its ``aclose()`` is driven by hand, as a coroutine that is closed half-way must not
    wait: it does no more than to let the loop run in between.
    """
    closing = stream.aclose()
    with contextlib.closing(closing), contextlib.suppress(StopIteration):
        for _ in range(_CLOSING_STEPS):
            closing.send(None)


# anyio 4.10 closes in one iteration of the loop and aborts in the next; later ones
# abort at once.
_CLOSING_STEPS = 3

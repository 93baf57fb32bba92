"""Hand a connected socket to the loop: as a transport with its protocol, or streams.

The caller owns the socket until the protocol exists.  Then a transport does, and the
loop closes it, also after a cancellation or a failed handshake (K5): see
`socket_ownership`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast

from .._sansio.errors import AttemptError, AttemptExpired, os_error
from .._sansio.text import safe_repr
from .fd_watchers import forget_watchers
from .socket_ownership import (
    Factory,
    Handover,
    await_creation,
    check_protocol,
    closes_sockets,
)
from .sockets import system_error
from .timers import TIMER_TOLERANCE
from .tls import TLSOptions

__all__ = [
    "LIMIT",
    "Streams",
    "StreamsWrap",
    "TransportWrap",
    "Wrap",
    "create_transport",
    "discard_connection",
    "transport_failure",
]

T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound=asyncio.BaseProtocol)

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# As `sock.family`, which makes an enum of the number: that takes eight times as long.
_family_of = socket.SocketType.family.__get__

# The default of asyncio's streams, in bytes.
LIMIT = 2**16


class Wrap(ABC, Generic[T_co]):
    """Turns a connected socket into something else.

    If it *has_handshake*, the peer takes part, and may fail.
    """

    has_handshake = False

    @abstractmethod
    def __call__(self, handover: Handover) -> Awaitable[Any]:
        """Return what the socket of *handover* becomes, as `create_transport` does.

        If it may lose a race, return a first form of the connection, which goes to
        `adopt` or to `discard_connection`.
        """

    def may_win(self, connection: Any) -> bool:  # noqa: ARG002  # subclasses need it
        """Tell whether *connection*, which is usable, can be the winner's."""
        return True

    async def adopt(
        self,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002  # subclasses need it
        connection: Any,
        deadline: float | None,  # noqa: ARG002  # the same
    ) -> T_co:
        """Return the connection of which *connection* is the first form: it has won."""
        return connection  # type: ignore[no-any-return]  # it is what the call returns


class StreamsWrap(Wrap[Streams]):
    """Makes asyncio's streams, whose reader buffers *limit* bytes.

    *limit* is checked here, before anything is open.
    """

    def __init__(self, limit: int, tls: TLSOptions) -> None:
        given: object = limit
        if not isinstance(given, int) or isinstance(given, bool):
            raise TypeError(f"limit must be an int, not {safe_repr(limit)}")
        if limit <= 0:
            text = f"limit must be more than 0 bytes, not {safe_repr(limit)}"
            raise ValueError(text)
        self.limit = limit
        self.tls = tls
        self.has_handshake = bool(tls.ssl)

    def __call__(self, handover: Handover) -> Awaitable[Streams]:
        """Return the streams, as `create_transport` does.  If they lose: close them."""
        loop = handover.loop
        reader = asyncio.StreamReader(limit=self.limit, loop=loop)
        factory = partial(asyncio.StreamReaderProtocol, reader, loop=loop)
        return create_transport(handover, factory, self.tls, reader)


class TransportWrap(Wrap[tuple[asyncio.Transport, P]]):
    """Makes a transport, and the protocol of *factory*: see `create_transport`."""

    def __init__(self, factory: Factory[P], tls: TLSOptions) -> None:
        self.factory = factory
        self.tls = tls
        self.has_handshake = bool(tls.ssl)
        # The first whose handshake was done, in a race.
        self.winner: PlaceholderProtocol[P] | None = None

    def __call__(self, handover: Handover) -> Awaitable[Any]:
        """Return the transport and the protocol.

        If they may lose, return the transport and a placeholder; without TLS, the
        socket.
        """
        if handover.may_lose:
            return self._with_placeholder(handover)
        return create_transport(handover, self.factory, self.tls)

    async def _with_placeholder(self, handover: Handover) -> Any:
        if not self.tls.ssl:
            return handover.sock
        placeholder = PlaceholderProtocol(self)
        try:
            return await create_transport(handover, lambda: placeholder, self.tls)
        except BaseException:
            if self.winner is placeholder:
                self.winner = None
            if placeholder.error is None:
                raise
        # Not inside the except block, as in `create_transport`.
        raise placeholder.take_error()

    def may_win(self, connection: Any) -> bool:
        """Tell whether *connection* can be the winner's: only one gets a protocol."""
        if self.winner is None or isinstance(connection, socket.socket):
            return True
        _, placeholder = connection
        return placeholder is self.winner

    async def adopt(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Any,
        deadline: float | None,
    ) -> tuple[asyncio.Transport, P]:
        """Return the transport and the factory's protocol."""
        if isinstance(connection, socket.socket):
            handover = Handover(loop, connection, deadline)
            made: tuple[asyncio.Transport, P] = await self(handover)
            return made
        transport, protocol = connection
        if not isinstance(protocol, PlaceholderProtocol):
            return transport, protocol
        placeholder = cast("PlaceholderProtocol[P]", protocol)
        if self.winner is None:  # the first to be ready has failed since
            if transport.is_closing():
                raise AttemptError("adopt", system_error(errno.ECONNRESET))
            self.winner = placeholder
            transport.resume_reading()
            placeholder.take_over()
        if placeholder.error is not None:
            raise placeholder.take_error()
        assert placeholder.protocol is not None
        return transport, placeholder.protocol


class PlaceholderProtocol(asyncio.Protocol, Generic[P]):
    """The protocol of a transport that may win a race, for the one that *wrap* makes.

    The first transport whose handshake is done wins.  It gets the protocol then and
    there, so that nothing which comes with the handshake is lost, and a protocol that
    pauses reading is obeyed.  The others read nothing any more.
    """

    def __init__(self, wrap: TransportWrap[P]) -> None:
        self._wrap = wrap
        # With TLS, uvloop's is no `asyncio.Transport`.
        self._transport: Any = None
        self.protocol: P | None = None
        self.error: Exception | None = None  # of the caller's code

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the first one win."""
        self._transport = transport
        if self._wrap.winner is None:
            self._wrap.winner = self
            self.take_over()
        else:
            self._transport.pause_reading()

    def take_over(self) -> None:
        """Give the transport to the factory's protocol."""
        try:
            protocol = self._wrap.factory()
            check_protocol(protocol)
            self._transport.set_protocol(protocol)
            protocol.connection_made(self._transport)
        except Exception as exc:  # the call raises it, and not the loop
            self.error = exc
            self._transport.abort()
        else:
            self.protocol = protocol

    def take_error(self) -> Exception:
        """Return the error to raise, and keep it no longer: it refers to frames."""
        error, self.error = self.error, None
        assert error is not None
        return error


async def create_transport(
    handover: Handover,
    factory: Factory[Any],
    tls: TLSOptions,
    reader: asyncio.StreamReader | None = None,
) -> Any:
    """Return a transport over the connected socket, and the *factory*'s protocol.

    With a *reader*, return streams.  This call takes the socket, and closes it when it
    fails, unless it is still the caller's.

    Raises:
        AttemptError: The handshake, or the loop, failed.
        AttemptExpired: The handshake had not ended at the deadline.
        NotImplementedError: The loop makes no transport of a connected socket.
    """
    loop, sock, deadline = handover.loop, handover.sock, handover.deadline
    arguments: dict[str, Any] = {}
    if tls.ssl:
        arguments = tls.arguments(None if deadline is None else deadline - loop.time())
    try:
        if tls.ssl:
            handover.shakes_hands()
        handover.make_protocol(factory)
        if handover.owned:
            forget_watchers(loop, sock.fileno())
        create: Any = loop.create_connection
        if closes_sockets(loop):
            # This one takes Unix sockets, too.
            creation = create(handover, sock=sock, **arguments)
        else:
            if _family_of(sock) == socket.AF_UNIX:
                create = loop.create_unix_connection
            creation = create(handover, sock=sock, **arguments)
            creation = await_creation(creation, discard_connection)
        transport, protocol = await creation
        if reader is None:
            return transport, protocol
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
    except BaseException as exc:
        handover.failed(exc)
        is_expected = isinstance(exc, (OSError, NotImplementedError))
        if handover.runs_callers_code or not is_expected:
            raise
        is_late = deadline is not None and loop.time() + TIMER_TOLERANCE >= deadline
        failure = transport_failure(exc, is_late, "tls" if tls.ssl else "adopt", loop)
    try:
        # Not inside the except block: asyncio's error would become its context, and
        # keep these frames alive.
        raise failure
    finally:
        del failure


def transport_failure(
    exc: BaseException, is_late: bool, phase: str, loop: asyncio.AbstractEventLoop
) -> Exception:
    """Return what to raise for *exc*, which *loop* has raised."""
    if not isinstance(exc, OSError):
        return NotImplementedError(
            f"{type(loop).__name__} has no create_connection(sock=...): it makes no"
            " transport of a connected socket.  aioconnect.connect returns the socket"
        )
    failure = AttemptError(phase, exc)  # takes the traceback away: a stream keeps *exc*
    if is_late and isinstance(exc, ConnectionAbortedError):
        error = os_error(errno.ETIMEDOUT, "the handshake has not ended yet")
        failure = AttemptExpired("tls", error)
    return failure


def discard_connection(connection: Any) -> None:
    """Close *connection*, a socket or the result of a `Wrap`: no caller gets it."""
    if isinstance(connection, socket.socket):
        connection.close()
        return
    first, second = connection
    transport = second.transport if isinstance(first, asyncio.StreamReader) else first
    with contextlib.suppress(RuntimeError):  # its loop is closed, and so is it
        transport.abort()

"""Hand a connected socket to the loop: as a transport with its protocol, or streams.

Only this module knows who owns the socket meanwhile (K5).  The caller owns it until the
protocol exists.  Then a transport does, and the loop closes it, also after a
cancellation or a failed handshake.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from .._sansio.errors import AttemptError, AttemptExpired, os_error
from .._sansio.text import safe_repr
from .fd_watchers import forget_watchers
from .socket_ownership import (
    abort_transport,
    await_creation,
    closes_sockets,
    file_identity,
)
from .timers import TIMER_TOLERANCE
from .tls import TLSOptions

__all__ = [
    "LIMIT",
    "Factory",
    "OnPhase",
    "Streams",
    "TrackedFactory",
    "Wrap",
    "check_limit",
    "create_streams",
    "create_transport",
    "discard_connection",
]

T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound=asyncio.BaseProtocol)

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Factory: TypeAlias = Callable[[], P]

# Is called with the name of each phase of the attempt that begins.
OnPhase: TypeAlias = Callable[[str], None]

# The default of asyncio's streams, in bytes.
LIMIT = 2**16


class Wrap(Protocol[T_co]):
    """Turn a connected socket into something else, as `create_streams` does."""

    def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        deadline: float | None,
        /,
        *,
        owned: bool = True,
        tell: OnPhase | None = None,
    ) -> Awaitable[T_co]: ...


class TrackedFactory(Generic[P]):
    """A protocol factory that remembers whether the loop has called it.

    After that call a transport exists, and owns the socket.
    """

    __slots__ = ("factory", "runs_callers_code", "was_called")

    def __init__(self, factory: Factory[P]) -> None:
        self.factory = factory
        self.was_called = False
        # Whether an error comes from the caller's own code, and not from the loop.
        self.runs_callers_code = False

    def __call__(self) -> P:
        self.runs_callers_code = True
        protocol = self.factory()
        _check_protocol(protocol)
        self.was_called, self.runs_callers_code = True, False
        return protocol

    def observe(self, on_phase: OnPhase, phase: str) -> None:
        """Call the caller's *on_phase* with *phase*."""
        self.runs_callers_code = True
        on_phase(phase)
        self.runs_callers_code = False


def _check_protocol(protocol: object) -> None:
    # The loop would notice after it has made the transport, or never.
    is_class = isinstance(protocol, type)
    if is_class or not callable(getattr(protocol, "connection_made", None)):
        text = f"protocol_factory must return a protocol, not {safe_repr(protocol)}"
        raise TypeError(text)


def check_limit(limit: object) -> None:
    """Check the limit of a reader's buffer, before anything is open."""
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit must be an int, not {safe_repr(limit)}")
    if limit <= 0:
        raise ValueError(f"limit must be more than 0 bytes, not {safe_repr(limit)}")


async def create_transport(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    deadline: float | None,
    *,
    factory: Factory[P],
    tls: TLSOptions,
    owned: bool = True,
    tell: OnPhase | None = None,
) -> tuple[asyncio.Transport, P]:
    """Return a transport over the connected *sock*, and the *factory*'s protocol.

    This call takes the socket, and closes it when it fails.  A socket that is not
    *owned* stays the caller's until a transport exists for it.  *tell* is called with
    the phase ``tls`` before a handshake.

    Raises:
        AttemptError: The handshake, or the loop, failed.
        AttemptExpired: The handshake had not ended at *deadline*.
    """
    arguments = tls.arguments(None if deadline is None else deadline - loop.time())
    tracked = TrackedFactory(factory)
    try:
        with _Handover(loop, sock, tracked, owned=owned):
            if tls.ssl and tell is not None:
                tracked.observe(tell, "tls")
            if owned:
                forget_watchers(loop, sock.fileno())
            return await _creation(loop, sock, tracked, arguments)
    except OSError as exc:
        if tracked.runs_callers_code:
            raise
        is_late = deadline is not None and loop.time() + TIMER_TOLERANCE >= deadline
        failure = _attempt_error(exc, is_late, "tls" if tls.ssl else "adopt")
    try:
        # Not inside the except block: asyncio's error would become its context, and
        # keep these frames alive.
        raise failure
    finally:
        del failure


class _Handover:
    """Give *sock* to the transport that the body makes, or close it.

    If the body fails after the protocol was made, a transport owns the socket.  A loop
    closes the transport of a handshake that failed; one whose call was cancelled is
    aborted here.
    """

    __slots__ = ("_identity", "_loop", "_owned", "_sock", "_tracked")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        tracked: TrackedFactory[Any],
        *,
        owned: bool,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._tracked = tracked
        self._owned = owned
        # Only for loops that close descriptors: their transport tells the socket
        # object nothing until the call that makes it returns.
        self._identity = None if closes_sockets(loop) else file_identity(sock)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, exc: BaseException | None, __: object) -> None:
        if not self._tracked.was_called:
            if self._owned:
                self._sock.close()
        elif exc is not None:
            try:
                if not isinstance(exc, OSError):
                    abort_transport(self._loop, self._sock, self._identity)
            finally:
                if self._identity is not None:
                    # At once: the object may be collected with this call, and would
                    # close the descriptor a second time.
                    self._sock.detach()


def _creation(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    factory: TrackedFactory[P],
    arguments: dict[str, Any],
) -> Awaitable[tuple[asyncio.Transport, P]]:
    """Return what to await for the transport that *loop* makes over *sock*."""
    create: Any = loop.create_connection
    if sock.family == socket.AF_UNIX:
        create = loop.create_unix_connection
    creation: Awaitable[Any] = create(factory, sock=sock, **arguments)
    if not closes_sockets(loop):
        creation = await_creation(creation, discard_connection)
    return creation


def _attempt_error(exc: OSError, is_late: bool, phase: str) -> AttemptError:
    failure = AttemptError(phase, exc)
    if is_late and isinstance(exc, ConnectionAbortedError):
        error = os_error(errno.ETIMEDOUT, "the handshake has not ended yet")
        failure = AttemptExpired("tls", error)
    return failure


async def create_streams(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    deadline: float | None,
    *,
    limit: int,
    tls: TLSOptions,
    owned: bool = True,
    tell: OnPhase | None = None,
) -> Streams:
    """Return asyncio's streams over the connected *sock*.

    *limit* is the reader's buffer limit, in bytes.  The rest is as for
    `create_transport`.
    """
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_transport(
        loop, sock, deadline, factory=lambda: protocol, tls=tls, owned=owned, tell=tell
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def discard_connection(connection: Any) -> None:
    """Close *connection*, a socket or the result of a `Wrap`: no caller gets it."""
    if isinstance(connection, socket.socket):
        connection.close()
        return
    first, second = connection
    transport = second.transport if isinstance(first, asyncio.StreamReader) else first
    with contextlib.suppress(RuntimeError):  # its loop is closed, and so is it
        transport.abort()

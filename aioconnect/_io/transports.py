"""Hand a connected socket to the loop: a transport with its protocol, or streams.

This module alone knows who owns the socket meanwhile (K5).  Until the protocol
exists it is the caller's; from then on a transport has it, and the loop closes
it whatever happens, on a cancellation and a failed handshake too.
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
from .socket_ownership import abort_transport, closes_sockets, identity_of, in_step
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

# Tells of a phase of the attempt that begins.
OnPhase: TypeAlias = Callable[[str], None]

# The default of asyncio's streams, in bytes.
LIMIT = 2**16


class Wrap(Protocol[T_co]):
    """Make something of a connected socket: `create_transport`, `create_streams`."""

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

    From then on there is a transport, and the socket is the transport's.
    """

    __slots__ = ("called", "factory", "is_running")

    def __init__(self, factory: Factory[P]) -> None:
        self.factory = factory
        self.called = self.is_running = False

    def __call__(self) -> P:
        self.is_running = True
        protocol = self.factory()
        _check_protocol(protocol)
        self.called, self.is_running = True, False
        return protocol


def _check_protocol(protocol: object) -> None:
    # The loop would find out with the transport made, or never.
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

    The socket is given away, whatever happens, unless it is not *owned*: then
    the caller keeps one that no transport was made for.

    Raises:
        AttemptError: The handshake, or the loop, failed.
        Expired: The handshake had not ended at *deadline*.
    """
    remaining = None if deadline is None else deadline - loop.time()
    once = TrackedFactory(factory)
    is_told = closes_sockets(loop)
    # Until the transport is returned, another loop's tells the socket nothing.
    identity = None if is_told else identity_of(sock)
    try:
        if tls.ssl and tell is not None:
            once.is_running = True  # as the factory, an observer is the caller's own
            tell("tls")
            once.is_running = False
        if owned:
            forget_watchers(loop, sock.fileno())
        create = _creation(loop, sock)
        creating = create(once, sock=sock, **tls.arguments(remaining))
        made: tuple[asyncio.Transport, P]
        made = await (creating if is_told else in_step(creating, discard_connection))
        identity = None  # the transport has the socket, and tells it
        return made
    except OSError as exc:
        if once.is_running:
            raise  # the caller's own
        late = deadline is not None and loop.time() + TIMER_TOLERANCE >= deadline
        failure = AttemptError("tls" if tls.ssl else "adopt", exc)
        if late and isinstance(exc, ConnectionAbortedError):
            error = os_error(errno.ETIMEDOUT, "the handshake has not ended yet")
            failure = AttemptExpired("tls", error)
    except BaseException:
        if once.called:
            abort_transport(loop, sock, identity)
        raise
    finally:
        if once.called and identity is not None:
            sock.detach()  # at once: it may be collected with this call
        elif owned and not once.called:
            sock.close()
    try:
        # Not above: asyncio's error would be its context, and hold these frames.
        raise failure
    finally:
        del failure


def _creation(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> Any:
    """Return the method of *loop* that makes a transport over *sock*."""
    is_unix = sock.family == socket.AF_UNIX
    return loop.create_unix_connection if is_unix else loop.create_connection


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
    """Return asyncio's streams over the connected *sock*, which is given away.

    *limit* is the reader's buffer limit, in bytes.  Raises what `create_transport`
    does.
    """
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_transport(
        loop, sock, deadline, factory=lambda: protocol, tls=tls, owned=owned, tell=tell
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def discard_connection(made: Any) -> None:
    """Close what was made of a socket and nobody will get."""
    if isinstance(made, socket.socket):
        made.close()
        return
    first, second = made
    transport = second.transport if isinstance(first, asyncio.StreamReader) else first
    with contextlib.suppress(RuntimeError):  # its loop is closed, and it with that
        transport.abort()

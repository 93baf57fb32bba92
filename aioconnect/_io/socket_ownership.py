"""Keep a socket object and a transport from both closing one descriptor.

Only this module knows how the loops differ.  asyncio's transports close the socket
object.  uvloop's close the descriptor.  They also tell the socket object, but they get
it only when the call that makes the transport succeeds (K5, K18).  Otherwise the socket
object has to be detached: when it is collected, it would close the same number again,
which may belong to another file by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import types
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, TypeAlias, TypeVar

from .._sansio.text import safe_repr

__all__ = [
    "Factory",
    "FileIdentity",
    "Handover",
    "OnPhase",
    "abort_transport",
    "await_creation",
    "check_protocol",
    "closes_sockets",
    "file_identity",
]

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)

Factory: TypeAlias = Callable[[], P]

# Is called with the name of each phase of the attempt that begins.
OnPhase: TypeAlias = Callable[[str], None]

# The device and the inode.
FileIdentity: TypeAlias = tuple[int, int]


def closes_sockets(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether the transports of *loop* close socket objects, not descriptors."""
    return isinstance(loop, asyncio.BaseEventLoop)


def file_identity(sock: socket.socket) -> FileIdentity | None:
    """Return a value that only the file behind the descriptor of *sock* has."""
    try:
        status = os.fstat(sock.fileno())
    except OSError:
        return None
    return status.st_dev, status.st_ino


def abort_transport(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    identity: FileIdentity | None,
) -> None:
    """Abort the transport of *loop* over *sock*, whose creation was cancelled.

    The loops close such a transport politely: it may go on with the handshake, or wait
    until the peer has read everything and said goodbye.  They return it to no caller.
    asyncio's loops find it by the descriptor's number.  On other loops this function
    shuts the connection down, if *sock* still has its *identity*.
    """
    transport = _transport(loop, sock)
    if transport is not None:
        transport.abort()
    elif identity is not None and file_identity(sock) == identity:
        with contextlib.suppress(OSError):  # the peer was faster
            sock.shutdown(socket.SHUT_RDWR)


def _transport(
    loop: asyncio.AbstractEventLoop, sock: socket.socket
) -> asyncio.Transport | None:
    """Return the transport that one of asyncio's loops has over *sock*."""
    transports: Mapping[int, asyncio.Transport] = getattr(loop, "_transports", {})
    return transports.get(sock.fileno())


@types.coroutine
def await_creation(
    creating: Awaitable[T], discard: Callable[[T], object]
) -> Generator[Any, Any, T]:
    """Await *creating*, which makes a transport of uvloop, so that it may be cancelled.

    uvloop connects the protocol in the next turn of the loop, and wakes the waiting
    call in the turn after that.  If the call ends before it is woken, uvloop closes the
    descriptor, and tells neither the protocol nor the socket object.  TLS goes on with
    its handshake: it keeps a timer for a minute, logs "Fatal error on SSL protocol",
    and leaves a future whose exception is never retrieved.  If the call ends before the
    protocol is connected, the process dies.

    So this function takes the next turn itself, and *creating* ends only once the
    protocol is connected.  If a transport is made although the call has ended,
    *discard* gets it.
    """
    steps = creating.__await__()
    try:
        connected = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # a generator's is Any
    # First one turn, by yielding None, then the future.
    for pending in (None, connected):
        if _has_result(connected):
            break
        try:
            yield pending
        except BaseException:
            if pending is None and _is_pending(connected):
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop = connected.get_loop()
                    loop.call_soon(_end, steps, connected, discard)
            else:
                _end(steps, connected, discard)
            raise
    return (yield from steps)


def _is_pending(future: object) -> bool:
    return asyncio.isfuture(future) and not future.done()


def _has_result(future: object) -> bool:
    return asyncio.isfuture(future) and future.done() and not future.cancelled()


def _end(
    steps: Generator[Any, Any, T], connected: object, discard: Callable[[T], object]
) -> None:
    """Close *steps* where they stand, after they have seen that *connected* is done."""
    # The caller gets the cancellation, and not an error of the call that it ended.
    with contextlib.suppress(Exception):
        try:
            if _has_result(connected):
                # With TLS, the next future is the handshake's.  The loop sets the
                # peer's error on it later, and would log that it was never retrieved.
                following = next(steps)
                if asyncio.isfuture(following):
                    following.cancel()
            steps.close()
        except StopIteration as stop:  # there was nothing more to wait for
            discard(stop.value)


def check_protocol(protocol: object) -> None:
    """Check what a protocol factory has returned.

    Raises:
        TypeError: It is no protocol.
    """
    # The loop would notice after it has made the transport, or never.
    is_class = isinstance(protocol, type)
    if is_class or not callable(getattr(protocol, "connection_made", None)):
        text = f"protocol_factory must return a protocol, not {safe_repr(protocol)}"
        raise TypeError(text)


class Handover:
    """A connected *sock*, on its way to the transport that *loop* makes over it.

    The handshakes end by *deadline*, on the loop's clock.  A socket that is not *owned*
    stays the caller's until there is a transport.  The connection *may_lose* a race.
    *tell* is called with each phase that begins.

    This is the protocol factory for the loop, too.  Call `make_protocol` before the
    loop is asked, and `failed` after an error.  Once the loop has called the factory, a
    transport owns the socket.
    """

    __slots__ = (
        "_identity",
        "_protocol",
        "deadline",
        "loop",
        "may_lose",
        "owned",
        "runs_callers_code",
        "sock",
        "tell",
        "was_called",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        deadline: float | None,
        *,
        owned: bool = True,
        may_lose: bool = False,
        tell: OnPhase | None = None,
    ) -> None:
        self.loop = loop
        self.sock = sock
        self.deadline = deadline
        self.owned = owned
        self.may_lose = may_lose
        self.tell = tell
        self.was_called = False
        # Whether an error comes from the caller's own code, and not from the loop.
        self.runs_callers_code = False
        self._protocol: asyncio.BaseProtocol | None = None
        self._identity: FileIdentity | None = None

    def make_protocol(self, factory: Callable[[], object]) -> None:
        """Call the caller's *factory*.

        asyncio closes the caller's socket if a factory raises inside the loop's call,
        since Python 3.14.8.
        """
        self.runs_callers_code = True
        protocol: Any = factory()
        if not isinstance(protocol, asyncio.BaseProtocol):
            check_protocol(protocol)
        self._protocol = protocol
        self.runs_callers_code = False

    def __call__(self) -> asyncio.BaseProtocol:
        self.was_called = True
        assert self._protocol is not None
        return self._protocol

    def shakes_hands(self) -> None:
        """Note that a TLS handshake follows, and tell."""
        if not closes_sockets(self.loop):
            # The loop's transport tells the socket object nothing before the handshake
            # has ended.
            self._identity = file_identity(self.sock)
        if self.tell is not None:
            self.runs_callers_code = True
            self.tell("tls")
            self.runs_callers_code = False

    def failed(self, exc: BaseException) -> None:
        """Close the socket after *exc*, unless it is still the caller's.

        A loop closes the transport of a handshake that failed; one whose call was
        cancelled is aborted here.  asyncio's loops may fail before they make one.
        """
        has_none = (
            closes_sockets(self.loop) and _transport(self.loop, self.sock) is None
        )
        if not self.was_called or has_none:
            if self.owned:
                self.sock.close()
            return
        try:
            if not isinstance(exc, OSError):
                abort_transport(self.loop, self.sock, self._identity)
        finally:
            if not closes_sockets(self.loop):
                # At once: the object may be collected with this call, and would close
                # the descriptor a second time.
                self.sock.detach()

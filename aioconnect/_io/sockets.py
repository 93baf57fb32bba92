"""Connect one socket to one address without blocking the event loop.

Only this module (and `outcome`, which asks) calls ``connect(2)``.  The layers
above decide which address to try and when, and wait for what is under way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from .._sansio.addresses import Address, SockAddr
from .._sansio.errors import AttemptError, os_error
from .._sansio.text import safe_repr
from . import connect_outcome as _outcome

__all__ = [
    "TCP_FASTOPEN_CONNECT",
    "UNDER_WAY",
    "Prepare",
    "SocketStateError",
    "check_open",
    "check_sock",
    "connect_again",
    "disable_fast_open",
    "is_pending",
    "open_and_connect",
    "refuse_self_connect",
    "start_connect",
    "system_error",
]

Prepare: TypeAlias = Callable[[socket.socket, Address], object]

# socket(2) takes both flags on Linux and the BSDs, so that the descriptor is
# never blocking and never inheritable; macOS has neither.
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_FLAGS = _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)

_INET = (socket.AF_INET, socket.AF_INET6)
_STREAM = socket.SOCK_STREAM

# The answers of connect(2) that mean "pending; ask again".  EAGAIN is absent on
# purpose: a Unix listener whose backlog is full gives it without having started
# anything; the socket polls writable with SO_ERROR 0 at once, and no event will
# tell when a slot is free (K1).  In other families it is a plain error.
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})
_ASK_AGAIN = frozenset({errno.EINTR, errno.EISCONN})
UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})

# Interrupted calls in a row before the loop gets to run in between.
_INTERRUPTIONS = 16

# linux/in.h; the socket module names it since Python 3.12.
_IP_BIND_ADDRESS_NO_PORT = 24 if sys.platform == "linux" else None

# linux/tcp.h; the socket module does not name it.
TCP_FASTOPEN_CONNECT = 30

# SO_LINGER on, 0 seconds: close(2) resets instead of lingering in TIME_WAIT.
_RESET = b"\x01\0\0\0\0\0\0\0"


def open_and_connect(
    address: Address, prepare: Iterable[Prepare], local: Sequence[Address] | None
) -> tuple[socket.socket, int]:
    """Start to connect a new socket to *address*; return it and what it answered.

    0 is connected; any other answer is for `ConnectingSocket`.  The caller owns the
    socket; when this raises, it is closed.

    Raises:
        AttemptError: There is no such socket, or its connect has failed.
    """
    sock = _open(address, prepare, local)
    try:
        return sock, start_connect(sock, address)
    except AttemptError as exc:
        sock.close()
        if exc.sent or exc.error.errno != errno.EADDRNOTAVAIL or local is not None:
            raise
    except BaseException:
        sock.close()
        raise
    # Spurious when the kernel chose the port itself; once (K9).
    sock = _open(address, prepare, local)
    try:
        return sock, start_connect(sock, address)
    except BaseException:
        sock.close()
        raise


def start_connect(sock: socket.socket, address: Address, owned: bool = True) -> int:
    """Start the handshake and look at once again; return 0, or what is pending.

    One with this host has completed in the kernel by then: asking once more is
    cheaper than registering with the poller to be told so.

    Raises:
        AttemptError: It has failed, or the socket is connected to itself.
        SocketStateError: It is the caller's, not *owned*, and under way elsewhere.
    """
    sockaddr = address.sockaddr
    code = sock.connect_ex(sockaddr)
    if code == errno.EALREADY and not owned:
        text = "sock has a connect under way already"
        raise SocketStateError(errno.EALREADY, text)
    if code in _PENDING:
        code = sock.connect_ex(sockaddr)
        if code in _ASK_AGAIN:
            code = connect_again(sock, sockaddr)
        was_sent = True
    else:
        # An answer for now: SO_ERROR would be 0 and the socket poll writable.
        was_sent = code == errno.ECONNREFUSED
    if not code:
        refuse_self_connect(sock, address)
    elif not is_pending(code, address):
        raise connect_failed(code, sent=was_sent)
    return code


def _open(
    address: Address, prepare: Iterable[Prepare], local: Sequence[Address] | None
) -> socket.socket:
    proto = address.proto
    if not proto and address.family in _INET and address.type == _STREAM:
        # The same socket, but asyncio asks it whether it is TCP: only then do its
        # transports send small writes at once.
        proto = socket.IPPROTO_TCP
    try:
        sock = socket.socket(address.family, address.type | _FLAGS, proto)
    except OSError as exc:
        raise AttemptError("socket", exc, sent=False) from None
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        if prepare:
            _prepare(sock, address, prepare)
        if local is not None and address.family in _INET:
            _bind(sock, address, local)
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, address: Address, prepare: Iterable[Prepare]) -> None:
    try:
        for hook in prepare:
            hook(sock, address)
        sock.setblocking(False)  # whatever the hooks did to it
    except OSError as exc:
        raise AttemptError("socket", exc, sent=False) from None


def _bind(sock: socket.socket, address: Address, local: Sequence[Address]) -> None:
    """Bind *sock* to the first of *local*, of the family of *address*, that it can be.

    Raises:
        AttemptError: There is none; it names each of that family, and why.
    """
    failed: dict[Address, OSError] = {}
    for own in local:
        if own.family == address.family:
            try:
                _bind_to(sock, own)
            except OSError as exc:
                failed[own] = exc
            else:
                return
    if failed:
        reasons = (
            f"cannot bind to {own}: {exc.strerror}" for own, exc in failed.items()
        )
        code = next(iter(failed.values())).errno or errno.EIO
        error = os_error(code, "; ".join(reasons))
    else:
        version = "IPv4" if address.family == socket.AF_INET else "IPv6"
        given = ", ".join(map(str, local))
        text = f"local_addr has no {version} address: {given}"
        error = os_error(errno.EADDRNOTAVAIL, text)
    raise AttemptError("bind", error, sent=False)


def _bind_to(sock: socket.socket, own: Address) -> None:
    assert isinstance(own.sockaddr, tuple)
    if own.sockaddr[1] != 0:
        # A closed connection holds its port for a minute (TIME_WAIT), and attempts of a
        # race have the same one at the same time.  Each has another peer, so the kernel
        # tells them apart; only a listener keeps its port for itself.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif _IP_BIND_ADDRESS_NO_PORT is not None:
        # Else bind reserves a port for all destinations at once (K9): where the
        # kernel does not know the option, it does.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(own.sockaddr)


def disable_fast_open(sock: socket.socket, address: Address) -> None:
    """Turn TCP Fast Open off, whoever turned it on (a `Prepare`; run it last).

    With it ``connect`` succeeds before a packet is sent, and none is sent before the
    first write (K20).  A wait needs the peer's answer.
    """
    if address.family in _INET and sys.platform == "linux":
        with contextlib.suppress(OSError):  # it is no TCP, or has no Fast Open
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0)


def connect_again(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return what a further ``connect`` says: 0, pending, or the error."""
    code = sock.connect_ex(sockaddr)
    for _ in range(_INTERRUPTIONS):
        if code != errno.EINTR:
            break
        code = sock.connect_ex(sockaddr)
    if code == errno.EISCONN:
        return errno.EINPROGRESS if _outcome.has_peer(sock) else 0
    return code


def connect_failed(code: int, *, sent: bool = True) -> AttemptError:
    """Return the error for *code*, the last answer of ``connect``."""
    return AttemptError("connect", system_error(code), sent=sent)


def system_error(code: int) -> OSError:
    """Return the `OSError` subclass of errno *code*, with the system's own text."""
    return OSError(code, os.strerror(code))


def is_pending(code: int, address: Address) -> bool:
    """Return whether *code*, an answer of ``connect``, is not the last."""
    return code in _PENDING or (
        code == errno.EAGAIN and address.family == socket.AF_UNIX
    )


def refuse_self_connect(sock: socket.socket, address: Address) -> None:
    """Raise for a socket that is connected to itself, and free its port (K2).

    TCP allows it (RFC 9293, simultaneous open), and a refused port of the
    ephemeral range that is tried often enough gets there.
    """
    if address.family not in _INET:
        return
    try:
        own = sock.getsockname()
        itself = own[1] == address.sockaddr[1] and own == sock.getpeername()
    except OSError as exc:
        if exc.errno in (errno.ENOTCONN, errno.EINVAL):
            return  # it was connected, and reset since
        raise AttemptError("connect", exc) from None
    if itself:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        text = f"{os.strerror(errno.ECONNREFUSED)} (it was this very socket)"
        raise AttemptError("connect", os_error(errno.ECONNREFUSED, text))


class SocketStateError(OSError, ValueError):
    """A socket of the caller's that cannot be connected now.

    It is a `ValueError` here, and an `OSError` to who expects the system's.
    """


def check_open(sock: socket.socket) -> None:
    """Raise `SocketStateError` if *sock*, the caller's, is closed."""
    if sock.fileno() == -1:
        text = f"{os.strerror(errno.EBADF)}: sock is closed"
        raise SocketStateError(errno.EBADF, text)


def check_sock(sock: socket.socket) -> None:
    """Raise unless *sock*, the caller's, can be connected without blocking.

    Raises:
        ValueError: It is blocking.
        SocketStateError: It is closed or connected already.
    """
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {safe_repr(sock)}")
    check_open(sock)
    if sock.gettimeout() != 0:
        raise ValueError("sock is blocking: call sock.setblocking(False) first")
    if _outcome.has_peer(sock) == 0:
        raise SocketStateError(errno.EISCONN, "sock is connected already")

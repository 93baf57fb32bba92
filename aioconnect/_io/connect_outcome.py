"""Ask a socket about the outcome of its connect, in one of five ways.

Users import these from `aioconnect.outcome`, which has a table of where each one lies.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import TypeAlias

from .._sansio.addresses import SockAddr

__all__ = [
    "Outcome",
    "connect_again",
    "default",
    "peername_read",
    "peername_so_error",
    "so_error",
    "zero_length_read",
]

Outcome: TypeAlias = Callable[[socket.socket, SockAddr], int]


def so_error(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return the socket's error and clear it; a pending connect has 0, too."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as exc:
        return exc.errno or errno.EIO


def peername_so_error(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Ask for the peer's name; without a peer, for the socket's error."""
    code = has_peer(sock)
    if code != errno.ENOTCONN:
        return code
    return so_error(sock, sockaddr) or errno.EINPROGRESS


def peername_read(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Ask for the peer's name; without a peer, for the errno of a one-byte read."""
    code = has_peer(sock)
    return _errno_of(lambda: sock.recv(1)) if code == errno.ENOTCONN else code


def zero_length_read(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return the errno of a read of no bytes; on Linux that never fails."""
    # Not sock.recv(0), which makes no system call at all.
    return _errno_of(lambda: os.read(sock.fileno(), 0))


def connect_again(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return the errno of a second ``connect``, which reports an error only once."""
    code = sock.connect_ex(sockaddr)
    if code == errno.EISCONN:
        return 0
    if code in (errno.EALREADY, errno.EINTR):
        return errno.EINPROGRESS
    return code


def has_peer(sock: socket.socket) -> int:
    """Return 0 if the socket has a peer, else the errno; nothing else proves success.

    ``ENOTCONN`` means not connected, for whatever reason.
    """
    try:
        sock.getpeername()
    except OSError as exc:
        # macOS and the BSDs answer EINVAL for a socket that was reset.
        return errno.ENOTCONN if exc.errno in _NO_PEER else exc.errno or errno.EIO
    return 0


def is_established(sock: socket.socket) -> bool:
    """Tell whether TCP's *sock* is beyond doubt connected, and has no queued error.

    One system call says what `getpeername` and a look at the error queue say.  Linux
    reports a TCP socket as writable, and nothing else, if its handshake is done, it was
    not reset since, and there is no error, neither pending nor queued (tcp_poll in
    net/ipv4/tcp.c).  False is no answer: ask in another way.
    """
    if _poll is None:
        return False
    poller = _poll()
    try:
        poller.register(fd := sock.fileno(), select.POLLOUT)
        is_plain: bool = poller.poll(0) == [(fd, select.POLLOUT)]
    except (OSError, ValueError):  # no memory, or the caller has closed it
        return False
    return is_plain


_poll = getattr(select, "poll", None) if sys.platform == "linux" else None

_NO_PEER = (errno.ENOTCONN, errno.EINVAL)


def _errno_of(read: Callable[[], bytes]) -> int:
    try:
        read()
    except OSError as exc:
        if exc.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
            return errno.EINPROGRESS
        return exc.errno or errno.EIO
    return 0


default: Outcome = connect_again


for _function in (
    connect_again,
    peername_read,
    peername_so_error,
    so_error,
    zero_length_read,
):
    _function.__module__ = "aioconnect.outcome"  # where users import it from

"""Learn what became of a non-blocking connect: five ways, and where each lies.

Each function takes the socket and the address that it was told to connect to,
and returns 0 for connected, ``EINPROGRESS`` for still pending, and otherwise
the errno of the failure.  None of them can be believed in every case; this is
what they answer on Linux, once, after the event in the first column.  An answer
in [brackets] is a lie, or as good as one.

================== ============ ============= ============ ============ ============
what became of it  so_error     peername_     peername_    zero_length_ connect_
                                so_error      read         read         again
================== ============ ============= ============ ============ ============
connected          0            0             0            0            0
connected, data    0            0             0            0            0
connected, reset   ECONNRESET   ECONNRESET    ECONNRESET   [0]          ECONNRESET
refused            ECONNREFUSED ECONNREFUSED  ECONNREFUSED [0]          ECONNREFUSED
unreachable        [0]          [EINPROGRESS] [ENOTCONN]   [0]          ENETUNREACH
timed out          ETIMEDOUT    ETIMEDOUT     ETIMEDOUT    [0]          ETIMEDOUT
still pending      [0]          EINPROGRESS   EINPROGRESS  [0]          EINPROGRESS
Unix, connected    0            0             0            0            0
Unix, refused      [0]          [EINPROGRESS] [EINVAL]     [0]          ECONNREFUSED
Unix, missing      [0]          [EINPROGRESS] [EINVAL]     [0]          ENOENT
Unix, backlog full [0]          [EINPROGRESS] [EINVAL]     [0]          EAGAIN
================== ============ ============= ============ ============ ============

Reading ``SO_ERROR`` clears it, so a second look says 0.  A one-byte read eats
that byte if it races a success, and sees queued data before a reset.  A second
``connect`` tells the error once: a third starts a new handshake, and on a Unix
socket it looks the path up again, which may be gone or have a full backlog.
Only a peer's name proves a success, which is why `aioconnect` asks for it
whatever the answer was.  `default` is the one that is right most often.

Sources: D. J. Bernstein, "Non-blocking BSD socket connections"; W. R. Stevens,
UNIX Network Programming vol. 1, section 16.4; connect(2), socket(7), tcp(7).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import TypeAlias

from ._address import SockAddr

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
    """Return the socket's pending error, and clear it: 0 for a pending one too."""
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    except OSError as exc:
        return exc.errno or errno.EIO


def peername_so_error(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Ask for the peer's name; without one, for the pending error."""
    code = has_peer(sock)
    if code != errno.ENOTCONN:
        return code
    return so_error(sock, sockaddr) or errno.EINPROGRESS


def peername_read(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Ask for the peer's name; without one, for the errno of a one-byte read."""
    code = has_peer(sock)
    return _errno_of(lambda: sock.recv(1)) if code == errno.ENOTCONN else code


def zero_length_read(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return the errno of a read of no bytes: on Linux there never is one."""
    # Not sock.recv(0): that makes no system call at all.
    return _errno_of(lambda: os.read(sock.fileno(), 0))


def connect_again(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return what a second ``connect`` says; it says an error only once."""
    code = sock.connect_ex(sockaddr)
    if code == errno.EISCONN:
        return 0
    if code in (errno.EALREADY, errno.EINTR):
        return errno.EINPROGRESS
    return code


def has_peer(sock: socket.socket) -> int:
    """Return 0 if the socket has a peer, the only proof there is, else the errno.

    ``ENOTCONN`` is the answer of every socket that is not connected, whatever
    the reason.
    """
    try:
        sock.getpeername()
    except OSError as exc:
        # EINVAL is what macOS and the BSDs say of one that was reset.
        return errno.ENOTCONN if exc.errno in _NO_PEER else exc.errno or errno.EIO
    return 0


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

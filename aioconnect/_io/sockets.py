"""Connect one socket to one address without blocking the event loop.

Only this module and `connect_outcome` call ``connect(2)``.  The layers above decide
which address to try and when, and wait for a pending connect.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from .._sansio.addresses import INET, Address, SockAddr
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
    "disable_fast_open",
    "is_pending",
    "open_and_connect",
    "refuse_self_connect",
    "repeat_connect",
    "start_connect",
    "system_error",
]

Prepare: TypeAlias = Callable[[socket.socket, Address], object]

# On Linux and the BSDs, socket(2) takes both flags, so the descriptor is never blocking
# and never inheritable.  macOS has neither flag.
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_FLAGS = _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)

_STREAM, _TCP = socket.SOCK_STREAM, socket.IPPROTO_TCP

# The answers of connect(2) that mean "pending; ask again".  EAGAIN is absent on
# purpose.  It comes from a Unix listener whose backlog is full, and the kernel has then
# started nothing: the socket polls writable with SO_ERROR 0 at once, and no event
# announces a free slot (K1).  In other families EAGAIN is a plain error.
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})
_ASK_AGAIN = frozenset({errno.EINTR, errno.EISCONN})
UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})

# The addresses that did not answer at once, and how many connects there were since.
# One in 16 looks again: the server may be on this host by now.
_late: dict[SockAddr, int] = {}
_MOST_LATE, _LOOK_EVERY = 512, 16

# After this many interrupted calls in a row, the loop gets to run.
_MOST_INTERRUPTIONS = 16

# linux/in.h; the socket module has it since Python 3.12.
_IP_BIND_ADDRESS_NO_PORT = 24 if sys.platform == "linux" else None

# linux/tcp.h; the socket module does not name it.
TCP_FASTOPEN_CONNECT = 30

# SO_LINGER on, 0 seconds: close(2) resets the connection, without TIME_WAIT.
_LINGER_RESET = b"\x01\0\0\0\0\0\0\0"


def open_and_connect(
    address: Address, prepare: Iterable[Prepare], local: Sequence[Address] | None
) -> tuple[socket.socket, int]:
    """Start to connect a new socket to *address*; return it and connect's answer.

    0 means connected; pass any other answer to `ConnectingSocket`.  The *prepare*
    hooks run before the socket is bound to one of the *local* addresses.  The caller
    owns the socket; when this raises, the socket is closed.

    Raises:
        AttemptError: The system has no socket for this, or the connect failed.
    """
    proto = address.proto
    if not proto and address.family in INET and address.type == _STREAM:
        # To the kernel 0 is the same.  asyncio sends small writes at once for this one.
        proto = _TCP
    may_repeat = local is None
    while True:
        try:
            sock = socket.socket(address.family, address.type | _FLAGS, proto)
        except OSError as exc:
            raise AttemptError("socket", exc, sent=False) from None
        try:
            if not _NONBLOCK:
                sock.setblocking(False)
            if prepare:
                _prepare(sock, address, prepare)
            if local is not None and address.family in INET:
                _bind(sock, address, local)
            return sock, start_connect(sock, address)
        except BaseException as exc:
            sock.close()
            if not (may_repeat and _is_spurious(exc)):
                raise
            may_repeat = False


def _is_spurious(exc: BaseException) -> bool:
    """Tell whether *exc* is worth one more try: the kernel chose the port (K9)."""
    if not isinstance(exc, AttemptError) or exc.phase != "connect" or exc.sent:
        return False
    return exc.error.errno == errno.EADDRNOTAVAIL


def start_connect(sock: socket.socket, address: Address, owned: bool = True) -> int:
    """Start the handshake; return 0, or the errno of a pending one.

    A handshake with this host ends at once: a second call is cheaper than the poller.

    Raises:
        AttemptError: The connect failed, or the socket is connected to itself.
        SocketStateError: The caller's socket, which is not *owned*, has a connect
            under way already.
    """
    sockaddr = address.sockaddr
    code = sock.connect_ex(sockaddr)
    if code == errno.EALREADY and not owned:
        text = "sock has a connect under way already"
        raise SocketStateError(errno.EALREADY, text)
    if code in _PENDING:
        code = _look_again(sock, sockaddr, code)
        was_sent = True
    else:
        # An immediate error.  Later, SO_ERROR would be 0 and the socket poll writable.
        was_sent = code == errno.ECONNREFUSED
    if not code:
        if address.family in INET:
            refuse_self_connect(sock, address)
    elif not is_pending(code, address):
        raise connect_failed(code, sent=was_sent)
    return code


def _look_again(sock: socket.socket, sockaddr: SockAddr, code: int) -> int:
    """Return what a second ``connect`` says, or *code* if the address is often late."""
    late = _late.get(sockaddr, 0)
    if late % _LOOK_EVERY == 0 or code != errno.EINPROGRESS:
        code = sock.connect_ex(sockaddr)
        if code in _ASK_AGAIN:
            code = repeat_connect(sock, sockaddr)
    if code in UNDER_WAY:
        # One operation each, also without the GIL: other threads' loops share the dict.
        excess = len(_late) - _MOST_LATE + (sockaddr not in _late)
        for oldest in list(_late)[:excess] if excess > 0 else ():
            _late.pop(oldest, None)
        _late[sockaddr] = late + 1
    return code


def _prepare(sock: socket.socket, address: Address, prepare: Iterable[Prepare]) -> None:
    try:
        for hook in prepare:
            hook(sock, address)
        sock.setblocking(False)  # even if a hook changed it
    except OSError as exc:
        raise AttemptError("socket", exc, sent=False) from None


def _bind(sock: socket.socket, address: Address, local: Sequence[Address]) -> None:
    """Bind *sock* to the first *local* address that has the right family and works.

    Raises:
        AttemptError: None works.  The text names each one, and why it failed.
    """
    failures: dict[Address, OSError] = {}
    for local_address in local:
        if local_address.family == address.family:
            try:
                _bind_to(sock, local_address)
            except OSError as exc:
                failures[local_address] = exc
            else:
                return
    if failures:
        reasons = (
            f"cannot bind to {at}: {exc.strerror}" for at, exc in failures.items()
        )
        code = next(iter(failures.values())).errno or errno.EIO
        error = os_error(code, "; ".join(reasons))
    else:
        version = "IPv4" if address.family == socket.AF_INET else "IPv6"
        addresses = ", ".join(map(str, local))
        text = f"local_addr has no {version} address: {addresses}"
        error = os_error(errno.EADDRNOTAVAIL, text)
    raise AttemptError("bind", error, sent=False)


def _bind_to(sock: socket.socket, local_address: Address) -> None:
    assert isinstance(local_address.sockaddr, tuple)
    if local_address.sockaddr[1] != 0:
        # A closed connection holds its port for a minute (TIME_WAIT), and the attempts
        # of a race use the same port at the same time.  Each has a different peer, so
        # the kernel can tell them apart.  Only a listener keeps its port for itself.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif _IP_BIND_ADDRESS_NO_PORT is not None:
        # Without the option, or on a kernel that does not know it, bind reserves a port
        # for all destinations at once (K9).
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(local_address.sockaddr)


def disable_fast_open(sock: socket.socket, address: Address) -> None:
    """Turn TCP Fast Open off (a `Prepare` hook; run it last).

    With Fast Open, ``connect`` succeeds before any packet is sent, and the first write
    sends the first packet (K20).  A wait for a server needs the peer's answer.
    """
    if address.family in INET and sys.platform == "linux":
        with contextlib.suppress(OSError):  # not TCP, or a kernel without Fast Open
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 0)


def repeat_connect(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Call ``connect`` again; return 0, a pending errno, or the error's errno."""
    code = sock.connect_ex(sockaddr)
    for _ in range(_MOST_INTERRUPTIONS):
        if code != errno.EINTR:
            break
        code = sock.connect_ex(sockaddr)
    if code == errno.EISCONN:
        return errno.EINPROGRESS if _outcome.has_peer(sock) else 0
    return code


def connect_failed(code: int, *, sent: bool = True) -> AttemptError:
    """Return the error for *code*, the final errno of a ``connect``."""
    return AttemptError("connect", system_error(code), sent=sent)


def system_error(code: int) -> OSError:
    """Return the `OSError` subclass of errno *code*, with the system's own text."""
    return OSError(code, os.strerror(code))


def is_pending(code: int, address: Address) -> bool:
    """Return whether *code*, an errno of ``connect``, is not final."""
    return code in _PENDING or (
        code == errno.EAGAIN and address.family == socket.AF_UNIX
    )


def refuse_self_connect(sock: socket.socket, address: Address) -> None:
    """Raise if TCP's *sock* is connected to itself, after freeing its port (K2).

    TCP allows a self-connect (RFC 9293, simultaneous open).  It happens sooner or later
    when a refused port of the ephemeral range is tried again and again.
    """
    try:
        name = sock.getsockname()
        is_own_peer = name[1] == address.sockaddr[1] and name == sock.getpeername()
    except OSError as exc:
        if exc.errno in (errno.ENOTCONN, errno.EINVAL):
            return  # it was connected, and was reset since
        raise AttemptError("connect", exc) from None
    if is_own_peer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        text = f"{os.strerror(errno.ECONNREFUSED)} (the socket connected to itself)"
        raise AttemptError("connect", os_error(errno.ECONNREFUSED, text))


class SocketStateError(OSError, ValueError):
    """The caller's socket cannot be connected: a wrong argument, and a system error."""


def check_open(sock: socket.socket) -> None:
    """Raise `SocketStateError` if the caller's *sock* is closed."""
    if sock.fileno() == -1:
        text = f"{os.strerror(errno.EBADF)}: sock is closed"
        raise SocketStateError(errno.EBADF, text)


def check_sock(sock: socket.socket) -> None:
    """Raise unless the caller's *sock* can be connected without blocking.

    Raises:
        ValueError: The socket is blocking.
        SocketStateError: The socket is closed, or connected already.
        TypeError: *sock* is not a socket.
    """
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {safe_repr(sock)}")
    check_open(sock)
    if sock.gettimeout() != 0:
        raise ValueError("sock is blocking: call sock.setblocking(False) first")
    if _outcome.has_peer(sock) == 0:
        raise SocketStateError(errno.EISCONN, "sock is connected already")

"""Connect one socket to one address without blocking the event loop.

Only this module (and `outcome`, which asks) calls ``connect(2)``, and only this
module watches a descriptor.  The layers above decide which address to try and
when; they receive sockets that are really connected.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import MethodType
from typing import TypeAlias

from . import outcome as _outcome
from ._address import Address, SockAddr
from ._errors import AttemptError, Expired, os_error
from ._waits import Waiter, wake
from .outcome import Outcome

__all__ = ["Prepare", "begin", "check_loop", "check_sock", "settle", "start"]

Prepare: TypeAlias = Callable[[socket.socket, Address], object]

# socket(2) takes both flags on Linux and the BSDs, so that the descriptor is
# never blocking and never inheritable; macOS has neither.
_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)
_FLAGS = _NONBLOCK | getattr(socket, "SOCK_CLOEXEC", 0)

_INET = (socket.AF_INET, socket.AF_INET6)

# Gives None when a loop has forgotten the callback that it registered for us.
_Watcher: TypeAlias = Callable[[], object]

# The answers of connect(2) that mean "pending; ask again".  EAGAIN is absent on
# purpose: a Unix listener whose backlog is full gives it without having started
# anything; the socket polls writable with SO_ERROR 0 at once, and no event will
# tell when a slot is free (K1).  In other families it is a plain error.
_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})
_ASK_AGAIN = frozenset({errno.EINTR, errno.EISCONN})
_UNDER_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY})

# The waits, in seconds, where no event can be waited for, or where one has come
# without an answer.  They grow so that nothing spins.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

# Interrupted calls in a row before the loop gets to run in between.
_INTERRUPTIONS = 16

# linux/in.h; the socket module names it since Python 3.12.
_IP_BIND_ADDRESS_NO_PORT = 24 if sys.platform == "linux" else None
_MSG_ERRQUEUE: int | None = getattr(socket, "MSG_ERRQUEUE", None)

# SO_LINGER on, 0 seconds: close(2) resets instead of lingering in TIME_WAIT.
_RESET = b"\x01\0\0\0\0\0\0\0"


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raise `NotImplementedError` unless *loop* can watch a descriptor."""
    method = getattr(loop, "add_writer", None)
    if method is None or getattr(method, "__func__", None) is _ABSTRACT:
        raise _cannot_watch(loop)


_ABSTRACT = asyncio.AbstractEventLoop.add_writer


def _cannot_watch(loop: asyncio.AbstractEventLoop) -> NotImplementedError:
    return NotImplementedError(
        f"{type(loop).__name__} has no add_writer: aioconnect needs asyncio's"
        " SelectorEventLoop, uvloop, or another loop that watches descriptors"
    )


def begin(
    address: Address, prepare: Iterable[Prepare], local: Sequence[Address] | None
) -> tuple[socket.socket, int]:
    """Start to connect a new socket to *address*; return it and what it answered.

    0 is connected; any other answer is for `settle`.  The caller owns the
    socket; when this raises, it is closed.

    Raises:
        AttemptError: There is no such socket, or it is not what was asked for.
    """
    sock = _open(address, prepare, local)
    try:
        code = start(sock, address)
        if code == -errno.EADDRNOTAVAIL and local is None:
            # Spurious when the kernel chose the port itself; once (K9).
            sock.close()
            sock = _open(address, prepare, local)
            code = start(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock, code


def start(sock: socket.socket, address: Address, owned: bool = True) -> int:
    """Start the handshake and look at once again; return 0 or what it answered.

    One with this host has completed in the kernel by then: asking once more is
    cheaper than registering with the poller to be told so.  An error of the
    first call, before which nothing can have been sent, is returned negative.

    Raises:
        AttemptError: The socket is connected to itself.
        ValueError: It is not *owned* but the caller's, and under way elsewhere.
    """
    sockaddr = address.sockaddr
    code = sock.connect_ex(sockaddr)
    if code == errno.EALREADY and not owned:
        raise ValueError("sock has a connect under way already")
    if code in _PENDING:
        code = sock.connect_ex(sockaddr)
        if code in _ASK_AGAIN:
            code = _ask(sock, sockaddr)
    elif code and not _is_pending(code, address):
        # An answer for now: SO_ERROR would be 0 and the socket poll writable.
        return code if code == errno.ECONNREFUSED else -code
    if not code:
        _refuse_itself(sock, address)
    return code


def _open(
    address: Address, prepare: Iterable[Prepare], local: Sequence[Address] | None
) -> socket.socket:
    try:
        sock = socket.socket(address.family, address.type | _FLAGS, address.proto)
    except OSError as exc:
        raise AttemptError("socket", exc, sent=False) from None
    try:
        if not _NONBLOCK:
            sock.setblocking(False)
        if prepare:
            _prepare(sock, address, prepare)
            sock.setblocking(False)  # whatever the hooks did to it
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
    except OSError as exc:
        raise AttemptError("socket", exc, sent=False) from None


def _bind(sock: socket.socket, address: Address, local: Sequence[Address]) -> None:
    chosen = next((own for own in local if own.family == address.family), None)
    if chosen is None:
        version = "IPv4" if address.family == socket.AF_INET else "IPv6"
        given = ", ".join(map(str, local))
        text = f"local_addr has no {version} address: {given}"
        error = os_error(errno.EADDRNOTAVAIL, text)
        raise AttemptError("bind", error, sent=False)
    assert isinstance(chosen.sockaddr, tuple)
    try:
        if chosen.sockaddr[1] == 0 and _IP_BIND_ADDRESS_NO_PORT is not None:
            # Else bind reserves a port for all destinations at once (K9).
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind(chosen.sockaddr)
    except OSError as exc:
        text = f"cannot bind to {chosen}: {exc.strerror}"
        error = os_error(exc.errno or errno.EIO, text)
        raise AttemptError("bind", error, sent=False) from None


def _ask(sock: socket.socket, sockaddr: SockAddr) -> int:
    """Return what a further ``connect`` says: 0, pending, or the error."""
    code = sock.connect_ex(sockaddr)
    for _ in range(_INTERRUPTIONS):
        if code != errno.EINTR:
            break
        code = sock.connect_ex(sockaddr)
    if code == errno.EISCONN:
        return errno.EINPROGRESS if _outcome.has_peer(sock) else 0
    return code


async def settle(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    address: Address,
    code: int,
    deadline: float | None,
    outcome: Outcome,
    owned: bool = True,
) -> None:
    """Wait until the connect that answered *code* has succeeded.

    When this raises, cancellation included, nothing watches the socket, and it
    is closed, unless it is not *owned* but the caller's.

    Raises:
        AttemptError: The attempt failed.
        Expired: It had not ended at *deadline*, a time of the loop's clock.
    """
    fd = sock.fileno()
    pause = _FIRST_PAUSE
    # No event announces the end of some waits, and after one without an answer
    # the same may come again at once: then it is a pause, and they grow.
    rest = code not in _UNDER_WAY
    try:
        while _is_pending(code, address):
            until = deadline
            if rest:
                until = _sooner(loop.time() + pause, deadline)
                pause = min(pause * 2, _LONGEST_PAUSE)
            watcher: _Watcher | None = None
            waiter: Waiter = loop.create_future()
            timer = None if until is None else loop.call_at(until, wake, waiter, True)
            try:
                if not rest:
                    watcher = _watch(loop, sock, waiter, owned)
                expired = await waiter and until == deadline
            finally:
                if timer is not None:
                    timer.cancel()
                if watcher is not None:
                    _unwatch(loop, sock, fd, watcher)
            code = _look(sock, address, code, outcome)
            if expired and _is_pending(code, address):
                raise Expired("connect", os_error(errno.ETIMEDOUT, _STILL[code]))
            rest = not rest or code not in _UNDER_WAY
        if code:
            raise AttemptError("connect", os_error(abs(code)), sent=code > 0)
        _refuse_itself(sock, address)
    except BaseException:
        if owned:
            sock.close()
        raise


def _is_pending(code: int, address: Address) -> bool:
    return code in _PENDING or (
        code == errno.EAGAIN and address.family == socket.AF_UNIX
    )


def _sooner(when: float, deadline: float | None) -> float:
    return when if deadline is None else min(when, deadline)


def _look(sock: socket.socket, address: Address, code: int, outcome: Outcome) -> int:
    """Return what has become of a connect whose last answer was *code*."""
    if code in _UNDER_WAY:
        return _verdict(sock, address.sockaddr, outcome)
    return _ask(sock, address.sockaddr)


_STILL = {
    errno.EAGAIN: "the listener's backlog is still full",
    errno.EALREADY: "no answer yet",
    errno.EINPROGRESS: "no answer yet",
    errno.EINTR: "interrupted again and again",
}


def _verdict(sock: socket.socket, sockaddr: SockAddr, outcome: Outcome) -> int:
    """Return what became of a connect that an event, or the time, has ended.

    The event is a hint and *outcome* an opinion: a success is believed when the
    socket has a peer.  One that is denied is looked at with ``SO_ERROR`` once
    more, and is pending if that knows of no error either.
    """
    code = outcome(sock, sockaddr)
    if not isinstance(code, int):
        raise TypeError(f"outcome must return an int, not {code!r}")
    if code in (0, errno.EINPROGRESS):
        code = _outcome.has_peer(sock)
        if code == errno.ENOTCONN:
            code = _outcome.so_error(sock, sockaddr) or errno.EINPROGRESS
    if code in (0, errno.EINPROGRESS):
        _drain(sock)
    return code


def _drain(sock: socket.socket) -> None:
    """Empty the error queue, which would make every poll return at once (K10).

    Linux puts an ICMP error that met a connect under way there, asked or not.
    """
    if _MSG_ERRQUEUE is None or sock.family not in _INET:
        return
    with contextlib.suppress(OSError):
        while True:
            sock.recvmsg(0, 0, _MSG_ERRQUEUE)


def _refuse_itself(sock: socket.socket, address: Address) -> None:
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
        text = f"{os_error(errno.ECONNREFUSED).strerror} (it was this very socket)"
        raise AttemptError("connect", os_error(errno.ECONNREFUSED, text))


def _watch(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, waiter: Waiter, owned: bool
) -> _Watcher:
    """Have the loop wake *waiter*; return what tells whether it still would."""
    # What watches this descriptor watches one that was closed: it would never be
    # polled again (K12).  On a caller's socket, loop.sock_connect replaces it too.
    loop.remove_writer(sock)
    callback = MethodType(_ready, waiter)
    # Nobody but us closes a socket of ours: its watcher is there until we say so.
    watcher: _Watcher = _present if owned else weakref.ref(callback)
    try:
        # The socket, and not its number: uvloop then defers a close that comes too
        # early instead of aborting (K11).
        loop.add_writer(sock, callback)
    except NotImplementedError:
        raise _cannot_watch(loop) from None
    except OSError as exc:
        raise AttemptError("connect", exc) from None
    return watcher


def _ready(waiter: Waiter) -> None:
    wake(waiter, False)


def _present() -> bool:
    return True


def _unwatch(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, fd: int, watcher: _Watcher
) -> None:
    """Remove a registration, if it is still there.

    The caller of `connect_sock` may have closed the socket: then somebody else
    may have the descriptor *fd* by now, and the watcher on it (K11).  Only the
    loop refers to the callback, and forgets one that it has replaced.
    """
    if watcher() is None or loop.is_closed():
        return
    if sock.fileno() == fd:
        loop.remove_writer(sock)
        return
    try:
        loop.remove_writer(fd)
    except RuntimeError:
        # A transport has the descriptor and our callback is still on it: asyncio
        # protects the one from strangers, and has no public way to remove the other.
        loop._remove_writer(fd)  # type: ignore[attr-defined]  # noqa: SLF001


def check_sock(sock: socket.socket, sockaddr: SockAddr) -> Address:
    """Return the `Address` that *sock* can be connected to without blocking.

    Raises:
        ValueError: The socket is closed, blocking or connected already, or
            *sockaddr* is no numeric address of its family.
    """
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {sock!r}")
    if sock.fileno() == -1:
        raise ValueError("sock is closed")
    if sock.gettimeout() != 0:
        raise ValueError("sock is blocking: call sock.setblocking(False) first")
    address = Address(sock.family, sockaddr, sock.proto, sock.type)
    if _outcome.has_peer(sock) == 0:
        raise ValueError("sock is connected already")
    return address

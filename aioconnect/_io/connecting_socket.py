"""Wait for a connect that is under way, and learn what became of it.

An event is a hint and never an answer: what it means is asked here, and a success
is believed only of a socket that has a peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from types import MethodType

from .._sansio.addresses import Address, SockAddr
from .._sansio.errors import AttemptDisplaced, AttemptExpired, os_error
from .._sansio.text import safe_repr
from . import connect_outcome as _outcome
from .connect_outcome import Outcome
from .fd_watchers import Watcher, forks, unwatch, watch
from .sockets import (
    UNDER_WAY,
    connect_again,
    connect_failed,
    is_pending,
    refuse_self_connect,
)
from .timers import Waiter, earliest, wake

__all__ = ["ConnectingSocket"]

_INET = (socket.AF_INET, socket.AF_INET6)
_AF_VSOCK = getattr(socket, "AF_VSOCK", None)
_MSG_ERRQUEUE: int | None = getattr(socket, "MSG_ERRQUEUE", None)

# The waits, in seconds, where no event can be waited for, or where one has come
# without an answer.  They grow so that nothing spins.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

_STILL = {
    errno.EAGAIN: "the listener's backlog is still full",
    errno.EALREADY: "no answer yet",
    errno.EINPROGRESS: "no answer yet",
    errno.EINTR: "interrupted again and again",
}


class ConnectingSocket:
    """A connect of *sock* to *address* that answered *code* and has not ended.

    It was *started* then, on the loop's clock.  `settled` waits for it.  Whoever waits
    for several calls `arm`, then `look` when it was woken or the time has come, and
    again.  The socket is the caller's to close, after `disarm`.
    """

    __slots__ = (
        "_fd",
        "_forks",
        "_outcome",
        "_pause",
        "_rests",
        "_watcher",
        "address",
        "code",
        "sock",
        "started",
    )

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        code: int,
        outcome: Outcome,
        started: float,
    ) -> None:
        self.sock = sock
        self.address = address
        self.code = code
        self.started = started
        self._outcome = outcome
        # No event announces the end of some waits, and after one without an answer
        # the same may come again at once: then it is a pause, and they grow.
        self._rests = code not in UNDER_WAY
        self._pause = _FIRST_PAUSE
        self._watcher: Watcher | None = None
        self._fd = sock.fileno()
        self._forks = forks()

    def arm(
        self,
        loop: asyncio.AbstractEventLoop,
        callback: Callable[[], object],
        owned: bool = True,
    ) -> float | None:
        """Have *loop* call *callback*, or return the seconds after which to look.

        Raises:
            AttemptError: The socket cannot be waited for.
        """
        if self._rests:
            pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            return pause
        self._watcher = watch(loop, self.sock, callback, owned)
        return None

    def disarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop forget the callback."""
        watcher, self._watcher = self._watcher, None
        # A forked child would take its parent's watcher away.
        if watcher is not None and self._forks == forks():
            unwatch(loop, self.sock, self._fd, watcher)

    def look(self) -> bool:
        """Return whether it has succeeded; it has not ended if not.

        Raises:
            AttemptError: It has failed.
        """
        sock, address, code = self.sock, self.address, self.code
        if code in UNDER_WAY:
            code = _verdict(sock, address.sockaddr, self._outcome)
        else:
            code = connect_again(sock, address.sockaddr)
        if is_pending(code, address):
            self.code = code
            self._rests = not self._rests or code not in UNDER_WAY
            return False
        if code:
            raise connect_failed(code)
        refuse_self_connect(sock, address)
        return True

    def expired(self) -> AttemptExpired:
        """Return the error for one whose time is up."""
        return AttemptExpired("connect", os_error(errno.ETIMEDOUT, _STILL[self.code]))

    def given_up(self) -> AttemptDisplaced:
        """Return the error for one that made room for the next address."""
        text = f"{_STILL[self.code]}, given up for the next address"
        return AttemptDisplaced("connect", os_error(errno.ETIMEDOUT, text))

    async def settled(
        self,
        loop: asyncio.AbstractEventLoop,
        deadline: float | None,
        owned: bool = True,
    ) -> socket.socket:
        """Wait until it has succeeded, and return the socket.

        When this raises, cancellation included, nothing watches the socket, and it
        is closed, unless it is not *owned* but the caller's.

        Raises:
            AttemptError: The attempt failed.
            Expired: It had not ended at *deadline*, a time of the loop's clock.
        """
        try:
            while True:
                waiter: Waiter = loop.create_future()
                timer = None
                try:
                    pause = self.arm(loop, MethodType(_ready, waiter), owned)
                    until = deadline
                    if pause is not None:
                        until = earliest(loop.time() + pause, deadline)
                    if until is not None:
                        timer = loop.call_at(until, wake, waiter, True)
                    expired = await waiter and until == deadline
                finally:
                    if timer is not None:
                        timer.cancel()
                    self.disarm(loop)
                if self.look():
                    return self.sock
                if expired:
                    raise self.expired()
        except BaseException:
            if owned:
                self.sock.close()
            raise


def _ready(waiter: Waiter) -> None:
    wake(waiter, False)


def _verdict(sock: socket.socket, sockaddr: SockAddr, outcome: Outcome) -> int:
    """Return what became of a connect that an event, or the time, has ended.

    The event is a hint and *outcome* an opinion: a success is believed when the
    socket has a peer.  One that is denied is looked at with ``SO_ERROR`` once
    more, and is pending if that knows of no error either.
    """
    code = 0
    if sock.family == _AF_VSOCK:
        # A connect that follows one that failed forgets its error, and starts anew
        # (net/vmw_vsock/af_vsock.c): it would go on for ever.
        code = _outcome.so_error(sock, sockaddr)
    code = code or outcome(sock, sockaddr)
    if not isinstance(code, int):
        raise TypeError(f"outcome must return an int, not {safe_repr(code)}")
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

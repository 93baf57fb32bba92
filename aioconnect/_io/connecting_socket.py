"""Wait for a connect that is under way, and find out how it has ended.

An event is only a hint.  `ConnectingSocket.poll` asks the kernel for the answer, and
believes a success only if the socket has a peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from types import MethodType

from .._sansio.addresses import INET, Address
from .._sansio.errors import AttemptDisplaced, AttemptExpired, os_error
from .._sansio.text import safe_repr
from . import connect_outcome as _outcome
from .connect_outcome import Outcome
from .fd_watchers import Watcher, forks, unwatch, watch
from .sockets import (
    UNDER_WAY,
    connect_failed,
    is_pending,
    refuse_self_connect,
    repeat_connect,
)
from .timers import Waiter, earliest, wake

__all__ = ["ConnectingSocket", "round_trip"]

# 0 is the usual protocol of a stream.
_TCP = (0, socket.IPPROTO_TCP)
_AF_VSOCK = getattr(socket, "AF_VSOCK", None)
# tcpi_rtt of struct tcp_info, in linux/tcp.h: microseconds, as 32 bits.
_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_RTT_OFFSET = 68
_MSG_ERRQUEUE: int | None = getattr(socket, "MSG_ERRQUEUE", None)

# The pauses, in seconds, between two polls where no event will come, or where one has
# come without an answer.  They grow so that nothing spins.
_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05

_STILL = {
    errno.EAGAIN: "the listener's backlog is still full",
    errno.EALREADY: "no answer yet",
    errno.EINPROGRESS: "no answer yet",
    errno.EINTR: "interrupted again and again",
}


def round_trip(sock: socket.socket) -> float:
    """Return the round trip of the TCP handshake of *sock*, in seconds.

    It is 0.0 for other sockets, and where the kernel does not tell it.
    """
    if _TCP_INFO is None:
        return 0.0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _RTT_OFFSET + 4)
    except OSError:
        return 0.0
    if len(info) < _RTT_OFFSET + 4:
        return 0.0
    microseconds: int = struct.unpack_from("=I", info, _RTT_OFFSET)[0]
    return microseconds / 1e6


class ConnectingSocket:
    """A connect of *sock* to *address* that returned *code* and has not ended.

    *started* is when it began, on the loop's clock.  `wait_connected` waits for its
    end.  To wait for several connects at once, call `arm` on each.  Call `poll` when
    woken, or when the time that `arm` returned has passed.  Call `disarm` before you
    close the socket.
    """

    __slots__ = (
        "_fd",
        "_forks",
        "_outcome",
        "_pause",
        "_polls_by_timer",
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
        # Poll with growing pauses where no event comes.  Also do so after an event that
        # brought no answer: the same event could come again at once.
        self._polls_by_timer = code not in UNDER_WAY
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
        """Have *loop* call *callback*, or return in how many seconds to `poll`.

        If the socket is not *owned* but the caller's, *callback* is called once.

        Raises:
            AttemptError: The loop cannot watch the socket.
        """
        if self._polls_by_timer:
            pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)
            return pause
        self._watcher = watch(loop, self.sock, callback, owned)
        return None

    def disarm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have *loop* forget the callback."""
        watcher, self._watcher = self._watcher, None
        # A forked child would remove its parent's watcher.
        if watcher is not None and self._forks == forks():
            unwatch(loop, self.sock, self._fd, watcher)

    def poll(self) -> bool:
        """Return True if the socket is connected, and False if it still connects.

        Raises:
            AttemptError: The connect has failed.
        """
        sock, address, code = self.sock, self.address, self.code
        if code in UNDER_WAY:
            code = _verdict(sock, address, self._outcome)
        else:
            code = repeat_connect(sock, address.sockaddr)
        if not code:
            if address.family in INET:
                refuse_self_connect(sock, address)
            return True
        if is_pending(code, address):
            self.code = code
            self._polls_by_timer = not self._polls_by_timer or code not in UNDER_WAY
            return False
        raise connect_failed(code)

    def expired(self) -> AttemptExpired:
        """Return the error for a connect whose time is up."""
        return AttemptExpired("connect", os_error(errno.ETIMEDOUT, _STILL[self.code]))

    def displaced(self) -> AttemptDisplaced:
        """Return the error for a connect that made room for the next address."""
        text = f"{_STILL[self.code]}, given up for the next address"
        return AttemptDisplaced("connect", os_error(errno.ETIMEDOUT, text))

    async def wait_connected(
        self,
        loop: asyncio.AbstractEventLoop,
        deadline: float | None,
        owned: bool = True,
    ) -> socket.socket:
        """Wait until the socket is connected, and return it.

        When this raises, cancellation included, the socket is closed.  A socket that is
        not *owned* stays open: its caller closes it.

        Raises:
            AttemptError: The connect has failed.
            AttemptExpired: It had not ended by *deadline*, on the loop's clock.
        """
        try:
            while True:
                waiter: Waiter = loop.create_future()
                timer = None
                try:
                    pause = self.arm(loop, MethodType(_ready, waiter), owned)
                    until, is_last = deadline, True
                    if pause is not None:
                        poll_at = loop.time() + pause
                        until = earliest(poll_at, deadline)
                        is_last = deadline is not None and deadline <= poll_at
                    if until is not None:
                        timer = loop.call_at(until, wake, waiter, True)
                    is_late = await waiter and is_last
                finally:
                    if timer is not None:
                        timer.cancel()
                    self.disarm(loop)
                if self.poll():
                    return self.sock
                if is_late:
                    raise self.expired()
        except BaseException:
            if owned:
                self.sock.close()
            raise


def _ready(waiter: Waiter) -> None:
    # As `wake`, without its frame.
    if not waiter.done():
        waiter.set_result(False)


def _verdict(sock: socket.socket, address: Address, outcome: Outcome) -> int:
    """Return the error code of a connect: 0 for a success, EINPROGRESS if it goes on.

    *outcome* returns an error, or only an opinion.  If it reports a success or no
    answer, `getpeername` decides: a socket that has a peer is connected.  If
    `getpeername` denies a peer, check ``SO_ERROR`` once more.  If there is no error
    either, the connect is still under way.  A success of TCP is mostly plain, and then
    a single call proves it.
    """
    sockaddr, code = address.sockaddr, 0
    if address.family == _AF_VSOCK:
        # On vsock, a second connect forgets the error of the first and starts anew
        # (K17; net/vmw_vsock/af_vsock.c).  The attempt would go on for ever.
        code = _outcome.so_error(sock, sockaddr)
    code = code or outcome(sock, sockaddr)
    if not isinstance(code, int):
        raise TypeError(f"outcome must return an int, not {safe_repr(code)}")
    is_inet = address.family in INET
    is_tcp = is_inet and address.proto in _TCP and address.type == socket.SOCK_STREAM
    if not code and is_tcp and _outcome.is_established(sock):
        return 0
    if code in (0, errno.EINPROGRESS):
        code = _outcome.has_peer(sock)
        if code == errno.ENOTCONN:
            code = _outcome.so_error(sock, sockaddr) or errno.EINPROGRESS
    if code in (0, errno.EINPROGRESS) and is_inet:
        _drain(sock)
    return code


def _drain(sock: socket.socket) -> None:
    """Empty the error queue, which would make every poll return at once (K10).

    Linux puts an ICMP error into the queue while a connect is under way, even if
    nobody asked for that.
    """
    if _MSG_ERRQUEUE is None:
        return
    with contextlib.suppress(OSError):
        while True:
            sock.recvmsg(0, 0, _MSG_ERRQUEUE)

"""Listen where no connection gets through: the queue is full.

Only this module connects: its own sockets fill the queues.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from ._listening import Server, unix_path
from ._ports import (
    UnixPath,
    accept_within,
    address_of,
    bound,
    host_of,
    port_of,
    reset,
    unix_bound,
)

__all__ = ["BlackHole", "FullBacklog", "black_hole", "full_backlog"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)

# listen(0) has room for one on Linux; other kernels round it up.
_MOST = 64


class BlackHole:
    """A TCP port that answers no SYN, until `open` is called."""

    __slots__ = ("_fillers", "_sock", "address", "host", "port", "sockaddr")

    def __init__(self, sock: socket.socket, fillers: list[socket.socket]) -> None:
        self._sock = sock
        self._fillers = fillers
        self.address = address_of(sock)
        self.sockaddr = self.address.sockaddr
        self.host = host_of(self.address)
        self.port = port_of(self.address)

    def __repr__(self) -> str:
        return f"<BlackHole {self.address}>"

    def open(self, backlog: int = 128) -> Server:
        """Free the queue, and listen like any other server from now on.

        A client that waits gets through when it sends its SYN again, which
        Linux does a second after the first time, then two, four, ...
        """
        own = {filler.getsockname()[:2] for filler in self._fillers}
        while own:
            conn = accept_within(self._sock, 5.0)
            own.discard(conn.getpeername()[:2])
            reset(conn)
        while self._fillers:
            reset(self._fillers.pop())
        self._sock.listen(backlog)
        return Server(self._sock)


@contextmanager
def black_hole(host: str = "127.0.0.1") -> Generator[BlackHole]:
    """Give a port of *host* where every SYN is dropped: a connect just hangs.

    The listener's accept queue is full, and known to be, before this yields.

    Raises:
        ValueError: *host* is a name.
        TimeoutError: The queue cannot be filled on this kernel.
    """
    fillers: list[socket.socket] = []
    with bound(host) as sock:
        sock.listen(0)
        try:
            _fill(sock, fillers)
            yield BlackHole(sock, fillers)
        finally:
            for filler in fillers:
                reset(filler)


def _fill(listener: socket.socket, fillers: list[socket.socket]) -> None:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline and len(fillers) < _MOST:
        filler = socket.socket(listener.family, socket.SOCK_STREAM)
        fillers.append(filler)
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        is_connected = _is_writable(filler, 1.0 if _TCP_INFO else 0.2)
        if not is_connected:  # pragma: no cover - Linux says so beforehand
            # Dropped here, its SYN would be sent again and take the next slot.
            reset(fillers.pop())
        if _is_full(listener, is_connected):
            return
    raise TimeoutError(f"the accept queue of {address_of(listener)} does not fill")


def _is_writable(sock: socket.socket, timeout: float) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return bool(poller.poll(timeout * 1000))


def _is_full(listener: socket.socket, is_connected: bool) -> bool:
    if _TCP_INFO is None:  # pragma: no cover - not Linux
        return not is_connected
    # The client can be connected before its ACK has reached the queue.
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.poll(1000)
    # tcp_info of a listener: tcpi_unacked is the queue, tcpi_sacked its limit.
    info = listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 32)
    waiting, limit = struct.unpack("=II", info[24:32])
    return bool(waiting > limit)


class FullBacklog:
    """A Unix listener whose backlog is full: connect(2) gives EAGAIN."""

    __slots__ = ("_sock", "address", "path", "sockaddr")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.address = address_of(sock)
        self.sockaddr = self.address.sockaddr
        self.path = unix_path(sock)

    def __repr__(self) -> str:
        return f"<FullBacklog {self.address}>"

    def free_slot(self) -> None:
        """Accept the oldest connection and close it: one client gets in.

        Raises:
            BlockingIOError: No connection is left to accept.
            OSError: The listener is closed.
        """
        conn, _ = self._sock.accept()
        conn.close()

    def accept(self, timeout: float = 5.0) -> socket.socket:
        """Return the oldest connection: a blocking socket that the caller owns.

        Raises:
            TimeoutError: None came within *timeout* seconds.
        """
        return accept_within(self._sock, timeout)

    def close_listener(self) -> None:
        """Close the listener and leave the path: connect(2) gives ECONNREFUSED."""
        self._sock.close()


@contextmanager
def full_backlog(
    path: UnixPath | None = None, *, kind: int = socket.SOCK_STREAM
) -> Generator[FullBacklog]:
    """Listen on a Unix *path* with a backlog that is full from the beginning.

    Without a *path* it is one in a new directory; *kind* is ``SOCK_STREAM`` or
    ``SOCK_SEQPACKET``.  At exit everything is closed and removed.

    Raises:
        ValueError: *path* or *kind* is nothing that a Unix socket can have.
        TimeoutError: The backlog cannot be filled on this kernel.
    """
    with ExitStack() as stack:
        sock = stack.enter_context(unix_bound(path, kind))
        sock.listen(0)
        for _ in range(_MOST):
            filler = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            filler.setblocking(False)
            if filler.connect_ex(sock.getsockname()) == errno.EAGAIN:
                break
        else:  # pragma: no cover - listen(0) has room for one on Linux
            raise TimeoutError(f"the backlog of {address_of(sock)} does not fill")
        yield FullBacklog(sock)

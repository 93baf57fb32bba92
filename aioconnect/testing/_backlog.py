"""Listen with a full queue, so that no connection gets through.

Only this module connects: it fills the queues with sockets of its own.
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
    bound_socket,
    bound_unix_socket,
    close_with_reset,
    host_of,
    port_of,
)

__all__ = ["BlackHole", "FullBacklog", "black_hole", "full_backlog"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)

# listen(0) has room for one connection on Linux.  Other kernels round it up.
_MAX_FILLERS = 64


class BlackHole:
    """A TCP port that answers no SYN until `open` is called.

    *address* is the port as an `aioconnect.Address`; *host*, *port* and *sockaddr* are
    its parts.
    """

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
        """Free the queue and return a server that listens with *backlog* (128).

        A waiting client gets through when it sends its SYN again.  Linux does so after
        1 s, then after another 2 s, 4 s and so on.

        Raises:
            TimeoutError: The queue could not be emptied.
        """
        own = {filler.getsockname()[:2] for filler in self._fillers}
        while own:
            conn = accept_within(self._sock, 5.0)
            own.discard(conn.getpeername()[:2])
            close_with_reset(conn)
        while self._fillers:
            close_with_reset(self._fillers.pop())
        self._sock.listen(backlog)
        return Server(self._sock)


@contextmanager
def black_hole(host: str = "127.0.0.1") -> Generator[BlackHole]:
    """Yield a `BlackHole`: a port of *host* that drops every SYN, so a connect hangs.

    *host* is a numeric address (default 127.0.0.1).  This yields only after it has seen
    that the accept queue of the listener is full.

    Raises:
        ValueError: *host* is a name.
        TimeoutError: The queue cannot be filled on this kernel.
    """
    fillers: list[socket.socket] = []
    with bound_socket(host) as sock:
        sock.listen(0)
        try:
            _fill_accept_queue(sock, fillers)
            yield BlackHole(sock, fillers)
        finally:
            for filler in fillers:
                close_with_reset(filler)


def _fill_accept_queue(listener: socket.socket, fillers: list[socket.socket]) -> None:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline and len(fillers) < _MAX_FILLERS:
        filler = socket.socket(listener.family, socket.SOCK_STREAM)
        fillers.append(filler)
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        is_connected = _is_writable(filler, 1.0 if _TCP_INFO else 0.2)
        if not is_connected:  # pragma: no cover - Linux reports a full queue before
            # The kernel would send the dropped SYN again, which takes the next slot.
            close_with_reset(fillers.pop())
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
    # The client can be connected before its ACK has reached the accept queue.
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.poll(1000)
    # In a listener's tcp_info, tcpi_unacked is the length of the queue and tcpi_sacked
    # is its limit.
    info = listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 32)
    waiting, limit = struct.unpack("=II", info[24:32])
    return bool(waiting > limit)


class FullBacklog:
    """A Unix listener whose backlog is full: connect(2) gives EAGAIN.

    *path* is where it listens, *address* the same as an `aioconnect.Address`.
    """

    __slots__ = ("_sock", "address", "path", "sockaddr")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.address = address_of(sock)
        self.sockaddr = self.address.sockaddr
        self.path = unix_path(sock)

    def __repr__(self) -> str:
        return f"<FullBacklog {self.address}>"

    def free_slot(self) -> None:
        """Accept the oldest connection and close it, so that one client gets in.

        Raises:
            BlockingIOError: No connection is waiting.
            OSError: The listener is closed.
        """
        conn, _ = self._sock.accept()
        conn.close()

    def accept(self, timeout: float = 5.0) -> socket.socket:
        """Return the oldest connection, a blocking socket that the caller closes.

        Raises:
            TimeoutError: No connection came within *timeout* seconds (5).
        """
        return accept_within(self._sock, timeout)

    def close_listener(self) -> None:
        """Close the listener and keep the path: connect(2) then gives ECONNREFUSED."""
        self._sock.close()


@contextmanager
def full_backlog(
    path: UnixPath | None = None, *, kind: int = socket.SOCK_STREAM
) -> Generator[FullBacklog]:
    """Yield a `FullBacklog`: a Unix listener whose backlog is full from the beginning.

    *path* is where it listens (default: a path in a new temporary directory).  *kind*
    is ``SOCK_STREAM`` (the default) or ``SOCK_SEQPACKET``.  At exit every socket is
    closed, and the path and the new directory are removed.

    Raises:
        ValueError: A Unix socket cannot have this *path* or *kind*.
        TimeoutError: The backlog cannot be filled on this kernel.
    """
    with ExitStack() as stack:
        sock = stack.enter_context(bound_unix_socket(path, kind))
        sock.listen(0)
        for _ in range(_MAX_FILLERS):
            filler = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            filler.setblocking(False)
            if filler.connect_ex(sock.getsockname()) == errno.EAGAIN:
                break
        else:  # pragma: no cover - on Linux, listen(0) has room for one connection
            raise TimeoutError(f"the backlog of {address_of(sock)} does not fill")
        yield FullBacklog(sock)

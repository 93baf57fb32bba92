"""Bind server sockets on this host, and close them without a trace.

Only this module makes server sockets.  None of them is inheritable.
"""

from __future__ import annotations

import errno
import os
import select
import shutil
import socket
import struct
import tempfile
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Protocol, TypeVar, cast

from .._sansio.addresses import Address, SockAddr, unix_address
from .._sansio.hosts import numeric_address

__all__ = [
    "UnixPath",
    "accept_within",
    "address_of",
    "bound_socket",
    "bound_unix_socket",
    "close_with_reset",
    "host_of",
    "on_one_port",
    "port_of",
    "register_server_socket",
    "server_descriptors",
]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True

UnixPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_server_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_server_sockets_lock = threading.Lock()

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_MAX_PORTS_TRIED = 100


class _HasPort(Protocol):
    @property
    def port(self) -> int: ...


_First = TypeVar("_First", bound=_HasPort)
_Second = TypeVar("_Second")


def bound_socket(host: str, port: int = 0, *, is_shared: bool = False) -> socket.socket:
    """Return a non-blocking TCP socket that is bound to *host* and not listening.

    The caller closes it.  With *is_shared* (``SO_REUSEADDR``), other sockets that set
    the same option can be bound to the same port.

    Raises:
        ValueError: *host* is not a numeric address.
    """
    address = numeric_address(host, port)
    if address is None:
        raise ValueError(f"host: {host!r} is not an address in numbers")
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(is_shared))
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def on_one_port(
    first: Callable[[], AbstractContextManager[_First]],
    second: Callable[[int], AbstractContextManager[_Second]],
) -> Generator[tuple[_First, _Second]]:
    """Yield two servers that have the same port, on different addresses.

    *first* takes no argument and opens any free port.  *second* is called with that
    port.  A port that is free on one address may be in use on the other, by a client
    to which the kernel gave it.  Both servers are then made again.

    Raises:
        OSError: *first* or *second* raised it.  An EADDRINUSE from *second* is raised
            only after 100 tries.
    """
    for left in reversed(range(_MAX_PORTS_TRIED)):
        with ExitStack() as stack:
            one = stack.enter_context(first())
            try:
                other = stack.enter_context(second(one.port))
            except OSError as exc:
                if exc.errno != errno.EADDRINUSE or not left:
                    raise
                continue
            yield one, other
            return


@contextmanager
def bound_unix_socket(path: UnixPath | None, kind: int) -> Generator[socket.socket]:
    """Yield a non-blocking Unix socket of *kind* that is bound and not listening.

    *path* None stands for a path in a new directory.  At exit the socket is closed,
    and the path and the new directory are removed.

    Raises:
        ValueError: A Unix socket cannot have this *path* or *kind*.
    """
    directory = None if path is not None else tempfile.mkdtemp(prefix="aioconnect-")
    try:
        if directory is not None:
            path = os.path.join(directory, "socket")
        address = unix_address(cast("UnixPath", path), kind)
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.setblocking(False)
            sock.bind(address.sockaddr)
            try:
                yield sock
            finally:
                _unlink_path(cast("str | bytes", address.sockaddr))
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _unlink_path(path: str | bytes) -> None:
    if os.fsencode(path)[0]:
        with suppress(FileNotFoundError):
            os.unlink(path)


def address_of(sock: socket.socket) -> Address:
    """Return the address that *sock* is bound to."""
    return Address(sock.family, cast("SockAddr", sock.getsockname()), 0, int(sock.type))


def host_of(address: Address) -> str:
    """Return the host of a TCP *address*, or ``""`` for a Unix address."""
    sockaddr = address.sockaddr
    return str(sockaddr[0]) if isinstance(sockaddr, tuple) else ""


def port_of(address: Address) -> int:
    """Return the port of a TCP *address*, or 0 for a Unix address."""
    sockaddr = address.sockaddr
    return sockaddr[1] if isinstance(sockaddr, tuple) else 0


def accept_within(listener: socket.socket, timeout: float) -> socket.socket:
    """Return the next connection to *listener*, a blocking socket the caller closes.

    Raises:
        TimeoutError: Nobody connected within *timeout* seconds.
    """
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    if not poller.poll(timeout * 1000):
        where = address_of(listener)
        raise TimeoutError(f"nobody connected to {where} within {timeout:g} s")
    conn, _ = listener.accept()
    # On the BSDs, an accepted socket inherits the listener's non-blocking mode.
    conn.setblocking(True)
    return conn


def register_server_socket(sock: socket.socket) -> None:
    """Note that *sock* belongs to a server, which opened it while it runs.

    A leak check ignores it.
    """
    with _server_sockets_lock:
        _server_sockets.add(sock)


def server_descriptors() -> set[int]:
    """Return the descriptors of all registered server sockets that are still open."""
    with _server_sockets_lock:
        return {sock.fileno() for sock in _server_sockets}


def close_with_reset(sock: socket.socket) -> None:
    """Close *sock* with a reset: no TIME_WAIT, and the peer sees ECONNRESET."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()

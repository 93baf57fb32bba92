"""Bind sockets on this host, and let go of them without a trace.

Only this module makes server sockets; none of them is inheritable.
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
    "bound",
    "host_of",
    "keep",
    "kept_descriptors",
    "on_one_port",
    "port_of",
    "reset",
    "unix_bound",
]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True

UnixPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_kept: weakref.WeakSet[socket.socket] = weakref.WeakSet()
_keeping = threading.Lock()

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_TRIES = 100


class _HasPort(Protocol):
    @property
    def port(self) -> int: ...


_First = TypeVar("_First", bound=_HasPort)
_Second = TypeVar("_Second")


def bound(host: str, port: int = 0, *, is_shared: bool = False) -> socket.socket:
    """Return a non-blocking TCP socket, bound to *host* and not listening.

    The caller owns it.  *is_shared* lets other sockets that ask for it
    (``SO_REUSEADDR``) be bound to the same port.

    Raises:
        ValueError: *host* is not an address in numbers.
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
    """Give two servers that have the same port, on addresses of their own.

    *first* takes any port, *second* is called with it.  A port that is free on one
    address may be in use on the other, by a client that the kernel gave it to:
    both are made anew then.

    Raises:
        OSError: What *first* or *second* raises, other than EADDRINUSE of *second*.
    """
    for left in reversed(range(_TRIES)):
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
def unix_bound(path: UnixPath | None, kind: int) -> Generator[socket.socket]:
    """Give a non-blocking Unix socket of *kind*, bound to *path*, not listening.

    Without a *path* it is one in a new directory.  What was made is removed at
    exit, and the socket closed.

    Raises:
        ValueError: *path* or *kind* is nothing that a Unix socket can have.
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
                _unlink(cast("str | bytes", address.sockaddr))
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _unlink(path: str | bytes) -> None:
    if os.fsencode(path)[0]:
        with suppress(FileNotFoundError):
            os.unlink(path)


def address_of(sock: socket.socket) -> Address:
    """Return where *sock* is bound."""
    return Address(sock.family, cast("SockAddr", sock.getsockname()), 0, int(sock.type))


def host_of(address: Address) -> str:
    """Return the host of a TCP *address*; of a Unix one, nothing."""
    sockaddr = address.sockaddr
    return str(sockaddr[0]) if isinstance(sockaddr, tuple) else ""


def port_of(address: Address) -> int:
    """Return the port of a TCP *address*; of a Unix one, 0."""
    sockaddr = address.sockaddr
    return sockaddr[1] if isinstance(sockaddr, tuple) else 0


def accept_within(listener: socket.socket, timeout: float) -> socket.socket:
    """Return the next connection to *listener*, blocking, the caller's own.

    Raises:
        TimeoutError: Nobody connected within *timeout* seconds.
    """
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    if not poller.poll(timeout * 1000):
        where = address_of(listener)
        raise TimeoutError(f"nobody connected to {where} within {timeout:g} s")
    conn, _ = listener.accept()
    # It is inherited from the listener on the BSDs.
    conn.setblocking(True)
    return conn


def keep(sock: socket.socket) -> None:
    """Note that *sock* is a server's own, opened while it runs.

    A check of what a client leaves behind passes over it.
    """
    with _keeping:
        _kept.add(sock)


def kept_descriptors() -> set[int]:
    """Return the descriptors of what `keep` was told of and is still open."""
    with _keeping:
        return {sock.fileno() for sock in _kept}


def reset(sock: socket.socket) -> None:
    """Close *sock* with a reset: no TIME_WAIT, and the peer sees ECONNRESET."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()

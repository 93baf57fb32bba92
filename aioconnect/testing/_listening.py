"""Listen on a port or a path, and let the kernel complete the handshakes.

Nothing here accepts a connection that the test has not asked for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from ._ports import (
    UnixPath,
    accept_within,
    address_of,
    bound,
    host_of,
    port_of,
    unix_bound,
)

__all__ = ["Server", "UnixServer", "listening", "unix_listening"]

# To pytest: show the line of the test, and not those that raise here.
__tracebackhide__ = True


class Server:
    """A listening TCP socket.

    *sock* is the (non-blocking, non-inheritable) socket itself, *address* where
    it listens, *host*, *port* and *sockaddr* the same in the other spellings.
    """

    __slots__ = ("address", "host", "port", "sock", "sockaddr")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.address = address_of(sock)
        self.sockaddr = self.address.sockaddr
        self.host = host_of(self.address)
        self.port = port_of(self.address)

    def __repr__(self) -> str:
        return f"<Server {self.address}>"

    def accept(self, timeout: float = 5.0) -> socket.socket:
        """Return the next connection: a blocking socket that the caller owns.

        Raises:
            TimeoutError: Nobody connected within *timeout* seconds.
        """
        return accept_within(self.sock, timeout)


class UnixServer:
    """A listening Unix socket.

    *path* is what to connect to (an abstract name begins with a NUL), *address*
    the same as an `aioconnect.Address`, *sock* the (non-blocking) socket itself.
    """

    __slots__ = ("address", "path", "sock", "sockaddr")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.address = address_of(sock)
        self.sockaddr = self.address.sockaddr
        self.path = unix_path(sock)

    def __repr__(self) -> str:
        return f"<UnixServer {self.address}>"

    def accept(self, timeout: float = 5.0) -> socket.socket:
        """Return the next connection: a blocking socket that the caller owns.

        Raises:
            TimeoutError: Nobody connected within *timeout* seconds.
        """
        return accept_within(self.sock, timeout)


def unix_path(sock: socket.socket) -> str:
    """Return the path that *sock* is bound to, as text."""
    # The socket module gives an abstract name as bytes, a path as str.
    return os.fsdecode(cast("str | bytes", sock.getsockname()))


@contextmanager
def listening(
    host: str = "127.0.0.1", *, port: int = 0, backlog: int = 128
) -> Generator[Server]:
    """Listen on *host*, an address in numbers; port 0 is any free one.

    The kernel completes the handshakes of up to *backlog* + 1 clients; `accept`
    gives them to the test.  At exit the socket is closed, and connections that
    nobody accepted are reset; those that were accepted are their owner's.

    Raises:
        ValueError: *host* is a name.
        OSError: The port is taken.
    """
    # Shared, so that connections which outlive it do not keep the port.
    with bound(host, port, is_shared=True) as sock:
        sock.listen(backlog)
        yield Server(sock)


@contextmanager
def unix_listening(
    path: UnixPath | None = None,
    *,
    kind: int = socket.SOCK_STREAM,
    backlog: int = 128,
) -> Generator[UnixServer]:
    """Listen on a Unix *path*; without one, on a path in a new directory.

    *kind* is ``SOCK_STREAM`` or ``SOCK_SEQPACKET``; a path that begins with a
    NUL is abstract.  At exit the path, and the directory if it was made here,
    are removed.

    Raises:
        ValueError: *path* is too long or has a NUL inside; *kind* is another.
        OSError: The path is taken.
    """
    with unix_bound(path, kind) as sock:
        sock.listen(backlog)
        yield UnixServer(sock)

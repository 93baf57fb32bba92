"""Listen on a port or a path, and let the kernel complete the handshakes.

Nothing here accepts a connection unless the test asks for one.
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
    bound_socket,
    bound_unix_socket,
    host_of,
    port_of,
)

__all__ = ["Server", "UnixServer", "listening", "unix_listening"]

# pytest then shows the line of the test that failed, and no line of this module.
__tracebackhide__ = True


class Server:
    """A listening TCP socket.

    *sock* is the socket itself, non-blocking and non-inheritable.  *address* is where
    it listens; *host*, *port* and *sockaddr* are its parts.
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

    *path* is where it listens (an abstract name begins with a NUL).  *address* is the
    same as an `aioconnect.Address`.  *sock* is the socket itself, non-blocking.
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
    # getsockname() returns an abstract name as bytes, and a path as str.
    return os.fsdecode(cast("str | bytes", sock.getsockname()))


@contextmanager
def listening(
    host: str = "127.0.0.1", *, port: int = 0, backlog: int = 128
) -> Generator[Server]:
    """Yield a `Server` that listens on *port* of *host*.

    *host* is a numeric address (127.0.0.1); *port* is 0 by default, any free one.  The
    kernel completes the handshakes of up to *backlog* (128) + 1 clients.
    `Server.accept` returns them to the test.  At exit the socket is closed, and
    connections that were not accepted are reset.  The test closes the others.

    Raises:
        ValueError: *host* is a name.
        OSError: The port is taken.
    """
    # Shared, so that a connection which outlives the listener does not block its port.
    with bound_socket(host, port, is_shared=True) as sock:
        sock.listen(backlog)
        yield Server(sock)


@contextmanager
def unix_listening(
    path: UnixPath | None = None,
    *,
    kind: int = socket.SOCK_STREAM,
    backlog: int = 128,
) -> Generator[UnixServer]:
    """Yield a `UnixServer` that listens on *path*.

    *path* is by default in a new temporary directory; if it begins with a NUL, it is
    abstract.  *kind* is ``SOCK_STREAM`` (the default) or ``SOCK_SEQPACKET``.  *backlog*
    is passed to listen(2) (128).  At exit the path and the new directory are removed.

    Raises:
        ValueError: *path* is too long or has a NUL inside, or *kind* is another one.
        OSError: The path is taken.
    """
    with bound_unix_socket(path, kind) as sock:
        sock.listen(backlog)
        yield UnixServer(sock)

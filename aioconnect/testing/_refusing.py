"""Hold a port on which nothing listens.

A port that was free a moment ago may be in use by now.  A client that retries it can
even connect to itself, because Linux may choose it as the source port.  A port to
which a socket is *bound* refuses connects and cannot be taken.  It is never chosen as a
source port either, because the kernel skips every port that bind(2) has claimed.
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from .._sansio.addresses import Address, SockAddr
from ._listening import Server
from ._ports import address_of, bound_socket, host_of, port_of, register_server_socket

__all__ = ["HeldPort", "RefusingPort", "refusing", "unused_port"]


@dataclass(frozen=True, slots=True)
class RefusingPort:
    """A port that refuses every connect; *address* is where it is."""

    address: Address

    @property
    def host(self) -> str:
        """The host of the address, in numbers."""
        return host_of(self.address)

    @property
    def port(self) -> int:
        """The port of the address."""
        return port_of(self.address)

    @property
    def sockaddr(self) -> SockAddr:
        """The address as `socket.socket.connect` takes it."""
        return self.address.sockaddr


@contextmanager
def refusing(host: str = "127.0.0.1") -> Generator[RefusingPort]:
    """Yield a `RefusingPort` of *host*: every connect to it gets ECONNREFUSED.

    *host* is a numeric address (127.0.0.1).  No other socket can be bound to the port,
    and no client gets it as a source port.

    Raises:
        ValueError: *host* is a name.
    """
    with bound_socket(host) as sock:
        yield RefusingPort(address_of(sock))


class HeldPort:
    """A port that refuses until `listen` is called, and again after `refuse`.

    Any server that sets ``SO_REUSEADDR`` can listen on it too; `asyncio.start_server`
    does.  No other socket gets the port by chance.  *address* is where the port is;
    *host*, *port* and *sockaddr* are its parts.
    """

    __slots__ = ("_holder", "_listener", "address", "host", "port", "sockaddr")

    def __init__(self, host: str) -> None:
        self._holder = bound_socket(host, is_shared=True)
        self._listener: socket.socket | None = None
        self.address = address_of(self._holder)
        self.sockaddr = self.address.sockaddr
        self.host = host_of(self.address)
        self.port = port_of(self.address)

    def __repr__(self) -> str:
        return f"<HeldPort {self.address}>"

    def listen(self, backlog: int = 128) -> Server:
        """Start to listen, until `refuse` or the exit.

        *backlog* is passed to listen(2) (128).

        Raises:
            OSError: This or another socket listens already (EADDRINUSE).
        """
        self._listener = listener = self.bound_too()
        listener.listen(backlog)
        return Server(listener)

    def bound_too(self) -> socket.socket:
        """Return another socket that is bound to the port; the caller closes it."""
        sock = bound_socket(self.host, self.port, is_shared=True)
        register_server_socket(sock)
        return sock

    def refuse(self) -> None:
        """Stop listening.  Connections that were not accepted are reset."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """Stop listening, and give the port up."""
        self.refuse()
        self._holder.close()


@contextmanager
def unused_port(host: str = "127.0.0.1") -> Generator[HeldPort]:
    """Yield a `HeldPort` of *host*, on which nothing listens yet.

    *host* is a numeric address (127.0.0.1).  Every connect gets ECONNREFUSED, and never
    connects to itself, until the test calls `HeldPort.listen` or starts a server there.

    Raises:
        ValueError: *host* is a name.
    """
    held = HeldPort(host)
    try:
        yield held
    finally:
        held.close()

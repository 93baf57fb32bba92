"""Hold a port on which nothing listens.

A port that was merely free a moment ago may be anybody's by now, and a client
that retries it can connect to itself: Linux gives it as the source port.  A port
that a socket is *bound* to is refused, is nobody else's, and is never taken for
a source port (the kernel skips every port that bind(2) has claimed).
"""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from .._sansio.addresses import Address, SockAddr
from ._listening import Server
from ._ports import address_of, bound, host_of, keep, port_of

__all__ = ["HeldPort", "RefusingPort", "refusing", "unused_port"]


@dataclass(frozen=True, slots=True)
class RefusingPort:
    """Where every connect is refused."""

    address: Address

    @property
    def host(self) -> str:
        """The address's host, in numbers."""
        return host_of(self.address)

    @property
    def port(self) -> int:
        """The address's port."""
        return port_of(self.address)

    @property
    def sockaddr(self) -> SockAddr:
        """What `socket.socket.connect` takes."""
        return self.address.sockaddr


@contextmanager
def refusing(host: str = "127.0.0.1") -> Generator[RefusingPort]:
    """Hold a port of *host* to itself: each connect to it gets ECONNREFUSED.

    No other socket can be bound to it, and no client is given it as its own.

    Raises:
        ValueError: *host* is a name.
    """
    with bound(host) as sock:
        yield RefusingPort(address_of(sock))


class HeldPort:
    """A port that is refused until `listen` is called, and again after `refuse`.

    Any server that sets ``SO_REUSEADDR`` (`asyncio.start_server` does) can
    listen on it too, while nobody is given it by chance.
    """

    __slots__ = ("_holder", "_listener", "address", "host", "port", "sockaddr")

    def __init__(self, host: str) -> None:
        self._holder = bound(host, is_shared=True)
        self._listener: socket.socket | None = None
        self.address = address_of(self._holder)
        self.sockaddr = self.address.sockaddr
        self.host = host_of(self.address)
        self.port = port_of(self.address)

    def __repr__(self) -> str:
        return f"<HeldPort {self.address}>"

    def listen(self, backlog: int = 128) -> Server:
        """Listen, until `refuse` or the exit.

        Raises:
            OSError: It listens already, or another socket does (EADDRINUSE).
        """
        self._listener = listener = self.bound_too()
        listener.listen(backlog)
        return Server(listener)

    def bound_too(self) -> socket.socket:
        """Return another socket bound to the port; the caller owns it."""
        sock = bound(self.host, self.port, is_shared=True)
        keep(sock)
        return sock

    def refuse(self) -> None:
        """Stop listening: connections that nobody accepted are reset."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """Let go of the port."""
        self.refuse()
        self._holder.close()


@contextmanager
def unused_port(host: str = "127.0.0.1") -> Generator[HeldPort]:
    """Hold a port of *host* on which nothing listens yet.

    A connect gets ECONNREFUSED, and never itself, until the test calls
    `HeldPort.listen` or starts its own server there.

    Raises:
        ValueError: *host* is a name.
    """
    held = HeldPort(host)
    try:
        yield held
    finally:
        held.close()

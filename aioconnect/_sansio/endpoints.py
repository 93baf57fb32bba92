"""Where a call goes: what it connects to, once a target has been taken apart."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .addresses import Address, host_and_port
from .targets import join_host_port
from .text import printable

__all__ = ["Endpoint", "endpoint_at"]


class Endpoint(NamedTuple):
    """Where a call goes: a host and a port, and the address if that is known.

    Without a *host* it is this machine, without a *port* too the caller's socket.
    A *service* is what has to be looked up for hosts and ports first.  With a place
    *beyond*, it is that of a proxy on the way there.
    """

    host: str | None
    port: int | None
    address: Address | None = None
    service: str | None = None
    beyond: Endpoint | None = None

    @property
    def end(self) -> Endpoint:
        """What the call is about: the place beyond all proxies."""
        return self if self.beyond is None else self.beyond.end

    def __str__(self) -> str:
        if self.beyond is not None:
            return f"{self.beyond} through {self._replace(beyond=None)}"
        if self.service is not None:
            return printable(f"srv:{self.service}")
        if self.port is None:
            return self.host or "the peer of the given socket"
        if self.host is None:
            return f"this machine, port {self.port}"
        return join_host_port(self.host, self.port)


# For the same reason as `numeric_address`: a client connects to few, many times.
@functools.lru_cache(maxsize=512)
def endpoint_at(address: Address) -> Endpoint:
    """Return the place of *address*."""
    return Endpoint(*host_and_port(address), address)

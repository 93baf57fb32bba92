"""Represent endpoints: what one call connects to."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .addresses import Address, host_and_port
from .target_text import join_host_port
from .text import printable

__all__ = ["Endpoint", "endpoint_at"]


class Endpoint(NamedTuple):
    """A host and a port to connect to, and their *address* if it is known.

    Without a *host*, the endpoint is this machine; without a *port* too, it is the
    peer of the caller's socket.  A *service* has SRV records, which give hosts and
    ports.  An endpoint with a *destination* is a proxy on the way to it.
    """

    host: str | None
    port: int | None
    address: Address | None = None
    service: str | None = None
    destination: Endpoint | None = None

    @property
    def final_destination(self) -> Endpoint:
        """The endpoint behind all proxies: what the call is about."""
        if self.destination is None:
            return self
        return self.destination.final_destination

    def __str__(self) -> str:
        if self.destination is not None:
            return f"{self.destination} through {self._replace(destination=None)}"
        if self.service is not None:
            return printable(f"srv:{self.service}")
        if self.port is None:
            return self.host or "the peer of the given socket"
        if self.host is None:
            return f"this machine, port {self.port}"
        return join_host_port(self.host, self.port)


# A client connects to few addresses, many times.
@functools.lru_cache(maxsize=512)
def endpoint_at(address: Address) -> Endpoint:
    """Return the endpoint that stands for *address*."""
    return Endpoint(*host_and_port(address), address)

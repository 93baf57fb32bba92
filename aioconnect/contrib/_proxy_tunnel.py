"""Take one call through proxies: look up the next target, and ask each in turn.

The SSRF guard is asked here about the target and the later proxies.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from .._calls.arguments import endpoint_from_host
from .._calls.connect import ConnectOperation
from .._connector import Connector
from .._io.socket_ownership import Handover
from .._io.transports import Wrap
from .._sansio.addresses import Address, host_and_port
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .._sansio.ip_filter import is_allowed
from ._proxy_handshake import ProxyHandshake
from ._proxy_url import Hop, ascii_name

__all__ = ["Tunnel"]

T = TypeVar("T")


class Tunnel(Wrap[T]):
    """The way of one call through *hops* to *target*; *wrap* wraps its socket."""

    has_handshake = True

    def __init__(
        self,
        connector: Connector,
        hops: Sequence[Hop],
        target: Endpoint,
        wrap: Wrap[T] | None,
    ) -> None:
        hops[-1].check_target(target)
        self._connector = connector
        self._wrap = wrap
        ends = [*(hop.endpoint for hop in hops[1:]), target]
        self._links = list(zip(hops, ends, strict=True))
        self._requests: list[tuple[Hop, str, int]] = []
        first, *beyond = (hop.endpoint for hop in hops)
        self.endpoint = endpoint_from_host(connector, str(first.host), first.port or 0)
        for endpoint in reversed(beyond):
            target = endpoint._replace(destination=target)
        self.endpoint = self.endpoint._replace(destination=target)

    async def find(
        self, first: Endpoint, turn: Deadline, operation: ConnectOperation
    ) -> Endpoint | None:
        """Prepare each proxy's request; return *first*, or None after a failure."""
        self._requests = []
        for hop, end in self._links:
            address, host = end.address, str(end.host)
            if address is None and not hop.resolves_names:
                address = await self._look_up(hop, end, turn, operation)
                if address is None:
                    return None
            if not self._is_allowed(address):
                text = "not allowed"
                if address is None:
                    text = "the proxy looks it up: use socks5, or give an address"
                error = AttemptError("guard", os_error(errno.EACCES, text), sent=False)
                now = asyncio.get_running_loop().time()
                operation.record.failed(
                    error, None, now, turn, host=str(end.final_destination)
                )
                return None
            # Request the address that was allowed, with the port from the resolver.
            known = address and host_and_port(address)
            host, port = known or (ascii_name(host), end.port)
            self._requests.append((hop, host, port or 0))
        return first

    async def _look_up(
        self, hop: Hop, end: Endpoint, turn: Deadline, operation: ConnectOperation
    ) -> Address | None:
        """Return an address of *end*, or None after recording a failure."""
        # Whether the proxy can connect over IPv6 is unknown, so IPv4 comes first.
        found = await operation.look_up(end, turn, hop.family)
        for address in found:
            if address.family not in (socket.AF_INET, socket.AF_INET6):
                text = f"resolver must give IPv4 or IPv6 to a proxy, not {address}"
                raise TypeError(text)
        return min(found, key=lambda address: address.family, default=None)

    def _is_allowed(self, address: Address | None) -> bool:
        allow = self._connector.allow
        return allow is None or (address is not None and is_allowed(allow, address))

    async def __call__(self, handover: Handover) -> Any:
        """Shake hands with each proxy, then let *wrap* wrap the socket.

        Raises what *wrap* and `ProxyHandshake.request` do.  The socket is then closed.
        """
        await self._request(handover)
        if self._wrap is None:
            return handover.sock
        return await self._wrap(handover)

    def may_win(self, connection: Any) -> bool:
        """Tell whether *connection*, which is usable, can be the winner's."""
        return self._wrap is None or self._wrap.may_win(connection)

    async def adopt(
        self, loop: asyncio.AbstractEventLoop, connection: Any, deadline: float | None
    ) -> T:
        """Return the winner's connection."""
        if self._wrap is None:
            return cast("T", connection)
        return await self._wrap.adopt(loop, connection, deadline)

    async def _request(self, handover: Handover) -> None:
        """Shake hands with each proxy over the socket, or close it."""
        loop, sock, deadline = handover.loop, handover.sock, handover.deadline
        try:
            if handover.tell is not None:
                handover.tell("proxy")
            for hop, host, port in self._requests:
                name = f"{hop.endpoint}: " if len(self._requests) > 1 else ""
                handshake = ProxyHandshake(loop, sock, deadline, hop, name)
                await handshake.request(host, port)
        except BaseException:
            sock.close()
            raise

"""Take one call through proxies: look up the next target, and ask each in turn.

The SSRF guard is asked here about the target and the later proxies.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from typing import Any, cast

from .._calls.arguments import endpoint_from_host
from .._calls.connect import ConnectOperation
from .._calls.options import Options
from .._connector import Connector
from .._io.socket_ownership import Handover
from .._io.tls import TLSOptions
from .._io.transports import StreamsWrap, TransportWrap, Wrap
from .._sansio.addresses import Address, host_and_port
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .._sansio.ip_filter import is_allowed
from ._proxy_channel import SocketChannel
from ._proxy_handshake import ProxyHandshake
from ._proxy_tls import Request, SecureWrap
from ._proxy_url import Hop, ascii_name

__all__ = ["Tunnel"]

_DEFAULT = Connector()


class Tunnel:
    """The way of one call through *hops* to *target*: a `Passage`.

    *wrap* makes the connection.  *proxy_ssl* is for TLS with a proxy.

    Raises:
        ValueError: The last proxy cannot connect to *target*, or TLS with a proxy
            leaves no socket for *wrap*.
    """

    def __init__(
        self,
        options: Options,
        hops: Sequence[Hop],
        target: Endpoint,
        wrap: Wrap[Any] | None,
        proxy_ssl: ssl.SSLContext | None,
    ) -> None:
        if target.address is None:
            # The option *family* is that of the first proxy, not that of the target.
            target = endpoint_from_host(_DEFAULT, str(target.host), target.port or 0)
        if target.address is not None and target.address.type != socket.SOCK_STREAM:
            raise ValueError(f"address: a proxy carries streams only: {target.address}")
        hops[-1].check_target(target)
        self._options = options
        ends = [*(hop.endpoint for hop in hops[1:]), target]
        self._links = list(zip(hops, ends, strict=True))
        self._requests: list[Request] = []
        self.wrap = wrap
        self._secure: SecureWrap | None = None
        for hop in hops:
            if hop.is_secure:
                self.wrap = self._secure = _secure_wrap(hop, proxy_ssl, wrap)
        first, *beyond = (hop.endpoint for hop in hops)
        self.endpoint = endpoint_from_host(options, str(first.host), first.port or 0)
        for endpoint in reversed(beyond):
            target = endpoint._replace(destination=target)
        self.endpoint = self.endpoint._replace(destination=target)

    async def find(self, turn: Deadline, operation: ConnectOperation) -> bool:
        """Prepare each proxy's request; return False after a failure."""
        requests: list[Request] = []
        for hop, end in self._links:
            address, host = end.address, str(end.host)
            if address is None and not hop.resolves_names:
                address = await self._look_up(hop, end, turn, operation)
                if address is None:
                    return False
            if not self._is_allowed(address):
                text = "not allowed"
                if address is None:
                    text = "the proxy looks it up: use socks5, or give an address"
                error = AttemptError("guard", os_error(errno.EACCES, text), sent=False)
                now = asyncio.get_running_loop().time()
                host = str(end.final_destination)
                operation.record.failed(error, None, now, turn, host=host)
                return False
            # Request the address that was allowed, with the port from the resolver.
            known = address and host_and_port(address)
            host, port = known or (ascii_name(host), end.port)
            name = f"{hop.endpoint}: " if len(self._links) > 1 else ""
            requests.append((hop, name, host, port or 0))
        secure = [hop.is_secure for hop, *_ in requests]
        plain = secure.index(True) if self._secure is not None else len(requests)
        self._requests = requests[:plain]
        if self._secure is not None:
            self._secure.requests = requests[plain:]
        return True

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
        allow = self._options.allow
        return allow is None or (address is not None and is_allowed(allow, address))

    async def request(self, handover: Handover) -> None:
        """Shake hands with each proxy that is asked over the plain socket.

        Raises what `ProxyHandshake.request` does.  The socket is then closed, unless it
        is the caller's.
        """
        loop, sock, deadline = handover.loop, handover.sock, handover.deadline
        try:
            if handover.tell is not None:
                handover.tell("proxy")
            channel = SocketChannel(loop, sock, deadline)
            for hop, name, host, port in self._requests:
                await ProxyHandshake(channel, hop, name).request(host, port)
        except BaseException:
            if handover.owned:
                sock.close()
            raise


def _secure_wrap(
    hop: Hop, proxy_ssl: ssl.SSLContext | None, wrap: Wrap[Any] | None
) -> SecureWrap:
    if not isinstance(wrap, StreamsWrap | TransportWrap):
        text = "leaves no socket to return: use open_connection or create_connection"
        raise ValueError(f"proxy: TLS with an https:// proxy {text}")
    tls = TLSOptions(ssl=proxy_ssl or True).for_host(str(hop.endpoint.host))
    return SecureWrap(tls, cast("StreamsWrap | TransportWrap[Any]", wrap))

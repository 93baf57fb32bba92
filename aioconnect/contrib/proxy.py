"""Connect through SOCKS and HTTP proxies.

The first proxy is connected to like any other server.  Tracebacks can show the local
variables of a frame, so no frame here holds the URL when an exception leaves it.  No
extra is needed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl as _ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar, Unpack, cast

from .._calls.arguments import addresses_of
from .._calls.call import Call
from .._calls.hooks import check_factory
from .._calls.options import ConnectorOptions
from .._calls.rounds import Rounds
from .._connector import Connector, check_connector
from .._io.tls import TLSArguments, tls_options
from .._io.transports import (
    LIMIT,
    OnPhase,
    Streams,
    Wrap,
    check_limit,
    create_streams,
    create_transport,
)
from .._sansio.addresses import Address, host_and_port
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .._sansio.ip_filter import is_allowed
from ._proxy_handshake import ProxyHandshake
from ._proxy_url import Hop, ascii_name, checked_proxy, hops_of

__all__ = ["ProxyConnector", "connect", "create_connection", "open_connection"]

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)

_DEFAULT = Connector()


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False)
class ProxyConnector:
    """Reusable options for connects through *proxy*: a value, like a `Connector`.

    *proxy* is a URL, ``scheme://user:password@host:port``, or a sequence of URLs, where
    each proxy is reached through the one before.  Reserved characters in user and
    password are written as ``%XX``; both are sent as UTF-8.  With the schemes
    ``socks5h``, ``socks4a`` and ``http`` (CONNECT) the proxy looks up names.  With
    ``socks5`` and ``socks4`` the *connector*'s resolver does, and the first IPv4
    address is used, or an IPv6 address if there is no other.

    *connector* says how to connect (default: a `Connector` with all defaults).  Its
    timeouts include the handshakes with the proxies, its *family* is that of the first
    proxy, and its *allow* is called for the target and for each proxy.  With *allow*, a
    name that a proxy would look up is refused.  An error is about the target and names
    the proxies.  Its phase is ``proxy`` if a proxy's answer caused it.

    Raises:
        ValueError, TypeError: A value cannot work; the text shows no credentials.
    """

    proxy: str | Sequence[str]
    connector: Connector = _DEFAULT

    def __init__(
        self, *, proxy: str | Sequence[str], connector: Connector = _DEFAULT
    ) -> None:
        try:
            check_connector(connector)
            object.__setattr__(self, "proxy", checked_proxy(proxy))
            object.__setattr__(self, "connector", connector)
        finally:
            # A traceback must not show a half-made connector either.
            del self, proxy

    def __repr__(self) -> str:
        through = ", ".join(map(repr, hops_of(self.proxy)))
        return f"{type(self).__name__}({through}, connector={self.connector!r})"

    async def connect(self, host: str, port: int | str) -> socket.socket:
        """Connect through the proxy, as the function `connect` does."""
        made: socket.socket = await self._through(host, port, None)
        return made

    async def open_connection(
        self,
        host: str,
        port: int | str,
        *,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Streams:
        """Open streams through the proxy, as the function `open_connection` does."""
        check_limit(limit)
        finish = partial(create_streams, limit=limit, tls=tls_options(host, tls))
        return await self._through(host, port, finish)

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int | str,
        **tls: Unpack[TLSArguments],
    ) -> tuple[asyncio.Transport, P]:
        """Create a transport and protocol, as the function `create_connection` does."""
        check_factory(protocol_factory)
        options = tls_options(host, tls)
        finish = partial(create_transport, factory=protocol_factory, tls=options)
        return await self._through(host, port, finish)

    async def _through(self, host: str, port: int | str, finish: Wrap[T] | None) -> T:
        target = _DEFAULT.where(host, port)
        tunnel = _Tunnel(self.connector, hops_of(self.proxy), target, finish)
        call = Call(self.connector, (tunnel.place,), before=tunnel.find)
        return await call.run(tunnel)


async def connect(
    host: str,
    port: int | str,
    *,
    proxy: str | Sequence[str],
    **options: Unpack[ConnectorOptions],
) -> socket.socket:
    """Connect to *host* and *port* through *proxy*; return a non-blocking socket.

    *proxy* is as in `ProxyConnector`, and the *options* are as in `aioconnect.connect`.
    The caller closes the socket.  No data of the target has been read from it.

    Raises what `aioconnect.connect` does.  A refusal by the proxy raises the error that
    it stands for, for instance `ConnectRefusedError`.
    """
    try:
        through = ProxyConnector(proxy=proxy, connector=Connector(**options))
    finally:
        del proxy
    return await through.connect(host, port)


async def open_connection(
    host: str,
    port: int | str,
    *,
    proxy: str | Sequence[str],
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> Streams:
    """Connect through *proxy*; return a stream reader and writer.

    *proxy* is as in `ProxyConnector`; the rest is as in `aioconnect.open_connection`.
    TLS is spoken with the target.  Raises what `connect` does.
    """
    try:
        through = ProxyConnector(proxy=proxy, connector=Connector(**options))
    finally:
        del proxy
    return await through.open_connection(
        host,
        port,
        limit=limit,
        ssl=ssl,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


async def create_connection(
    protocol_factory: Callable[[], P],
    host: str,
    port: int | str,
    *,
    proxy: str | Sequence[str],
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> tuple[asyncio.Transport, P]:
    """Connect through *proxy*; return a transport and *protocol_factory*'s protocol.

    *proxy* is as in `ProxyConnector`; the rest is as in `aioconnect.create_connection`.
    TLS is spoken with the target.  Raises what `connect` does.
    """
    try:
        through = ProxyConnector(proxy=proxy, connector=Connector(**options))
    finally:
        del proxy
    return await through.create_connection(
        protocol_factory,
        host,
        port,
        ssl=ssl,
        server_hostname=server_hostname,
        ssl_handshake_timeout=ssl_handshake_timeout,
        ssl_shutdown_timeout=ssl_shutdown_timeout,
    )


class _Tunnel(Generic[T]):
    """The way of one call through *hops* to *target*; *finish* wraps its socket."""

    def __init__(
        self,
        connector: Connector,
        hops: Sequence[Hop],
        target: Endpoint,
        finish: Wrap[T] | None,
    ) -> None:
        hops[-1].check_target(target)
        self._connector = connector
        self._finish = finish
        places = [*(hop.endpoint for hop in hops[1:]), target]
        self._links = list(zip(hops, places, strict=True))
        self._requests: list[tuple[Hop, str, int]] = []
        first, *beyond = (hop.endpoint for hop in hops)
        self.place = connector.where(str(first.host), first.port or 0)
        for place in reversed(beyond):
            target = place._replace(beyond=target)
        self.place = self.place._replace(beyond=target)

    async def find(self, first: Endpoint, rounds: Rounds) -> Endpoint | None:
        """Prepare each proxy's request; return *first*, or None after a failure."""
        self._requests = []
        for hop, place in self._links:
            address, host = place.address, str(place.host)
            if address is None and not hop.resolves_names:
                address = await self._look_up(hop, place, rounds)
                if address is None:
                    return None
            if not self._is_allowed(address):
                text = "not allowed"
                if address is None:
                    text = "the proxy looks it up: use socks5, or give an address"
                error = AttemptError("guard", os_error(errno.EACCES, text), sent=False)
                now = asyncio.get_running_loop().time()
                rounds.failed(None, error, now, None, host=str(place.end))
                return None
            # Request the address that was allowed, with the port from the resolver.
            known = address and host_and_port(address)
            host, port = known or (ascii_name(host), place.port)
            self._requests.append((hop, host, port or 0))
        return first

    async def _look_up(
        self, hop: Hop, place: Endpoint, rounds: Rounds
    ) -> Address | None:
        """Return an address of *place*, or None after *rounds* recorded a failure."""
        # Whether the proxy can connect over IPv6 is unknown, so IPv4 comes first.
        options = replace(rounds.options, family=hop.family)
        found = await addresses_of(options, place, rounds)
        for address in found:
            if address.family not in (socket.AF_INET, socket.AF_INET6):
                text = f"resolver must give IPv4 or IPv6 to a proxy, not {address}"
                raise TypeError(text)
        return min(found, key=lambda address: address.family, default=None)

    def _is_allowed(self, address: Address | None) -> bool:
        allow = self._connector.allow
        return allow is None or (address is not None and is_allowed(allow, address))

    async def __call__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        deadline: float | None,
        *,
        owned: bool = True,
        tell: OnPhase | None = None,
    ) -> T:
        """Shake hands with each proxy over *sock*, then let *finish* wrap it.

        Raises what *finish* and `ProxyHandshake.request` do; *sock* is then closed.
        """
        try:
            if tell is not None:
                tell("proxy")
            for hop, host, port in self._requests:
                name = f"{hop.endpoint}: " if len(self._requests) > 1 else ""
                handshake = ProxyHandshake(loop, sock, deadline, hop, name)
                await handshake.request(host, port)
        except BaseException:
            sock.close()
            raise
        if self._finish is None:
            return cast("T", sock)
        return await self._finish(loop, sock, deadline, owned=owned, tell=tell)

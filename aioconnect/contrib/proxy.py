"""Connect through SOCKS and HTTP proxies.

The first proxy is connected to like any other server.  Tracebacks can show the local
variables of a frame, so no frame here holds the URL when an exception leaves it.  No
extra is needed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl as _ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, Unpack

from .._calls.arguments import endpoint_from_host
from .._calls.connect import ConnectOperation
from .._calls.option_checks import check_factory
from .._calls.options import ConnectorOptions
from .._connector import Connector, check_connector
from .._io.tls import TLSArguments, tls_options
from .._io.transports import (
    LIMIT,
    Streams,
    StreamsWrap,
    TransportWrap,
    Wrap,
)
from ._proxy_tunnel import Tunnel
from ._proxy_url import checked_proxy, hops_of

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
        sock: socket.socket = await self._through(host, port, None)
        return sock

    async def open_connection(
        self,
        host: str,
        port: int | str,
        *,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Streams:
        """Open streams through the proxy, as the function `open_connection` does."""
        wrap = StreamsWrap(limit, tls_options(tls).for_host(host))
        return await self._through(host, port, wrap)

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int | str,
        **tls: Unpack[TLSArguments],
    ) -> tuple[asyncio.Transport, P]:
        """Create a transport and protocol, as the function `create_connection` does."""
        check_factory(protocol_factory)
        options = tls_options(tls).for_host(host)
        wrap = TransportWrap(protocol_factory, options)
        return await self._through(host, port, wrap)

    async def _through(self, host: str, port: int | str, wrap: Wrap[T] | None) -> T:
        target = endpoint_from_host(_DEFAULT, host, port)
        tunnel = Tunnel(self.connector, hops_of(self.proxy), target, wrap)
        operation = ConnectOperation(
            self.connector, (tunnel.endpoint,), tunnel, find_endpoint=tunnel.find
        )
        connection: T = await operation.run()
        return connection


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

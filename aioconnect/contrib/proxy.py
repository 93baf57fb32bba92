"""Connect through SOCKS and HTTP proxies, given by URL or by the environment.

The first proxy is connected to like any other server.  Tracebacks can show the local
variables of a frame, so no frame here holds the URL when an exception leaves it.  No
extra is needed.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import ssl as _ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar, Unpack

from .._calls.options import ConnectorOptions, Options, Route, options_repr
from .._connector import Connector, check_connector
from .._io.transports import LIMIT, Streams, Wrap
from .._sansio.endpoints import Endpoint
from ._direct import without_proxy
from ._proxy_environment import Variables, check_environment, proxy_for
from ._proxy_tunnel import Tunnel
from ._proxy_url import Hop, checked_proxy, hops_of

__all__ = ["ProxyConnector", "connect", "create_connection", "open_connection"]

P = TypeVar("P", bound=asyncio.BaseProtocol)

# The calls need it.  Later, without a free descriptor, this would fail (K14).
importlib.import_module("aioconnect._calls.passages")


class _Environment(str):
    """The *proxy* that the environment gives, whose variables have been checked.

    A copy is made in the middle of a call, so it must not check them again.
    """

    __slots__ = ()


_ENVIRONMENT = _Environment("environment")
_VARIABLES = Variables(os.environ)


@dataclass(frozen=True, slots=True)
class _ProxyRoute:
    """The route of every `ProxyConnector`: a value, as the connector is."""

    def passage(
        self, options: Options, target: Endpoint, wrap: Wrap[Any] | None
    ) -> Tunnel | None:
        """Return the way to *target*, or None if the environment has none."""
        assert isinstance(options, ProxyConnector)
        hops = _hops(options, target, wrap is not None and wrap.has_handshake)
        if not hops:
            return None
        return Tunnel(options, hops, target, wrap, options.proxy_ssl)


def _hops(options: ProxyConnector, target: Endpoint, is_tls: bool) -> tuple[Hop, ...]:
    """Return the proxies on the way to *target*, with which TLS may be spoken."""
    if options.proxy != _ENVIRONMENT:
        return hops_of(options.proxy)
    host, port = str(target.host), target.port or 0
    url = proxy_for(_VARIABLES, host, port, is_tls=is_tls)
    return () if url is None else hops_of(url)


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False)
class ProxyConnector(Connector):
    """A `Connector` that connects through *proxy*: a value, accepted like any other.

    *proxy* is a URL, ``scheme://user:password@host:port``, or a sequence of URLs, where
    each proxy is reached through the one before.  Reserved characters in user and
    password are written as ``%XX``; both are sent as UTF-8.  With the schemes
    ``socks5h``, ``socks4a``, ``http`` and ``https`` (CONNECT) the proxy looks up names.
    With ``socks5`` and ``socks4`` the *resolver* does, and the first IPv4 address is
    used, or an IPv6 address if there is no other.

    With ``proxy="environment"``, the variables ``https_proxy``, ``http_proxy``,
    ``all_proxy`` and ``no_proxy`` decide as in curl.  They are checked here, and read
    again when a call starts.  docs/howto/proxies.md has the rules.

    TLS with an ``https://`` proxy leaves no socket: such a proxy works with streams and
    transports only.  *proxy_ssl* is the `ssl.SSLContext` for it (default: a secure one,
    which verifies the proxy's host).

    The options are those of `Connector`: as keyword arguments, or in *connector*.  The
    timeouts include the handshakes with the proxies, *family* is that of the first
    proxy, and *allow* is called for the target and for each proxy.  With *allow*, a
    name that a proxy would look up is refused.  An error is about the target and names
    the proxies.  Its phase is ``proxy`` if the proxy's part caused it.

    Unix and vsock addresses, and a *host* of None, are connected to directly.
    ``connect_any(race=True)`` and ``wait_until_down`` cannot go through a proxy.

    Raises:
        ValueError, TypeError: A value cannot work; the text shows no credentials.
    """

    proxy: str | Sequence[str]
    proxy_ssl: _ssl.SSLContext | None = None

    route: ClassVar[Route | None] = _ProxyRoute()

    def __init__(
        self,
        *,
        proxy: str | Sequence[str],
        proxy_ssl: _ssl.SSLContext | None = None,
        connector: Connector | None = None,
        **options: Unpack[ConnectorOptions],
    ) -> None:
        try:
            object.__setattr__(self, "proxy", _checked(proxy))
            object.__setattr__(self, "proxy_ssl", proxy_ssl)
            _check_proxy_ssl(self)
            if connector is not None:
                options = _options_of(connector, options)
            Connector.__init__(self, **options)
        finally:
            # A traceback must not show a half-made connector either.
            del self, proxy

    def __repr__(self) -> str:
        through: str = _ENVIRONMENT
        if self.proxy != _ENVIRONMENT:
            through = ", ".join(map(repr, hops_of(self.proxy)))
        options = options_repr(self, Connector)
        return f"{type(self).__name__}({through}, connector={options})"

    @property
    def connector(self) -> Connector:
        """A `Connector` with the same options, which connects directly."""
        return without_proxy(self)


def _checked(proxy: str | Sequence[str]) -> str | Sequence[str]:
    try:
        if proxy != _ENVIRONMENT:
            return checked_proxy(proxy)
        if not isinstance(proxy, _Environment):
            check_environment(_VARIABLES)
        return _ENVIRONMENT
    finally:
        del proxy


def _check_proxy_ssl(made: ProxyConnector) -> None:
    context: object = made.proxy_ssl
    if context is None:
        return
    if not isinstance(context, _ssl.SSLContext):
        kind = type(context).__name__
        raise TypeError(f"proxy_ssl must be an SSLContext or None, not {kind}")
    is_used = made.proxy == _ENVIRONMENT or any(
        hop.is_secure for hop in hops_of(made.proxy)
    )
    if not is_used:
        raise ValueError("proxy_ssl is only meaningful with an https:// proxy")


def _options_of(connector: Connector, options: ConnectorOptions) -> ConnectorOptions:
    """Return the options in *connector*, where no other *options* may be given."""
    check_connector(connector)
    if isinstance(connector, ProxyConnector):
        text = "give all proxies of a chain in proxy=[...]"
        raise TypeError(f"connector must not be a ProxyConnector itself: {text}")
    if len(options) == len(fields(Connector)):  # as `dataclasses.replace` gives them
        text = "replace its options, or make another: ProxyConnector(proxy=..., "
        raise TypeError(f"connector cannot be replaced: {text}connector=...)")
    if options:
        text = f"give {', '.join(sorted(options))} to the connector"
        raise TypeError(f"connector has all options: {text}, or give no connector")
    values: Any = {one.name: getattr(connector, one.name) for one in fields(connector)}
    found: ConnectorOptions = values
    return found


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
    it stands for, for instance `ConnectRefusedError`.  And:
        ValueError: TLS with an ``https://`` proxy leaves no socket to return.
    """
    try:
        through = ProxyConnector(proxy=proxy, **options)
    finally:
        del proxy
    return await through.connect(host, port)


async def open_connection(
    host: str,
    port: int | str,
    *,
    proxy: str | Sequence[str],
    proxy_ssl: _ssl.SSLContext | None = None,
    limit: int = LIMIT,
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> Streams:
    """Connect through *proxy*; return a stream reader and writer.

    *proxy* and *proxy_ssl* are as in `ProxyConnector`; the rest is as in
    `aioconnect.open_connection`.  *ssl* is for TLS with the target.

    Raises what `connect` does.
    """
    try:
        through = ProxyConnector(proxy=proxy, proxy_ssl=proxy_ssl, **options)
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
    proxy_ssl: _ssl.SSLContext | None = None,
    ssl: bool | _ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
    **options: Unpack[ConnectorOptions],
) -> tuple[asyncio.Transport, P]:
    """Connect through *proxy*; return a transport and *protocol_factory*'s protocol.

    *proxy* and *proxy_ssl* are as in `ProxyConnector`; the rest is as in
    `aioconnect.create_connection`.  *ssl* is for TLS with the target.

    Raises what `connect` does.
    """
    try:
        through = ProxyConnector(proxy=proxy, proxy_ssl=proxy_ssl, **options)
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

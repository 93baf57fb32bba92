"""Connect for aiohttp: client connectors whose connections a `Connector` makes.

This module overrides private methods of aiohttp, so it takes only the versions that it
was tested with.  It needs the extra ``aiohttp``: in a checkout,
``pip install '.[aiohttp]'``.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, Unpack, cast

from .._calls.arguments import endpoint_from_host
from .._calls.connect import ConnectOperation
from .._calls.fast_path import connect_endpoint
from .._calls.options import passage_to
from .._connector import Connector, check_connector
from .._io.resolver import Resolver
from .._io.tls import TLSOptions
from .._io.transports import TransportWrap
from .._sansio.addresses import Address, unix_address
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .._sansio.hosts import numeric_address
from .._sansio.ip_filter import is_allowed
from ._partner import unusable

try:
    import aiohttp
    from aiohttp.abc import AbstractResolver
    from aiohttp.client_exceptions import UnixClientConnectorError

    from ._aiohttp_arguments import TCPConnectorArguments, split_arguments
    from ._aiohttp_errors import VerifiedFingerprint, translating_errors
    from ._aiohttp_version import check_aiohttp
except ImportError as exc:
    raise unusable("aiohttp", exc) from exc

check_aiohttp(aiohttp.__version__)

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

__all__ = ["ConnectorTCPConnector", "ConnectorUnixConnector", "TCPConnectorArguments"]

_DEFAULT = Connector()

_Connection: TypeAlias = "tuple[asyncio.Transport, ResponseHandler]"

# The limit of the tunnel through a proxy that is being made in this context.
_tunnel_limit: ContextVar[asyncio.Timeout] = ContextVar("_tunnel_limit")


class ConnectorTCPConnector(aiohttp.TCPConnector):
    """A ``connector`` for `aiohttp.ClientSession` that connects as *connector* says.

    *connector* is a `Connector` (default: one with all defaults).  The other arguments
    are those of `aiohttp.TCPConnector`, with the same defaults.  Its *family*,
    *local_addr*, *happy_eyeballs_delay* and *interleave* replace the option of the
    connector; a *family* of 0, and None for *local_addr* or *interleave*, leave it as
    it is.

    A connect ends with the first usable connection: connected, its TLS handshake done,
    its certificate or `aiohttp.Fingerprint` verified, *ready* passed.  *ready* gets the
    transport and the protocol.  The lower of the connector's *timeout* and aiohttp's
    ``sock_connect`` (30 s by default) limits it with its look-ups and all its retries.

    With a proxy of aiohttp, all of this is about the connection to the proxy.  The
    connector's *timeout* also limits the tunnel that aiohttp makes through the proxy.
    *allow* is called for the proxy's address and for the target, and refuses a target
    that is a name, because the proxy would look it up.

    Errors are aiohttp's.  Their ``os_error`` and cause is the `ConnectError`.

    Raises:
        TypeError: *connector* is not a `Connector`, or an argument is unknown, or it
            would have no effect: *resolver*, *socket_factory*, and those of the DNS
            cache.  The text says what to do instead.
        ValueError: A value cannot work; the text names it.
    """

    def __init__(
        self,
        connector: Connector = _DEFAULT,
        **arguments: Unpack[TCPConnectorArguments],
    ) -> None:
        check_connector(connector)
        ours, theirs = split_arguments(arguments)
        connector = replace(connector, **ours)
        self._aioconnect_connector = connector
        theirs.update(family=connector.family, use_dns_cache=False)
        # A type in its signature is unknown to pyright: one of aiohappyeyeballs.
        cast("Any", super()).__init__(resolver=_NoResolver(), **theirs)

    async def _create_direct_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> _Connection:
        loop = asyncio.get_running_loop()
        started = loop.time()
        connector = _limited(self._aioconnect_connector, timeout, self)
        with translating_errors(req.connection_key, client_error):
            endpoint, tls = self._endpoint_and_tls(req, connector)
        fingerprint = self._get_fingerprint(req) if tls.ssl else None
        if fingerprint is not None:
            connector = replace(
                connector, ready=VerifiedFingerprint(fingerprint, connector.ready)
            )
        if traces:
            resolver = partial(_resolve_and_trace, connector.resolver, traces)
            connector = replace(connector, resolver=resolver)
        wrap = TransportWrap(self._factory, tls)
        try:
            passage_to(connector, endpoint, wrap)
        except ValueError as exc:  # no proxy of the connector can connect to it
            raise aiohttp.InvalidUrlClientError(str(endpoint), str(exc)) from None
        with translating_errors(req.connection_key, client_error):
            connection = await connect_endpoint(connector, endpoint, wrap)
        limit = self._aioconnect_connector.timeout
        # Only for the proxy itself: its resolver may send requests of its own.
        if limit is not None and client_error is aiohttp.ClientProxyConnectionError:
            _tunnel_limit.get().reschedule(started + limit)
        return connection

    def _endpoint_and_tls(
        self, req: ClientRequest, connector: Connector
    ) -> tuple[Endpoint, TLSOptions]:
        host, port = req.url.raw_host or "", req.port or 0
        if host.endswith(".."):  # aiohttp takes many dots for the root's
            host = host.rstrip(".") + "."
        if host.replace(".", "").isdigit() and numeric_address(host, 0) is None:
            # Rules for hosts that are written as text would not recognize 127.1.
            text = "is not a canonical IPv4 address"
            raise aiohttp.InvalidUrlClientError(host, text)
        context = self._get_ssl_context(req)
        shutdown = getattr(self, "_ssl_shutdown_timeout", None)  # not in 3.12.0
        tls = TLSOptions()
        if context is not None:
            tls = TLSOptions(context, req.server_hostname, None, shutdown or None)
        try:
            endpoint = endpoint_from_host(connector, host, port)
            return endpoint, tls.for_host(host)
        except ValueError as exc:
            # The host may come from a redirect, so the client expects aiohttp's error.
            raise aiohttp.InvalidUrlClientError(host, str(exc)) from None

    async def _create_proxy_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        await _check_target_of_proxy(self._aioconnect_connector, req)
        async with asyncio.timeout(None) as limit:
            # The limit is set once the proxy is connected.  Until then the connect has
            # the same limit by itself, with an error that lists the attempts.
            token = _tunnel_limit.set(limit)
            try:
                return await super()._create_proxy_connection(req, traces, timeout)
            finally:
                _tunnel_limit.reset(token)


class ConnectorUnixConnector(aiohttp.UnixConnector):
    """A ``connector`` for `aiohttp.ClientSession` that connects to a Unix socket.

    The socket is at *path*.  *connector* says how to connect (default: a `Connector`
    with all defaults); its *timeout* and aiohttp's ``sock_connect`` work as in
    `ConnectorTCPConnector`.  The other arguments are those of `aiohttp.UnixConnector`:
    *force_close*, *keepalive_timeout*, *limit* and *limit_per_host*.

    Raises:
        ValueError, TypeError: A value cannot work; the text names it.
    """

    def __init__(
        self, path: str, connector: Connector = _DEFAULT, **arguments: Any
    ) -> None:
        check_connector(connector)
        unix_address(path)  # a bad path fails here, and not in each request
        self._aioconnect_connector = connector
        super().__init__(path, **arguments)

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002  # there is no look-up to trace
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        connector = _limited(self._aioconnect_connector, timeout, self)
        failed = partial(UnixClientConnectorError, self.path)
        with translating_errors(req.connection_key, failed):
            _, protocol = await connector.create_unix_connection(
                self._factory, self.path
            )
        return protocol


def _limited(
    connector: Connector, timeout: aiohttp.ClientTimeout, pool: aiohttp.BaseConnector
) -> Connector:
    """Return *connector* with the lower of its own timeout and aiohttp's.

    Once *pool* is closed, nothing is tried again.
    """
    retry_on = connector.retry_on

    def accepts(error: OSError) -> bool:
        return not pool.closed and retry_on(error)

    connector = replace(connector, retry_on=accepts)
    limit = timeout.sock_connect
    if limit is None or limit <= 0:  # to aiohttp, 0 is no limit
        return connector
    if connector.timeout is not None:
        limit = min(limit, connector.timeout)
    return replace(connector, timeout=limit)


async def _resolve_and_trace(
    resolver: Resolver, traces: Sequence[Trace], host: str, port: int, **asked: int
) -> Sequence[Address]:
    """Call *resolver*, and aiohttp's ``on_dns_resolvehost_...`` before and after."""
    for trace in traces:
        await trace.send_dns_resolvehost_start(host)
    call: Any = resolver
    found: Any = call(host, port, **asked)
    if inspect.isawaitable(found):
        found = await found
    for trace in traces:
        await trace.send_dns_resolvehost_end(host)
    return found  # type: ignore[no-any-return]  # the race checks what a resolver returns


async def _check_target_of_proxy(connector: Connector, req: ClientRequest) -> None:
    """Raise unless the guard allows the target of *req*, which goes to a proxy.

    Raises:
        aiohttp.ClientConnectorError: It does not, or the target is a name.
    """
    if connector.allow is None:
        return
    host, port = req.url.raw_host or "", req.port or 0
    address = numeric_address(host, port)
    if address is not None and is_allowed(connector.allow, address):
        return
    text = "not allowed" if address is not None else "the proxy would look it up"
    error = AttemptError("guard", os_error(errno.EACCES, text), sent=False)
    refusal = _Refusal(connector, Endpoint(host, port, address), error)
    # Without the proxy, whose credentials would be among the error's arguments.
    key = req.connection_key._replace(
        proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    with translating_errors(key):
        await refusal.run()


class _Refusal(ConnectOperation):
    """A call of *connector* to *endpoint* that dials nothing, and fails by *error*."""

    __slots__ = ("_error",)

    def __init__(
        self, connector: Connector, endpoint: Endpoint, error: AttemptError
    ) -> None:
        super().__init__(Connector(observer=connector.observer), (endpoint,))
        self._error = error

    async def _try(self, endpoint: Endpoint, turn: Deadline, started: float) -> None:
        address, host = endpoint.address, endpoint.host
        self.record.failed(self._error, address, started, turn, host=host)


class _NoResolver(AbstractResolver):
    """Resolves nothing, because the guard would not see what aiohttp looks up."""

    async def resolve(self, host: str, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError(f"aiohttp looks up {host} by itself")

    async def close(self) -> None:
        """Do nothing."""

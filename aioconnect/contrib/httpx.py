"""Connect for httpx: a transport whose connections a `Connector` makes.

This module uses only the public API of httpx and httpcore.  It needs the extra
``httpx``: in a checkout, ``pip install '.[httpx]'``.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from .._connector import Connector
from .._sansio.addresses import unix_address

try:
    import httpcore
    import httpx

    from .httpcore import ConnectorBackend
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.httpx needs httpx: in a checkout, pip install '.[httpx]'",
        name=exc.name,
    ) from exc

__all__ = ["ConnectorTransport"]

_DEFAULT = Connector()

# httpx's own defaults.
_DEFAULT_LIMITS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0
)


class ConnectorTransport(httpx.AsyncBaseTransport):
    """A ``transport`` for `httpx.AsyncClient` that connects as *connector* says.

    *connector* is a `Connector` (default: one with all defaults).  The other parameters
    and their defaults are those of `httpx.AsyncHTTPTransport`: *verify* (True), *http1*
    (True), *http2* (False), *limits* (100 connections, 20 of them kept alive for 5 s)
    and *uds*, the path of a Unix socket to connect to (None).

    In place of its ``retries``, ``local_address`` and ``socket_options``, set *retry*,
    *local_addr* and *prepare* of the connector.  As with every transport, httpx ignores
    the proxies of the environment.

    Raises:
        ValueError, TypeError: A value cannot work; the text names it.
    """

    def __init__(
        self,
        connector: Connector = _DEFAULT,
        *,
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _DEFAULT_LIMITS,
        uds: str | None = None,
    ) -> None:
        if uds is not None:
            unix_address(uds)  # a bad path fails here, and not in each request
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(verify=verify),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=http1,
            http2=http2,
            uds=uds,
            network_backend=ConnectorBackend(connector),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and return the response before its body is read."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        core_request = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translating_errors():
            core_response: Any = await self._pool.handle_async_request(core_request)
        return httpx.Response(
            core_response.status,
            headers=core_response.headers,
            stream=_ResponseBody(core_response),
            extensions=core_response.extensions,
        )

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with _translating_errors():
            await self._pool.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _ResponseBody(httpx.AsyncByteStream):
    """The body of a httpcore response, which raises the errors of httpx."""

    def __init__(self, core_response: httpcore.Response) -> None:
        self._core_response = core_response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._core_response.stream, AsyncIterable)
        with _translating_errors():
            async for part in self._core_response.stream:
                yield part

    async def aclose(self) -> None:
        await self._core_response.aclose()


_CORE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


@contextmanager
def _translating_errors() -> Generator[None]:
    """Raise httpx's error of the same name for each error of httpcore."""
    try:
        yield
    except _CORE_ERRORS as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc

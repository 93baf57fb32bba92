"""Connect for httpx: a transport whose connections a `Connector` makes.

Of httpx and httpcore only what is public is used.  The extra is ``httpx``:
in a checkout, ``pip install '.[httpx]'``.
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

# What httpx has when nothing is said.
_LIMITS = httpx.Limits(
    max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0
)


class ConnectorTransport(httpx.AsyncBaseTransport):
    """The ``transport`` of a `httpx.AsyncClient` that connects as *connector* says.

    The rest means what it means to `httpx.AsyncHTTPTransport`.  Its ``retries``,
    ``local_address`` and ``socket_options`` are the connector's *retry*,
    *local_addr* and *prepare*.  As with any transport, the proxies of the environment
    are not used.
    """

    def __init__(
        self,
        connector: Connector = _DEFAULT,
        *,
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: httpx.Limits = _LIMITS,
        uds: str | None = None,
    ) -> None:
        if uds is not None:
            unix_address(uds)  # or it would be an error of each request
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
        """Send *request*, and return the response with its body still to be read."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = httpcore.Request(
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
        with _as_httpx():
            answer: Any = await self._pool.handle_async_request(asked)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
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
        with _as_httpx():
            await self._pool.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The body of a response of httpcore's, with the errors of httpx."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._answer.stream, AsyncIterable)
        with _as_httpx():
            async for part in self._answer.stream:
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


@contextmanager
def _as_httpx() -> Generator[None]:
    """Raise the errors of httpcore as those of the same names that httpx has."""
    try:
        yield
    except _ERRORS as exc:
        raise getattr(httpx, type(exc).__name__)(str(exc)) from exc

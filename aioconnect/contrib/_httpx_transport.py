"""The transport for httpx and httpx2, which agree on what one is.

The classes here import neither, and no httpcore: the modules of their names add the
base classes and the packages.  So a program that has one of the two does not need the
other.  Only the public API of the packages is used.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from .._connector import Connector
from .._sansio.addresses import unix_address
from .._sansio.text import safe_repr

__all__ = ["Packages", "ResponseBody", "Transport"]

_DEFAULT = Connector()

# The classes of the package with these names.
Request = TypeVar("Request")
Response = TypeVar("Response")


class Packages(NamedTuple):
    """Httpx or httpx2, and the package beneath it."""

    httpx: ModuleType
    httpcore: ModuleType

    @contextmanager
    def translating_errors(self) -> Generator[None]:
        """Raise httpx's error of the same name for each error of httpcore."""
        core = self.httpcore
        try:
            yield
        except (core.ConnectError, core.ConnectTimeout) as exc:
            # The pool raises them again "from None", which drops the cause: the error
            # of this package, with all its attempts.
            exc.__cause__ = exc.__context__
            raise self._translated(exc) from exc
        except (
            core.NetworkError,
            core.ProtocolError,
            core.TimeoutException,
            core.UnsupportedProtocol,
        ) as exc:
            raise self._translated(exc) from exc

    def _translated(self, exc: Exception) -> Exception:
        translated: Exception = getattr(self.httpx, type(exc).__name__)(str(exc))
        return translated


@runtime_checkable
class AnyLimits(Protocol):
    """What `httpx.Limits` and `httpx2.Limits` have in common."""

    @property
    def max_connections(self) -> int | None: ...

    @property
    def max_keepalive_connections(self) -> int | None: ...

    @property
    def keepalive_expiry(self) -> float | None: ...


class Limits(NamedTuple):
    """The limits of a transport's pool, with httpx's own defaults."""

    max_connections: int | None = 100
    max_keepalive_connections: int | None = 20
    keepalive_expiry: float | None = 5.0


class Transport(Generic[Request, Response]):
    """The methods of a `ConnectorTransport`; a subclass names the packages."""

    _packages: Packages
    _backend_type: Callable[[Connector], Any]
    _body_type: type[ResponseBody]

    def __init__(
        self,
        connector: Connector = _DEFAULT,
        *,
        verify: ssl.SSLContext | bool = True,
        http1: bool = True,
        http2: bool = False,
        limits: AnyLimits = Limits(),  # noqa: B008  # a value
        uds: str | None = None,
    ) -> None:
        """Make the pool; the parameters and their defaults are those of httpx.

        *verify* (default: True) is an SSL context, or whether to verify certificates.
        *http1* (True) and *http2* (False) are the versions of HTTP to offer.  *limits*
        (100 connections, 20 of them kept alive for 5 s) are those of the pool.  *uds*
        is the path of a Unix socket to connect to, or None.

        In place of httpx's ``retries``, ``local_address`` and ``socket_options``, set
        *retry*, *local_addr* and *prepare* of the connector.

        Raises:
            ValueError, TypeError: A value cannot work; the text names it.
        """
        httpx, httpcore = self._packages
        if uds is not None:
            unix_address(uds)  # a bad path fails here, and not in each request
        _check_limits(limits, httpx)
        self._pool: Any = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(verify=verify),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=http1,
            http2=http2,
            uds=uds,
            network_backend=self._backend_type(connector),
        )

    async def handle_async_request(self, request: Request) -> Response:
        """Send *request*, and return the response before its body is read."""
        httpx, httpcore = self._packages
        sent: Any = request  # the two classes share no base
        core_request = httpcore.Request(
            sent.method,
            httpcore.URL(
                scheme=sent.url.raw_scheme,
                host=sent.url.raw_host,
                port=sent.url.port,
                target=sent.url.raw_path,
            ),
            headers=sent.headers.raw,
            content=sent.stream,
            extensions=sent.extensions,
        )
        with self._packages.translating_errors():
            core_response = await self._pool.handle_async_request(core_request)
        response: Response = httpx.Response(
            core_response.status,
            headers=core_response.headers,
            stream=self._body_type(self._packages, core_response),
            extensions=core_response.extensions,
        )
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


def _check_limits(limits: object, httpx: ModuleType) -> None:
    if not isinstance(limits, AnyLimits):
        name = f"{httpx.__name__}.Limits"
        raise TypeError(f"limits must be a {name}, not {safe_repr(limits)}")


class ResponseBody:
    """The body of a httpcore response, which raises the errors of httpx."""

    def __init__(self, packages: Packages, core_response: Any) -> None:
        self._packages = packages
        self._core_response = core_response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._packages.translating_errors():
            async for part in self._core_response.stream:
                yield part

    async def aclose(self) -> None:
        """Give the connection back to the pool, or close it."""
        await self._core_response.aclose()

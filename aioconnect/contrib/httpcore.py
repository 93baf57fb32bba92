"""Connect for httpcore: a network backend whose connections a `Connector` makes.

For httpx see `aioconnect.contrib.httpx`.  The extra is ``httpcore``:
in a checkout, ``pip install '.[httpcore]'``.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from .._connector import Connector, check_connector
from .._io.service_names import check_port
from .._io.sockets import Prepare
from .._sansio.addresses import Address, unix_address
from .._sansio.hosts import check_host
from .._sansio.text import printable, safe_repr

try:
    import httpcore
    from anyio import (
        BrokenResourceError,
        ClosedResourceError,
        EndOfStream,
        fail_after,
        sleep,
    )
    from anyio.abc import ByteStream, SocketAttribute
    from anyio.streams.tls import TLSAttribute

    from ._anyio_streams import Handshake, abort, reason_of
    from .anyio import Connectable
except ModuleNotFoundError as exc:
    raise ModuleNotFoundError(
        "aioconnect.contrib.httpcore needs httpcore:"
        " in a checkout, pip install '.[httpcore]'",
        name=exc.name,
    ) from exc

__all__ = ["ConnectorBackend"]

_DEFAULT = Connector()

_Options: TypeAlias = Iterable[httpcore.SOCKET_OPTION]


@dataclass(frozen=True, slots=True)
class ConnectorBackend(httpcore.AsyncNetworkBackend):
    """The ``network_backend`` of a httpcore pool that connects as *connector* says.

    Of the timeout of a request and the connector's the lower counts, for the connect
    with all its retries, and again for the TLS handshake, which httpcore begins.
    Errors are httpcore's, with ours as their causes.  The connector's *ready* is
    awaited with an anyio stream, before the handshake.
    """

    connector: Connector = _DEFAULT

    def __post_init__(self) -> None:
        check_connector(self.connector)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to *host* and *port*, from *local_address* if it is given.

        The *socket_options* are set before the connect, after the connector's own.

        Raises:
            httpcore.ConnectTimeout: The time was up.
            httpcore.ConnectError: It failed, or *host* cannot be one.
        """
        connector = self._connector(timeout, socket_options)
        if local_address is not None:
            connector = replace(connector, local_addr=(local_address, 0))
        try:
            remote = check_host(host), check_port(port)
        except ValueError as exc:
            # A client has it from a redirect, perhaps.
            raise httpcore.ConnectError(str(exc)) from exc
        return await _connected(Connectable(remote, connector))

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: _Options | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the Unix socket at *path*.  Raises what `connect_tcp` does."""
        connector = self._connector(timeout, socket_options)
        return await _connected(Connectable(unix_address(path), connector))

    async def sleep(self, seconds: float) -> None:
        """Wait for so many *seconds*."""
        await sleep(seconds)

    def _connector(
        self, timeout: float | None, socket_options: _Options | None
    ) -> Connector:
        connector = self.connector
        options = tuple(socket_options or ())
        if options:
            hook: Prepare = partial(_set, options)
            connector = replace(connector, prepare=(*connector.prepare, hook))
        return replace(connector, timeout=_lower(timeout, connector.timeout))


def _set(options: tuple[Any, ...], sock: socket.socket, _: Address) -> None:
    for option in options:
        try:
            sock.setsockopt(*option)
        except OSError as exc:
            text = f"socket option {safe_repr(option)}: {exc.strerror}"
            raise OSError(exc.errno, text) from None


def _lower(one: float | None, other: float | None) -> float | None:
    """Return the lower timeout, of which one is a client's, and any number."""
    times = [max(seconds, 0.0) for seconds in (one, other) if seconds is not None]
    lower = min(times, default=math.inf)
    return None if lower == math.inf else lower


async def _connected(connectable: Connectable) -> _Stream:
    with _raising(httpcore.ConnectTimeout, httpcore.ConnectError):
        stream = await connectable.connect()
    return _Stream(stream, connectable.connector.timeout)


class _Stream(httpcore.AsyncNetworkStream):
    """What httpcore wants of a stream, of one of anyio's."""

    __slots__ = ("_limit", "_stream")

    def __init__(self, stream: ByteStream, limit: float | None) -> None:
        self._stream = stream
        self._limit = limit

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _raising(httpcore.ReadTimeout, httpcore.ReadError), fail_after(timeout):
            try:
                return await self._stream.receive(max_bytes)
            except EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return  # TLS knows no such record, and h11 ends each message so
        with _raising(httpcore.WriteTimeout, httpcore.WriteError), fail_after(timeout):
            await self._stream.send(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # Few servers of HTTP end with a closing handshake, which says its length.
        handshake = Handshake(ssl_context, server_hostname, is_standard=False)
        try:
            with (
                _raising(httpcore.ConnectTimeout, httpcore.ConnectError),
                fail_after(_lower(timeout, self._limit)),
            ):
                stream = await handshake.over(self._stream)
        except BaseException:
            abort(self._stream)
            raise
        return _Stream(stream, self._limit)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return _is_readable(self._extra(SocketAttribute.raw_socket))
        attribute = _INFO.get(info)
        return None if attribute is None else self._extra(attribute)

    def _extra(self, attribute: Any) -> Any:
        try:
            return self._stream.extra(attribute, None)
        except (AttributeError, OSError):
            # It is closed: anyio looks for a peer, and uvloop has no socket any more.
            return None


_INFO: dict[str, Any] = {
    "client_addr": SocketAttribute.local_address,
    "server_addr": SocketAttribute.remote_address,
    "socket": SocketAttribute.raw_socket,
    "ssl_object": TLSAttribute.ssl_object,
}


def _is_readable(sock: socket.socket | None) -> bool:
    """Tell whether a read would not wait: a connection that is idle has ended then."""
    if sock is None or sock.fileno() == -1:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _raising(late: type[Exception], failed: type[Exception]) -> Generator[None]:
    """Raise *late* and *failed*, which are httpcore's, for what went wrong."""
    try:
        yield
    except TimeoutError as exc:
        raise late(printable(str(exc))) from exc
    except OSError as exc:
        raise failed(printable(str(exc))) from exc
    except (BrokenResourceError, EndOfStream) as exc:
        raise failed(printable(str(reason_of(exc)))) from exc
    except ClosedResourceError as exc:
        raise failed("the stream is closed") from exc

"""The network backend for httpcore and httpcore2, which agree on what one is.

The classes here import neither: the modules of their names add the base class and the
errors.  So a program that has one of the two does not need the other.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from anyio import EndOfStream, fail_after, move_on_after, sleep
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute

from .._calls.arguments import endpoint_from_host
from .._calls.options import passage_to
from .._connector import Connector, check_connector
from .._io.resolver import check_port
from .._io.sockets import Prepare
from .._sansio.addresses import Address, unix_address
from .._sansio.errors import os_error
from .._sansio.hosts import check_host
from .._sansio.text import safe_repr
from ._anyio_streams import StreamWrap, TLSHandshake, abort
from ._httpcore_errors import lower_timeout, translating_errors
from ._tls_race import OtherAddresses, first_usable
from .anyio import Connectable

__all__ = ["Backend", "Stream"]

_DEFAULT = Connector()

# Of what both packages call SOCKET_OPTION.
_Options: TypeAlias = Iterable[
    tuple[int, int, int | bytes | bytearray] | tuple[int, int, None, int]
]

# The class AsyncNetworkStream of the package.
NetworkStream = TypeVar("NetworkStream")


@dataclass(frozen=True, slots=True)
class Backend(Generic[NetworkStream]):
    """The methods of a `ConnectorBackend`; a subclass names its *_stream_type*."""

    connector: Connector = _DEFAULT

    # A class variable cannot have the type variable in it.
    _stream_type: ClassVar[type[Stream[Any]]]

    def __post_init__(self) -> None:
        check_connector(self.connector)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options | None = None,
    ) -> NetworkStream:
        """Connect to *host* and *port*, within *timeout* seconds.

        The lower one of *timeout* and of the connector's timeout limits the connect
        with all its retries.  The same limit applies again to the TLS handshake, which
        the pool starts.  If the handshake is late, or fails, the other addresses of the
        host are tried, and the first one that has shaken hands is used.

        *local_address* is the source address, if not None.  The *socket_options* are
        set before the connect, after those of the connector's *prepare*.

        Raises:
            ConnectTimeout: The connect took too long.
            ConnectError: The connect failed, or *host* cannot be a host, or no proxy of
                the connector can connect to it.
        """
        connector = self._connector_for_request(timeout, socket_options)
        if local_address is not None:
            connector = replace(connector, local_addr=(local_address, 0))
        try:
            remote = check_host(host), check_port(port)
            connectable = Connectable(remote, connector)
            passage_to(
                connector, endpoint_from_host(connector, *remote), StreamWrap(None)
            )
        except ValueError as exc:
            # The host may come from a redirect, so the client expects its own error.
            raise self._stream_type.core.ConnectError(str(exc)) from exc
        stream = await self._connect(connectable)
        stream.remember(*remote)
        return stream.for_pool()

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: _Options | None = None,
    ) -> NetworkStream:
        """Connect to the Unix socket at *path*, otherwise like `connect_tcp`.

        Raises:
            ConnectTimeout: The connect took too long.
            ConnectError: The connect failed.
        """
        connector = self._connector_for_request(timeout, socket_options)
        stream = await self._connect(Connectable(unix_address(path), connector))
        return stream.for_pool()

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        await sleep(seconds)

    def _connector_for_request(
        self, timeout: float | None, socket_options: _Options | None
    ) -> Connector:
        connector = self.connector
        options = tuple(socket_options or ())
        if options:
            hook: Prepare = partial(_set_options, options)
            connector = replace(connector, prepare=(*connector.prepare, hook))
        return replace(connector, timeout=lower_timeout(timeout, connector.timeout))

    async def _connect(self, connectable: Connectable) -> Stream[NetworkStream]:
        core = self._stream_type.core
        with translating_errors(core.ConnectTimeout, core.ConnectError):
            stream = await connectable.connect()
        return self._stream_type(stream, connectable.connector)


def _set_options(options: tuple[Any, ...], sock: socket.socket, _: Address) -> None:
    for option in options:
        try:
            sock.setsockopt(*option)
        except OSError as exc:
            text = f"socket option {safe_repr(option)}: {exc.strerror}"
            raise OSError(exc.errno, text) from None


class Stream(Generic[NetworkStream]):
    """An anyio stream, with the methods that a pool calls.

    A subclass names its package in *core*, and is a *NetworkStream* of it.
    """

    __slots__ = ("_connector", "_others", "_stream")

    core: ModuleType

    def __init__(self, stream: ByteStream, connector: Connector) -> None:
        self._stream = stream
        self._connector = connector
        # For `start_tls`, as long as nothing has been sent or received.
        self._others: OtherAddresses | None = None

    def for_pool(self) -> NetworkStream:
        """Return this stream, typed as its package's class, a base of the subclass."""
        return cast("NetworkStream", self)

    def remember(self, host: str, port: int) -> None:
        """Keep what `start_tls` needs to try the other addresses of *host*, too."""
        connector = self._connector
        peer: object = self._extra_attribute(SocketAttribute.remote_address)
        # The hook *ready* gets a stream before the handshake, and has passed for this.
        if isinstance(peer, tuple) and connector.ready is None:
            known = str(cast("tuple[object, ...]", peer)[0])
            self._others = OtherAddresses(connector, host, port, known)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._others = None
        late, failed = self.core.ReadTimeout, self.core.ReadError
        with (
            translating_errors(late, failed, "no data", timeout),
            fail_after(timeout),
        ):
            try:
                return await self._stream.receive(max_bytes)
            except EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return  # h11 ends each message like this; TLS has no empty record
        self._others = None
        late, failed = self.core.WriteTimeout, self.core.WriteError
        with (
            translating_errors(late, failed, "not all data sent", timeout),
            fail_after(timeout),
        ):
            await self._stream.send(buffer)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        # Few HTTP servers send a closing handshake: HTTP tells the length by itself.
        handshake = TLSHandshake(
            ssl_context, server_hostname, is_standard_compatible=False
        )
        limit = lower_timeout(timeout, self._connector.timeout)
        late, failed = self.core.ConnectTimeout, self.core.ConnectError
        try:
            with (
                translating_errors(late, failed, "no TLS handshake", limit),
                fail_after(limit),
            ):
                stream = await self._secure(handshake)
        except BaseException:
            abort(self._stream)
            raise
        return type(self)(stream, self._connector).for_pool()

    async def _secure(self, handshake: TLSHandshake) -> ByteStream:
        """Shake hands, with other addresses as well if this one is late, or fails."""
        others = self._others
        if others is None or others.is_only_one:
            return await self._secure_first(handshake)
        delay = self._connector.happy_eyeballs_delay
        first, rest = self._secure_first(handshake), partial(others.connect, handshake)
        stream: ByteStream = await first_usable(first, rest, delay)
        if getattr(stream, "transport_stream", None) is not self._stream:
            abort(self._stream)
        return stream

    async def _secure_first(self, handshake: TLSHandshake) -> ByteStream:
        """Shake hands over this stream, within the time of one attempt."""
        limit = self._connector.attempt_timeout
        with move_on_after(limit):
            return await handshake.over(self._stream)
        text = f"no TLS handshake within {limit} s, the attempt_timeout"
        raise os_error(errno.ETIMEDOUT, text)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return _is_readable(self._extra_attribute(SocketAttribute.raw_socket))
        attribute = _EXTRA_INFO.get(info)
        return None if attribute is None else self._extra_attribute(attribute)

    def _extra_attribute(self, attribute: Any) -> Any:
        try:
            sock = self._stream.extra(SocketAttribute.raw_socket, None)
            if sock is None or sock.fileno() == -1:
                return None  # uvloop would still know the peer
            return self._stream.extra(attribute, None)
        except (AttributeError, OSError):
            # The stream is closed.  anyio then fails to ask for its peer, and uvloop
            # has no socket any more.
            return None


_EXTRA_INFO: dict[str, Any] = {
    "client_addr": SocketAttribute.local_address,
    "server_addr": SocketAttribute.remote_address,
    "socket": SocketAttribute.raw_socket,
    "ssl_object": TLSAttribute.ssl_object,
}


def _is_readable(sock: socket.socket | None) -> bool:
    """Tell whether a read would return at once.  An idle connection has then ended."""
    if sock is None or sock.fileno() == -1:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))

"""Connect through SOCKS and HTTP proxies.

The connection to the first proxy is made here, as any other is.  Tracebacks can show
the local variables of a frame, so no frame here has the URL when an exception leaves
it.
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
from ._proxy_handshake import Handshake
from ._proxy_url import Hop, ascii_name, checked, hops_of

__all__ = ["ProxyConnector", "connect", "create_connection", "open_connection"]

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)

_DEFAULT = Connector()


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False)
class ProxyConnector:
    """How to connect through *proxy*: a value, whose methods say where.

    *proxy* is a URL, ``scheme://user:password@host:port``, or a sequence of them, each
    of which is reached through the one before.  The schemes are ``socks5``, ``socks4``
    (names are looked up here, by the *connector*'s resolver, and the first IPv4 address
    is taken, else IPv6), ``socks5h``, ``socks4a`` (by the proxy) and ``http`` (CONNECT,
    by the proxy).  In user and password, reserved characters are written ``%XX``;
    they are sent as UTF-8.

    The first proxy is connected to as the *connector* says; what is said to the proxies
    then is part of the attempt, and has its time.  An error is about the target, and
    names the proxies; its phase is ``proxy`` when it is what one of them answered.  The
    connector's *family* is that of the first proxy.
    *allow* is asked about the target and each proxy.  A name that a proxy would look
    up cannot be asked about, and is refused then.

    Raises:
        ValueError, TypeError: A value that cannot work; the text shows no credentials.
    """

    proxy: str | Sequence[str]
    connector: Connector = _DEFAULT

    def __init__(
        self, *, proxy: str | Sequence[str], connector: Connector = _DEFAULT
    ) -> None:
        try:
            check_connector(connector)
            object.__setattr__(self, "proxy", checked(proxy))
            object.__setattr__(self, "connector", connector)
        finally:
            # What a traceback shows must not be half made, either.
            del self, proxy

    def __repr__(self) -> str:
        through = ", ".join(map(repr, hops_of(self.proxy)))
        return f"{type(self).__name__}({through}, connector={self.connector!r})"

    async def connect(self, host: str, port: int | str) -> socket.socket:
        """Do what `connect` does."""
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
        """Do what `open_connection` does."""
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
        """Do what `create_connection` does."""
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
    """Connect to *host* and *port* through *proxy*; return the non-blocking socket.

    *proxy* is what it is to `ProxyConnector`, and the rest what it is to
    `aioconnect.connect`.  Nothing that the target has said is read.

    Raises what `aioconnect.connect` does: a proxy's answer is the error that it
    stands for, `ConnectRefusedError`, say.
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
    """Do what `aioconnect.open_connection` does, through *proxy*.

    Raises what `connect` does.
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
    """Do what `aioconnect.create_connection` does, through *proxy*.

    Raises what `connect` does.
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
    """The way of one call through *hops* to *target*, and what *finish* makes there."""

    def __init__(
        self,
        connector: Connector,
        hops: Sequence[Hop],
        target: Endpoint,
        finish: Wrap[T] | None,
    ) -> None:
        hops[-1].check(target)
        self._connector = connector
        self._finish = finish
        places = [*(hop.place for hop in hops[1:]), target]
        self._links = list(zip(hops, places, strict=True))
        self._requests: list[tuple[Hop, str, int]] = []
        first, *beyond = (hop.place for hop in hops)
        self.place = connector.where(str(first.host), first.port or 0)
        for place in reversed(beyond):
            target = place._replace(destination=target)
        self.place = self.place._replace(destination=target)

    async def find(self, first: Endpoint, rounds: Rounds) -> Endpoint | None:
        """Return *first*, the first proxy, once it is known what each is asked for."""
        self._requests = []
        for hop, place in self._links:
            address, host = place.address, str(place.host)
            if address is None and not hop.resolves:
                address = await self._look_up(hop, place, rounds)
                if address is None:
                    return None
            if not self._is_allowed(address):
                text = "not allowed"
                if address is None:
                    text = "the proxy looks it up: use socks5, or give an address"
                error = AttemptError("guard", os_error(errno.EACCES, text), sent=False)
                now = asyncio.get_running_loop().time()
                rounds.failed(None, error, now, None, host=str(place.final_destination))
                return None
            # What was allowed, with the port that the resolver gave.
            known = address and host_and_port(address)
            host, port = known or (ascii_name(host), place.port)
            self._requests.append((hop, host, port or 0))
        return first

    async def _look_up(
        self, hop: Hop, place: Endpoint, rounds: Rounds
    ) -> Address | None:
        """Return an address of *place*, or None: the *rounds* know why."""
        # How far a proxy gets by IPv6 is not known: that is asked for last.
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
        """Make of *sock*, to the first proxy, what *finish* makes of one to the target.

        Raises what *finish* and `Handshake.ask_for` do.
        """
        try:
            if tell is not None:
                tell("proxy")
            for hop, host, port in self._requests:
                name = f"{hop.place}: " if len(self._requests) > 1 else ""
                handshake = Handshake(loop, sock, deadline, hop, name)
                await handshake.ask_for(host, port)
        except BaseException:
            sock.close()
            raise
        if self._finish is None:
            return cast("T", sock)
        return await self._finish(loop, sock, deadline, owned=owned, tell=tell)

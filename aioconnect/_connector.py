"""Say how to connect, once: a value whose methods are the package's functions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TypeVar, Unpack

from ._calls.arguments import (
    StrOrBytesPath,
    connect_endpoint,
    connect_to_arguments,
    connect_to_path,
    try_fast_connect,
)
from ._calls.call import Call
from ._calls.hooks import check_factory
from ._calls.options import Options, endpoint_of_target
from ._calls.reconnecting import STABLE_AFTER, Reconnecting
from ._calls.service_lookup import check_services
from ._calls.wait_for_server import until_down, until_up
from ._io.sockets import check_sock
from ._io.targets import AnyTarget, iter_targets
from ._io.timers import collect_in_slices
from ._io.tls import TLSArguments, TLSOptions, tls_options
from ._io.transports import (
    LIMIT,
    Streams,
    Wrap,
    check_limit,
    create_streams,
    create_transport,
)
from ._sansio.addresses import (
    Address,
    SockAddr,
    check_address,
    unix_address,
)
from ._sansio.endpoints import endpoint_at
from ._sansio.text import redacted_repr, safe_repr

__all__ = ["Connector", "StrOrBytesPath", "check_connector"]

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)


class Connector(Options):
    """How to connect: a value, whose methods say where.

    All durations are seconds, and None means off.  *timeout* bounds the whole
    call: names, every attempt, every retry, TLS; *attempt_timeout* one attempt
    at one address, with its handshake.

    *retry* are the delays between rounds, ``(0.1, 0.5)`` or a `Backoff`; a round
    is one resolve and one attempt at each address.  When all of them failed,
    the next round begins from the beginning, with new sockets, if *retry_on*
    accepts at least one of the errors.  The *timeout* is used to its end: a delay that
    would reach past it is cut short, so that a last round has time for an attempt like
    those before (twice the longest answer so far, at least 50 ms, at most half of what
    is left).  A policy without a further delay gives up at once.

    *family*, *proto*, *flags* and *local_addr* are those of
    `asyncio.loop.create_connection`; *proto* is the sockets' alone, and
    *local_addr* may be a sequence, or a name with several addresses.  An attempt
    takes the first of its own family that can be bound.  A port in it is shared
    with the connections to other peers that are open, or were, from it
    (``SO_REUSEADDR``).

    A name's addresses are raced as RFC 8305 says: IPv6 and IPv4 are looked up
    apart, IPv4 waits *resolution_delay* for IPv6, and an address that has not
    answered after *happy_eyeballs_delay* (held within 10 ms and 2 s; None: tried
    one at a time) is joined by the next; a seventh takes the place of the oldest.
    *interleave* is the First Address Family
    Count, 0 keeps the order of RFC 6724.  *resolver* is asked for the names, and
    *allow*, such as `only_public`, for each address before it is dialled: ``::`` and
    IPv4-mapped ones come as they are.  With it Unix and vsock are refused; a
    connected socket that is given is not asked about.

    *prepare* are functions ``(socket, Address)`` that are run on each new
    socket before it is bound and connected.  *ready* is a coroutine function that is
    awaited, within the attempt's time, with what the call would return: the socket,
    the reader and the writer, or the transport and the protocol.  If it raises an
    `OSError` or an `EOFError`, or returns False, the attempt has failed, and the next
    address is tried.  *outcome* the function of
    `aioconnect.outcome` that is asked what became of a connect, and *observer*
    is called with an event for everything that happens; a `CallObserver` is asked for
    one for each call.

    Raises:
        ValueError, TypeError: A value that cannot work; the text names it.
    """

    # A dataclass as `Options` is, whose fields these are: it has none of its own.
    __slots__ = ()

    async def connect(self, host: str, port: int | str) -> socket.socket:
        """Do what `aioconnect.connect` does."""
        sock: socket.socket = await connect_endpoint(self, self.where(host, port))
        return sock

    async def connect_unix(
        self, path: StrOrBytesPath, *, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """Do what `aioconnect.connect_unix` does."""
        return await self.connect_address(unix_address(path, kind))

    async def connect_address(self, address: Address) -> socket.socket:
        """Do what `aioconnect.connect_address` does, with these options."""
        place = endpoint_at(check_address(address))
        sock: socket.socket = await connect_endpoint(self, place)
        return sock

    async def connect_sock(self, sock: socket.socket, sockaddr: SockAddr) -> None:
        """Do what `aioconnect.connect_sock` does."""
        check_sock(sock)
        address = Address(sock.family, sockaddr, sock.proto, sock.type)
        await Call(self, (endpoint_at(address),), sock=sock).run(None)

    async def create_connection(
        self,
        protocol_factory: Callable[[], P],
        host: str | None = None,
        port: int | str | None = None,
        *,
        sock: socket.socket | None = None,
        all_errors: bool = False,
        **tls: Unpack[TLSArguments],
    ) -> tuple[asyncio.Transport, P]:
        """Do what `aioconnect.create_connection` does."""
        check_factory(protocol_factory)
        options = tls_options(host, tls)
        finish = partial(create_transport, factory=protocol_factory, tls=options)
        return await connect_to_arguments(
            self, host, port, sock, finish, all_errors=all_errors
        )

    async def open_connection(
        self,
        host: str | None = None,
        port: int | str | None = None,
        *,
        limit: int = LIMIT,
        sock: socket.socket | None = None,
        all_errors: bool = False,
        **tls: Unpack[TLSArguments],
    ) -> Streams:
        """Do what `aioconnect.open_connection` does."""
        finish = _streams(limit, tls_options(host, tls))
        return await connect_to_arguments(
            self, host, port, sock, finish, all_errors=all_errors
        )

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], P],
        path: StrOrBytesPath | None = None,
        *,
        sock: socket.socket | None = None,
        **tls: Unpack[TLSArguments],
    ) -> tuple[asyncio.Transport, P]:
        """Do what `aioconnect.create_unix_connection` does."""
        check_factory(protocol_factory)
        options = tls_options(None, tls)
        finish = partial(create_transport, factory=protocol_factory, tls=options)
        return await connect_to_path(self, path, sock, finish)

    async def open_unix_connection(
        self,
        path: StrOrBytesPath | None = None,
        *,
        limit: int = LIMIT,
        sock: socket.socket | None = None,
        **tls: Unpack[TLSArguments],
    ) -> Streams:
        """Do what `aioconnect.open_unix_connection` does."""
        finish = _streams(limit, tls_options(None, tls))
        return await connect_to_path(self, path, sock, finish)

    async def connect_any(
        self, targets: Iterable[AnyTarget], *, race: bool = False
    ) -> socket.socket:
        """Do what `aioconnect.connect_any` does."""
        if not isinstance(race, bool):
            raise TypeError(f"race must be True or False, not {safe_repr(race)}")
        started = asyncio.get_running_loop().time()
        checked = await collect_in_slices(iter_targets(targets))
        check_services(self, checked)
        places = await collect_in_slices(
            map(partial(endpoint_of_target, self), checked)
        )
        begun = None
        if all(place.address is not None for place in places):
            begun = try_fast_connect(self, places[0].address)
        if isinstance(begun, socket.socket):
            return begun
        call = Call(self, places, races=race, begun=begun, started=started)
        made: socket.socket = await call.run(None)
        return made

    def reconnecting(
        self,
        host: str,
        port: int | str,
        *,
        stable_after: float = STABLE_AFTER,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Reconnecting:
        """Do what `aioconnect.reconnecting` does."""
        finish = _streams(limit, tls_options(host, tls))
        return Reconnecting(self, self.where(host, port), finish, stable_after)

    def reconnecting_unix(
        self,
        path: StrOrBytesPath,
        *,
        stable_after: float = STABLE_AFTER,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Reconnecting:
        """Do what `aioconnect.reconnecting_unix` does."""
        finish = _streams(limit, tls_options(None, tls))
        return Reconnecting(self, endpoint_at(unix_address(path)), finish, stable_after)

    async def wait_until_up(
        self,
        host: str,
        port: int | str,
        *,
        timeout: float | None = None,
        settle: float = 0.0,
    ) -> float:
        """Do what `aioconnect.wait_until_up` does, within *timeout* or the options'."""
        return await until_up(self._within(timeout), self.where(host, port), settle)

    async def wait_until_up_unix(
        self,
        path: StrOrBytesPath,
        *,
        timeout: float | None = None,
        settle: float = 0.0,
    ) -> float:
        """Do what `aioconnect.wait_until_up_unix` does, likewise."""
        return await until_up(
            self._within(timeout), endpoint_at(unix_address(path)), settle
        )

    async def wait_until_down(
        self, host: str, port: int | str, *, timeout: float | None = None
    ) -> float:
        """Do what `aioconnect.wait_until_down` does, likewise."""
        return await until_down(self._within(timeout), self.where(host, port))

    async def wait_until_down_unix(
        self, path: StrOrBytesPath, *, timeout: float | None = None
    ) -> float:
        """Do what `aioconnect.wait_until_down_unix` does, likewise."""
        return await until_down(self._within(timeout), endpoint_at(unix_address(path)))

    def _within(self, timeout: float | None) -> Connector:
        return self if timeout is None else replace(self, timeout=timeout)


def check_connector(connector: object) -> None:
    """Raise `TypeError` unless *connector* is a `Connector`."""
    if isinstance(connector, Connector):
        return
    text = f"connector must be a Connector, not {redacted_repr(connector)}"
    if isinstance(getattr(connector, "connector", None), Connector):
        # The way through a proxy is not one of the options.
        text += f"; call the methods of the {type(connector).__name__} itself"
    raise TypeError(text)


def _streams(limit: int, tls: TLSOptions) -> Wrap[Streams]:
    check_limit(limit)
    return partial(create_streams, limit=limit, tls=tls)

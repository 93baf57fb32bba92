"""Hold the options of a connect in a value, whose methods connect with them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, TypeVar, Unpack, cast

from ._calls.arguments import (
    StrOrBytesPath,
    endpoint_at_path,
    endpoint_from_host,
    endpoint_from_target,
)
from ._calls.connect import ConnectOperation
from ._calls.fast_path import (
    connect_endpoint,
    connect_to_one_of,
    open_streams,
    open_transport,
    open_unix_streams,
    open_unix_transport,
)
from ._calls.observing import Observer
from ._calls.options import (
    Allow,
    ConnectorOptions,
    History,
    LocalAddr,
    PlainHelp,
    Route,
    check_options,
    options_repr,
)
from ._calls.ready import Ready
from ._calls.reconnecting import STABLE_AFTER, Reconnecting
from ._calls.service_lookup import check_services
from ._calls.wait_for_server import until_down, until_up
from ._io.connect_outcome import Outcome, default
from ._io.resolver import Resolver, system_resolver
from ._io.sockets import Prepare, check_sock
from ._io.targets import AnyTarget, iter_targets
from ._io.timers import collect_in_slices
from ._io.tls import TLSArguments, tls_options
from ._io.transports import LIMIT, Streams, StreamsWrap
from ._sansio.addresses import Address, SockAddr, check_address
from ._sansio.checks import explains_misuse
from ._sansio.endpoints import endpoint_at
from ._sansio.error_predicates import is_transient
from ._sansio.text import redacted_repr, safe_repr

__all__ = ["Connector", "StrOrBytesPath", "check_connector"]

P = TypeVar("P", bound=asyncio.BaseProtocol)


@explains_misuse
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Connector(metaclass=PlainHelp):
    """A set of options for connecting.  Its methods connect with these options.

    Each method does what the function of the same name does.  `aioconnect.connect` has
    the fine print of the options.  The *timeout* of a wait replaces the option.  A
    connector is an immutable value: it compares, hashes and pickles, and works in any
    thread.  `dataclasses.replace` makes a changed copy.

    Options (keyword arguments; durations are seconds, and None is off):
        timeout=None: Limit of the whole call: look-ups, attempts, retries and TLS.
        attempt_timeout=None: Limit of one attempt at one address, with TLS and *ready*.
        retry=(): Delays between rounds, such as ``(0.1, 0.5)`` or ``Backoff()``.
        retry_on=is_transient: Function that tells if an error is worth a retry.
        happy_eyeballs_delay=0.25: Head start of each address.  None: one at a time.
        interleave=1: How many addresses of one family come first.  0: as answered.
        resolution_delay=0.05: How long to wait for one answer with both families,
            before IPv6 and IPv4 are also looked up separately.  None: never.
        family=AF_UNSPEC: ``AF_INET`` or ``AF_INET6`` to use that family only.
        proto=0: Protocol of the sockets, such as ``IPPROTO_MPTCP``.
        flags=0: Flags of ``getaddrinfo``, such as ``AI_ADDRCONFIG``.
        local_addr=None: ``(host, port)`` to connect from, or several of them.
        resolver=system_resolver: Function that looks up names: see `Resolver`.
        allow=None: Function that may refuse an address, such as `only_public`.
        prepare=(): Functions ``(socket, Address)`` to run on each new socket.
        ready=None: Coroutine function that checks each new connection.
        history=None: `History` of addresses that failed, and of round trips.
        outcome=outcome.default: How to find out how a ``connect(2)`` has ended.
        observer=None: Function that is called with each event, such as a `Timeline`.

    Raises:
        ValueError, TypeError: A value cannot work.  The text names the option.
    """

    timeout: float | None = None
    attempt_timeout: float | None = None
    retry: Iterable[float] = ()
    retry_on: Callable[[OSError], bool] = is_transient
    happy_eyeballs_delay: float | None = 0.25
    interleave: int | None = 1
    resolution_delay: float | None = 0.05
    family: int = socket.AF_UNSPEC
    proto: int = 0
    flags: int = 0
    local_addr: LocalAddr | None = None
    resolver: Resolver = system_resolver
    allow: Allow | None = None
    prepare: Sequence[Prepare] = ()
    ready: Ready | None = None
    history: History | None = None
    outcome: Outcome = default
    observer: Observer | None = None

    route: ClassVar[Route | None] = None  # subclasses go through proxies

    def __post_init__(self) -> None:
        check_options(self)

    def __repr__(self) -> str:
        return options_repr(self)

    async def connect(self, host: str, port: int | str) -> socket.socket:
        """Return a socket connected to *host* and *port*: see `aioconnect.connect`."""
        endpoint = endpoint_from_host(self, host, port)
        sock: socket.socket = await connect_endpoint(self, endpoint)
        return sock

    async def connect_unix(
        self, path: StrOrBytesPath, *, kind: int = socket.SOCK_STREAM
    ) -> socket.socket:
        """Return a socket connected to *path*: see `aioconnect.connect_unix`."""
        sock: socket.socket = await connect_endpoint(self, endpoint_at_path(path, kind))
        return sock

    async def connect_address(self, address: Address) -> socket.socket:
        """Return a socket connected to *address*: see `aioconnect.connect_address`."""
        endpoint = endpoint_at(check_address(address))
        sock: socket.socket = await connect_endpoint(self, endpoint)
        return sock

    async def connect_sock(self, sock: socket.socket, sockaddr: SockAddr) -> None:
        """Connect *sock*, which is the caller's own: see `aioconnect.connect_sock`."""
        check_sock(sock)
        address = Address(sock.family, sockaddr, sock.proto, sock.type)
        await ConnectOperation(self, (endpoint_at(address),), sock=sock).run()

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
        """Return a transport and its protocol: see `aioconnect.create_connection`."""
        given = tls_options(tls)
        return await open_transport(
            self, protocol_factory, host, port, given, sock=sock, all_errors=all_errors
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
        """Return a connected reader and writer: see `aioconnect.open_connection`."""
        given = tls_options(tls)
        return await open_streams(
            self, host, port, given, limit=limit, sock=sock, all_errors=all_errors
        )

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], P],
        path: StrOrBytesPath | None = None,
        *,
        sock: socket.socket | None = None,
        **tls: Unpack[TLSArguments],
    ) -> tuple[asyncio.Transport, P]:
        """Return a transport and protocol: see `aioconnect.create_unix_connection`."""
        return await open_unix_transport(
            self, protocol_factory, path, tls_options(tls), sock=sock
        )

    async def open_unix_connection(
        self,
        path: StrOrBytesPath | None = None,
        *,
        limit: int = LIMIT,
        sock: socket.socket | None = None,
        **tls: Unpack[TLSArguments],
    ) -> Streams:
        """Return streams connected to *path*: see `aioconnect.open_unix_connection`."""
        return await open_unix_streams(
            self, path, tls_options(tls), limit=limit, sock=sock
        )

    async def connect_any(
        self, targets: Iterable[AnyTarget], *, race: bool = False
    ) -> socket.socket:
        """Return a socket to one of the *targets*: see `aioconnect.connect_any`."""
        if not isinstance(race, bool):
            raise TypeError(f"race must be True or False, not {safe_repr(race)}")
        started = asyncio.get_running_loop().time()
        checked = await collect_in_slices(iter_targets(targets))
        check_services(self, checked)
        convert = partial(endpoint_from_target, self)
        endpoints = await collect_in_slices(map(convert, checked))
        return await connect_to_one_of(self, endpoints, raced=race, started=started)

    def reconnecting(
        self,
        host: str,
        port: int | str,
        *,
        stable_after: float = STABLE_AFTER,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Reconnecting:
        """Iterate over connections, one at a time: see `aioconnect.reconnecting`."""
        wrap = StreamsWrap(limit, tls_options(tls).for_host(host))
        endpoint = endpoint_from_host(self, host, port)
        return Reconnecting(self, endpoint, wrap, stable_after)

    def reconnecting_unix(
        self,
        path: StrOrBytesPath,
        *,
        stable_after: float = STABLE_AFTER,
        limit: int = LIMIT,
        **tls: Unpack[TLSArguments],
    ) -> Reconnecting:
        """Iterate over connections to *path*: see `aioconnect.reconnecting_unix`."""
        wrap = StreamsWrap(limit, tls_options(tls).for_host(None))
        return Reconnecting(self, endpoint_at_path(path), wrap, stable_after)

    async def wait_until_up(
        self,
        host: AnyTarget,
        port: int | str | None = None,
        *,
        timeout: float | None = None,
        settle: float = 0.0,
    ) -> float:
        """Wait until a server is up: see `aioconnect.wait_until_up`."""
        if port is None:
            from ._services import until_service_up  # noqa: PLC0415  # few need checks

            return await until_service_up(self._within(timeout), host, settle)
        endpoint = endpoint_from_host(self, cast("str", host), port)
        return await until_up(self._within(timeout), endpoint, settle)

    async def wait_until_up_unix(
        self, path: StrOrBytesPath, *, timeout: float | None = None, settle: float = 0.0
    ) -> float:
        """Wait until *path* is up: see `aioconnect.wait_until_up_unix`."""
        return await until_up(self._within(timeout), endpoint_at_path(path), settle)

    async def wait_until_down(
        self,
        host: AnyTarget,
        port: int | str | None = None,
        *,
        timeout: float | None = None,
    ) -> float:
        """Wait until a server is down: see `aioconnect.wait_until_down`."""
        if port is None:
            from ._services import until_service_down  # noqa: PLC0415  # the same

            return await until_service_down(self._within(timeout), host)
        endpoint = endpoint_from_host(self, cast("str", host), port)
        return await until_down(self._within(timeout), endpoint)

    async def wait_until_down_unix(
        self, path: StrOrBytesPath, *, timeout: float | None = None
    ) -> float:
        """Wait until *path* is down: see `aioconnect.wait_until_down_unix`."""
        return await until_down(self._within(timeout), endpoint_at_path(path))

    def _within(self, timeout: float | None) -> Connector:
        return self if timeout is None else replace(self, timeout=timeout)


# For `typing.get_type_hints`: these name their module, and `__module__` another one.
Connector.__annotations__ = {**ConnectorOptions.__annotations__}


def check_connector(connector: object) -> None:
    """Raise `TypeError` unless *connector* is a `Connector`."""
    if isinstance(connector, Connector):
        return
    raise TypeError(f"connector must be a Connector, not {redacted_repr(connector)}")

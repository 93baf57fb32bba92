"""Connect to one address with as little work as possible.

Most connects need no observer and no preparation, and the first attempt succeeds.  Only
when it has failed, or when a name has several addresses, is an operation made, which
keeps rounds and failures.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.socket_ownership import Factory, Handover
from .._io.sockets import open_and_connect
from .._io.tls import TLSOptions
from .._io.transports import Streams, StreamsWrap, TransportWrap, Wrap
from .._sansio.addresses import Address
from .._sansio.deadline import attempt_deadline, call_deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError
from .arguments import StrOrBytesPath, endpoint_from_arguments, endpoint_from_path
from .connect import ConnectOperation
from .first_addresses import only_address
from .host_lookup import HostLookup
from .option_checks import check_factory
from .options import Options

__all__ = [
    "connect_endpoint",
    "connect_to_one_of",
    "first_deadline",
    "open_streams",
    "open_transport",
    "open_unix_streams",
    "open_unix_transport",
    "try_fast_connect",
]

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.BaseProtocol)


async def connect_endpoint(
    options: Options,
    endpoint: Endpoint,
    wrap: Wrap[T] | None = None,
    *,
    sock: socket.socket | None = None,
    all_errors: bool = False,
    ready_gets_socket: bool = False,
    first: socket.socket | ConnectingSocket | AttemptError | None = None,
) -> T:
    """Return a connection to *endpoint*.

    *first* is what `try_fast_connect` has returned, if it was called.
    `ConnectOperation` explains the other arguments, and `ConnectOperation.run` the
    errors.
    """
    loop = asyncio.get_running_loop()
    started = attempt_started = loop.time()
    address, lookup = endpoint.address, None
    if sock is None and first is None:
        if address is None and options.resolution_delay != 0 and _is_plain(options):
            check_loop(loop)
            lookup = HostLookup(loop, options, None, endpoint)
            until = _lookup_end(options, started)
            address = await only_address(loop, lookup, until)
            attempt_started = loop.time()
        if address is not None:
            first = try_fast_connect(loop, options, address)
    if first is not None and not isinstance(first, AttemptError):
        deadline = None
        if options.timeout is not None or options.attempt_timeout is not None:
            deadline = first_deadline(options, started, attempt_started)
        try:
            if isinstance(first, ConnectingSocket):
                first = await first.wait_connected(loop, deadline)
            connection: Any = first
            if wrap is not None:
                connection = await wrap(Handover(loop, first, deadline))
            return connection  # type: ignore[no-any-return]  # T, or the socket
        except AttemptError as exc:
            first = exc.with_traceback(None)
    operation = ConnectOperation(
        options,
        (endpoint,),
        wrap,
        sock=sock,
        all_errors=all_errors,
        ready_gets_socket=ready_gets_socket,
        lookup=lookup if address is None else None,
        started=started,
    )
    if first is not None and address is not None:
        operation.begin_with(first, address, attempt_started)
    return await operation.run()  # type: ignore[no-any-return]  # the same


def open_streams(
    options: Options,
    host: str | None,
    port: int | str | None,
    tls: TLSOptions,
    *,
    limit: int,
    sock: socket.socket | None,
    all_errors: bool,
) -> Coroutine[Any, Any, Streams]:
    """Return the coroutine of `aioconnect.open_connection`, with checked arguments."""
    wrap = StreamsWrap(limit, tls.for_host(host))
    endpoint = endpoint_from_arguments(options, host, port, sock)
    return connect_endpoint(options, endpoint, wrap, sock=sock, all_errors=all_errors)


def open_transport(
    options: Options,
    protocol_factory: Factory[P],
    host: str | None,
    port: int | str | None,
    tls: TLSOptions,
    *,
    sock: socket.socket | None,
    all_errors: bool,
) -> Coroutine[Any, Any, tuple[asyncio.Transport, P]]:
    """Return the coroutine of `aioconnect.create_connection`, the same way."""
    check_factory(protocol_factory)
    wrap = TransportWrap(protocol_factory, tls.for_host(host))
    endpoint = endpoint_from_arguments(options, host, port, sock)
    return connect_endpoint(options, endpoint, wrap, sock=sock, all_errors=all_errors)


def open_unix_streams(
    options: Options,
    path: StrOrBytesPath | None,
    tls: TLSOptions,
    *,
    limit: int,
    sock: socket.socket | None,
) -> Coroutine[Any, Any, Streams]:
    """Return the coroutine of `aioconnect.open_unix_connection`, the same way."""
    wrap = StreamsWrap(limit, tls.for_host(None))
    endpoint = endpoint_from_path(path, sock)
    return connect_endpoint(options, endpoint, wrap, sock=sock)


def open_unix_transport(
    options: Options,
    protocol_factory: Factory[P],
    path: StrOrBytesPath | None,
    tls: TLSOptions,
    *,
    sock: socket.socket | None,
) -> Coroutine[Any, Any, tuple[asyncio.Transport, P]]:
    """Return the coroutine of `aioconnect.create_unix_connection`, the same way."""
    check_factory(protocol_factory)
    wrap = TransportWrap(protocol_factory, tls.for_host(None))
    endpoint = endpoint_from_path(path, sock)
    return connect_endpoint(options, endpoint, wrap, sock=sock)


async def connect_to_one_of(
    options: Options, endpoints: Sequence[Endpoint], *, raced: bool, started: float
) -> socket.socket:
    """Return a socket to one of *endpoints*, in turn or *raced*.

    Raises what `ConnectOperation.run` does.
    """
    first = None
    address = endpoints[0].address
    if address is not None and all(endpoint.address for endpoint in endpoints):
        loop = asyncio.get_running_loop()
        first = try_fast_connect(loop, options, address)
    if isinstance(first, socket.socket):
        return first
    operation = ConnectOperation(
        options, endpoints, raced=raced, first=first, started=started
    )
    sock: socket.socket = await operation.run()
    return sock


def try_fast_connect(
    loop: asyncio.AbstractEventLoop, options: Options, address: Address
) -> socket.socket | ConnectingSocket | AttemptError | None:
    """Start the first attempt, or return None if something has to come before it.

    The result is a connected socket, a connect under way, or the attempt's error.
    """
    if not _is_plain(options):
        return None
    check_loop(loop)
    try:
        sock, code = open_and_connect(address, (), None)
    except AttemptError as exc:
        return exc.with_traceback(None)
    if not code:
        return sock
    return ConnectingSocket(sock, address, code, options.outcome, loop.time())


def _is_plain(options: Options) -> bool:
    """Tell whether nothing but a look-up has to come before the first attempt."""
    if options.observer is not None or options.prepare or options.timeout == 0:
        return False
    if options.route is not None:
        return False
    if options.local_addr is not None or options.allow is not None:
        return False
    return options.ready is None and options.history is None


def _lookup_end(options: Options, started: float) -> float | None:
    """Return how long to wait for the whole answer of a call that has *started*."""
    call = call_deadline(started, options.timeout)
    if options.resolution_delay is None:
        return call.at
    return call.or_sooner(started + options.resolution_delay, "turn").at


def first_deadline(
    options: Options, started: float, attempt_started: float | None = None
) -> float | None:
    """Return when the first attempt of a call that has *started* has to end.

    The attempt has started with the call, by default.
    """
    timeout, attempt_timeout = options.timeout, options.attempt_timeout
    if attempt_timeout is None:
        return None if timeout is None else started + timeout
    call = call_deadline(started, timeout)
    begun_at = started if attempt_started is None else attempt_started
    return attempt_deadline(call, begun_at, attempt_timeout).at

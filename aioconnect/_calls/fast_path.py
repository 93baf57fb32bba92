"""Connect to one known address with as little work as possible.

Most connects need no look-up, no observer and no preparation, and succeed.  Only when
the first attempt has failed is an operation made, which keeps rounds and failures.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, TypeVar

from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.sockets import open_and_connect
from .._io.transports import Wrap
from .._sansio.deadline import attempt_deadline, call_deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError
from .connect import ConnectOperation
from .options import Options

__all__ = [
    "connect_endpoint",
    "connect_to_one_of",
    "first_deadline",
    "try_fast_connect",
]

T = TypeVar("T")


async def connect_endpoint(
    options: Options,
    endpoint: Endpoint,
    wrap: Wrap[T] | None = None,
    *,
    sock: socket.socket | None = None,
    all_errors: bool = False,
    ready_gets_socket: bool = False,
) -> T:
    """Return a connection to *endpoint*.

    `ConnectOperation` explains the arguments, and `ConnectOperation.run` the errors.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    first = try_fast_connect(options, endpoint) if sock is None else None
    if first is not None and not isinstance(first, AttemptError):
        deadline = first_deadline(options, started)
        try:
            if isinstance(first, ConnectingSocket):
                first = await first.wait_connected(loop, deadline)
            connection: Any = first
            if wrap is not None:
                connection = await wrap(loop, first, deadline)
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
        first=first,
        started=started,
    )
    return await operation.run()  # type: ignore[no-any-return]  # the same


async def connect_to_one_of(
    options: Options, endpoints: Sequence[Endpoint], *, raced: bool, started: float
) -> socket.socket:
    """Return a socket to one of *endpoints*, in turn or *raced*.

    Raises what `ConnectOperation.run` does.
    """
    first = None
    if all(endpoint.address is not None for endpoint in endpoints):
        first = try_fast_connect(options, endpoints[0])
    if isinstance(first, socket.socket):
        return first
    operation = ConnectOperation(
        options, endpoints, raced=raced, first=first, started=started
    )
    sock: socket.socket = await operation.run()
    return sock


def try_fast_connect(
    options: Options, endpoint: Endpoint
) -> socket.socket | ConnectingSocket | AttemptError | None:
    """Start the first attempt, or return None if something has to come before it.

    The result is a connected socket, a connect under way, or the attempt's error.
    """
    address = endpoint.address
    if address is None or options.observer is not None or options.prepare:
        return None
    if options.local_addr is not None or options.allow is not None:
        return None
    if options.timeout == 0 or options.ready is not None:
        return None
    loop = asyncio.get_running_loop()
    check_loop(loop)
    try:
        sock, code = open_and_connect(address, (), None)
    except AttemptError as exc:
        return exc.with_traceback(None)
    if not code:
        return sock
    return ConnectingSocket(sock, address, code, options.outcome, loop.time())


def first_deadline(options: Options, started: float) -> float | None:
    """Return when the first attempt has to end.  It *started* with its call."""
    timeout, attempt_timeout = options.timeout, options.attempt_timeout
    if timeout is None and attempt_timeout is None:
        return None
    call = call_deadline(started, timeout)
    return attempt_deadline(call, started, attempt_timeout).at

"""Go to one place: a host and a port, a path, or a socket, as asyncio takes them.

A `Call` is made only if the first attempt has failed.  Most connects succeed at once,
and ten thousand may be pending: what keeps rounds and a history is not made for them.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

from .._io.connecting_socket import ConnectingSocket
from .._io.fd_watchers import check_loop
from .._io.service_names import check_port
from .._io.sockets import check_open, open_and_connect
from .._io.timers import wait_until_done
from .._io.transports import Wrap
from .._sansio.addresses import Address, unix_address
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.errors import AttemptError
from .._sansio.text import safe_repr
from .call import Call
from .host_lookup import HostLookup
from .options import Options
from .rounds import Rounds

__all__ = [
    "StrOrBytesPath",
    "addresses_of",
    "check_is_socket",
    "connect_endpoint",
    "connect_to_arguments",
    "connect_to_path",
    "endpoint_from_arguments",
    "endpoint_from_path",
    "limit_of",
    "try_fast_connect",
]

T = TypeVar("T")

StrOrBytesPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


async def connect_to_arguments(
    options: Options,
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
    finish: Wrap[T],
    *,
    all_errors: bool = False,
) -> T:
    """Return what *finish* makes of *sock*, or of a socket to *host* and *port*.

    Raises what `endpoint_from_arguments` and `Call.run` do.
    """
    place = endpoint_from_arguments(options, host, port, sock)
    return await connect_endpoint(
        options, place, finish, sock=sock, all_errors=all_errors
    )


def endpoint_from_arguments(
    options: Options,
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
) -> Endpoint:
    """Return the place of *sock*, or of *host* and *port*.

    None as *host* is this machine, as in asyncio.

    Raises:
        ValueError: There is neither, or both (asyncio's own words).
    """
    if sock is not None:
        if host is not None or port is not None:
            text = "host/port and sock can not be specified at the same time"
            raise ValueError(text)
        check_is_socket(sock)
        return _of(sock)
    if host is not None:
        return options.where(host, 0 if port is None else port)
    if port is not None:
        return Endpoint(None, check_port(port))
    raise ValueError("host and port was not specified and no sock specified")


async def connect_to_path(
    options: Options,
    path: StrOrBytesPath | None,
    sock: socket.socket | None,
    finish: Wrap[T],
) -> T:
    """Return what *finish* makes of *sock*, or of a Unix socket to *path*.

    Raises what `endpoint_from_path` and `Call.run` do.
    """
    return await connect_endpoint(
        options, endpoint_from_path(path, sock), finish, sock=sock
    )


def endpoint_from_path(
    path: StrOrBytesPath | None, sock: socket.socket | None
) -> Endpoint:
    """Return the place of *sock*, or of *path*.

    Raises what `endpoint_from_arguments` does.
    """
    if sock is None:
        if path is None:
            raise ValueError("no path and sock were specified")
        return endpoint_at(unix_address(path))
    if path is not None:
        raise ValueError("path and sock can not be specified at the same time")
    check_is_socket(sock)
    if sock.family != socket.AF_UNIX:
        text = f"A UNIX Domain Stream Socket was expected, got {safe_repr(sock)}"
        raise ValueError(text)
    return _of(sock)


async def connect_endpoint(
    options: Options,
    place: Endpoint,
    finish: Wrap[T] | None = None,
    *,
    sock: socket.socket | None = None,
    all_errors: bool = False,
    proves_socket: bool = False,
) -> T:
    """Do what `Call.run` does, of a call with these arguments.

    Raises what it does.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    begun = try_fast_connect(options, place.address) if sock is None else None
    if begun is not None and not isinstance(begun, AttemptError):
        limit = limit_of(options, started)
        try:
            made: Any = begun
            if isinstance(begun, ConnectingSocket):
                made = await begun.settled(loop, limit)
            if finish is not None:
                made = await finish(loop, made, limit)
            return made  # type: ignore[no-any-return]  # T, or the socket
        except AttemptError as exc:
            begun = exc.with_traceback(None)
    call = Call(
        options,
        (place,),
        sock=sock,
        all_errors=all_errors,
        proves_socket=proves_socket,
        begun=begun,
        started=started,
    )
    return await call.run(finish)


def try_fast_connect(
    options: Options, address: Address | None
) -> socket.socket | ConnectingSocket | AttemptError | None:
    """Begin the first attempt, if nothing has to be done and nobody told before it.

    A connect that the kernel answers at once then costs nothing else, and one that is
    under way little: a `Call` is made for it when it has failed.  If it has by now, it
    is returned why.
    """
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
    return (
        ConnectingSocket(sock, address, code, options.outcome, loop.time())
        if code
        else sock
    )


def limit_of(options: Options, started: float) -> float | None:
    """Return when a first attempt has to end that *started* with its call."""
    timeout, attempt_timeout = options.timeout, options.attempt_timeout
    if timeout is None:
        return None if attempt_timeout is None else started + attempt_timeout
    if attempt_timeout is None:
        return started + timeout
    return started + min(timeout, attempt_timeout)


async def addresses_of(
    options: Options, place: Endpoint, rounds: Rounds
) -> Sequence[Address]:
    """Return the addresses of *place*, of one family; if none, the *rounds* know why.

    For who can use but one: both families are for those who race.  IPv4 is asked for
    first.
    """
    loop = asyncio.get_running_loop()
    names = HostLookup(loop, options, place.host, place.port or 0)
    started = loop.time()
    try:
        found = names.known() or ()
    except AttemptError as exc:
        rounds.failed(None, exc, started, rounds.until, host=place.host)
        return ()
    for question in reversed(names.unasked()):
        lookup = names.ask(question)
        if not await wait_until_done(loop, lookup, rounds.until):
            break
        if found := names.answer(question, lookup):
            break
    for failure in names.failures():
        rounds.not_found(failure)
    return found


def _of(sock: socket.socket) -> Endpoint:
    """Return the place of *sock*, which is connected."""
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {safe_repr(sock)}")
    return Endpoint(None, None)


def check_is_socket(sock: object) -> None:
    """Raise unless *sock* is a socket, and open."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {safe_repr(sock)}")
    check_open(sock)

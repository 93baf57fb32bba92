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

from ._address import Address, check_port, unix_address
from ._adopt import Finish
from ._call import Call
from ._errors import AttemptError
from ._names import Names
from ._options import Options
from ._pending import Pending
from ._place import Place, place_at
from ._rounds import Rounds
from ._shown import shown
from ._sockets import begin, check_open
from ._waits import done_before
from ._watchers import check_loop

__all__ = [
    "StrOrBytesPath",
    "addresses_of",
    "anywhere",
    "at_once",
    "at_path",
    "check_is_socket",
    "limit_of",
    "reach",
    "where",
    "where_on_unix",
]

T = TypeVar("T")

StrOrBytesPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


async def anywhere(
    options: Options,
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
    finish: Finish[T],
    *,
    all_errors: bool = False,
) -> T:
    """Return what *finish* makes of *sock*, or of a socket to *host* and *port*.

    Raises what `where` and `Call.run` do.
    """
    place = where(options, host, port, sock)
    return await reach(options, place, finish, sock=sock, all_errors=all_errors)


def where(
    options: Options,
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
) -> Place:
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
        return Place(None, check_port(port))
    raise ValueError("host and port was not specified and no sock specified")


async def at_path(
    options: Options,
    path: StrOrBytesPath | None,
    sock: socket.socket | None,
    finish: Finish[T],
) -> T:
    """Return what *finish* makes of *sock*, or of a Unix socket to *path*.

    Raises what `where_on_unix` and `Call.run` do.
    """
    return await reach(options, where_on_unix(path, sock), finish, sock=sock)


def where_on_unix(path: StrOrBytesPath | None, sock: socket.socket | None) -> Place:
    """Return the place of *sock*, or of *path*.

    Raises what `where` does.
    """
    if sock is None:
        if path is None:
            raise ValueError("no path and sock were specified")
        return place_at(unix_address(path))
    if path is not None:
        raise ValueError("path and sock can not be specified at the same time")
    check_is_socket(sock)
    if sock.family != socket.AF_UNIX:
        text = f"A UNIX Domain Stream Socket was expected, got {shown(sock)}"
        raise ValueError(text)
    return _of(sock)


async def reach(
    options: Options,
    place: Place,
    finish: Finish[T] | None = None,
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
    begun = at_once(options, place.address) if sock is None else None
    if begun is not None and not isinstance(begun, AttemptError):
        limit = limit_of(options, started)
        try:
            made: Any = begun
            if isinstance(begun, Pending):
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


def at_once(
    options: Options, address: Address | None
) -> socket.socket | Pending | AttemptError | None:
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
        sock, code = begin(address, (), None)
    except AttemptError as exc:
        return exc.with_traceback(None)
    return Pending(sock, address, code, options.outcome, loop.time()) if code else sock


def limit_of(options: Options, started: float) -> float | None:
    """Return when a first attempt has to end that *started* with its call."""
    timeout, attempt_timeout = options.timeout, options.attempt_timeout
    if timeout is None:
        return None if attempt_timeout is None else started + attempt_timeout
    if attempt_timeout is None:
        return started + timeout
    return started + min(timeout, attempt_timeout)


async def addresses_of(
    options: Options, place: Place, rounds: Rounds
) -> Sequence[Address]:
    """Return the addresses of *place*, of one family; if none, the *rounds* know why.

    For who can use but one: both families are for those who race.  IPv4 is asked for
    first.
    """
    loop = asyncio.get_running_loop()
    names = Names(loop, options, place.host, place.port or 0)
    started = loop.time()
    try:
        found = names.known() or ()
    except AttemptError as exc:
        rounds.failed(None, exc, started, rounds.until, host=place.host)
        return ()
    for question in reversed(names.unasked()):
        lookup = names.ask(question)
        if not await done_before(loop, lookup, rounds.until):
            break
        if found := names.answer(question, lookup):
            break
    for failure in names.failures():
        rounds.not_found(failure)
    return found


def _of(sock: socket.socket) -> Place:
    """Return the place of *sock*, which is connected."""
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {shown(sock)}")
    return Place(None, None)


def check_is_socket(sock: object) -> None:
    """Raise unless *sock* is a socket, and open."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {shown(sock)}")
    check_open(sock)

"""Serve what asyncio's functions take: a host and a port, a path, or a socket."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TypeAlias, TypeVar

from ._address import check_port, unix_address
from ._adopt import Finish
from ._call import Call, at_once, limit_of
from ._errors import AttemptError
from ._options import Options
from ._pending import Pending
from ._shown import shown
from ._target import Place, place_at

__all__ = ["StrOrBytesPath", "anywhere", "at_path"]

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
    proves_socket: bool = False,
) -> T:
    """Return what *finish* makes of *sock*, or of a socket to *host* and *port*.

    None as *host* is this machine, as in asyncio.  What else is asked for is `Call`'s.

    Raises:
        ValueError: There is neither, or both (asyncio's own words).
    """
    if sock is not None:
        if host is not None or port is not None:
            text = "host/port and sock can not be specified at the same time"
            raise ValueError(text)
        _check_is_socket(sock)
        place = _of(sock)
    elif host is not None:
        place = options.where(host, 0 if port is None else port)
    elif port is not None:
        place = Place(None, check_port(port))
    else:
        raise ValueError("host and port was not specified and no sock specified")
    return await _reach(options, place, sock, finish, all_errors, proves_socket)


async def at_path(
    options: Options,
    path: StrOrBytesPath | None,
    sock: socket.socket | None,
    finish: Finish[T],
    *,
    proves_socket: bool = False,
) -> T:
    """Return what *finish* makes of *sock*, or of a Unix socket to *path*.

    Raises what `anywhere` does.
    """
    if sock is None:
        if path is None:
            raise ValueError("no path and sock were specified")
        place = place_at(unix_address(path))
    else:
        if path is not None:
            raise ValueError("path and sock can not be specified at the same time")
        _check_is_socket(sock)
        if sock.family != socket.AF_UNIX:
            text = f"A UNIX Domain Stream Socket was expected, got {shown(sock)}"
            raise ValueError(text)
        place = _of(sock)
    return await _reach(options, place, sock, finish, False, proves_socket)


async def _reach(
    options: Options,
    place: Place,
    sock: socket.socket | None,
    finish: Finish[T],
    all_errors: bool,
    proves_socket: bool,
) -> T:
    """Return what *finish* makes, without a call for an attempt that succeeds."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    begun = at_once(options, place.address) if sock is None else None
    failed: AttemptError | None = None
    if begun is not None:
        limit = limit_of(options, started)
        try:
            if isinstance(begun, Pending):
                begun = await begun.settled(loop, limit)
            return await finish(loop, begun, limit)
        except AttemptError as exc:
            failed = exc.with_traceback(None)
    call = Call(
        options,
        (place,),
        sock=sock,
        all_errors=all_errors,
        proves_socket=proves_socket,
        started=started,
    )
    if failed is not None:
        call.failed(place, failed)
    return await call.run(finish)


def _of(sock: socket.socket) -> Place:
    """Return the place of *sock*, which is connected."""
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {shown(sock)}")
    return Place(None, None)


def _check_is_socket(sock: object) -> None:
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {shown(sock)}")

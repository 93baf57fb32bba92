"""Take where to connect, as asyncio's functions do: host and port, path, socket."""

from __future__ import annotations

import os
import socket
from typing import TypeAlias

from .._io.sockets import check_open
from .._sansio.addresses import check_port, unix_address
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.text import safe_repr
from .options import Options

__all__ = [
    "StrOrBytesPath",
    "check_is_socket",
    "endpoint_from_arguments",
    "endpoint_from_path",
]

StrOrBytesPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def endpoint_from_arguments(
    options: Options,
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
) -> Endpoint:
    """Return the endpoint of *sock*, or of *host* and *port*.

    None as *host* is this machine, as in asyncio.

    Raises:
        ValueError: There is neither, or both (asyncio's own words).
    """
    if sock is not None:
        if host is not None or port is not None:
            text = "host/port and sock can not be specified at the same time"
            raise ValueError(text)
        check_is_socket(sock)
        return _connected(sock)
    if host is not None:
        return options.where(host, 0 if port is None else port)
    if port is not None:
        return Endpoint(None, check_port(port))
    raise ValueError("host and port was not specified and no sock specified")


def endpoint_from_path(
    path: StrOrBytesPath | None, sock: socket.socket | None
) -> Endpoint:
    """Return the endpoint of *sock*, or of *path*.

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
    return _connected(sock)


def _connected(sock: socket.socket) -> Endpoint:
    """Return the endpoint of *sock*, which is connected."""
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"A Stream Socket was expected, got {safe_repr(sock)}")
    return Endpoint(None, None)


def check_is_socket(sock: object) -> None:
    """Raise unless *sock* is a socket, and open."""
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock must be a socket.socket, not {safe_repr(sock)}")
    check_open(sock)

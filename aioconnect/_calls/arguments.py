"""Turn what a caller asks for into an endpoint: host and port, path, socket, target."""

from __future__ import annotations

import functools
import os
import socket
from typing import TypeAlias

from .._io.resolver import check_port
from .._io.sockets import check_open
from .._io.targets import Target
from .._sansio.addresses import unix_address
from .._sansio.checks import check_port_number
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.hosts import LONGEST_NAME, check_host, numeric_address
from .._sansio.text import safe_repr
from .options import Options

__all__ = [
    "StrOrBytesPath",
    "check_is_socket",
    "endpoint_at_path",
    "endpoint_from_arguments",
    "endpoint_from_host",
    "endpoint_from_path",
    "endpoint_from_target",
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
        ValueError: Neither is given, or both are.  The text is asyncio's.
    """
    if sock is not None:
        if host is not None or port is not None:
            text = "host/port and sock can not be specified at the same time"
            raise ValueError(text)
        check_is_socket(sock)
        return _connected(sock)
    if host is not None:
        return endpoint_from_host(options, host, 0 if port is None else port)
    if port is not None:
        return Endpoint(None, check_port(port))
    raise ValueError("host and port was not specified and no sock specified")


def endpoint_from_host(options: Options, host: str, port: int | str) -> Endpoint:
    """Return the endpoint of *host* and *port*, with its address if *host* is numeric.

    Raises:
        ValueError, TypeError: *host* or *port* cannot work.
    """
    # `_numeric_endpoint` checks a number: once for all calls with it.
    number = port if type(port) is int else check_port(port)
    # Check a suspicious text before the cache below stores it.
    if type(host) is not str or len(host) > LONGEST_NAME:
        host = check_host(host)
    endpoint = _numeric_endpoint(host, number, options.proto)
    if endpoint is None:
        name = check_host(host)
        if name != host:  # it had brackets
            endpoint = _numeric_endpoint(name, number, options.proto)
        if endpoint is None:
            return Endpoint(name, number)
        host = name
    assert endpoint.address is not None
    if options.family and options.family != endpoint.address.family:
        return Endpoint(host, number)  # the resolver raises the error that says why
    return endpoint


# A client connects to few addresses, many times.
@functools.lru_cache(maxsize=512)
def _numeric_endpoint(host: str, port: int, proto: int) -> Endpoint | None:
    check_port_number(port)
    address = numeric_address(host, port, proto)
    return None if address is None else Endpoint(host, port, address)


def endpoint_from_target(options: Options, target: Target) -> Endpoint:
    """Return the endpoint of *target* for a call with *options*."""
    if target.address is not None:
        return endpoint_at(target.address)
    if target.host is not None and target.port is not None:
        return endpoint_from_host(options, target.host, target.port)
    return Endpoint(None, None, service=target.service)


def endpoint_at_path(path: StrOrBytesPath, kind: int = socket.SOCK_STREAM) -> Endpoint:
    """Return the endpoint of the Unix socket at *path*.

    Raises:
        ValueError, TypeError: *path* or *kind* cannot work.
    """
    if type(path) is str and kind is socket.SOCK_STREAM:
        return _stream_endpoint(path)
    return endpoint_at(unix_address(path, kind))


# To hash an `Address` for `endpoint_at` takes a twentieth of a connect to a path.
@functools.lru_cache(maxsize=512)
def _stream_endpoint(path: str) -> Endpoint:
    return endpoint_at(unix_address(path))


def endpoint_from_path(
    path: StrOrBytesPath | None, sock: socket.socket | None
) -> Endpoint:
    """Return the endpoint of *sock*, or of *path*.

    Raises what `endpoint_from_arguments` does.
    """
    if sock is None:
        if path is None:
            raise ValueError("no path and sock were specified")
        return endpoint_at_path(path)
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

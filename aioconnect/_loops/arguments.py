"""Turn the arguments of a loop's methods into endpoints, or refuse them.

Existing code catches the exceptions of asyncio or uvloop.  Which class these raise
depends on the loop, and on whether the host is a name: see `ArgumentError`.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from .._calls.arguments import (
    StrOrBytesPath,
    endpoint_from_arguments,
    endpoint_from_path,
)
from .._calls.options import passage_to
from .._connector import Connector
from .._io.resolver import check_port
from .._io.transports import Wrap
from .._sansio.addresses import INET, Address
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.hosts import check_host, numeric_address
from .._sansio.text import redacted_repr

__all__ = [
    "ArgumentError",
    "PathError",
    "check_way",
    "endpoint_of_address",
    "endpoint_of_path",
    "options_and_endpoint",
]


class ArgumentError(socket.gaierror, OverflowError, TypeError, ValueError):
    """A host, a port or an option that cannot work.

    For the same wrong port, asyncio raises `OverflowError` if the host is numeric and
    `socket.gaierror` if the host is a name.  uvloop raises others.  Code that catches
    any of them catches this class.
    """


class PathError(OSError, OverflowError, ValueError):
    """A path, or an address of another family than IP, that cannot work.

    asyncio and uvloop raise `OSError` or `OverflowError`; the rest of this package
    raises `ValueError`.
    """


def options_and_endpoint(
    options: Connector,
    overrides: dict[str, Any],
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
) -> tuple[Connector, Endpoint]:
    """Return the options of a call, and the endpoint that it connects to.

    The *overrides* are the call's own arguments.  They replace those of *options*,
    except where they are 0, None or empty.

    Raises:
        ArgumentError: An argument cannot work.
    """
    overrides = {name: value for name, value in overrides.items() if value}
    if sock is not None or (host is None and port is None):
        return options, endpoint_from_arguments(options, host, port, sock)
    code = socket.EAI_FAIL
    try:
        if overrides:
            options = replace(options, **overrides)
        code = socket.EAI_SERVICE
        number = check_port(_as_port(port))
        code = socket.EAI_NONAME
        return options, endpoint_from_arguments(options, host, number, None)
    except (TypeError, ValueError) as exc:
        raise ArgumentError(code, str(exc)) from None


def check_way(
    options: Connector, endpoint: Endpoint, wrap: Wrap[Any] | None = None
) -> None:
    """Check that a proxy of *options* can connect to *endpoint*, if there is a proxy.

    *wrap* makes the connection.

    Raises:
        ArgumentError: No proxy can.
    """
    try:
        passage_to(options, endpoint, wrap)
    except ValueError as exc:
        raise ArgumentError(socket.EAI_NONAME, str(exc)) from None


def _as_port(port: Any) -> Any:
    """Return *port* as the number to which asyncio would convert it, if any.

    A number with a fraction is returned as it is, and `check_port` refuses it.  asyncio
    would round it down, and connect to another server at the lower port.
    """
    if port is None or (isinstance(port, str | bytes) and not port):
        return 0
    try:
        number = int(port)
        is_whole = isinstance(port, str | bytes | bytearray) or number == port
    except (OverflowError, TypeError, ValueError):
        return port  # a service's name, or a value that check_port refuses
    return number if is_whole or hasattr(port, "__index__") else port


def endpoint_of_path(
    path: StrOrBytesPath | None, sock: socket.socket | None
) -> Endpoint:
    """Return the endpoint of *path*, or of the connected *sock*.

    Raises:
        PathError: *path* cannot be a Unix path.
        ValueError: Both or neither are given (in asyncio's own words).
    """
    try:
        return endpoint_from_path(path, sock)
    except ValueError as exc:
        if path is None or sock is not None:
            raise
        raise PathError(str(exc)) from None


def endpoint_of_address(sock: socket.socket, address: Any) -> Endpoint:
    """Return the endpoint of *address*, which *sock* connects to.

    If the host is a name, the endpoint has no address yet.  As in asyncio and uvloop,
    *address* may be a list, and it may have more items than its family needs.

    Raises:
        ArgumentError, PathError: *address* cannot be an address of the socket's family.
        TypeError: *address* has a wrong type, and the family is not an IP family.
    """
    if sock.family not in INET:
        try:
            return endpoint_at(_address(sock, _bytes_if_buffer(address)))
        except ValueError as exc:
            raise PathError(str(exc)) from None
    code = socket.EAI_NONAME
    try:
        host, port, *more = _sockaddr_items(address)
        host = "localhost" if host is None else check_host(host)
        code = socket.EAI_SERVICE
        number = check_port(_as_port(port))
        code = socket.EAI_NONAME
        known = numeric_address(host, number, sock.proto)
        if known is None or known.family != sock.family:
            return Endpoint(host, number)
        if more and sock.family == socket.AF_INET6 and "%" not in host:
            return endpoint_at(_address(sock, (host, number, *more)))
        return endpoint_at(known)
    except (TypeError, ValueError) as exc:
        raise ArgumentError(code, str(exc)) from None


def _sockaddr_items(address: object) -> Sequence[Any]:
    items = cast("Sequence[Any]", address if isinstance(address, tuple | list) else ())
    if len(items) < 2:
        text = redacted_repr(cast("object", address))
        raise TypeError(f"address must be (host, port), not {text}")
    return items[:4]


def _bytes_if_buffer(address: Any) -> Any:
    """Return *address*, converted to bytes if it is a path in another buffer."""
    is_buffer = isinstance(address, bytearray | memoryview)
    return bytes(cast("bytearray", address)) if is_buffer else address


def _address(sock: socket.socket, sockaddr: Any) -> Address:
    return Address(sock.family, sockaddr, sock.proto, sock.type)

"""Find where the methods of a loop go, and refuse what its base refuses, as it does.

Code that already exists catches what asyncio or uvloop raises.  Which class that is
depends on the loop, and on whether a host is a name: see `ArgumentError`.
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
from .._connector import Connector
from .._io.service_names import check_port
from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.hosts import check_host, numeric_address
from .._sansio.text import redacted_repr

__all__ = [
    "ArgumentError",
    "PathError",
    "endpoint_of_call",
    "endpoint_of_path",
    "endpoint_of_sock",
]

_INET = (socket.AF_INET, socket.AF_INET6)


class ArgumentError(socket.gaierror, OverflowError, TypeError, ValueError):
    """A host, a port or an option of theirs that cannot work.

    Of one and the same port asyncio says an `OverflowError` if the host is in numbers,
    a `socket.gaierror` if it is a name, and uvloop another.  Whoever catches any of
    them catches this.
    """


class PathError(OSError, OverflowError, ValueError):
    """A path, or an address of another family, that cannot work.

    The loops say `OSError` or `OverflowError`, the rest of this package `ValueError`.
    """


def endpoint_of_call(
    options: Connector,
    said: dict[str, Any],
    host: str | None,
    port: int | str | None,
    sock: socket.socket | None,
) -> tuple[Connector, Endpoint]:
    """Return where a call goes, and the *options* with what it has *said* of that.

    Raises:
        ArgumentError: That cannot work.
    """
    said = {name: value for name, value in said.items() if value}
    if sock is not None or (host is None and port is None):
        return options, endpoint_from_arguments(options, host, port, sock)
    code = socket.EAI_FAIL
    try:
        if said:
            options = replace(options, **said)
        code = socket.EAI_SERVICE
        number = check_port(_as_port(port))
        code = socket.EAI_NONAME
        return options, endpoint_from_arguments(options, host, number, None)
    except (TypeError, ValueError) as exc:
        raise ArgumentError(code, str(exc)) from None


def _as_port(port: Any) -> Any:
    """Return *port* as the number that asyncio makes of it, if it makes one.

    Unlike asyncio, it leaves a number with a fraction as it is, for `check_port` to
    refuse: the server at the next lower port is another one.
    """
    if port is None or (isinstance(port, str | bytes) and not port):
        return 0
    try:
        number = int(port)
        is_whole = isinstance(port, str | bytes | bytearray) or number == port
    except (OverflowError, TypeError, ValueError):
        return port  # a service's name, or nothing that works
    return number if is_whole or hasattr(port, "__index__") else port


def endpoint_of_path(
    path: StrOrBytesPath | None, sock: socket.socket | None
) -> Endpoint:
    """Return where a call goes.

    Raises:
        PathError: It is a path that cannot work.
    """
    try:
        return endpoint_from_path(path, sock)
    except ValueError as exc:
        if path is None or sock is not None:
            raise
        raise PathError(str(exc)) from None


def endpoint_of_sock(sock: socket.socket, given: Any) -> Endpoint:
    """Return the place of the address *given* for *sock*: a name has none yet.

    As the loops do, it takes a list, and of an address what is too much.

    Raises:
        ArgumentError, PathError: It is none.
        TypeError: It is none of another family than those of hosts.
    """
    if sock.family not in _INET:
        try:
            return endpoint_at(_address(sock, _path(given)))
        except ValueError as exc:
            raise PathError(str(exc)) from None
    code = socket.EAI_NONAME
    try:
        host, port, *more = _members(given)
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


def _members(given: object) -> Sequence[Any]:
    members = cast("Sequence[Any]", given if isinstance(given, tuple | list) else ())
    if len(members) < 2:
        text = redacted_repr(cast("object", given))
        raise TypeError(f"address must be (host, port), not {text}")
    return members[:4]


def _path(given: Any) -> Any:
    """Return the address *given*: a path may come in any buffer."""
    is_buffer = isinstance(given, bytearray | memoryview)
    return bytes(cast("bytearray", given)) if is_buffer else given


def _address(sock: socket.socket, sockaddr: Any) -> Address:
    return Address(sock.family, sockaddr, sock.proto, sock.type)

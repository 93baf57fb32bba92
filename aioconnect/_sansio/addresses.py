"""Represent resolved addresses, which are checked when they are made."""

from __future__ import annotations

import functools
import operator
import socket
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from .checks import check_port_number
from .text import escape, redacted_repr, safe_repr

__all__ = [
    "INET",
    "Address",
    "SockAddr",
    "check_address",
    "host_and_port",
    "plain_address",
    "unix_address",
]

SockAddr: TypeAlias = (
    tuple[str, int]
    | tuple[str, int, int]
    | tuple[str, int, int, int]
    | tuple[int, int]
    | str
    | bytes
)

# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on the BSDs and macOS.  A path
# needs room for its terminating NUL, an abstract name does not.
_SUN_PATH = 108 if sys.platform == "linux" else 104

INET = (socket.AF_INET, socket.AF_INET6)
_AF_VSOCK = getattr(socket, "AF_VSOCK", None)

# Values of exactly these types stay as they are.  A bool is a mistake, which a later
# check reports.
_EXACT_TYPES = frozenset(
    {int, str, bytes, bool, socket.AddressFamily, socket.SocketKind}
)


@dataclass(frozen=True, slots=True)
class Address:
    r"""A resolved destination: connecting to it never touches the resolver.

    *sockaddr* has the form that the `socket` module gives the *family*:
    ``(host, port)`` with a numeric host for ``AF_INET``,
    ``(host, port, flowinfo, scope_id)`` for ``AF_INET6`` (the last two may be
    left out), a path for ``AF_UNIX`` (``"\0name"`` is abstract), and
    ``(cid, port)`` for ``AF_VSOCK``.  *proto* and *type* are the socket's.

    The fields hold plain tuples, numbers and text, even if the caller passed
    subclasses.  A subclass could say one thing to a check and another to
    ``connect(2)``.

    Raises:
        ValueError: *sockaddr* cannot be an address of *family*.
        TypeError: *sockaddr* does not have the shape that *family* needs.
    """

    family: int
    sockaddr: SockAddr
    proto: int = 0
    type: int = socket.SOCK_STREAM

    def __post_init__(self) -> None:
        for name in ("family", "proto", "type"):
            value = getattr(self, name)
            number = _uint32(name, value)
            if number is not value:
                object.__setattr__(self, name, number)
        if self.family in INET:
            sockaddr = _inet_sockaddr(self.family, self.sockaddr)
        elif self.family == socket.AF_UNIX:
            sockaddr = _unix_sockaddr(self.sockaddr)
        else:
            sockaddr = _other_sockaddr(self.family, self.sockaddr)
        object.__setattr__(self, "sockaddr", sockaddr)

    def __str__(self) -> str:
        sockaddr = self.sockaddr
        if isinstance(sockaddr, str | bytes):
            return _unix_text(sockaddr)
        if self.family == socket.AF_INET6:
            host, port, _, scope = sockaddr + (0,) * (4 - len(sockaddr))
            return f"[{host}%{scope}]:{port}" if scope else f"[{host}]:{port}"
        if self.family == socket.AF_INET:
            return f"{sockaddr[0]}:{sockaddr[1]}"
        if self.family == _AF_VSOCK:
            return f"vsock:{sockaddr[0]}:{sockaddr[1]}"
        return f"family {int(self.family)}: {sockaddr}"


def plain_address(address: Address) -> Address:
    """Return *address* as an exact `Address` with exact values inside.

    A subclass of `Address`, or of a value inside it, could give another answer each
    time it is read.  Here each field of such an address is read once.
    """
    if type(address) is Address and _is_exact(address):
        return address
    return Address(address.family, address.sockaddr, address.proto, address.type)


def _is_exact(address: Address) -> bool:
    sockaddr: object = address.sockaddr
    values = sockaddr if type(sockaddr) is tuple else (sockaddr,)
    values = (address.family, address.proto, address.type, *values)
    return _EXACT_TYPES.issuperset(map(type, values))


def check_address(address: object) -> Address:
    """Return the caller's *address* as `plain_address` does.

    Raises:
        TypeError: It is not an `Address`.
    """
    if not isinstance(address, Address):
        raise TypeError(f"address must be an Address, not {redacted_repr(address)}")
    return plain_address(address)


def _inet_sockaddr(family: int, sockaddr: object) -> SockAddr:
    lengths = (2,) if family == socket.AF_INET else (2, 3, 4)
    members = _members(sockaddr)
    if len(members) not in lengths:
        shape = "(host, port)" if len(lengths) == 1 else "(host, port[, flow, scope])"
        raise TypeError(f"sockaddr must be {shape}, not {redacted_repr(sockaddr)}")
    host, port, *rest = members
    try:
        packed = socket.inet_pton(family, host)
    except (OSError, TypeError, ValueError):
        kind = "an IPv4" if family == socket.AF_INET else "an IPv6"
        raise ValueError(
            f"sockaddr: {redacted_repr(host)} is not {kind} address in numbers"
            " (names are for connect(), a scope id is the fourth member)"
        ) from None
    if isinstance(port, str):
        raise TypeError(f"sockaddr: port must be an int, not {redacted_repr(port)}")
    port = check_port_number(port)
    if family == socket.AF_INET:
        return (host, port)
    flowinfo, scope_id = (*(_uint32("sockaddr", n) for n in rest), 0, 0)[:2]
    if flowinfo >= 2**20:
        raise ValueError(f"sockaddr: flow {flowinfo} is not between 0 and 2**20 - 1")
    # One spelling, so that no address is tried twice (RFC 5952).
    return (socket.inet_ntop(family, packed), port, flowinfo, scope_id)


def _members(sockaddr: object) -> tuple[Any, ...]:
    """Return the members of a tuple, each read once, or nothing for other values."""
    if not isinstance(sockaddr, tuple):
        return ()
    return tuple(map(_exact, cast("tuple[object, ...]", sockaddr)))


def _exact(value: object) -> Any:
    """Return text or a number as the builtin type, past a subclass's own methods."""
    if type(value) in _EXACT_TYPES:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__bytes__(value)
    return operator.index(value) if isinstance(value, int) else value


def _other_sockaddr(family: int, sockaddr: object) -> SockAddr:
    members = _members(sockaddr)
    if family == _AF_VSOCK and len(members) == 2:
        return (_uint32("sockaddr", members[0]), _uint32("sockaddr", members[1]))
    # Only the socket module knows the form of other families.
    if family == _AF_VSOCK or not members or not all(map(_is_plain, members)):
        shape = "(cid, port)" if family == _AF_VSOCK else "a tuple of numbers and text"
        raise TypeError(f"sockaddr must be {shape}, not {redacted_repr(sockaddr)}")
    return cast("SockAddr", members)


def _is_plain(member: object) -> bool:
    is_number = isinstance(member, int) and -(2**63) <= member < 2**64
    return is_number or isinstance(member, str | bytes)


def _uint32(name: str, value: object) -> int:
    value = _exact(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: {safe_repr(value)} is not an int")
    if not 0 <= value < 2**32:
        raise ValueError(f"{name}: {safe_repr(value)} is not between 0 and 2**32 - 1")
    return value


def _unix_sockaddr(sockaddr: object) -> str | bytes:
    path = _exact(_fspath(sockaddr))
    if not isinstance(path, str | bytes):
        text = f"path must be str, bytes or os.PathLike, not {safe_repr(sockaddr)}"
        raise TypeError(text)
    try:
        raw = _encode_path(path)
    except UnicodeEncodeError as exc:
        raise ValueError(f"path: {safe_repr(path)} cannot be encoded: {exc}") from None
    if not raw:
        raise ValueError("path is empty")
    is_abstract = raw[0] == 0
    if not is_abstract and 0 in raw:
        raise ValueError(f"path has a NUL inside: {safe_repr(path)}")
    limit = _SUN_PATH if is_abstract else _SUN_PATH - 1
    if len(raw) > limit:
        raise ValueError(
            f"path is {len(raw)} bytes long, the kernel takes at most {limit}:"
            f" {safe_repr(path)}"
        )
    return path


# These three do what os.fspath, os.fsencode and os.fsdecode do.


def _fspath(path: object) -> object:
    method: Any = getattr(type(path), "__fspath__", None)
    return path if method is None or isinstance(path, str | bytes) else method(path)


def _encode_path(path: str | bytes) -> bytes:
    if isinstance(path, bytes):
        return path
    return path.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _decode_path(path: str | bytes) -> str:
    if isinstance(path, str):
        return path
    return path.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _unix_text(sockaddr: str | bytes) -> str:
    path = _decode_path(sockaddr)
    mark, path = ("@", path[1:]) if path[0] == "\0" else ("", path)
    if not mark and path.startswith("@"):
        mark = "./"  # a file name that looks like an abstract name
    return f"unix:{mark}{escape(path)}"


def unix_address(path: object, kind: int = socket.SOCK_STREAM) -> Address:
    """Return the `Address` of the Unix socket at *path*: str, bytes or os.PathLike.

    Raises:
        ValueError: *path* is empty, too long, or has a NUL inside; or *kind* is
            neither ``SOCK_STREAM`` nor ``SOCK_SEQPACKET``.
        TypeError: *path* is not a path.
    """
    if type(kind) not in (int, socket.SocketKind) or kind not in (
        socket.SOCK_STREAM,
        socket.SOCK_SEQPACKET,
    ):
        raise ValueError(
            f"kind must be SOCK_STREAM or SOCK_SEQPACKET, not {safe_repr(kind)}"
        )
    if type(path) is str:
        return _cached_unix_address(path, kind)
    return Address(socket.AF_UNIX, cast("str | bytes", path), 0, kind)


# A client connects to few paths, many times.
@functools.lru_cache(maxsize=512)
def _cached_unix_address(path: str, kind: int) -> Address:
    return Address(socket.AF_UNIX, path, 0, kind)


def host_and_port(address: Address) -> tuple[str, int | None]:
    """Return *address* as a host and a port; other families have their text alone."""
    sockaddr = address.sockaddr
    if isinstance(sockaddr, tuple) and address.family in INET:
        return str(sockaddr[0]), sockaddr[1]
    return str(address), None

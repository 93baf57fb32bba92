"""Say where to connect: resolved addresses, and the checks on hosts and ports.

Pure: no host is resolved here, and nothing is opened.  What is wrong with a
value is said when the value is made.
"""

from __future__ import annotations

import functools
import operator
import os
import re
import socket
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from .text import escape, redacted_repr, safe_repr

__all__ = [
    "LONGEST_NAME",
    "Address",
    "SockAddr",
    "check_address",
    "check_host",
    "check_port",
    "host_and_port",
    "numeric_address",
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

# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on the BSDs and macOS; a
# path needs its terminating NUL inside them, an abstract name does not.
_SUN_PATH = 108 if sys.platform == "linux" else 104

# RFC 1035, section 2.3.4: 255 octets, of which dots and the root take two more.
LONGEST_NAME = 253

# Encoding 100,000 characters takes 5 s: Punycode's time grows with the square of a
# label's length.  Text that is longer than this cannot be a name once it is encoded:
# nameprep (RFC 3491) joins at most four characters into one, a letter and its accents,
# which then takes an octet at least.  Only soft hyphens and their like are left out; a
# name with hundreds of those is refused, too.
_MOST_CHARACTERS = 4 * LONGEST_NAME
_MOST_IN_LABEL = 4 * 63

# RFC 3490, section 3.1: what separates labels.
_DOTS = re.compile("[.\u3002\uff0e\uff61]")

_INET = (socket.AF_INET, socket.AF_INET6)
_AF_VSOCK = getattr(socket, "AF_VSOCK", None)

# What is its own value, and stays as it is: bool is a mistake, which is told later.
_PLAIN = frozenset({int, str, bytes, bool, socket.AddressFamily, socket.SocketKind})


@dataclass(frozen=True, slots=True)
class Address:
    r"""A resolved destination: connecting to it never touches the resolver.

    *sockaddr* has the form that the `socket` module gives the *family*:
    ``(host, port)`` with a numeric host for ``AF_INET``,
    ``(host, port, flowinfo, scope_id)`` for ``AF_INET6`` (the last two may be
    left out), a path for ``AF_UNIX`` (``"\0name"`` is abstract), and
    ``(cid, port)`` for ``AF_VSOCK``.  *proto* and *type* are the socket's.

    The fields hold plain tuples, numbers and text, also where a subclass of those was
    given: it could say one thing to a check and another to ``connect(2)``.

    Raises:
        ValueError: *sockaddr* cannot be an address of *family*.
        TypeError: *sockaddr* has another shape than *family* asks for.
    """

    family: int
    sockaddr: SockAddr
    proto: int = 0
    type: int = socket.SOCK_STREAM

    def __post_init__(self) -> None:
        for name in ("family", "proto", "type"):
            given = getattr(self, name)
            number = _uint32(name, given)
            if number is not given:
                object.__setattr__(self, name, number)
        if self.family in _INET:
            sockaddr = _inet_sockaddr(self.family, self.sockaddr)
        elif self.family == socket.AF_UNIX:
            sockaddr = _unix_sockaddr(self.sockaddr)
        else:
            sockaddr = _other_sockaddr(self.family, self.sockaddr)
        object.__setattr__(self, "sockaddr", sockaddr)

    def __str__(self) -> str:
        sockaddr = self.sockaddr
        if isinstance(sockaddr, str | bytes):
            path = os.fsdecode(sockaddr)
            mark, path = ("@", path[1:]) if path[0] == "\0" else ("", path)
            if not mark and path.startswith("@"):
                mark = "./"  # a file's name, which looks like an abstract one
            return f"unix:{mark}{escape(path)}"
        if self.family == socket.AF_INET6:
            host, port, _, scope = sockaddr + (0,) * (4 - len(sockaddr))
            return f"[{host}%{scope}]:{port}" if scope else f"[{host}]:{port}"
        if self.family == socket.AF_INET:
            return f"{sockaddr[0]}:{sockaddr[1]}"
        if self.family == _AF_VSOCK:
            return f"vsock:{sockaddr[0]}:{sockaddr[1]}"
        return f"family {int(self.family)}: {sockaddr}"


def plain_address(address: Address) -> Address:
    """Return *address* as an `Address` that says the same to everybody who asks.

    A subclass, and a tuple or a number that is of one, could give another address each
    time: of such a value each field is read once.
    """
    if type(address) is Address and _is_exact(address):
        return address
    return Address(address.family, address.sockaddr, address.proto, address.type)


def _is_exact(address: Address) -> bool:
    sockaddr: object = address.sockaddr
    values = sockaddr if type(sockaddr) is tuple else (sockaddr,)
    values = (address.family, address.proto, address.type, *values)
    return _PLAIN.issuperset(map(type, values))


def check_address(address: object) -> Address:
    """Return *address*, which a caller gave, as `plain_address` does.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(address, Address):
        raise TypeError(f"address must be an Address, not {redacted_repr(address)}")
    return plain_address(address)


def _inet_sockaddr(family: int, sockaddr: object) -> SockAddr:
    lengths = (2,) if family == socket.AF_INET else (2, 3, 4)
    given = _members(sockaddr)
    if len(given) not in lengths:
        shape = "(host, port)" if len(lengths) == 1 else "(host, port[, flow, scope])"
        raise TypeError(f"sockaddr must be {shape}, not {redacted_repr(sockaddr)}")
    host, port, *rest = given
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
    port = check_port(port)
    if family == socket.AF_INET:
        return (host, port)
    flowinfo, scope_id = (*(_uint32("sockaddr", n) for n in rest), 0, 0)[:2]
    if flowinfo >= 2**20:
        raise ValueError(f"sockaddr: flow {flowinfo} is not between 0 and 2**20 - 1")
    # One spelling, so that the same address is not tried twice (RFC 5952).
    return (socket.inet_ntop(family, packed), port, flowinfo, scope_id)


def _members(sockaddr: object) -> tuple[Any, ...]:
    """Return what a tuple holds, read once; of anything else nothing."""
    if not isinstance(sockaddr, tuple):
        return ()
    return tuple(map(_plain, cast("tuple[object, ...]", sockaddr)))


def _plain(value: object) -> Any:
    """Return text or a number as a plain one, whatever its class makes of it."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__bytes__(value)
    return operator.index(value) if isinstance(value, int) else value


def _other_sockaddr(family: int, sockaddr: object) -> SockAddr:
    given = _members(sockaddr)
    if family == _AF_VSOCK and len(given) == 2:
        return (_uint32("sockaddr", given[0]), _uint32("sockaddr", given[1]))
    # What another family's are made of is the socket module's to say.
    if family == _AF_VSOCK or not given or not all(map(_is_plain, given)):
        shape = "(cid, port)" if family == _AF_VSOCK else "a tuple of numbers and text"
        raise TypeError(f"sockaddr must be {shape}, not {redacted_repr(sockaddr)}")
    return cast("SockAddr", given)


def _is_plain(member: object) -> bool:
    is_number = isinstance(member, int) and -(2**63) <= member < 2**64
    return is_number or isinstance(member, str | bytes)


def _uint32(name: str, value: object) -> int:
    value = _plain(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: {safe_repr(value)} is not an int")
    if not 0 <= value < 2**32:
        raise ValueError(f"{name}: {safe_repr(value)} is not between 0 and 2**32 - 1")
    return value


def _unix_sockaddr(given: object) -> str | bytes:
    try:
        path: str | bytes = _plain(os.fspath(cast("str | bytes", given)))
    except TypeError:
        text = f"path must be str, bytes or os.PathLike, not {safe_repr(given)}"
        raise TypeError(text) from None
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError as exc:
        raise ValueError(f"path: {safe_repr(path)} cannot be encoded: {exc}") from None
    if not raw:
        raise ValueError("path is empty")
    abstract = raw[0] == 0
    if not abstract and 0 in raw:
        raise ValueError(f"path has a NUL inside: {safe_repr(path)}")
    limit = _SUN_PATH if abstract else _SUN_PATH - 1
    if len(raw) > limit:
        raise ValueError(
            f"path is {len(raw)} bytes long, the kernel takes {limit}:"
            f" {safe_repr(path)}"
        )
    return path


def unix_address(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes],
    kind: int = socket.SOCK_STREAM,
) -> Address:
    """Return the `Address` of the Unix socket at *path*, checked.

    Raises:
        ValueError: *path* is empty, too long, or has a NUL inside; *kind* is
            neither ``SOCK_STREAM`` nor ``SOCK_SEQPACKET``.
    """
    if type(kind) not in (int, socket.SocketKind) or kind not in (
        socket.SOCK_STREAM,
        socket.SOCK_SEQPACKET,
    ):
        raise ValueError(
            f"kind must be SOCK_STREAM or SOCK_SEQPACKET, not {safe_repr(kind)}"
        )
    if type(path) is str:
        return _unix(path, kind)
    return Address(socket.AF_UNIX, cast("str | bytes", path), 0, kind)


# As with numbers below: a client has few paths.
@functools.lru_cache(maxsize=512)
def _unix(path: str, kind: int) -> Address:
    return Address(socket.AF_UNIX, path, 0, kind)


def check_host(host: object) -> str:
    """Return *host* as text that a resolver can be asked for, without brackets.

    The text is an exact str, whatever subclass is given.

    Raises:
        ValueError: It is empty, too long, has a port in it, a NUL or white space, is a
            URL, or has a label that no encoding of a host name takes (RFC 1035: 1 to
            63 octets).
        TypeError: It is neither str nor bytes.
    """
    if isinstance(host, bytes):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            raise ValueError(f"host: {redacted_repr(host)} is not ASCII") from None
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {redacted_repr(host)}")
    host = str.__str__(host)
    # Before anything is done with each character, or kept.
    if len(host) > _MOST_CHARACTERS + 1:  # the root's dot
        raise ValueError(f"host is {len(host):,} characters long, no name is")
    return _check_name(host)


# As with numbers below, a client has few names, and encoding one is not cheap.
@functools.lru_cache(maxsize=512)
def _check_name(host: str) -> str:
    if not host:
        raise ValueError("host is empty")
    host = _bare(host)
    if "\0" in host or any(map(str.isspace, host)):
        raise ValueError(f"host has a NUL or white space in it: {redacted_repr(host)}")
    longest = max(map(len, _DOTS.split(host)))
    if longest > _MOST_IN_LABEL:
        raise ValueError(
            f"host has a label of {longest} characters: {redacted_repr(host)}"
        )
    try:
        octets = len(host.encode("idna").rstrip(b"."))
    except UnicodeError as exc:
        raise ValueError(
            f"host: {redacted_repr(host)} is not a host name: {exc}"
        ) from None
    if octets > LONGEST_NAME:
        raise ValueError(f"host is {octets} octets long, DNS takes {LONGEST_NAME}")
    return host


def _bare(host: str) -> str:
    """Return *host* without the brackets that an IPv6 address has in a URL.

    Raises:
        ValueError: It says more than a host.
    """
    inside = host[1:-1]
    is_bracketed = ":" in inside and host == f"[{inside}]"
    if is_bracketed and numeric_address(inside.partition("%")[0], 0) is not None:
        return inside
    name, colon, port = host.rpartition(":")
    if "://" in host or (colon and ("@" in host or "?" in host)):
        # Not shown: there may be a password in it.
        raise ValueError("host must be a host alone, not a URL: its port goes apart")
    if colon and "%" not in port and (":" not in name or name.endswith("]")):
        text = f"host: {redacted_repr(host)} has a port in it: the port goes apart"
        raise ValueError(f"{text}, {redacted_repr(name)} and {redacted_repr(port)}")
    return host


def check_port(port: object) -> int:
    """Return *port*, a whole number, a decimal text or a service name, as an int.

    Only a service's name is looked up, in the system's own table.

    Raises:
        ValueError: It is not between 0 and 65535, or no service's name.
        TypeError: It is neither int nor str.
    """
    number = port if type(port) is int else _port_number(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"port must be between 0 and 65535, not {redacted_repr(port)}")
    return number


def _port_number(port: object) -> int:
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        if port.isascii() and port.isdecimal():
            return int(port) if len(port) < 10 else 65536
        try:
            return socket.getservbyname(port, "tcp")
        except (OSError, ValueError):
            raise ValueError(
                f"port: {redacted_repr(port)} is neither a number nor a TCP service's"
                " name"
            ) from None
    if isinstance(port, bool):
        raise TypeError(f"port must be an int or a str, not {redacted_repr(port)}")
    if isinstance(port, float) and port.is_integer():
        return int(port)  # as a number comes that was read from JSON, say
    try:
        return operator.index(port)  # type: ignore[arg-type]  # it says so itself
    except TypeError:
        raise TypeError(
            f"port must be an int or a str, not {redacted_repr(port)}"
        ) from None


def numeric_address(host: str, port: int, proto: int = 0) -> Address | None:
    """Return the `Address` that *host* spells in numbers, or None: it is a name.

    A scope id that is a number is understood; one that is an interface's name
    depends on the machine's state, and makes *host* a name.
    """
    # What is longer is no address, and the cache must not keep it.
    return None if len(host) > LONGEST_NAME else _numeric(host, port, proto)


# A client connects to few numeric addresses, many times: parsing them anew would
# be a tenth of what a connect costs.
@functools.lru_cache(maxsize=512)
def _numeric(host: str, port: int, proto: int) -> Address | None:
    literal, percent, scope = host.partition("%")
    for family in _INET if not percent else (socket.AF_INET6,):
        try:
            socket.inet_pton(family, literal)
        except (OSError, ValueError):
            continue
        if family == socket.AF_INET:
            return Address(family, (literal, port), proto)
        if not percent:
            return Address(family, (literal, port, 0, 0), proto)
        if scope.isascii() and scope.isdecimal() and int(scope) < 2**32:
            return Address(family, (literal, port, 0, int(scope)), proto)
    return None


def host_and_port(address: Address) -> tuple[str, int | None]:
    """Return what stands for *address* where a host and a port are asked for."""
    sockaddr = address.sockaddr
    if isinstance(sockaddr, tuple) and address.family in _INET:
        return str(sockaddr[0]), sockaddr[1]
    return str(address), None

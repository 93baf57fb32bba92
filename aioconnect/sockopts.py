"""Set socket options before a socket is bound and connected: values for ``prepare=``.

Each function returns a hashable, picklable hook.  The connector calls the hook with
the new socket and the address, and the hook sets the options that apply to its family::

    await aioconnect.connect(host, port, prepare=[nodelay(), keepalive(60, 10, 5)])

Every function raises `TypeError` or `ValueError` for a value that cannot work, and
`NotImplementedError` if the option needs Linux.

Sources: socket(7), tcp(7), ip(7), ipv6(7).
"""

from __future__ import annotations

import math
import os
import socket
import sys
from dataclasses import dataclass, field

from ._io.sockets import TCP_FASTOPEN_CONNECT
from ._sansio.addresses import Address
from ._sansio.checks import check_duration
from ._sansio.text import safe_repr

__all__ = [
    "SocketOptions",
    "bind_device",
    "buffers",
    "fast_open",
    "keepalive",
    "mark",
    "nodelay",
    "tos",
    "user_timeout",
]


# From linux/socket.h and linux/tcp.h, where the socket module has no name for them.
_SO_MARK = getattr(socket, "SO_MARK", 36)
_IPV6_TCLASS = getattr(socket, "IPV6_TCLASS", 67)


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """A hook that sets *options* on each new socket; *said* is the call that made it.

    An option is ``(family, level, name, value)``.  The family 0 stands for IPv4 and
    IPv6, and -1 for every family.
    """

    said: str
    options: tuple[tuple[int, int, int, int | bytes], ...] = field(repr=False)

    def __call__(self, sock: socket.socket, address: Address) -> None:
        """Set the options that apply to the family of *address* on *sock*.

        Raises:
            OSError: The system refused an option.  The text names the function.
        """
        applying = {_ANY_FAMILY, address.family}
        if address.family in (socket.AF_INET, socket.AF_INET6):
            applying.add(_IP_FAMILIES)
        try:
            for family, level, name, value in self.options:
                if family in applying:
                    sock.setsockopt(level, name, value)
        except OSError as exc:
            raise OSError(exc.errno, f"{self.said}: {exc.strerror}") from None

    def __repr__(self) -> str:
        return f"aioconnect.sockopts.{self.said}"


_IP_FAMILIES = 0
_ANY_FAMILY = -1


def _tcp(name: int, value: int) -> tuple[int, int, int, int]:
    return (_IP_FAMILIES, socket.IPPROTO_TCP, name, value)


def keepalive(idle: float, interval: float, count: int) -> SocketOptions:
    """Probe a silent peer, and drop the connection if it does not answer.

    The first probe is sent after *idle* seconds without data, the others every
    *interval* seconds.  The connection ends after *count* (1 to 127) unanswered probes.
    Fractions of a second are rounded up, because the kernel counts whole seconds.
    """
    check_duration("idle", idle, positive=True)
    check_duration("interval", interval, positive=True)
    for what, given in (("idle", idle), ("interval", interval)):
        if given > 32767:
            raise ValueError(f"{what} must be at most 32767, not {given}")
    _check_whole("count", count, 1, 127)
    return SocketOptions(
        f"keepalive({idle!r}, {interval!r}, {count!r})",
        (
            (_IP_FAMILIES, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            _tcp(getattr(socket, "TCP_KEEPIDLE", 0x10), math.ceil(idle)),
            _tcp(socket.TCP_KEEPINTVL, math.ceil(interval)),
            _tcp(socket.TCP_KEEPCNT, count),
        ),
    )


def nodelay() -> SocketOptions:
    """Send small writes at once, without Nagle's algorithm: ``TCP_NODELAY``."""
    return SocketOptions("nodelay()", (_tcp(socket.TCP_NODELAY, 1),))


def user_timeout(seconds: float) -> SocketOptions:
    """Drop a connection whose data is not acknowledged within *seconds* (Linux).

    This limits the connect too: it fails with ``ETIMEDOUT`` after about *seconds*.
    """
    check_duration("seconds", seconds, positive=True)
    if seconds > 2**31 / 1000 - 1:
        raise ValueError(f"seconds is too long for the kernel: {seconds}")
    _require_linux("user_timeout")
    value = math.ceil(seconds * 1000)
    option = _tcp(socket.TCP_USER_TIMEOUT, value)
    return SocketOptions(f"user_timeout({seconds!r})", (option,))


def bind_device(name: str) -> SocketOptions:
    """Use only the network interface *name*: ``SO_BINDTODEVICE`` (Linux).

    If there is no interface of this name, the attempt fails with ``ENODEV``, which
    counts as temporary.
    """
    _require_linux("bind_device")
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {safe_repr(name)}")
    raw = os.fsencode(name) if name.isascii() else b""
    if not 0 < len(raw) < 16 or b"\0" in raw:
        raise ValueError(
            f"name must be an interface name of 1 to 15 bytes, not {safe_repr(name)}"
        )
    option = (_IP_FAMILIES, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, raw)
    return SocketOptions(f"bind_device({name!r})", (option,))


def mark(n: int) -> SocketOptions:
    """Mark the packets with *n*, for routing and firewalls: ``SO_MARK``.

    *n* is 0 to 2**32 - 1.  Linux only; it needs CAP_NET_ADMIN.
    """
    _require_linux("mark")
    _check_whole("n", n, 0, 2**32 - 1)
    raw = n.to_bytes(4, sys.byteorder)
    return SocketOptions(
        f"mark({n!r})", ((_IP_FAMILIES, socket.SOL_SOCKET, _SO_MARK, raw),)
    )


def tos(value: int) -> SocketOptions:
    """Set the type of service octet to *value* (0 to 255), for IPv4 and IPv6.

    It applies from the first SYN on.
    """
    _check_whole("value", value, 0, 255)
    return SocketOptions(
        f"tos({value!r})",
        (
            (socket.AF_INET, socket.IPPROTO_IP, socket.IP_TOS, value),
            (socket.AF_INET6, socket.IPPROTO_IPV6, _IPV6_TCLASS, value),
        ),
    )


def fast_open() -> SocketOptions:
    """Send the first data with the SYN: ``TCP_FASTOPEN_CONNECT`` (Linux).

    Once the kernel has a cookie from the server, it delays the handshake until the
    first write.  A connect then returns the socket before the peer has answered, and
    the first write fails if the peer does not answer.  The functions `wait_until_up`
    and `wait_until_down` turn this option off.
    """
    _require_linux("fast_open")
    return SocketOptions("fast_open()", (_tcp(TCP_FASTOPEN_CONNECT, 1),))


def buffers(send: int, receive: int) -> SocketOptions:
    """Set the sizes of the kernel's *send* and *receive* buffers, in bytes.

    This happens before the handshake, which fixes the TCP window scale.  Linux doubles
    both sizes, for its own bookkeeping (socket(7)).
    """
    _check_whole("send", send, 1, 2**30)
    _check_whole("receive", receive, 1, 2**30)
    return SocketOptions(
        f"buffers({send!r}, {receive!r})",
        (
            (_ANY_FAMILY, socket.SOL_SOCKET, socket.SO_SNDBUF, send),
            (_ANY_FAMILY, socket.SOL_SOCKET, socket.SO_RCVBUF, receive),
        ),
    )


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {safe_repr(value)}")
    if not least <= value <= most:
        raise ValueError(
            f"{name} must be between {least} and {most}, not {safe_repr(value)}"
        )


def _require_linux(function: str) -> None:
    if sys.platform != "linux":
        raise NotImplementedError(f"{function} needs Linux")

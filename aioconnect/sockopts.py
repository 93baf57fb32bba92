"""Options for a socket before it is bound and connected, as values for ``prepare=``.

Each function returns a hashable, picklable value that is called with the socket
and the address, and sets what applies to a socket of that family::

    await aioconnect.connect(host, port, prepare=[nodelay(), keepalive(60, 10, 5)])

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

_INET = (socket.AF_INET, socket.AF_INET6)

# linux/socket.h and linux/in6.h, for what the socket module does not name.
_SO_MARK = getattr(socket, "SO_MARK", 36)
_IPV6_TCLASS = getattr(socket, "IPV6_TCLASS", 67)


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Options ``(family or 0, level, name, value)`` to set on each new socket.

    A *family* of 0 stands for both IPv4 and IPv6, -1 for every family.
    """

    said: str
    options: tuple[tuple[int, int, int, int | bytes], ...] = field(repr=False)

    def __call__(self, sock: socket.socket, address: Address) -> None:
        """Set what applies to the family of *address* on *sock*.

        Raises:
            OSError: The system's, whose text names the option.
        """
        of = address.family
        try:
            for family, level, name, value in self.options:
                if family in (_ANY, of) or (family == _TCP and of in _INET):
                    sock.setsockopt(level, name, value)
        except OSError as exc:
            raise OSError(exc.errno, f"{self.said}: {exc.strerror}") from None

    def __repr__(self) -> str:
        return f"aioconnect.sockopts.{self.said}"


_TCP = 0
_ANY = -1


def _tcp(name: int, value: int) -> tuple[int, int, int, int]:
    return (_TCP, socket.IPPROTO_TCP, name, value)


def keepalive(idle: float, interval: float, count: int) -> SocketOptions:
    """Probe a silent peer after *idle* seconds, then each *interval*, *count* times.

    Fractions of a second are rounded up: the kernel counts whole ones.
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
            (_TCP, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            _tcp(getattr(socket, "TCP_KEEPIDLE", 0x10), math.ceil(idle)),
            _tcp(socket.TCP_KEEPINTVL, math.ceil(interval)),
            _tcp(socket.TCP_KEEPCNT, count),
        ),
    )


def nodelay() -> SocketOptions:
    """Send small writes at once: ``TCP_NODELAY``."""
    return SocketOptions("nodelay()", (_tcp(socket.TCP_NODELAY, 1),))


def user_timeout(seconds: float) -> SocketOptions:
    """Drop a connection whose data is not acknowledged in time (Linux).

    It bounds the connect too: ``ETIMEDOUT`` after about that many seconds.
    """
    check_duration("seconds", seconds, positive=True)
    if seconds > 2**31 / 1000 - 1:
        raise ValueError(f"seconds must fit the kernel, not {seconds}")
    _linux("user_timeout")
    value = math.ceil(seconds * 1000)
    option = _tcp(socket.TCP_USER_TIMEOUT, value)
    return SocketOptions(f"user_timeout({seconds!r})", (option,))


def bind_device(name: str) -> SocketOptions:
    """Use the interface *name* alone: ``SO_BINDTODEVICE`` (Linux).

    One that is not there fails the attempt with ``ENODEV``, which may pass.
    """
    _linux("bind_device")
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {safe_repr(name)}")
    raw = os.fsencode(name) if name.isascii() else b""
    if not 0 < len(raw) < 16 or b"\0" in raw:
        raise ValueError(
            f"name must be an interface's, 1 to 15 bytes, not {safe_repr(name)}"
        )
    option = (_TCP, socket.SOL_SOCKET, socket.SO_BINDTODEVICE, raw)
    return SocketOptions(f"bind_device({name!r})", (option,))


def mark(n: int) -> SocketOptions:
    """Mark the packets for routing and filters: ``SO_MARK`` (Linux, CAP_NET_ADMIN)."""
    _linux("mark")
    _check_whole("n", n, 0, 2**32 - 1)
    raw = n.to_bytes(4, sys.byteorder)
    return SocketOptions(f"mark({n!r})", ((_TCP, socket.SOL_SOCKET, _SO_MARK, raw),))


def tos(value: int) -> SocketOptions:
    """Set the type of service octet, from the first SYN on, for both families."""
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

    Once the kernel has a cookie of the server, the handshake is put off until
    the first write, which is what is asked for here: such a socket is handed out
    before its peer has answered, and the first write tells if it does not.  A wait
    (`wait_until_up`, `wait_until_down`) turns it off.
    """
    _linux("fast_open")
    return SocketOptions("fast_open()", (_tcp(TCP_FASTOPEN_CONNECT, 1),))


def buffers(send: int, receive: int) -> SocketOptions:
    """Set the kernel's buffers, in bytes, before the window scale is agreed on.

    Linux doubles them, for its own bookkeeping (socket(7)).
    """
    _check_whole("send", send, 1, 2**30)
    _check_whole("receive", receive, 1, 2**30)
    return SocketOptions(
        f"buffers({send!r}, {receive!r})",
        (
            (_ANY, socket.SOL_SOCKET, socket.SO_SNDBUF, send),
            (_ANY, socket.SOL_SOCKET, socket.SO_RCVBUF, receive),
        ),
    )


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {safe_repr(value)}")
    if not least <= value <= most:
        raise ValueError(
            f"{name} must be between {least} and {most}, not {safe_repr(value)}"
        )


def _linux(option: str) -> None:
    if sys.platform != "linux":
        raise NotImplementedError(f"{option} needs Linux")

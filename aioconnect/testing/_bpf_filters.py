"""Make a socket deaf: classic BPF programs that drop what arrives for it.

Linux only.  A filter decides on each segment as it arrives, so there is no moment
in which a connect could slip through, as there is while a queue is being filled.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

__all__ = ["drop_everything", "drop_new_connections", "filters_exist", "hear_again"]

__tracebackhide__ = True

# <asm-generic/socket.h>: the socket module has no names for them.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27

# struct sock_filter {code, jt, jf, k}, see <linux/filter.h>.  For a TCP socket
# the data begins with the TCP header, whose byte 13 holds the flags.
_EVERYTHING = ((0x06, 0, 0, 0),)  # ret #0
_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),  # ldb [13]
    (0x54, 0, 0, 0x12),  # and #SYN|ACK
    (0x15, 0, 1, 0x02),  # jeq #SYN, next, +1
    (0x06, 0, 0, 0),  # ret #0
    (0x06, 0, 0, 0xFFFFFFFF),  # ret #-1
)

_PLATFORM = sys.platform


def filters_exist() -> bool:
    """Tell whether this system has them."""
    return _PLATFORM == "linux"


def drop_everything(sock: socket.socket) -> None:
    """Let *sock* send, and never hear an answer."""
    _attach(sock, _EVERYTHING)


def drop_new_connections(listener: socket.socket) -> None:
    """Let no new client in; handshakes under way are completed."""
    _attach(listener, _NEW_CONNECTIONS)


def hear_again(sock: socket.socket) -> None:
    """Take the filter away."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _attach(
    sock: socket.socket, program: tuple[tuple[int, int, int, int], ...]
) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    # The kernel copies the program, which has to live until then.
    buffer = ctypes.create_string_buffer(code)
    value = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    except PermissionError as exc:
        text = "this system lets only root attach a socket filter (SO_ATTACH_FILTER)"
        raise PermissionError(exc.errno, text) from None

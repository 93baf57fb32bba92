"""Attach classic BPF programs that drop the packets that arrive for a socket.

Linux only.  A filter decides on each segment as it arrives.  Unlike a queue that has to
be filled first, it lets no connect slip through.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

__all__ = [
    "detach_filter",
    "drop_everything",
    "drop_new_connections",
    "filters_are_supported",
]

__tracebackhide__ = True

# <asm-generic/socket.h>: the socket module does not name these two.
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27

# struct sock_filter {code, jt, jf, k}, see <linux/filter.h>.  For a TCP socket
# the data begins with the TCP header, whose byte 13 holds the flags.
_DROP_EVERYTHING = ((0x06, 0, 0, 0),)  # ret #0
_DROP_SYNS = (
    (0x30, 0, 0, 13),  # ldb [13]
    (0x54, 0, 0, 0x12),  # and #SYN|ACK
    (0x15, 0, 1, 0x02),  # jeq #SYN, next, +1
    (0x06, 0, 0, 0),  # ret #0
    (0x06, 0, 0, 0xFFFFFFFF),  # ret #-1
)

_PLATFORM = sys.platform


def filters_are_supported() -> bool:
    """Tell whether this system has socket filters."""
    return _PLATFORM == "linux"


def drop_everything(sock: socket.socket) -> None:
    """Drop every packet that arrives for *sock*.  It can still send.

    Raises:
        PermissionError: The system lets only root attach a filter.
    """
    _attach_filter(sock, _DROP_EVERYTHING)


def drop_new_connections(listener: socket.socket) -> None:
    """Drop every SYN that arrives for *listener*.  Handshakes under way still end.

    Raises:
        PermissionError: The system lets only root attach a filter.
    """
    _attach_filter(listener, _DROP_SYNS)


def detach_filter(sock: socket.socket) -> None:
    """Remove the filter of *sock*."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _attach_filter(
    sock: socket.socket, program: tuple[tuple[int, int, int, int], ...]
) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    # The kernel copies the program, so the buffer has to live until setsockopt returns.
    buffer = ctypes.create_string_buffer(code)
    value = struct.pack("@HP", len(program), ctypes.addressof(buffer))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)
    except PermissionError as exc:
        text = "this system lets only root attach a socket filter (SO_ATTACH_FILTER)"
        raise PermissionError(exc.errno, text) from None

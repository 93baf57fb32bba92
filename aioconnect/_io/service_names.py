"""Look up ports by the names of services, in the system's own table."""

from __future__ import annotations

import contextlib
import socket

from .._sansio.checks import check_port_number

__all__ = ["check_port"]


def check_port(port: object) -> int:
    """Return *port*, a whole number, a decimal text or a service name, as an int.

    Raises:
        ValueError: It is not between 0 and 65535, or no service has this name.
        TypeError: It is neither int nor str.
    """
    name = port.decode("ascii", "replace") if isinstance(port, bytes) else port
    if isinstance(name, str) and not (name.isascii() and name.isdecimal()):
        # If there is no service with this name, the check says so.
        with contextlib.suppress(OSError, ValueError):
            return socket.getservbyname(name, "tcp")
    return check_port_number(port)

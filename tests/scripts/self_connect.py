"""K2: a refused port in the ephemeral range, tried often enough, connects to itself.

The script runs in a network namespace of its own.  First the range has one port, so
that every connect to it does so.  Then it connects 100,000 times with a normal range.
"""

from __future__ import annotations

import errno
import socket
import subprocess
from pathlib import Path

from _loops import run

import aioconnect

PORT = 40000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def bindable() -> None:
    """Bind the port, as a server that starts would, and let it go."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", PORT))


async def refused(connector: aioconnect.Connector) -> aioconnect.ConnectError:
    """Return the error of a call that must be refused."""
    try:
        sock = await connector.connect("127.0.0.1", PORT)
    except aioconnect.ConnectRefusedError as exc:
        assert exc.errno == errno.ECONNREFUSED
        return exc
    raise AssertionError(f"connected to itself: {sock}")


async def main() -> None:
    real = RANGE.read_text()
    RANGE.write_text(f"{PORT} {PORT}")
    with socket.socket() as plain:
        plain.connect(("127.0.0.1", PORT))
        assert plain.getsockname() == plain.getpeername(), "not on this kernel"
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    for _ in range(200):
        error = await refused(aioconnect.Connector())
        assert "connected to itself" in str(error), error
        bindable()
    RANGE.write_text(real)
    times_itself = 0
    for _ in range(50):
        error = await refused(aioconnect.Connector(retry=(0,) * 1999))
        assert error.attempt_count == 2000
        times_itself += "connected to itself" in str(error)
        bindable()
    print(f"of 100,000 tries at least {times_itself} met themselves; none was returned")


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
run(main())

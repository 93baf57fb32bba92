"""Connect under a storm of real signals, whose handler runs in Python."""

from __future__ import annotations

import signal
import socket
import sys

from _loops import run

import aioconnect

RESET = b"\x01\0\0\0\0\0\0\0"
handled = 0


def handle(number: int, frame: object) -> None:
    """Count the signal."""
    global handled  # noqa: PLW0603  # a handler has nothing else
    handled += 1


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        for _ in range(int(sys.argv[2])):
            with await aioconnect.connect(*server.getsockname()) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            server.accept()[0].close()


signal.signal(signal.SIGALRM, handle)
signal.siginterrupt(signal.SIGALRM, True)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
run(main())
signal.setitimer(signal.ITIMER_REAL, 0)
assert handled > 10, "no storm"

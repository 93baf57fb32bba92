"""Make many connects to one server in another process, at the same time or in a row."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from pathlib import Path

from _loops import run

import aioconnect

RESET = b"\x01\0\0\0\0\0\0\0"


def serve(server: socket.socket) -> None:
    """Accept and hold, or drop at once, until the parent goes."""
    held: list[socket.socket] = []
    while True:
        sock, _ = server.accept()
        if sys.argv[2] == "concurrent":
            held.append(sock)
        else:
            sock.close()


async def concurrent(name: tuple[str, int], count: int) -> None:
    """Connect *count* times at once."""
    socks = await asyncio.gather(
        *(aioconnect.connect(*name, timeout=60) for _ in range(count))
    )
    for sock in socks:
        assert sock.getpeername() == name
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()


async def sequential(name: tuple[str, int], count: int) -> None:
    """Connect *count* times, and compare the memory after a tenth and at the end."""
    early = 0
    for number in range(count):
        with await aioconnect.connect(*name) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if number == count // 10:
            early = resident()
    grown = resident() - early
    assert grown < 2 * 1024 * 1024, f"{grown} bytes more than after a tenth"


def resident() -> int:
    """Return the bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
    child = os.fork()
    if child == 0:
        try:
            serve(server)
        finally:
            os._exit(0)
    try:
        job = concurrent if sys.argv[2] == "concurrent" else sequential
        run(job(server.getsockname(), int(sys.argv[3])))
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)

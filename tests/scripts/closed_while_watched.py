"""Close sockets while their connect is watched, some of them with an open duplicate."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

from _loops import run

import aioconnect
from aioconnect.testing import BlackHole, black_hole, listening


async def close_under(hole: BlackHole, ticks: int, has_copy: bool) -> None:
    """Close after *ticks* iterations of the loop, and cancel afterwards."""
    sock = socket.socket()
    sock.setblocking(False)
    copy = os.dup(sock.fileno()) if has_copy else None
    connecting = asyncio.create_task(aioconnect.connect_sock(sock, hole.sockaddr))
    for _ in range(ticks):
        await asyncio.sleep(0)
    sock.close()
    # The next one, which may get the descriptor, is not disturbed.
    with listening() as server:
        (await aioconnect.connect_address(server.address)).close()
    connecting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await connecting
    if copy is not None:
        os.close(copy)


async def main() -> None:
    """Close 200 times, in the tick that begins to watch and in later ones."""
    with black_hole() as hole:
        for number in range(200):
            await close_under(hole, number % 4 + 1, has_copy=number % 8 > 3)


run(main())

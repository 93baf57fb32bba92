"""K12: a watched descriptor was closed, and a new socket has its number."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

import aioconnect
from aioconnect import Address
from aioconnect.testing import BlackHole, EchoServer, flaky

# What the stranger's descriptor was watched for.
WATCHED = pytest.mark.parametrize(
    "watched", [("reader",), ("writer",), ("reader", "writer")], ids="+".join
)


class Stale:
    """The number of a descriptor that was closed while it was watched."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_reused = asyncio.Event()

    def __call__(self, sock: socket.socket, address: Address) -> None:
        """Note whether the new *sock* has the number (a `prepare` hook)."""
        if sock.fileno() == self.number:
            self.is_reused.set()


@contextlib.asynccontextmanager
async def closed(watched: tuple[str, ...]) -> AsyncIterator[Stale]:
    """Close the *watched* descriptor; check that a new socket got its number."""
    loop = asyncio.get_running_loop()
    stranger, other = socket.socketpair()
    stale = Stale(stranger.fileno())
    for kind in watched:
        add: Any = getattr(loop, f"add_{kind}")
        add(stale.number, lambda: None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the loop has polled it: uvloop aborts if it cannot
    os.close(stranger.detach())  # by its number: uvloop defers what a socket is told
    with other:
        try:
            yield stale
        finally:
            assert stale.is_reused.is_set()


@WATCHED
async def test_a_connect_that_waits(
    watched: tuple[str, ...], black_hole: BlackHole
) -> None:
    """It is woken when it is connected."""
    async with closed(watched) as stale:
        connecting = asyncio.ensure_future(
            aioconnect.connect(
                black_hole.host, black_hole.port, prepare=[stale], timeout=30
            )
        )
        await stale.is_reused.wait()
        black_hole.open()
        (await connecting).close()


@WATCHED
async def test_streams(watched: tuple[str, ...], echo_server: EchoServer) -> None:
    """They are connected at once, and hear what comes."""
    async with closed(watched) as stale:
        reader, writer = await aioconnect.open_connection(
            echo_server.host, echo_server.port, prepare=[stale]
        )
        writer.write(b"\0\0\0\2hi")
        assert await asyncio.wait_for(reader.readexactly(6), 30) == b"\0\0\0\2hi"
        writer.close()
        await writer.wait_closed()


@WATCHED
async def test_settling(watched: tuple[str, ...]) -> None:
    """A connection that does not last is noticed."""
    with (
        flaky(["accept_close"]) as server,
        pytest.raises(aioconnect.ConnectResetError, match="closed the connection"),
    ):
        async with closed(watched) as stale:
            await aioconnect.wait_until_up(
                server.host,
                server.port,
                timeout=30,
                settle=10,
                retry=(0,),
                prepare=[stale],
            )

"""Clients have timeouts of their own, which end a connect that still waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import pytest
from clients.services import Base

import aioconnect
from aioconnect import AttemptStarted, Connector
from aioconnect.testing import (
    BlackHole,
    Recorder,
    RefusingPort,
    black_hole,
    leak_check,
    refusing,
)

pytestmark = pytest.mark.clients

# What each of them has patience for, in seconds.
PATIENCE = 0.1


async def asyncpg(host: str, port: int) -> None:
    client = pytest.importorskip("asyncpg")
    with pytest.raises(TimeoutError):
        await client.connect(host=host, port=port, user="me", timeout=PATIENCE)


async def redis(host: str, port: int) -> None:
    client = pytest.importorskip("redis.asyncio")
    patience = {"socket_connect_timeout": PATIENCE, "retry": None}
    async with client.Redis(host=host, port=port, **patience) as session:
        with pytest.raises(client.TimeoutError):
            await session.ping()


async def nats(host: str, port: int) -> None:
    client = pytest.importorskip("nats")
    once = {"max_reconnect_attempts": 1, "reconnect_time_wait": 0}
    with pytest.raises(client.errors.NoServersError):
        await client.connect(f"{host}:{port}", connect_timeout=PATIENCE, **once)


async def websockets(host: str, port: int) -> None:
    client = pytest.importorskip("websockets")
    with pytest.raises(TimeoutError):
        await client.connect(f"ws://{host}:{port}", open_timeout=PATIENCE, proxy=None)


async def aiohttp(host: str, port: int) -> None:
    client = pytest.importorskip("aiohttp")
    connector = client.TCPConnector(resolver=client.ThreadedResolver())
    timeout = client.ClientTimeout(sock_connect=PATIENCE)
    async with client.ClientSession(connector=connector, timeout=timeout) as session:
        with pytest.raises((TimeoutError, client.ClientConnectorError)):
            await session.get(f"http://{host}:{port}")


@pytest.mark.parametrize("serve", [black_hole, refusing])
@pytest.mark.parametrize("client", [asyncpg, redis, nats, websockets, aiohttp])
def test_impatient(
    base: Base,
    client: Callable[[str, int], Awaitable[None]],
    serve: Callable[[], AbstractContextManager[BlackHole | RefusingPort]],
) -> None:
    """The client's own timeout is what it says, and nothing is left."""
    recorder = Recorder()
    connector = Connector(retry=(60, 60), observer=recorder)

    async def main() -> None:
        async with leak_check():
            with serve() as server:
                await client(server.host, server.port)

    loop_factory = aioconnect.loop_factory(connector, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert recorder.of(AttemptStarted)

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


async def valkey(host: str, port: int) -> None:
    client = pytest.importorskip("valkey.asyncio")
    patience = {"socket_connect_timeout": PATIENCE}
    async with client.Valkey(host=host, port=port, **patience) as session:
        with pytest.raises(client.TimeoutError):
            await session.ping()


async def aiokafka(host: str, port: int) -> None:
    client = pytest.importorskip("aiokafka")
    patience = {"request_timeout_ms": round(PATIENCE * 1000)}
    producer = client.AIOKafkaProducer(bootstrap_servers=f"{host}:{port}", **patience)
    with pytest.raises(client.errors.KafkaConnectionError):
        await producer.start()
    await producer.stop()


async def aio_pika(host: str, port: int) -> None:
    client = pytest.importorskip("aio_pika")
    with pytest.raises(TimeoutError):
        await client.connect(f"amqp://{host}:{port}/", timeout=PATIENCE)


async def aiomysql(host: str, port: int) -> None:
    client = pytest.importorskip("aiomysql")
    with pytest.raises(client.OperationalError):
        await client.connect(host=host, port=port, connect_timeout=PATIENCE)


async def asyncssh(host: str, port: int) -> None:
    client = pytest.importorskip("asyncssh")
    with pytest.raises(TimeoutError):
        await client.connect(host, port, config=None, connect_timeout=PATIENCE)


async def aiosmtplib(host: str, port: int) -> None:
    client = pytest.importorskip("aiosmtplib")
    with pytest.raises(client.SMTPConnectTimeoutError):
        await client.SMTP(hostname=host, port=port, timeout=PATIENCE).connect()


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


# pymongo is not among them: on any loop it leaves the socket of a cancelled connect to
# the garbage collector.
CLIENTS = (
    *(asyncpg, redis, valkey, aiokafka, aio_pika, aiomysql),
    *(asyncssh, aiosmtplib, nats, websockets, aiohttp),
)

# asyncssh and aiosmtplib look up the user and the local host there.
POOLS = ("asyncio_", "uvloop_")


@pytest.mark.parametrize("serve", [black_hole, refusing])
@pytest.mark.parametrize("client", CLIENTS)
def test_impatient(
    base: Base,
    client: Callable[[str, int], Awaitable[None]],
    serve: Callable[[], AbstractContextManager[BlackHole | RefusingPort]],
) -> None:
    """The client's own timeout is what it says, and nothing is left."""
    recorder = Recorder()
    connector = Connector(retry=(60, 60), observer=recorder)

    async def main() -> None:
        async with leak_check(ignore_threads=POOLS):
            with serve() as server:
                await client(server.host, server.port)

    loop_factory = aioconnect.loop_factory(connector, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert recorder.of(AttemptStarted)

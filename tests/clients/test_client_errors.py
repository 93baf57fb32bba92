"""Clients raise their own errors on a loop of `loop_factory`, as on any other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from clients.services import Base

import aioconnect
from aioconnect import ConnectRefusedError
from aioconnect.testing import leak_check, refusing

pytestmark = pytest.mark.clients

# asyncssh and aiosmtplib look up the user and the local host there.
POOLS = ("asyncio_", "uvloop_")

Connect = Callable[[str, int], Awaitable[object]]


def aio_pika() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("aio_pika")
    error = client.exceptions.AMQPConnectionError
    return lambda host, port: client.connect(f"amqp://{host}:{port}/"), error


def aiomysql() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("aiomysql")
    error = client.OperationalError
    return lambda host, port: client.connect(host=host, port=port), error


def aiosmtplib() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("aiosmtplib")
    error = client.SMTPConnectError
    return lambda host, port: client.SMTP(hostname=host, port=port).connect(), error


def asyncpg() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("asyncpg")
    error = ConnectionRefusedError
    return lambda host, port: client.connect(host=host, port=port, user="me"), error


def asyncssh() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("asyncssh")
    error = ConnectionRefusedError
    return lambda host, port: client.connect(host, port, config=None), error


def websockets() -> tuple[Connect, type[Exception]]:
    client = pytest.importorskip("websockets")
    error = ConnectionRefusedError
    return lambda host, port: client.connect(f"ws://{host}:{port}", proxy=None), error


CLIENTS = (aio_pika, aiomysql, aiosmtplib, asyncpg, asyncssh, websockets)


@pytest.mark.parametrize("client", CLIENTS)
def test_refused(
    base: Base, client: Callable[[], tuple[Connect, type[Exception]]]
) -> None:
    """It is the client's own error, and the `ConnectError` is that or its cause."""
    connect, error = client()

    async def main() -> None:
        async with leak_check(ignore_threads=POOLS):
            with refusing() as server, pytest.raises(error) as caught:
                await connect(server.host, server.port)
        causes = (caught.value, caught.value.__cause__)
        assert any(isinstance(cause, ConnectRefusedError) for cause in causes)

    with asyncio.Runner(loop_factory=aioconnect.loop_factory(base=base)) as runner:
        runner.run(main())

"""redis-py on a loop of `loop_factory`, and Redis."""

from __future__ import annotations

import asyncio

import pytest
from clients.services import Base, Service

import aioconnect
from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients
redis = pytest.importorskip("redis.asyncio")
Retry = pytest.importorskip("redis.asyncio.retry").Retry
NoBackoff = pytest.importorskip("redis.backoff").NoBackoff


def test_redis(base: Base, host: str, redis_server: Service) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=redis_server)

    async def main() -> None:
        # redis-py gives up after 5 s, whatever the connector says, and tries that ten
        # times more, unless told not to: once more is for the command that was lost.
        once = Retry(NoBackoff(), 1)
        async with redis.Redis(
            host=host, socket_connect_timeout=40, retry=once
        ) as client:
            await client.set("asked", "early")
            redis_server.kill()
            assert await client.get("asked") is None

    loop_factory = aioconnect.loop_factory(waiting, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    redis_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

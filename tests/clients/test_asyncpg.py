"""asyncpg on a loop of `loop_factory`, and PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from clients.services import Base, Service

import aioconnect
from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients
asyncpg = pytest.importorskip("asyncpg")


def test_asyncpg(base: Base, host: str, postgres: Service) -> None:
    """A pool is made before its server is there, and outlives it."""
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=postgres)

    async def main() -> None:
        async with asyncpg.create_pool(
            host=host, user="postgres", min_size=1, max_size=1
        ) as pool:
            assert await pool.fetchval("SELECT 1") == 1
            postgres.kill()
            with pytest.raises(asyncpg.PostgresConnectionError):
                await pool.fetchval("SELECT 2")  # the connection that is lost
            assert await pool.fetchval("SELECT 3") == 3

    loop_factory = aioconnect.loop_factory(waiting, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    postgres.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

"""redis-py on a loop of `loop_factory`, and Redis."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("redis.asyncio")


def test_redis(base: Base, host: str, redis_server: Service) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    printed = run_recipe("redis-py", base, host, redis_server)
    assert printed == ["True", "True"]
    redis_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

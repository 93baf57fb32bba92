"""asyncpg on a loop of `loop_factory`, and PostgreSQL."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("asyncpg")


def test_asyncpg(base: Base, host: str, postgres: Service) -> None:
    """A pool is made before its server is there, and outlives it."""
    printed = run_recipe("asyncpg", base, host, postgres)
    assert printed == ["1", "2"]
    postgres.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

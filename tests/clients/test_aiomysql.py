"""aiomysql on a loop of `loop_factory`, and MariaDB."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("aiomysql")


def test_aiomysql(base: Base, host: str, mariadb: Service) -> None:
    """A pool is made before its server is there, and outlives it."""
    printed = run_recipe("aiomysql", base, host, mariadb)
    assert printed == ["(1,)", "(2,)"]
    mariadb.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

"""nats-py on a loop of `loop_factory`, and NATS."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("nats")


def test_nats(base: Base, host: str, nats_server: Service) -> None:
    """A subscription is made before its server is there, and outlives it."""
    printed = run_recipe("nats-py", base, host, nats_server)
    assert printed == ["b'again'"]
    nats_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

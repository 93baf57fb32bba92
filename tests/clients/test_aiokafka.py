"""aiokafka on a loop of `loop_factory`, and a broker of Kafka's protocol."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("aiokafka")


def test_aiokafka(base: Base, host: str, kafka_broker: Service) -> None:
    """A producer starts before its broker is there, and outlives it."""
    printed = run_recipe("aiokafka", base, host, kafka_broker)
    assert printed == ["0", "0"]  # the broker keeps nothing
    kafka_broker.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

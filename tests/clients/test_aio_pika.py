"""aio-pika on a loop of `loop_factory`, and RabbitMQ."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("aio_pika")


def test_aio_pika(base: Base, host: str, rabbitmq: Service) -> None:
    """A robust connection is asked for before its server is there, and outlives it."""
    printed = run_recipe("aio-pika", base, host, rabbitmq)
    assert printed == ["b'again'"]
    rabbitmq.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

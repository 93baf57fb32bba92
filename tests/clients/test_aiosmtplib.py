"""aiosmtplib on a loop of `loop_factory` or over a socket, and aiosmtpd."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("aiosmtplib")


@pytest.mark.parametrize("number", [0, 1], ids=["loop_factory", "sock"])
def test_aiosmtplib(base: Base, host: str, smtp_server: Service, number: int) -> None:
    """Mail is sent before its server is there, and again when it is a new one."""
    printed = run_recipe("aiosmtplib", base, host, smtp_server, number=number)
    assert printed == []
    smtp_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

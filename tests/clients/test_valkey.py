"""valkey-py on a loop of `loop_factory`, and Valkey."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("valkey.asyncio")


def test_valkey(base: Base, host: str, valkey_server: Service) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    printed = run_recipe("valkey-py", base, host, valkey_server)
    assert printed == ["True", "True"]
    valkey_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

"""pymongo on a loop of `loop_factory`, and a server of MongoDB's protocol."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, GaveUp

pytestmark = pytest.mark.clients
pytest.importorskip("pymongo")


def test_pymongo(base: Base, host: str, mongodb: Service) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    printed = run_recipe("pymongo", base, host, mongodb)
    assert printed == ["{'ok': 1.0}", "None"]
    # pymongo has its own retries: the loop makes one attempt for each of them.
    mongodb.seen.assert_in_order(GaveUp, Connected, GaveUp, Connected)

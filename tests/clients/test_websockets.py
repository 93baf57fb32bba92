"""websockets on a loop of `loop_factory` or over a socket, and a WebSocket server."""

from __future__ import annotations

import pytest
from clients.recipes import run_recipe
from clients.services import Base, Service

from aioconnect import Connected, RetryScheduled

pytestmark = pytest.mark.clients
pytest.importorskip("websockets")


@pytest.mark.parametrize("number", [0, 1], ids=["loop_factory", "sock"])
def test_websockets(
    base: Base, host: str, websocket_server: Service, number: int
) -> None:
    """A client is there before its server, and comes back to a new one."""
    printed = run_recipe("websockets", base, host, websocket_server, number=number)
    assert printed == ["early", "again"]
    websocket_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

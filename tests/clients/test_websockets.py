"""websockets over a socket that `connect` returned, and a WebSocket server."""

from __future__ import annotations

import pytest
from clients.services import Service

from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients
websockets = pytest.importorskip("websockets")


async def test_websockets(host: str, websocket_server: Service) -> None:
    """A client is there before its server, and comes back to a new one."""
    server = websocket_server
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=server)

    uri = f"ws://{host}:8765"
    sock = await waiting.connect(host, 8765)
    async with websockets.connect(uri, sock=sock) as connection:
        await connection.send("early")
        assert await connection.recv() == "early"
        server.kill()
        with pytest.raises(websockets.ConnectionClosed):
            await connection.recv()
    sock = await waiting.connect(host, 8765)
    async with websockets.connect(uri, sock=sock) as connection:
        await connection.send("again")
        assert await connection.recv() == "again"
    server.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

"""httpx and httpx2 over a transport of `aioconnect.contrib`, and real servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from clients.services import Base, Service

from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients

Client = Callable[[Connector], Any]


@pytest.fixture(params=["httpx", "httpx2"])
def client(request: pytest.FixtureRequest) -> Client:
    """Give what makes a client that connects as a connector says."""
    httpx = pytest.importorskip(request.param)
    adapter = import_module(f"aioconnect.contrib.{request.param}")

    def client(connector: Connector) -> Any:
        # httpx gives up connecting after 5 s, whatever the connector says.
        return httpx.AsyncClient(
            transport=adapter.ConnectorTransport(connector),
            timeout=httpx.Timeout(5, connect=30),
        )

    return client


def test_httpx(base: Base, host: str, http_server: Service, client: Client) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=http_server)

    async def main() -> None:
        async with client(waiting) as http:
            assert (await http.get(f"http://{host}:8080/")).text == "hello"
            http_server.kill()
            assert (await http.get(f"http://{host}:8080/")).text == "hello"

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())
    http_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )


@pytest.mark.parametrize("client", ["httpx2"], indirect=True)
def test_websockets_of_httpx2(
    base: Base, host: str, websocket_server: Service, client: Client
) -> None:
    """A session is there before its server, and a new one waits for a new server."""
    pytest.importorskip("wsproto")
    websockets = pytest.importorskip("httpx2.websockets", reason="since httpx2 2.9")
    server = websocket_server
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=server)

    async def main() -> None:
        async with client(waiting) as http:
            async with http.websocket(f"ws://{host}:8765/") as session:
                await session.send_text("early")
                assert await session.receive_text() == "early"
                server.kill()
                with pytest.raises(websockets.WebSocketNetworkError):
                    await session.receive_text()
            async with http.websocket(f"ws://{host}:8765/") as session:
                await session.send_text("again")
                assert await session.receive_text() == "again"

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())
    server.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)

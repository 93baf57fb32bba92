"""httpx over the transport of `aioconnect.contrib.httpx`, and an HTTP server."""

from __future__ import annotations

import asyncio

import pytest
from clients.services import Base, Service

from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients
httpx = pytest.importorskip("httpx")


def test_httpx(base: Base, host: str, http_server: Service) -> None:
    """A client asks before its server is there, and again when it is a new one."""
    from aioconnect.contrib.httpx import ConnectorTransport

    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=http_server)

    async def main() -> None:
        # httpx gives up connecting after 5 s, whatever the connector says.
        async with httpx.AsyncClient(
            transport=ConnectorTransport(waiting), timeout=httpx.Timeout(5, connect=30)
        ) as client:
            assert (await client.get(f"http://{host}:8080/")).text == "hello"
            http_server.kill()
            assert (await client.get(f"http://{host}:8080/")).text == "hello"

    with asyncio.Runner(loop_factory=base) as runner:
        runner.run(main())
    http_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

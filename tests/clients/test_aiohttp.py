"""aiohttp on a loop of `loop_factory`, and an HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from clients.services import Base, Service

import aioconnect
from aioconnect import (
    AttemptFailed,
    Backoff,
    Connected,
    Connector,
    GaveUp,
    RetryScheduled,
)

pytestmark = pytest.mark.clients
aiohttp = pytest.importorskip("aiohttp")


def test_aiohttp(base: Base, tmp_path: Path, unix_http_server: Service) -> None:
    """A session on a Unix socket asks before its server is there, and outlives it."""
    server = unix_http_server
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=server)

    async def main() -> None:
        to_server = aiohttp.UnixConnector(str(tmp_path / "web"))
        async with aiohttp.ClientSession("http://web", connector=to_server) as session:
            assert await (await session.get("/")).text() == "hello"
            server.kill()
            assert await (await session.get("/")).text() == "hello"

    loop_factory = aioconnect.loop_factory(waiting, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    server.seen.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)


def test_aiohttp_over_tcp(base: Base, host: str, http_server: Service) -> None:
    """Over TCP aiohttp asks the loop for one attempt at an address: wait for it."""
    waiting = Connector(timeout=30, observer=http_server)

    async def until_up(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            await waiting.wait_until_up(request.url.host, request.url.port)
            return await handler(request)

    async def main() -> None:
        tcp = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(
            f"http://{host}:8080", connector=tcp, middlewares=[until_up]
        ) as session:
            assert await (await session.get("/")).text() == "hello"
            http_server.kill()
            assert await (await session.get("/")).text() == "hello"

    loop_factory = aioconnect.loop_factory(waiting, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    once = (AttemptFailed, GaveUp, RetryScheduled, Connected, Connected)
    http_server.seen.assert_in_order(*once, *once)

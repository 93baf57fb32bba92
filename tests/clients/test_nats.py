"""nats-py on a loop of `loop_factory`, and NATS."""

from __future__ import annotations

import asyncio

import pytest
from clients.services import Base, Service

import aioconnect
from aioconnect import Backoff, Connected, Connector, RetryScheduled

pytestmark = pytest.mark.clients
nats = pytest.importorskip("nats")


def test_nats(base: Base, host: str, nats_server: Service) -> None:
    """A subscription is made before its server is there, and outlives it."""
    waiting = Connector(retry=Backoff(maximum=0.2), timeout=30, observer=nats_server)

    async def main() -> None:
        back = asyncio.Event()

        async def reconnected() -> None:
            back.set()

        client = await nats.connect(
            host, connect_timeout=40, reconnect_time_wait=0, reconnected_cb=reconnected
        )
        subscription = await client.subscribe("news")
        nats_server.kill()
        await back.wait()
        await client.publish("news", b"back")
        assert (await subscription.next_msg(timeout=30)).data == b"back"
        await client.close()

    loop_factory = aioconnect.loop_factory(waiting, base=base)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    nats_server.seen.assert_in_order(
        RetryScheduled, Connected, RetryScheduled, Connected
    )

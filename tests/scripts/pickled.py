"""Connect in another process, with a pickled Connector."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from typing import Any

from _loops import run

import aioconnect
from aioconnect import Address, Backoff, Connector, sockopts
from aioconnect.testing import echoing

CONNECTOR = Connector(
    timeout=60, retry=Backoff(attempts=3), prepare=[sockopts.nodelay()]
)


async def echo(connector: Connector, address: Address) -> None:
    """Prove that the connector connects."""
    with await connector.connect_address(address) as sock:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"ping")
        assert await loop.sock_recv(sock, 4) == b"ping"


def child(argv: list[str], connector: Connector, address: Address) -> None:
    """Do so on the loop that *argv* names."""
    sys.argv[:] = argv
    assert connector == CONNECTOR
    run(echo(connector, address))


async def parent() -> None:
    """Start the child, and do the same meanwhile."""
    context: Any = multiprocessing.get_context(sys.argv[2])
    with echoing() as server:
        arguments = (sys.argv, CONNECTOR, server.address)
        process = context.Process(target=child, args=arguments)
        process.start()
        await echo(CONNECTOR, server.address)
        await asyncio.to_thread(process.join, 60)
    assert process.exitcode == 0, process.exitcode
    try:
        await aioconnect.connect_address(server.address, timeout=60)
    except ConnectionRefusedError:
        return
    raise AssertionError("the child holds the server's socket")


if __name__ == "__main__":
    run(parent())

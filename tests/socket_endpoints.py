"""Addresses that tests of sockets share."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aioconnect import Address


def tcp(port: int) -> Address:
    return Address(socket.AF_INET, ("127.0.0.1", port))


async def settled(task: asyncio.Task[Any]) -> None:
    """Let *task* run until it waits for something that is not ready."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done(), task

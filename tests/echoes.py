"""Ask whether the other end of a connection echoes."""

from __future__ import annotations

import asyncio

__all__ = ["answers"]


async def answers(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
    """Tell whether the other end echoes, and close."""
    reader, writer = streams
    writer.write(b"hello")
    heard = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return heard == b"hello"

"""Echo over WebSocket, at the host that is the argument, at 8765."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    """Serve until killed."""
    async with serve(echo, sys.argv[1], 8765) as server:
        await server.serve_forever()


asyncio.run(main())

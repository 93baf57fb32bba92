"""The demo's server: it refuses for a while, and then echoes.

It says its port on standard output, and ends when standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys

__all__ = ["serve"]


async def serve(delay: float) -> None:
    """Hold a port, listen on it after *delay* seconds, and echo until stdin ends."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        # A port that is bound and does not listen refuses, and is nobody else's.
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        ended = loop.run_in_executor(None, sys.stdin.read)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), delay)
            return
        server = await asyncio.start_server(_echo, sock=sock)
        async with server:
            await ended


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    # Whoever started it may have been ended before it says its port.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    asyncio.run(serve(float(sys.argv[1])))

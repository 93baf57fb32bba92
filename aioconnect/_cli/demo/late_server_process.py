"""The program of the demo's late server: it refuses for a while, and then echoes.

It prints its port on standard output, and ends when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys

__all__ = ["serve"]


async def serve(delay: float) -> None:
    """Bind a port, listen on it after *delay* seconds, and echo until stdin ends."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        # A bound port that does not listen refuses, and no other socket can take it.
        sock.bind(("127.0.0.1", 0))
        print(sock.getsockname()[1], flush=True)
        stdin_ended = loop.run_in_executor(None, sys.stdin.read)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(stdin_ended), delay)
            return
        server = await asyncio.start_server(_echo, sock=sock)
        async with server:
            await stdin_ended


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    # The demo may have ended before this process prints its port.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    asyncio.run(serve(float(sys.argv[1])))

"""A server that answers as a script says, on the loop of the test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aioconnect.testing import Server, listening

__all__ = ["AnsweringServer", "answering"]


class AnsweringServer:
    """The requests that came, and where the server listens."""

    def __init__(self, server: Server) -> None:
        self.host, self.port = server.host, server.port
        self.requests: list[bytes] = []


@asynccontextmanager
async def answering(
    *answers: bytes,
    greeting: bytes = b"",
    greets: bool = False,
    closes: bool = False,
) -> AsyncIterator[AnsweringServer]:
    """Answer one connection after the other, each with the next one of *answers*.

    The last one is for all others, too.  The *greeting* comes before the request.  A
    server that *greets* waits for no request.
    One that *closes* ends its side after the answer, and otherwise the client has to.
    """
    with listening() as listener:
        server = AnsweringServer(listener)
        serving = asyncio.create_task(
            _serve(server, listener, list(answers), greeting, greets, closes)
        )
        try:
            yield server
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


async def _serve(
    server: AnsweringServer,
    listener: Server,
    answers: list[bytes],
    greeting: bytes,
    greets: bool,
    closes: bool,
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        conn, _ = await loop.sock_accept(listener.sock)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with conn, suppress(OSError):
            await loop.sock_sendall(conn, greeting)
            if not greets:
                server.requests.append(await loop.sock_recv(conn, 4096))
            await loop.sock_sendall(conn, answer)
            if closes:
                conn.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(conn, 4096):
                pass

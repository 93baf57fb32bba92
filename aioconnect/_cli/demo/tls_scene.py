"""The demo's scene with TLS: an address that accepts, and then says nothing.

The servers are in this process.  The handshake is a real one, but without certificates,
because there are none on the user's machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator

from ..._api import open_connection
from ..._timeline import Timeline
from .dns_scenes import RESOLVER, STAGGER, STALLED
from .stage import ASYNCIO_TIMEOUT, Stage, UntrueError

__all__ = ["stalled_handshake"]

# Anonymous Diffie-Hellman on elliptic curves, of TLS 1.2, needs no certificate.
_CIPHERS = "AECDH:@SECLEVEL=0"


def _anonymous(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    return context


def _client_context() -> ssl.SSLContext:
    """Return the client's context.

    Raises:
        ssl.SSLError: This OpenSSL has no handshake without certificates.
    """
    context = _anonymous(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def _servers() -> AsyncGenerator[int]:
    """Yield a port that accepts on ::1 and says nothing, and speaks TLS on 127.0.0.1.

    Raises:
        OSError: There is no IPv6.
    """
    accepted: list[asyncio.StreamWriter] = []

    def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    with socket.create_server(("127.0.0.1", 0)) as four:
        port: int = four.getsockname()[1]
        context = _anonymous(ssl.PROTOCOL_TLS_SERVER)
        async with (
            await asyncio.start_server(say_nothing, sock=four, ssl=context),
            await asyncio.start_server(say_nothing, "::1", port),
        ):
            try:
                yield port
            finally:
                for writer in accepted:
                    writer.transport.abort()
                await asyncio.sleep(0)


async def stalled_handshake(stage: Stage) -> None:
    """Show how to connect by TLS where the IPv6 address accepts, and stalls.

    Raises:
        OSError: There is no IPv6.
        UntrueError: A check failed.
    """
    context = _client_context()
    async with _servers() as port:
        stage.say(
            f"{STALLED} has two addresses: ::1 accepts and then says nothing, and"
            " 127.0.0.1 speaks TLS."
        )
        raced = await stage.connect_by_asyncio(
            STALLED, port, ssl=context, happy_eyeballs_delay=STAGGER
        )
        if raced.error is None:
            raise UntrueError("::1 should stall, but asyncio connected")
        first = "Its race ends as soon as ::1 accepts"
        stage.say(
            f"asyncio.open_connection, with happy_eyeballs_delay={STAGGER}: {raced}."
            f" {first}."
        )
        stage.say("aioconnect.open_connection, with its default delays:")
        timeline = Timeline()
        connecting = open_connection(
            STALLED,
            port,
            ssl=context,
            timeout=ASYNCIO_TIMEOUT,
            resolver=RESOLVER,
            observer=timeline,
        )
        _, writer = await stage.show_connecting(connecting, timeline)
        writer.transport.abort()
    if not any(step["outcome"] == "dropped" for step in timeline.to_dict()["steps"]):
        raise UntrueError("::1 should stall, but did not")

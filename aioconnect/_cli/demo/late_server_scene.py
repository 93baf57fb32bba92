"""The demo's first scene: a server, in another process, that starts late."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Generator

from ..._api import connect, open_connection
from ..._calls.backoff import Backoff
from ..._timeline import Timeline
from .stage import Stage, UntrueError

__all__ = ["late_server", "starting"]

_DELAY = 1.0  # seconds until the server listens
_RETRY = Backoff(initial=0.05, maximum=0.4, jitter=0.2)
_MESSAGE = b"a length-prefixed protocol of your own"


@contextlib.contextmanager
def starting() -> Generator[int]:
    """Start a server process that will listen in a second; yield its port."""
    module = "aioconnect._cli.demo.late_server_process"
    command = [sys.executable, "-m", module, str(_DELAY)]
    with subprocess.Popen(  # noqa: S603  # this package's own program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # a Ctrl-C in the terminal must not reach the server
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        # Leaving the block closes the server's standard input, and the server ends.


async def late_server(stage: Stage, port: int) -> None:
    """Show how to connect to *port*, where a server listens in a second.

    Raises:
        UntrueError: A check failed.
    """
    stage.say(f"A server will listen on 127.0.0.1:{port} in {_DELAY:g} s.")
    result = await stage.connect_by_asyncio("127.0.0.1", port)
    if not isinstance(result.error, ConnectionRefusedError):
        raise UntrueError("asyncio.open_connection was not refused")
    stage.say(f"asyncio.open_connection: {result}. It does not try again.")
    stage.say("aioconnect.open_connection, with retry=Backoff(...), timeout=10:")
    timeline = Timeline()
    connecting = open_connection(
        "127.0.0.1", port, timeout=10, retry=_RETRY, observer=timeline
    )
    reader, writer = await stage.show_connecting(connecting, timeline)
    await _echo_over_streams(reader, writer)
    if timeline.to_dict()["rounds"] == 1:
        raise UntrueError("the server never refused a connection")
    stage.say(f"Streams: the server echoed {len(_MESSAGE)} bytes.")
    await _echo_over_socket(port)
    stage.say(f"A raw socket: the server echoed {len(_MESSAGE)} bytes.")


async def _echo_over_streams(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.closing(writer):
        writer.write(len(_MESSAGE).to_bytes(4, "big") + _MESSAGE)
        size = int.from_bytes(await reader.readexactly(4), "big")
        if await reader.readexactly(size) != _MESSAGE:
            raise UntrueError("the streams returned other bytes than were sent")
    await writer.wait_closed()


async def _echo_over_socket(port: int) -> None:
    loop = asyncio.get_running_loop()
    with await connect("127.0.0.1", port, timeout=5) as sock:
        await loop.sock_sendall(sock, _MESSAGE)
        answer = b""
        while data := await loop.sock_recv(sock, 4096):
            answer += data
            if len(answer) >= len(_MESSAGE):
                break
    if answer != _MESSAGE:
        raise UntrueError("the socket returned other bytes than were sent")

"""Follow a topic of a line-based server, and come back when the connection is lost.

The server greets with ``HELLO``.  The client says ``FOLLOW topic``, and each line after
that is news.  An empty line every few seconds shows that the server is alive.

Run: python docs/examples/line_protocol.py localhost 9000 weather
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator

import aioconnect

SILENCE = 30.0  # seconds without a line, after which the connection counts as lost


async def greeted(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Pass if the server greets.  Otherwise, the attempt has failed."""
    line = await reader.readuntil()
    if line != b"HELLO\n":
        raise ConnectionAbortedError(f"the server greeted with {line!r}")


CONNECTOR = aioconnect.Connector(
    timeout=60,  # of one turn: give up when the server stays away for so long
    attempt_timeout=5,  # of one attempt, with its greeting
    retry=aioconnect.Backoff(maximum=5),
    ready=greeted,
)


async def follow(
    host: str,
    port: int,
    topic: str,
    *,
    connector: aioconnect.Connector = CONNECTOR,
    silence: float = SILENCE,
) -> AsyncGenerator[str]:
    """Yield the news of *topic*, over as many connections as it takes.

    Raises:
        aioconnect.ConnectError: The server stayed away.
    """
    # A generator can be dropped half-way, so it closes what it iterates over.
    async with contextlib.aclosing(connector.reconnecting(host, port)) as connections:
        async for reader, writer in connections:
            try:
                writer.write(f"FOLLOW {topic}\n".encode())
                while True:
                    async with asyncio.timeout(silence):
                        line = await reader.readuntil()
                    if news := line.decode().strip():
                        yield news
            except (OSError, EOFError) as lost:  # a TimeoutError is an OSError
                print(f"lost ({type(lost).__name__}), coming back", file=sys.stderr)


async def main(host: str, port: int, topic: str) -> int:
    """Print the news; return the exit status."""
    try:
        async with contextlib.aclosing(follow(host, port, topic)) as news:
            async for line in news:
                print(line)
    except aioconnect.ConnectError as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("topic")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(given.host, given.port, given.topic)))

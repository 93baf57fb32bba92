"""Send one command to a Redis-like server, and print the answer.

Run: python docs/examples/redis_like.py localhost 6379 SET colour blue
"""

import argparse
import asyncio
from typing import TypeAlias

import aioconnect
from aioconnect import checks

CONNECTOR = aioconnect.Connector(
    timeout=10,  # of a whole connect, with its retries
    attempt_timeout=2,  # of one attempt, with its PING
    retry=aioconnect.Backoff(maximum=1),
    ready=checks.redis,  # a server that still loads its data is not ready
)
Reply: TypeAlias = "str | int | ServerError | list[Reply] | None"


class ServerError(Exception):
    """The server answered with an error."""


class Client:
    """A client with one connection.  A command connects if there is none."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def command(self, *words: str) -> Reply:
        """Send *words*; return the reply, or raise `ServerError`."""
        sizes = (f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        request = f"*{len(words)}\r\n{''.join(sizes)}".encode()
        async with self._turn:
            if self._streams is None:
                self._streams = await CONNECTOR.open_connection(*self._where)
            try:
                self._streams[1].write(request)
                reply = await read_reply(self._streams[0])
            except BaseException:  # half a reply may be left, also after a cancel
                self.close()
                raise
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def close(self) -> None:
        """Close the connection.  The next command makes a new one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one reply of RESP, the protocol of Redis."""
    line = (await reader.readuntil(b"\r\n"))[:-2].decode()
    kind, text = line[:1], line[1:]
    if kind == "*":
        return [await read_reply(reader) for _ in range(int(text))]
    if kind == "$":
        size = int(text)
        return (await reader.readexactly(size + 2))[:-2].decode() if size >= 0 else None
    if kind in ("+", "-"):
        return text if kind == "+" else ServerError(text)
    if kind != ":":
        raise ConnectionAbortedError(f"this is not RESP: {line!r}")
    return int(text)


async def main(host: str, port: int, words: list[str]) -> None:
    """Connect, send one command, and print the reply."""
    client = Client(host, port)
    try:
        print(await client.command(*words))
    finally:
        client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("words", nargs="+", help="the command, such as GET colour")
    given = parser.parse_args()
    asyncio.run(main(given.host, given.port, given.words))

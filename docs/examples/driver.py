"""Show how a database driver connects: its options, its errors, and a pool of one.

The client sends ``LOGIN password``, and then one query a line.  Each answer is a line:
``OK ...`` or ``ERROR ...``.  A user writes ``pool = Pool("db", 5000, "secret")``.
"""

import asyncio
from dataclasses import replace
from functools import partial
from ssl import SSLContext
from typing import Any

import aioconnect

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class DatabaseError(Exception):
    """The base of the driver's errors."""


class CannotConnectError(DatabaseError):
    """There is no connection.  The cause is an `aioconnect.ConnectError`."""


class Connection:
    """A connection that is logged in."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.is_usable = True

    async def query(self, text: str) -> str:
        """Return the answer to *text*, or raise `DatabaseError`."""
        self.is_usable = False  # until the whole answer is here, also when cancelled
        try:
            status, answer = await ask(self._streams, text)
        except (OSError, EOFError) as error:
            raise DatabaseError("the connection was lost") from error
        self.is_usable = True
        if status != "OK":
            raise DatabaseError(answer)
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._streams[1].close()
        self.is_usable = False


async def ask(streams: Streams, line: str) -> tuple[str, str]:
    """Send *line*; return the first word of the answer, and the rest."""
    streams[1].write(f"{line}\n".encode())
    status, _, answer = (await streams[0].readuntil()).decode().strip().partition(" ")
    return status, answer


async def connect(
    host: str,
    port: int,
    password: str,
    *,
    ssl: SSLContext | None = None,
    timeout: float | None = 10,
    connector: aioconnect.Connector | None = None,
) -> Connection:
    """Connect and log in.  The login is part of each attempt, as *ready* is."""

    async def login(*streams: *Streams) -> None:
        status, reason = await ask(streams, f"LOGIN {password}")
        if status != "OK":  # no retry helps, and this error allows none
            raise PermissionError(reason)

    own = replace(connector or aioconnect.Connector(), timeout=timeout, ready=login)
    try:
        return Connection(await own.open_connection(host, port, ssl=ssl))
    except aioconnect.ConnectError as error:
        raise CannotConnectError(str(error)) from error


class Pool:
    """A pool of one connection, which a query makes if there is none."""

    def __init__(self, *where: Any, **options: Any) -> None:
        self._connect = partial(connect, *where, **options)
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()

    async def query(self, text: str) -> str:
        """Wait for the connection's turn, and query."""
        async with self._turn:
            if self._connection is None or not self._connection.is_usable:
                self.close()
                self._connection = await self._connect()
            return await self._connection.query(text)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

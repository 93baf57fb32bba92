"""Show how a database driver connects: its options, its errors, and a pool of one.

The client sends ``LOGIN password``, and then one query a line.  Each answer is a line:
``OK ...`` or ``ERROR ...``.  A user writes ``pool = Pool("db", 5000, "secret")``.
"""

import asyncio
from dataclasses import KW_ONLY, dataclass, field, replace
from ssl import SSLContext

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
        """Return the answer to *text*, which is one line, or raise `DatabaseError`."""
        line = one_line(text)
        self.is_usable = False  # until the whole answer is here, also when cancelled
        try:
            status, answer = await ask(self._streams, line)
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


def one_line(text: str) -> bytes:
    """Return *text* as one line.  The server would run a second line as a command."""
    if "\n" in text:
        raise ValueError("a query or a password must not contain a newline")
    return f"{text}\n".encode()


async def ask(streams: Streams, line: bytes) -> tuple[str, str]:
    """Send *line*; return the first word of the answer, and the rest."""
    streams[1].write(line)
    status, _, answer = (await streams[0].readuntil()).decode().strip().partition(" ")
    return status, answer


@dataclass(eq=False)
class Pool:
    """A pool of one connection.  A query connects if there is no usable connection.

    *timeout* defaults to the connector's, or to 10 s.  The driver alone sets *ready*.
    """

    host: str
    port: int
    password: str = field(repr=False)
    _: KW_ONLY
    ssl: SSLContext | None = None
    timeout: float | None = None
    connector: aioconnect.Connector = field(default_factory=aioconnect.Connector)
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def connect(self) -> Connection:
        """Return a new connection.  The login is part of each attempt."""
        line = one_line(f"LOGIN {self.password}")

        async def login(*streams: *Streams) -> None:
            status, reason = await ask(streams, line)
            if status != "OK":  # no retry helps, and this error allows none
                raise PermissionError(reason)

        limits = (self.timeout, self.connector.timeout, 10)
        timeout = next(limit for limit in limits if limit is not None)
        own = replace(self.connector, timeout=timeout, ready=login)
        try:
            streams = await own.open_connection(self.host, self.port, ssl=self.ssl)
        except aioconnect.ConnectError as error:
            raise CannotConnectError(str(error)) from error
        return Connection(streams)

    async def query(self, text: str) -> str:
        """Wait for the connection's turn, and query."""
        async with self._turn:
            if self._connection is None or not self._connection.is_usable:
                self.close()
                self._connection = await self.connect()
            return await self._connection.query(text)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

"""Stay connected: an asynchronous iterator that gives a connection after the other.

It owns what it has given until it gives the next one, ends, or is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ._adopt import Finish, Streams
from ._backoff import Backoff, check_duration
from ._call import Call
from ._options import Options
from ._target import Place

__all__ = ["STABLE_AFTER", "Reconnecting"]

# How long a connection lasts, in seconds, that says that the server is well.
STABLE_AFTER = 10.0


class Reconnecting:
    """What `reconnecting` returns: ``async for reader, writer in ...``.

    When the body has ended, and when the iterator is dropped or closed, the writer is
    closed.  ``break`` drops it where nobody else refers to it, else there is `aclose`.
    """

    def __init__(
        self,
        options: Options,
        place: Place,
        finish: Finish[Streams],
        stable_after: float,
    ) -> None:
        # First what __del__ asks for: the rest may be refused.
        self._writer: asyncio.StreamWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        check_duration("stable_after", stable_after)
        if not options.retry:
            options = replace(options, retry=Backoff())
        self._options = options
        self._place = place
        self._finish = finish
        self._stable_after = stable_after
        self._call: Call | None = None
        self._since = 0.0
        self._is_running = self._is_over = False

    def __aiter__(self) -> Reconnecting:
        return self

    async def __anext__(self) -> Streams:
        """Close the connection that was given, and return a new one.

        Raises:
            ConnectError: The policy has given up, or the time to connect was up.
            StopAsyncIteration: It was closed, or has raised an error before.
        """
        if self._is_running:
            raise RuntimeError("reconnecting() is connecting in another task")
        if self._is_over:
            raise StopAsyncIteration
        self._is_running = True
        try:
            return await self._connect()
        except BaseException as exc:
            # One that was cancelled may be asked again.
            self._is_over = isinstance(exc, Exception)
            self._call = None
            raise
        finally:
            self._is_running = False

    async def _connect(self) -> Streams:
        self._loop = loop = asyncio.get_running_loop()
        self._leave(loop.time())
        # Only a connection that has lasted makes up for what failed before: a server
        # that accepts and closes is one that refuses, to us (K7).
        call = self._call = self._call or Call(self._options, (self._place,))
        streams = await call.run(self._finish)
        self._writer, self._since = streams[1], loop.time()
        return streams

    def _leave(self, now: float) -> None:
        """Close the writer, and begin anew if it was connected for long enough."""
        writer, self._writer = self._writer, None
        if writer is None or self._call is None:
            return
        writer.close()
        if now - self._since >= self._stable_after:
            self._call = None
        else:
            text = f"the connection has not lasted {self._stable_after:g} s"
            self._call.lost(self._since, text)

    async def aclose(self) -> None:
        """Close the connection that was given last; there will be no other."""
        if self._is_running:
            raise RuntimeError("reconnecting() is connecting in another task")
        self._is_over = True
        self._drop()

    def __del__(self) -> None:
        self._drop()

    def _drop(self) -> None:
        """Close the writer, from whichever thread this is."""
        writer, self._writer = self._writer, None
        loop = self._loop
        if writer is None or loop is None or loop.is_closed():
            return
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if is_here:
            writer.close()
        else:
            # The collector runs in whichever thread needs memory.
            loop.call_soon_threadsafe(writer.close)

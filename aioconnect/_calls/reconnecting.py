"""Stay connected: an asynchronous iterator that gives a connection after the other.

It owns what it has given until it gives the next one, ends, or is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from dataclasses import replace

from .._io.transports import Streams, Wrap
from .._sansio.checks import check_duration
from .._sansio.endpoints import Endpoint
from .backoff import Backoff
from .call import Call
from .options import Options

__all__ = ["STABLE_AFTER", "Reconnecting"]

# How long a connection lasts, in seconds, that says that the server is well.
STABLE_AFTER = 10.0

# What a peer that has stopped to read does not take within so many seconds is given up,
# and with it the descriptor.
_FLUSH = 5.0


class Reconnecting:
    """What `reconnecting` returns: ``async for reader, writer in ...``.

    When the body has ended, and when the iterator is dropped or closed, the writer is
    closed; what the peer does not read then is given up after 5 s.  ``break`` and an
    exception drop it where nobody else refers to it; one that has a name is to be
    closed by `aclose`, or `contextlib.aclosing`.
    """

    def __init__(
        self,
        options: Options,
        place: Endpoint,
        finish: Wrap[Streams],
        stable_after: float,
    ) -> None:
        check_duration("stable_after", stable_after)
        if not options.retry:
            options = replace(options, retry=Backoff())
        self._options = options
        self._place = place
        self._finish = finish
        self._stable_after = stable_after
        self._loop: asyncio.AbstractEventLoop | None = None
        self._call: Call | None = None
        self._since = 0.0
        self._is_running = self._is_over = False
        self._given = _Given()
        weakref.finalize(self, self._given.close).atexit = False

    def __repr__(self) -> str:
        return f"<Reconnecting {self._place}>"

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
        except Exception:
            self._is_over = True
            self._call = None
            raise
        finally:
            self._is_running = False

    async def _connect(self) -> Streams:
        loop = asyncio.get_running_loop()
        self._leave(loop)
        # Only a connection that has lasted makes up for what failed before: a server
        # that accepts and closes is one that refuses, to us (K7).
        call = self._call = self._call or Call(self._options, (self._place,))
        self._loop = loop
        try:
            streams = await call.run(self._finish)
        except asyncio.CancelledError:
            call.resume()  # whoever asks again is no less polite
            raise
        self._since = loop.time()
        self._given.keep(loop, streams[1])
        return streams

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the writer, and begin anew if it was connected for long enough."""
        was_given = self._given.close()
        if self._loop is not loop:
            self._call = None
        if not was_given or self._call is None:
            return
        if loop.time() - self._since >= self._stable_after:
            self._call = None
        else:
            text = f"the connection has not lasted {self._stable_after:g} s"
            self._call.lost(self._since, text)

    async def aclose(self) -> None:
        """Close the connection that was given last; there will be no other."""
        if self._is_running:
            raise RuntimeError("reconnecting() is connecting in another task")
        self._is_over = True
        self._given.close()


class _Given:
    """What an iterator has given last, and is to be closed after it.

    It is no part of the iterator's garbage: the collector would finalize the writer
    too, in whichever thread that runs, before the loop could close it.
    """

    __slots__ = ("_loop", "_plain", "_writer")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._plain: asyncio.WriteTransport | None = None  # if there is no TLS

    def keep(
        self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter
    ) -> None:
        """Remember *writer*, of *loop*."""
        self._loop, self._writer = loop, writer
        is_tls = writer.get_extra_info("sslcontext") is not None
        self._plain = None if is_tls else writer.transport

    def close(self) -> bool:
        """Close the writer, from whichever thread this is; tell if there was one."""
        loop, writer, plain = self._loop, self._writer, self._plain
        self._loop = self._writer = self._plain = None
        if loop is None or writer is None:
            return False
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if is_here:
            _close(loop, writer, plain)
        else:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(_close, loop, writer, plain)
        return True


def _close(
    loop: asyncio.AbstractEventLoop,
    writer: asyncio.StreamWriter,
    plain: asyncio.WriteTransport | None,
) -> None:
    transport = writer.transport
    # The body, or the peer, may have closed it.  asyncio's TLS transports lose their
    # parts when they are closed twice: after that almost every method of theirs
    # raises AttributeError, and `abort` does nothing.
    if not transport.is_closing():
        writer.close()
    # The body may have begun TLS, which replaces the transport.
    if transport is not plain or transport.get_write_buffer_size():
        # It waits for the peer, to take the rest or to say goodbye.  The transport
        # keeps the task, until it has closed.
        loop.create_task(_flushed(writer))


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Wait for the peer to read what was written, and for so long only."""
    try:
        async with asyncio.timeout(_FLUSH):
            # Whoever else waits for it would be cancelled, too, without the shield.
            await asyncio.shield(writer.wait_closed())
    except (TimeoutError, asyncio.CancelledError) as exc:
        writer.transport.abort()
        if isinstance(exc, asyncio.CancelledError):
            raise
    except OSError:
        pass  # it was reset

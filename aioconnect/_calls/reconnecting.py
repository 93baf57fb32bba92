"""Stay connected: an asynchronous iterator that returns one connection after another.

The iterator owns a connection until it returns the next one, ends, or is dropped.
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
from .connect import ConnectOperation
from .options import Options, passage_to

__all__ = ["STABLE_AFTER", "Reconnecting"]

# A connection that has lasted this many seconds shows that the server works.
STABLE_AFTER = 10.0

# How many seconds a peer has to read the data that is left.  Otherwise a peer that has
# stopped reading would hold the descriptor for ever.
_FLUSH_TIMEOUT = 5.0


class Reconnecting:
    """The iterator that `reconnecting` returns: ``async for reader, writer in ...``.

    It closes the writer at the end of the body, and when the iterator itself is closed
    or dropped.  Data that the peer has not read after 5 s is lost.  ``break`` and an
    exception drop the iterator if nothing else refers to it.  If a variable does, close
    the iterator with `aclose` or `contextlib.aclosing`.
    """

    def __init__(
        self,
        options: Options,
        endpoint: Endpoint,
        wrap: Wrap[Streams],
        stable_after: float,
    ) -> None:
        check_duration("stable_after", stable_after)
        passage_to(options, endpoint, wrap)  # what no proxy can do is refused at once
        if not options.retry:
            options = replace(options, retry=Backoff())
        self._options = options
        self._endpoint = endpoint
        self._wrap = wrap
        self._stable_after = stable_after
        self._loop: asyncio.AbstractEventLoop | None = None
        self._operation: ConnectOperation | None = None
        self._connected_at = 0.0
        self._is_connecting = self._has_ended = False
        self._current = _CurrentWriter()
        weakref.finalize(self, self._current.close).atexit = False

    def __repr__(self) -> str:
        return f"<Reconnecting {self._endpoint}>"

    def __aiter__(self) -> Reconnecting:
        return self

    async def __anext__(self) -> Streams:
        """Close the last connection, and return a new one.

        Raises:
            ConnectError: The policy has given up, or the time to connect was up.
            StopAsyncIteration: The iterator was closed, or has raised an error before.
        """
        if self._is_connecting:
            raise RuntimeError("reconnecting() is connecting in another task")
        if self._has_ended:
            raise StopAsyncIteration
        self._is_connecting = True
        try:
            return await self._connect()
        except Exception:
            self._has_ended = True
            self._operation = None
            raise
        finally:
            self._is_connecting = False

    async def _connect(self) -> Streams:
        loop = asyncio.get_running_loop()
        self._end_turn(loop)
        # Keep the operation, with its delays, until a connection has lasted.  A server
        # that accepts and closes is treated like a server that refuses (K7).
        operation = self._operation = self._operation or ConnectOperation(
            self._options, (self._endpoint,), self._wrap
        )
        self._loop = loop
        try:
            streams: Streams = await operation.run()
        except asyncio.CancelledError:
            operation.resume()  # the next turn keeps to the same delays
            raise
        self._connected_at = loop.time()
        self._current.hold(loop, streams[1])
        return streams

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the writer, and drop the call if the connection lasted long enough."""
        was_open = self._current.close()
        if self._loop is not loop:
            self._operation = None
        if not was_open or self._operation is None:
            return
        if loop.time() - self._connected_at >= self._stable_after:
            self._operation = None
        else:
            text = f"the connection ended within {self._stable_after:g} s"
            self._operation.lost(self._connected_at, text)

    async def aclose(self) -> None:
        """Close the last connection, and end the iteration."""
        if self._is_connecting:
            raise RuntimeError("reconnecting() is connecting in another task")
        self._has_ended = True
        self._current.close()


class _CurrentWriter:
    """Holds the writer that an iterator returned last, and closes it.

    It outlives the iterator, whose finalizer refers to it.  If both were garbage at
    once, the collector would also finalize the writer, in any thread, before the loop
    could close the writer.
    """

    __slots__ = ("_loop", "_plain_transport", "_writer")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._plain_transport: asyncio.WriteTransport | None = None  # None with TLS

    def hold(
        self, loop: asyncio.AbstractEventLoop, writer: asyncio.StreamWriter
    ) -> None:
        """Remember *writer*, which runs on *loop*."""
        self._loop, self._writer = loop, writer
        is_tls = writer.get_extra_info("sslcontext") is not None
        self._plain_transport = None if is_tls else writer.transport

    def close(self) -> bool:
        """Close the writer, from any thread; tell whether there was one."""
        loop, writer, plain_transport = self._loop, self._writer, self._plain_transport
        self._loop = self._writer = self._plain_transport = None
        if loop is None or writer is None:
            return False
        try:
            is_on_loop = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_on_loop = False
        if is_on_loop:
            _close(loop, writer, plain_transport)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(_close, loop, writer, plain_transport)
        return True


def _close(
    loop: asyncio.AbstractEventLoop,
    writer: asyncio.StreamWriter,
    plain_transport: asyncio.WriteTransport | None,
) -> None:
    transport = writer.transport
    # The body, or the peer, may have closed the transport.  A TLS transport of asyncio
    # that is closed twice loses its parts: almost every method then raises
    # AttributeError, and `abort` does nothing.
    if not transport.is_closing():
        writer.close()
    # The body may have started TLS, which replaces the transport.
    if transport is not plain_transport or transport.get_write_buffer_size():
        # The peer has to read the rest, or to answer the TLS goodbye.  The transport
        # holds a reference to the task until it has closed.
        loop.create_task(_wait_closed(writer))


async def _wait_closed(writer: asyncio.StreamWriter) -> None:
    """Wait until the peer has read all data; abort after `_FLUSH_TIMEOUT`."""
    try:
        async with asyncio.timeout(_FLUSH_TIMEOUT):
            # Without the shield, a timeout would cancel other waiters too.
            await asyncio.shield(writer.wait_closed())
    except (TimeoutError, asyncio.CancelledError) as exc:
        writer.transport.abort()
        if isinstance(exc, asyncio.CancelledError):
            raise
    except OSError:
        pass  # the peer reset the connection

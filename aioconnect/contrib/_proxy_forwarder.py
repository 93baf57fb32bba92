"""Give a protocol what has come to its transport before the protocol was there."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Forwarder"]

# How long, in seconds, to wait before looking whether a protocol reads again: longer
# each time, up to the second value.  A transport tells nobody that it was resumed.
_PAUSE, _LONGEST_PAUSE = 0.01, 0.16

# How many seconds a protocol has to read the rest of a stream that has ended, before it
# is told of the end.  This is how long asyncio waits for one at the end of TLS.
_PATIENCE = 30.0


class Forwarder(asyncio.Protocol):
    """Forwards *data*, and all that follows, from *transport* to *protocol*.

    It forwards data only while the protocol is reading.  If some is left after the
    first `forward`, this stays the transport's protocol until it has forwarded all.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: Any,
        protocol: Any,
        data: bytearray,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._protocol = protocol
        self._data = data
        self.has_eof = False  # the peer has ended the stream
        self._is_lost = False
        self._error: Exception | None = None
        self._gives_up_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause = _PAUSE

    def data_received(self, data: bytes) -> None:
        """Forward *data* after what has come before."""
        self._data += data
        self.forward()

    def eof_received(self) -> None:
        """Tell the end of the stream after its data: the transport closes itself."""
        self.has_eof = True
        self.forward()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the end of the connection."""
        self._is_lost, self._error = True, exc
        self.forward()

    def pause_writing(self) -> None:
        """Forward this."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Forward this."""
        self._protocol.resume_writing()

    def forward(self) -> None:
        """Tell the protocol what has happened, as far as it is reading."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._follow()
        while self._data and self._transport.is_reading():
            _feed(self._protocol, self._data)
            self._pause = _PAUSE
        if self._data and self._may_read_later():
            if not self._is_lost:
                # New data has to wait for the old.
                self._transport.set_protocol(self)
            self._timer = self._loop.call_later(self._pause, self._look_again)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return
        self._data.clear()
        if not self._is_lost and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._protocol)
        if self.has_eof:
            self.has_eof = False
            self._protocol.eof_received()
        if self._is_lost:
            self._protocol.connection_lost(self._error)

    def _may_read_later(self) -> bool:
        """Tell whether the data is kept for a protocol that has paused reading.

        After the end of the stream it is kept for a while.  If the connection is lost,
        or the protocol closes it, the data is lost too, as with any transport.
        """
        if not (self._is_lost or self._transport.is_closing()):
            return True
        now = self._loop.time()
        if self._gives_up_at is None:
            self._gives_up_at = now + _PATIENCE
        return self.has_eof and now < self._gives_up_at

    def _follow(self) -> None:
        """Forward to the transport's protocol, if the caller has set another one."""
        if not self._is_lost:
            current = self._transport.get_protocol()
            if current is not self:
                self._protocol = current

    def _look_again(self) -> None:
        try:
            self.forward()
        except BaseException:
            # The protocol's own error goes to the loop's handler.
            self._transport.abort()
            raise


def _feed(protocol: Any, data: bytearray) -> None:
    """Move *data* to *protocol*: what fits into one buffer of it, if it has buffers."""
    if not isinstance(protocol, asyncio.BufferedProtocol):
        whole = bytes(data)
        data.clear()
        protocol.data_received(whole)
        return
    buffer: Any = protocol.get_buffer(len(data))
    size = min(len(buffer), len(data))
    if not size:
        data.clear()
        raise RuntimeError("get_buffer() returned an empty buffer")
    buffer[:size] = data[:size]
    del data[:size]
    protocol.buffer_updated(size)

"""Make a connection inside TLS with a proxy.

The loop's transport speaks TLS with the proxy.  The proxy's handshake, and TLS with the
target, go through this transport.  So there is no socket to give to a caller.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from .._io.socket_ownership import Handover, check_protocol
from .._io.timers import TIMER_TOLERANCE
from .._io.tls import TLSOptions
from .._io.transports import (
    StreamsWrap,
    TransportWrap,
    Wrap,
    create_transport,
    transport_failure,
)
from .._sansio.errors import AttemptError, os_error
from ._proxy_channel import TransportChannel
from ._proxy_handshake import ProxyHandshake
from ._proxy_url import Hop

__all__ = ["Request", "SecureWrap"]

# A proxy, the text that begins its errors, and the host and port to ask it for.
Request: TypeAlias = tuple[Hop, str, str, int]


# asyncio's transport of TLS fails to close when TLS inside it fails: a TypeError, whose
# fix is in 3.11.8 and 3.12.2 (https://github.com/python/cpython/issues/113214).
_IS_BROKEN = sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 2)


def _mend(transport: Any) -> None:
    def force_close(_: BaseException) -> None:
        transport.abort()

    if _IS_BROKEN and isinstance(transport, asyncio.Transport):
        setattr(transport, "_force_close", force_close)  # noqa: B010  # not in its type


class SecureWrap(Wrap[Any]):
    """Wraps a socket to a proxy in TLS with the *proxy*'s options, and then as *inner*.

    *requests* are for the proxy that speaks TLS, and for those behind it.
    """

    has_handshake = True

    def __init__(
        self, proxy: TLSOptions, inner: StreamsWrap | TransportWrap[Any]
    ) -> None:
        self._proxy = proxy
        self._inner = inner
        self.requests: Sequence[Request] = ()

    async def __call__(self, handover: Handover) -> Any:
        """Return the connection, or its transport and channel if it may lose a race.

        This takes the socket, and closes it when it fails.

        Raises:
            AttemptError, AttemptExpired: A handshake failed, or was late.
        """
        channel = await self._connected_channel(handover)
        outer = channel.transport
        try:
            for hop, name, host, port in self.requests:
                await ProxyHandshake(channel, hop, name).request(host, port)
            if self._inner.tls.ssl:
                channel = await self._inside_tls(handover, channel)
            if handover.may_lose:
                return channel.transport, channel
            return self._handed_out(handover.loop, channel)
        except BaseException:
            # Not politely: the loop would wait for the proxy's goodbye.
            outer.abort()
            raise

    async def adopt(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Any,
        deadline: float | None,  # noqa: ARG002  # nothing is waited for
    ) -> Any:
        """Return the winner's connection."""
        transport, channel = connection
        if not isinstance(channel, TransportChannel):
            return connection
        try:
            return self._handed_out(loop, channel)
        except BaseException:
            transport.abort()
            raise

    async def _connected_channel(self, handover: Handover) -> TransportChannel:
        """Shake hands with the proxy over TLS.

        Raises:
            AttemptError: TLS failed.  The phase is that of all of the proxy's part.
        """
        loop, deadline = handover.loop, handover.deadline
        channel = TransportChannel(loop, deadline)
        # Without *tell*: the observer knows of the proxy, and hears of the target's
        # handshake when that begins.
        way = Handover(loop, handover.sock, deadline)
        try:
            await create_transport(way, lambda: channel, self._proxy)
        except AttemptError as exc:
            failure = exc.in_phase("proxy")
        else:
            return channel
        try:
            raise failure
        finally:
            del failure

    async def _inside_tls(
        self, handover: Handover, outer: TransportChannel
    ) -> TransportChannel:
        """Shake hands with the target inside *outer*.

        Raises:
            AttemptError, AttemptExpired: The handshake failed, or was late.
        """
        loop, deadline = handover.loop, handover.deadline
        if outer.has_unread:
            text = "there is more than the proxy's answer before the handshake"
            raise AttemptError("proxy", os_error(errno.EPROTO, text))
        if handover.tell is not None:
            handover.tell("tls")
        left = None if deadline is None else deadline - loop.time()
        arguments = self._inner.tls.arguments(left)
        channel = TransportChannel(loop, deadline)
        context = arguments.pop("ssl")

        def is_late() -> bool:
            return deadline is not None and loop.time() + TIMER_TOLERANCE >= deadline

        try:
            _mend(outer.transport)
            if outer.has_ended:  # uvloop would wait for the peer all the same
                raise os_error(errno.ECONNRESET, "the proxy has closed the connection")
            channel.transport = await loop.start_tls(
                outer.transport, channel, context, **arguments
            )
            # If the outer transport is closed without an error, asyncio returns None,
            # at the end of the time, too, and uvloop a transport without a cipher.
            made = channel.transport
            if made is None or made.get_extra_info("cipher") is None:
                # If it is late, the loop has aborted the handshake.
                code = errno.ECONNABORTED if is_late() else errno.ECONNRESET
                raise os_error(code, "the proxy has closed the connection")
            return channel
        except OSError as exc:
            failure = transport_failure(exc, is_late(), "tls", loop)
        try:
            raise failure
        finally:
            del failure

    def _handed_out(
        self, loop: asyncio.AbstractEventLoop, channel: TransportChannel
    ) -> Any:
        """Give the transport to a protocol of the caller's; return what it gets."""
        inner, transport = self._inner, channel.transport
        _mend(transport)  # the caller may start TLS inside it
        if isinstance(inner, TransportWrap):
            protocol = inner.factory()
            check_protocol(protocol)
            channel.hand_to(protocol)
            return transport, protocol
        reader = asyncio.StreamReader(limit=inner.limit, loop=loop)
        streams = asyncio.StreamReaderProtocol(reader, loop=loop)
        channel.hand_to(streams)
        return reader, asyncio.StreamWriter(transport, streams, reader, loop)

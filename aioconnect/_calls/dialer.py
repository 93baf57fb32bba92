"""Dial one address, and turn a connected socket into the caller's connection.

The SSRF guard is asked here, about the very address that is dialled next.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any, NamedTuple

from .._io.connect_outcome import has_peer
from .._io.connecting_socket import ConnectingSocket, round_trip
from .._io.socket_ownership import Handover, OnPhase
from .._io.sockets import open_and_connect, start_connect
from .._io.transports import Wrap, discard_connection
from .._sansio.addresses import Address
from .._sansio.deadline import Deadline, attempt_deadline
from .._sansio.errors import AttemptError, os_error
from .call_record import CallRecord
from .options import Passage
from .ready import pass_ready

__all__ = ["Connected", "Dialer"]


class Connected(NamedTuple):
    """A connected socket, the start of its attempt, and the attempt's deadline.

    *address* is None for a socket that the caller has connected.
    """

    sock: socket.socket
    address: Address | None
    started: float
    deadline: Deadline


class Dialer:
    """Dials the addresses of one call, and makes its connection.

    *wrap* makes a connection of the socket.  Without *wrap*, the socket is the
    connection.  *sock* is a socket of the caller's to dial with.  It is never closed
    here.  The option *ready* gets the connection, or, with *ready_gets_socket*, the
    socket before it is wrapped.  *first* is an attempt that was started before, or its
    error.  In a turn that goes through proxies, *passage* is the way.
    """

    __slots__ = (
        "first",
        "local_addresses",
        "loop",
        "passage",
        "ready_gets_socket",
        "record",
        "sock",
        "wrap",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        record: CallRecord,
        wrap: Wrap[Any] | None,
        sock: socket.socket | None,
        ready_gets_socket: bool,
        first: ConnectingSocket | AttemptError | None,
    ) -> None:
        self.first = first
        self.loop = loop
        self.passage: Passage | None = None
        self.record = record
        self.wrap = wrap
        self.sock = sock
        self.ready_gets_socket = ready_gets_socket
        # The addresses to bind to, once they have been resolved.
        self.local_addresses: tuple[Address, ...] | None = None

    def dial(self, address: Address, now: float) -> socket.socket | ConnectingSocket:
        """Start to connect to *address*; return the socket, connected or connecting.

        Raises:
            AttemptError: The attempt has failed, and its socket is closed.
        """
        first, self.first = self.first, None
        if isinstance(first, AttemptError):
            # Raise a copy: the original would keep its own frames alive.
            raise type(first)(first.phase, first.error, sent=first.sent)
        if first is not None:
            # The fast path started it, to this address: with *allow* it starts none.
            return first
        options = self.record.options
        if options.allow is not None:
            from .._sansio.ip_filter import is_allowed  # noqa: PLC0415  # K14: see options.py

            if not is_allowed(options.allow, address):
                error = os_error(errno.EACCES, "not allowed")
                raise AttemptError("guard", error, sent=False)
        self.record.check_certificate(address)
        if self.record.observe is not None:
            self.record.attempt_started(address)
        if self.sock is None:
            sock, code = open_and_connect(
                address, options.prepare, self.local_addresses
            )
        else:
            sock, code = self.sock, start_connect(self.sock, address, owned=False)
        if not code:
            return sock
        return ConnectingSocket(sock, address, code, options.outcome, now)

    async def attempt(self, address: Address | None, turn: Deadline, now: float) -> Any:
        """Return the connection of the only attempt in a *turn*, or None if it fails.

        It starts *now*.  Without an *address*, the caller has connected *sock*.
        """
        deadline = attempt_deadline(turn, now, self.record.options.attempt_timeout)
        try:
            if address is None:
                sock = self._given_sock()
            else:
                dialled = self.dial(address, now)
                if isinstance(dialled, ConnectingSocket):
                    owned = self.sock is None
                    sock = await dialled.wait_connected(self.loop, deadline.at, owned)
                else:
                    sock = dialled
            return await self.finish(Connected(sock, address, now, deadline))
        except AttemptError as exc:
            self.record.failed(exc, address, now, deadline)
            return None

    def _given_sock(self) -> socket.socket:
        assert self.sock is not None
        if code := has_peer(self.sock):
            text = "sock is not connected: connect it first"
            raise AttemptError("adopt", os_error(code, text))
        return self.sock

    @property
    def has_handshake(self) -> bool:
        """Whether more than a connected socket makes a connection usable."""
        wrap_has = self.wrap is not None and self.wrap.has_handshake
        is_asked = self.record.options.ready is not None
        return wrap_has or is_asked or self.passage is not None

    async def finish(self, connected: Connected) -> Any:
        """Do all that makes the *connected* socket the caller's connection.

        Raises:
            AttemptError: A handshake failed, or *ready* did.  The socket is closed,
                unless it is the caller's.
        """
        connection = await self._shake_hands(connected, is_race=False)
        return self.hand_out(connection, connected)

    async def shake_hands(self, connected: Connected) -> Any:
        """Do what makes the *connected* socket usable, while others may still win.

        The result goes to `adopt` or to `discard`.  Raises what `finish` does.
        """
        return await self._shake_hands(connected, is_race=True)

    def may_win(self, connection: Any) -> bool:
        """Tell whether *connection*, of `shake_hands`, can be the winner's."""
        return self.wrap is None or self.wrap.may_win(connection)

    async def adopt(self, connection: Any, connected: Connected) -> Any:
        """Return what the winner's *connection* is to the caller.

        `shake_hands` returned its first form.  Raises what `finish` does.
        """
        if self.wrap is None:
            return connection
        return await self.wrap.adopt(self.loop, connection, connected.deadline.at)

    def hand_out(self, connection: Any, connected: Connected) -> Any:
        """Tell the observer of *connection*, and return it: the caller owns it."""
        history, address = self.record.options.history, connected.address
        if history is not None and address is not None:
            history.usable(address, self.loop.time())
        try:
            self.record.connected(connected.address)
        except BaseException:
            self.discard(connection)
            raise
        return connection

    async def _shake_hands(self, connected: Connected, *, is_race: bool) -> Any:
        sock, address, _, deadline = connected
        history = self.record.options.history
        if history is not None and address is not None:
            history.connected(address, round_trip(sock), self.loop.time())
        on_phase = self.record.on_phase(address)
        is_asked = self.record.options.ready is not None
        handover = Handover(
            self.loop,
            sock,
            deadline.at,
            owned=self.sock is None,
            # What the option *ready* gets has to be complete.
            may_lose=is_race and (not is_asked or self.ready_gets_socket),
            tell=on_phase,
        )
        if self.passage is not None:
            await self.passage.request(handover)
        if is_asked and self.ready_gets_socket:
            await self._prove(sock, deadline, on_phase)
        connection: Any = sock
        if self.wrap is not None:
            connection = await self.wrap(handover)
        if is_asked and not self.ready_gets_socket:
            await self._prove(connection, deadline, on_phase)
        return connection

    async def _prove(
        self,
        connection: Any,
        deadline: Deadline,
        on_phase: OnPhase | None,
    ) -> None:
        """Wait until the option *ready* has passed for *connection*."""
        ready = self.record.options.ready
        assert ready is not None
        try:
            if on_phase is not None:
                on_phase("ready")
            await pass_ready(ready, connection, deadline.at)
        except BaseException:
            self.discard(connection)
            raise

    def drop_first(self) -> None:
        """Close the *first* attempt, if `dial` has not returned it."""
        if isinstance(self.first, ConnectingSocket):
            self.first.sock.close()
        self.first = None

    def discard(self, connection: Any) -> None:
        """Close *connection*, unless it is the caller's own socket."""
        # Of a name that was only looked up, nothing is open.
        if connection != () and connection is not self.sock:
            discard_connection(connection)

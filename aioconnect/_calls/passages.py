"""Take the turns of one call through proxies, where its options say so.

Only the calls of options with a route import this module.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from .._io.transports import Wrap
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, os_error
from .connect import ConnectOperation
from .dialer import Dialer
from .options import Options, Passage, passage_to

__all__ = ["Passages"]


class Passages:
    """The ways of one call with *options* to its *targets*.

    *wrap* makes the connection.  With *ready_gets_socket*, the option *ready* gets the
    socket.  If the call is *raced*, the targets share one turn.

    Raises:
        ValueError: No proxy can do what the call asks for.
    """

    def __init__(
        self,
        options: Options,
        targets: Sequence[Endpoint],
        wrap: Wrap[Any] | None,
        raced: bool,
        ready_gets_socket: bool,
    ) -> None:
        self._options = options
        self._wrap = wrap
        ways = [passage_to(options, target, wrap) for target in targets]
        self._ways = {way.endpoint: way for way in ways if way is not None}
        if raced and (self._ways or any(one.service is not None for one in targets)):
            text = "a proxy connects to one target at a time: leave race=True out"
            raise ValueError(f"race: {text}")
        if ready_gets_socket and options.ready is not None:
            for way in self._ways.values():
                _check_socket(way, wrap)
        # The targets, with the first proxy in place of each that is behind one.
        self.endpoints = [
            target if way is None else way.endpoint
            for target, way in zip(targets, ways, strict=True)
        ]

    async def enter(
        self,
        endpoint: Endpoint,
        turn: Deadline,
        operation: ConnectOperation,
        dialer: Dialer,
    ) -> Endpoint | None:
        """Return what *dialer* has to dial for *endpoint*, or None after a failure.

        Raises:
            AttemptError: No proxy can connect to it.
        """
        way = self._ways.get(endpoint)
        if way is None:  # it is connected to directly, or comes from a service
            way = self._way_to(endpoint)
        dialer.passage = way
        destination = None if way is None else way.endpoint.destination
        operation.record.destination = destination
        dialer.wrap = self._wrap if way is None else way.wrap
        if way is None:
            return endpoint
        address = way.endpoint.address
        if dialer.sock and address and address.family != dialer.sock.family:
            text = f"{way.endpoint.host} is a proxy of another family than sock"
            raise AttemptError(
                "connect", os_error(errno.EAFNOSUPPORT, text), sent=False
            )
        return way.endpoint if await way.find(turn, operation) else None

    def _way_to(self, endpoint: Endpoint) -> Passage | None:
        try:
            return passage_to(self._options, endpoint, self._wrap)
        except ValueError as exc:
            error = os_error(errno.EINVAL, str(exc))
            raise AttemptError("proxy", error, sent=False) from None


def _check_socket(way: Passage, wrap: Wrap[Any] | None) -> None:
    if way.wrap is not wrap:
        text = "it needs a socket on this loop, and an https:// proxy has none to give"
        raise ValueError(f"ready: {text}")

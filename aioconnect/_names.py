"""Ask for the addresses of one call's host, in one round: both families at once.

What the answers mean for the race is the race's business; what was asked and what
came of it is told to the observer here, and kept in case nothing else is found.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

from ._address import Address
from ._errors import AttemptError, Expired, os_error
from ._events import Resolved, ResolveFailed, ResolveStarted
from ._lookups import ask
from ._options import Options
from ._order import interleaved
from ._resolver import (
    addresses_in,
    literal,
    no_address,
    questions,
    system_resolver,
    without_lookup,
)
from ._shown import shown
from ._sources import preferred

__all__ = ["LookUp", "Names"]

_INET = (socket.AF_INET, socket.AF_INET6)

# Gives what getaddrinfo does, or what a resolver of the caller's does.
LookUp: TypeAlias = "asyncio.Future[Any]"


class Names:
    """The look-ups of *host*, on the running loop, under *options*."""

    __slots__ = (
        "_ended",
        "_failures",
        "_host",
        "_loop",
        "_options",
        "_port",
        "_questions",
        "_started",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        host: str | None,
        port: int,
    ) -> None:
        self._loop = loop
        self._options = options
        self._host = host
        self._port = port
        self._questions = dict(questions(options.family, options.flags))
        self._started: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._failures: dict[int, AttemptError] = {}

    @property
    def families(self) -> tuple[int, ...]:
        """The families to ask for, in this order."""
        return tuple(self._questions)

    def known(self) -> Sequence[Address] | None:
        """Return the addresses of a host that nobody has to be asked for, or None.

        Raises:
            AttemptError: It is in numbers, and of another family.
        """
        host, port, options = self._host, self._port, self._options
        details = (options.family, options.proto, options.flags)
        try:
            address = literal(host, port, *details) if host else None
        except socket.gaierror as exc:
            raise AttemptError("resolve", exc, sent=False) from None
        if address is not None:
            return (address,)
        if host is not None and options.resolver is not system_resolver:
            return None
        found = without_lookup(host, port, *details)
        if found is not None:
            for family in self._questions:
                self._tell_started(family)
                self._tell(family, [one for one in found if one.family == family])
        return found

    def ask(self, family: int) -> LookUp:
        """Begin to look up the addresses of *family*."""
        self._tell_started(family)
        host, resolver = self._host, self._options.resolver
        if host is None or resolver is system_resolver:
            flags = self._questions[family]
            return ask(self._loop, host, self._port, family, flags)
        return self._loop.create_task(self._resolve(host, family))

    def _tell_started(self, family: int) -> None:
        self._started[family] = now = self._loop.time()
        observe = self._options.observer
        if observe is not None:
            observe(ResolveStarted(now, self._said, self._port, family))

    @property
    def _said(self) -> str:
        """The host as the events have it."""
        return self._host or "localhost"  # which is what None means

    async def _resolve(self, host: str, family: int) -> Sequence[Address]:
        options = self._options
        return await options.resolver(
            host,
            self._port,
            family=family,
            proto=options.proto,
            flags=self._questions[family],
        )

    def answer(self, family: int, lookup: LookUp) -> Sequence[Address]:
        """Return the addresses that *lookup*, which is done, gave; perhaps none.

        Raises:
            TypeError: They are none.
            Exception: What a resolver raised that is no `OSError`.
        """
        asked_for = self._options.family
        found: Sequence[Address] = ()
        # What result() raises would have this frame, which has the look-up, which
        # has what it raises.
        cause = None if lookup.cancelled() else lookup.exception()
        if lookup.cancelled():
            # By nobody here: a race that ends asks no more.
            error: OSError | None = os_error(errno.ECANCELED, "the resolver gave up")
        elif cause is None:
            found = self._found(lookup.result())
            error = None if found else no_address((), asked_for)
        elif isinstance(cause, OSError):
            error = no_address((cause,), asked_for)
        else:
            raise cause
        self._tell(family, found, error)
        return found

    def _tell(
        self, family: int, found: Sequence[Address], error: OSError | None = None
    ) -> None:
        self._ended[family] = now = self._loop.time()
        if error is not None:
            self._failures[family] = AttemptError("resolve", error, sent=False)
        observe = self._options.observer
        if observe is None:
            return
        what = (now, self._said, self._port, family)
        elapsed = now - self._started[family]
        if error is not None:
            observe(ResolveFailed(*what, error, elapsed))
        else:
            observe(Resolved(*what, tuple(found), elapsed))

    def _found(self, answer: Any) -> tuple[Address, ...]:
        if self._host is None or self._options.resolver is system_resolver:
            return addresses_in(answer, self._options.proto)
        family = self._options.family
        if not isinstance(answer, Sequence):
            raise TypeError(f"resolver must give a sequence, not {shown(answer)}")
        given = tuple(cast("Sequence[Any]", answer))
        for address in given:
            if not isinstance(address, Address) or address.type != socket.SOCK_STREAM:
                text = "Address values of stream sockets"
                raise TypeError(f"resolver must give {text}, not {shown(address)}")
        wrong = _INET if family in _INET else ()
        return tuple(a for a in given if a.family == family or a.family not in wrong)

    def failures(self) -> list[tuple[AttemptError, float, float | None]]:
        """Return the error of each look-up, and when it started and ended."""
        error = os_error(errno.ETIMEDOUT, "the resolver has not answered yet")
        hung = Expired("resolve", error, sent=False)
        return [
            (self._failures.get(family, hung), started, self._ended.get(family))
            for family, started in self._started.items()
        ]

    def ordered(self, addresses: Sequence[Address]) -> Sequence[Address]:
        """Return *addresses* in the order in which they are tried.

        A resolver has put those of one family in order; which family comes first
        is for RFC 6724 to say.
        """
        if len({address.family for address in addresses}) < 2:
            return addresses
        return interleaved(preferred(addresses), self._options.interleave or 0)

"""Look up the addresses of one host, in one round.

`HappyEyeballs` decides what to ask, and what the answers mean.  This module begins each
look-up, tells the observer, and keeps the look-up in case nothing else is found.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Any, cast

from .._io.getaddrinfo import getaddrinfo, is_crowded
from .._io.resolver import (
    AnswerFuture,
    addresses_of_addrinfo,
    cancel_lookup,
    flags_of_one_family,
    is_no_address,
    no_address_error,
    numeric_answer,
    resolve_without_lookup,
    start_lookup,
    system_resolver,
    unanswered_error,
)
from .._sansio.addresses import INET, Address, plain_address
from .._sansio.endpoints import Endpoint
from .._sansio.error_predicates import is_transient
from .._sansio.errors import AttemptError, lookup_too_late, os_error
from .._sansio.happy_eyeballs import DnsQuery, Upcoming
from .._sansio.rfc6724 import TargetIndex
from .._sansio.text import safe_repr
from .call_record import LookupFailure
from .observing import Observer, events
from .options import Options

__all__ = ["HostLookup"]

_EAI_NODATA = getattr(socket, "EAI_NODATA", None)


class _Lookup:
    """One query: when it started and ended, and what has come of it.

    It *is_answered* if there is an answer, if only "no such address".  It *is_half* if
    it was for both families and has failed, and one of them may have addresses.
    """

    __slots__ = ("ended", "error", "has_found", "is_answered", "is_half", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.ended: float | None = None
        self.error: OSError | None = None
        self.has_found = False
        self.is_answered = False
        self.is_half = False


class HostLookup:
    """The look-ups of the host of *endpoint*, under *options*.

    *observe*, if given, is called with their events.  *index* is the position of the
    endpoint in a race of several targets.
    """

    __slots__ = (
        "_begun",
        "_family",
        "_host",
        "_index",
        "_is_known",
        "_lookups",
        "_loop",
        "_name",
        "_observe",
        "_options",
        "_port",
        "asks_system",
        "has_more",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        observe: Observer | None,
        endpoint: Endpoint,
        index: TargetIndex = (),
    ) -> None:
        self._loop = loop
        self._observe = observe
        self._host = endpoint.host
        self._name = endpoint.host or "localhost"  # in the events; None means localhost
        self._port = endpoint.port or 0
        self._index = index
        self._options = options
        self.asks_system = endpoint.host is None or options.resolver is system_resolver
        self._family = options.family
        self._lookups: dict[int, _Lookup] = {}  # by family, the whole one first
        self._is_known = False  # whether no look-up was needed
        self._begun: AnswerFuture | None = None  # by `begin`
        self.has_more = True

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the query, with the answer if that is known already.

        Raises:
            AttemptError: The host is an address of another family.
        """
        self.has_more = False
        known = self.known() if self._begun is None else None
        return (((self._index, self._family), known),)

    def begin(self) -> tuple[DnsQuery, AnswerFuture]:
        """Begin the look-up before a race, which takes it over, or `cancel`."""
        query = self._index, self._family
        self._begun = self.ask(query)
        return query, self._begun

    @property
    def begun_at(self) -> float | None:
        """When `begin` began the look-up, if it did."""
        return None if self._begun is None else self._lookups[self._family].started

    def cancel(self) -> None:
        """Cancel the look-up that `begin` began, if no race has asked for it."""
        if self._begun is not None:
            cancel_lookup(self._begun)
            self._begun = None

    def known(self) -> Sequence[Address] | None:
        """Return the addresses of a host that needs no look-up, or None.

        Raises:
            AttemptError: The host is an address of another family.
        """
        host, port, options = self._host, self._port, self._options
        details = (self._family, options.proto, options.flags)
        try:
            address = numeric_answer(host, port, *details) if host else None
        except socket.gaierror as exc:
            raise AttemptError("resolve", exc, sent=False) from None
        if address is not None:
            self._is_known = True
            return (address,)
        if not self.asks_system:
            return None
        found = resolve_without_lookup(host, port, *details)
        if found is not None:
            self._is_known = True
            lookup = self._start(self._family)
            lookup.ended = lookup.started
            self._tell(self._family, found)
        return found

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the addresses of the family in *query*."""
        if self._begun is not None:
            future, self._begun = self._begun, None
            return future
        _, family = query
        self._start(family)
        host, resolver, flags = self._host, self._options.resolver, self._flags(family)
        if self.asks_system:
            return getaddrinfo(self._loop, host, self._port, family, flags)
        details = {"family": family, "proto": self._options.proto, "flags": flags}
        return start_lookup(self._loop, resolver, host, self._port, **details)

    def _start(self, family: int) -> _Lookup:
        now = self._loop.time()
        lookup = self._lookups[family] = _Lookup(now)
        if self._observe is not None:
            self._observe(events.ResolveStarted(now, self._name, self._port, family))
        return lookup

    def _flags(self, family: int) -> int:
        """Return the flags of the query for *family*."""
        flags = self._options.flags
        return flags if family == self._family else flags_of_one_family(flags)

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address] | None:
        """Return the addresses in *future*, as `AddressProvider.answer` explains."""
        _, family = query
        lookup = self._lookups[family]
        found: Sequence[Address] = ()
        # Do not let result() raise: exception, frame and future would hold each other.
        error = None if future.cancelled() else future.exception()
        if future.cancelled():
            # The resolver cancelled it: a race that ends takes no more answers.
            error = os_error(errno.ECANCELED, "the resolver gave up")
        elif error is None:
            found = self._addresses(future.result())
        elif not isinstance(error, OSError):
            try:
                raise error
            finally:
                del error
        lookup.ended, lookup.error = self._loop.time(), error
        lookup.has_found = bool(found)
        lookup.is_half = error is not None and self._may_be_half(family, error)
        has_answer = error is None or is_no_address(error)
        lookup.is_answered = has_answer and not lookup.is_half
        self._tell(family, found)
        return None if lookup.is_half else found

    def _may_be_half(self, family: int, error: OSError) -> bool:
        """Tell whether to ask if one family has addresses, in spite of this *error*."""
        if family != socket.AF_UNSPEC or self._options.resolution_delay is None:
            return False
        # If a name has no IPv6 address, and the server fails for IPv4, glibc says that
        # there is no address.
        is_no_data = self.asks_system and error.errno == _EAI_NODATA
        if not (is_no_data or is_transient(error)):
            return False
        # Do not wait for a free thread, after an answer has come.
        return len(self._lookups) > 1 or not (self.asks_system and is_crowded())

    def _tell(self, family: int, found: Sequence[Address]) -> None:
        """Tell the observer that the look-up of *family* has ended."""
        observe, lookup = self._observe, self._lookups[family]
        if observe is None or lookup.ended is None:
            return
        what = (lookup.ended, self._name, self._port, family)
        elapsed = lookup.ended - lookup.started
        if found:
            observe(events.Resolved(*what, tuple(found), elapsed))
        else:
            error = no_address_error(lookup.error, self._family)
            observe(events.ResolveFailed(*what, error, elapsed))

    def _addresses(self, answer: Any) -> Sequence[Address]:
        if self.asks_system:
            return addresses_of_addrinfo(answer, self._options.proto)
        if not isinstance(answer, Sequence):
            raise TypeError(f"resolver must give a sequence, not {safe_repr(answer)}")
        given = tuple(map(_checked, cast("Sequence[object]", answer)))
        if self._family == socket.AF_UNSPEC:
            return given
        return tuple(
            one for one in given if one.family == self._family or one.family not in INET
        )

    @property
    def is_complete(self) -> bool:
        """Whether every address was found, if there is one."""
        if self._is_known:
            return True
        whole = self._lookups.get(self._family)
        if whole is None:
            return False
        return whole.is_answered or (whole.is_half and self._has_both)

    @property
    def _has_both(self) -> bool:
        """Whether the families were asked for apart, and both have answered."""
        apart = [self._lookups.get(family) for family in INET]
        return all(lookup is not None and lookup.is_answered for lookup in apart)

    @property
    def has_settled(self) -> bool:
        """Whether there is an answer for every family, in one or apart."""
        return self.is_complete or self._has_both

    def failures(self, is_too_late: bool = False) -> Sequence[LookupFailure]:
        """Return the look-ups if none found an address, or if *is_too_late*."""
        if self._is_known:
            return ()
        lookups = self._lookups
        whole = lookups.get(self._family)
        if whole is not None and whole.ended is not None and not whole.is_half:
            lookups = {self._family: whole}  # what came apart does not count
        if any(one.has_found for one in lookups.values()) and not is_too_late:
            return ()
        return [
            LookupFailure(self._host, self._failure(family), one.started, one.ended)
            for family, one in lookups.items()
        ]

    def _failure(self, family: int) -> AttemptError:
        lookup = self._lookups[family]
        if lookup.ended is None:
            query = (family, self._flags(family))
            return unanswered_error("resolve", self._host, self._port, query)
        if lookup.has_found:
            return lookup_too_late("addresses")
        error = no_address_error(lookup.error, self._family)
        return AttemptError("resolve", error, sent=False)


def _checked(address: object) -> Address:
    """Return *address*, which a resolver returned, as a `plain_address`."""
    plain = plain_address(address) if isinstance(address, Address) else None
    if plain is None or plain.type != socket.SOCK_STREAM:
        text = "Address values of stream sockets"
        raise TypeError(f"resolver must give {text}, not {safe_repr(address)}")
    return plain

"""Look up the addresses of several targets, which are raced."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_expired, lookup_too_late
from .._sansio.happy_eyeballs import DnsQuery, TargetIndex
from .address_source import AnswerFuture, Upcoming
from .call_record import CallRecord, LookupFailure
from .lookups import HostLookup
from .service_lookup import ServiceLookup

__all__ = ["MultiHostLookup"]

# Endpoints that are looked at before the loop gets to run in between.
_IN_A_ROW = 64


class MultiHostLookup:
    """The look-ups of *endpoints*, on *loop*, under the options of *record*.

    The hosts and ports of a service take its place among them once they are known.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        record: CallRecord,
        endpoints: Sequence[Endpoint],
    ) -> None:
        self._loop = loop
        self._record = record
        # The endpoints that have no query yet, each with its index.
        self._unseen: deque[Iterator[tuple[TargetIndex, Endpoint | None]]] = deque()
        self._hosts: dict[TargetIndex, HostLookup] = {}
        # The services: not asked yet, under way, and answered.
        self._services: dict[TargetIndex, str] = {}
        self._under_way: dict[TargetIndex, ServiceLookup] = {}
        self._answered: list[ServiceLookup] = []
        self._failures: list[LookupFailure] = []
        self._add((), endpoints)

    def _add(self, index: TargetIndex, endpoints: Iterable[Endpoint | None]) -> None:
        """Put *endpoints*, in their order, at *index*."""
        numbered = (((*index, n), one) for n, one in enumerate(endpoints))
        self._unseen.append(numbered)

    @property
    def has_more(self) -> bool:
        """Whether there are endpoints that have no query yet."""
        return bool(self._unseen)

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the queries of the next endpoints, or what is known of them."""
        found: list[Upcoming] = []
        for _ in range(_IN_A_ROW):
            if not self._unseen:
                break
            try:
                index, endpoint = next(self._unseen[0])
            except StopIteration:
                self._unseen.popleft()
            else:
                # A record whose host is no name still counts as one looked at.
                found += () if endpoint is None else self._queries(index, endpoint)
        return found

    def _queries(self, index: TargetIndex, endpoint: Endpoint) -> Iterable[Upcoming]:
        query = index, socket.AF_UNSPEC
        if endpoint.service is not None:
            self._services[index] = endpoint.service
            return ((query, None),)
        if endpoint.address is not None:
            return ((query, (endpoint.address,)),)
        host = HostLookup(self._loop, self._record, endpoint, index)
        now = self._loop.time()
        try:
            upcoming = host.upcoming()
        except AttemptError as exc:
            self._failures.append(LookupFailure(endpoint.host, _bare(exc), now, now))
            return ()
        self._hosts[index] = host
        return upcoming

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the answer to *query*."""
        index, _ = query
        service = self._services.pop(index, None)
        if service is None:
            return self._hosts[index].ask(query)
        lookup = ServiceLookup(self._loop, self._record, service)
        self._under_way[index] = lookup
        return lookup.future

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address]:
        """Return the addresses that *future* has given.

        The endpoints of a service are `upcoming` then.
        """
        index, _ = query
        lookup = self._under_way.pop(index, None)
        if lookup is None:
            return self._hosts[index].answer(query, future)
        self._answered.append(lookup)
        found = _endpoints_of(lookup, future, self._answered, self._failures)
        self._add(index, found)
        return ()

    @property
    def is_complete(self) -> bool:
        """Whether every query was answered, if only with "no such address"."""
        if self._unseen or self._services or self._under_way or self._failures:
            return False
        return all(host.is_complete for host in self._hosts.values())

    def failures(self, is_too_late: bool) -> Iterator[LookupFailure]:
        """Yield the look-ups without an address; if *is_too_late*, all of them."""
        yield from self._failures
        hung = lookup_expired("resolve")
        for one in self._under_way.values():
            yield LookupFailure(one.service, hung, one.started, None)
        # The hosts of a service that were asked for speak for it.
        for one in self._answered if is_too_late and not self._hosts else ():
            late = lookup_too_late("hosts")
            yield LookupFailure(one.service, late, one.started, None)
        for host in self._hosts.values():
            yield from host.failures(is_too_late)


def _endpoints_of(
    lookup: ServiceLookup,
    future: AnswerFuture,
    answered: list[ServiceLookup],
    failures: list[LookupFailure],
) -> Iterator[Endpoint | None]:
    """Yield the endpoints that *lookup* has found; without one, it has failed.

    A failure takes it from *answered* to *failures*.  This is no method: the generator
    would hold the `MultiHostLookup`, which holds the generator.
    """
    try:
        yield from lookup.endpoints(future)
    except AttemptError as exc:
        now = asyncio.get_running_loop().time()
        answered.remove(lookup)
        failures.append(LookupFailure(lookup.service, _bare(exc), lookup.started, now))


def _bare(exc: AttemptError) -> AttemptError:
    """Return *exc* without its frames, which would hold what holds it."""
    return exc.with_traceback(None)

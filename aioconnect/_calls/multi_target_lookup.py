"""Look up the addresses of several targets in one race."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from .._io.resolver import AnswerFuture
from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError, lookup_expired, lookup_too_late
from .._sansio.happy_eyeballs import SRV, DnsQuery, Upcoming
from .._sansio.rfc6724 import TargetIndex
from .call_record import CallRecord, LookupFailure
from .host_lookup import HostLookup
from .service_lookup import ServiceLookup

__all__ = ["MultiTargetLookup"]

# How many endpoints are examined before the loop gets to run.
_IN_A_ROW = 64


class MultiTargetLookup:
    """The look-ups of *endpoints*, on *loop*, under the options of *record*.

    Once the hosts and ports of a service are known, they replace the service.
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
        # The services that are not asked yet, those under way, and those answered.
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

    @property
    def begun_at(self) -> None:
        """When a query was asked before the race: never."""

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the queries of the next endpoints, or their known addresses."""
        found: list[Upcoming] = []
        for _ in range(_IN_A_ROW):
            if not self._unseen:
                break
            try:
                index, endpoint = next(self._unseen[0])
            except StopIteration:
                self._unseen.popleft()
            else:
                # A record whose host is no valid name still counts as examined.
                found += () if endpoint is None else self._queries(index, endpoint)
        return found

    def _queries(self, index: TargetIndex, endpoint: Endpoint) -> Iterable[Upcoming]:
        if endpoint.service is not None:
            self._services[index] = endpoint.service
            return (((index, SRV), None),)
        if endpoint.address is not None:
            return (((index, socket.AF_UNSPEC), (endpoint.address,)),)
        record = self._record
        options, observe = record.options, record.observe
        host = HostLookup(self._loop, options, observe, endpoint, index)
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

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address] | None:
        """Return the addresses in the result of *future*, as `HostLookup.answer` does.

        For a service there are none.  Its endpoints are `upcoming` afterwards.
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
        """Whether every address was found, if there is one."""
        if self._unseen or self._services or self._under_way or self._failures:
            return False
        return all(host.is_complete for host in self._hosts.values())

    def failures(self, is_too_late: bool) -> Iterator[LookupFailure]:
        """Yield the look-ups without an address; if *is_too_late*, all of them."""
        yield from self._failures
        hung = lookup_expired("resolve")
        for one in self._under_way.values():
            yield LookupFailure(one.service, hung, one.started, None)
        # A service whose hosts were asked for is reported by their look-ups.
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
    would hold the `MultiTargetLookup`, which holds the generator.
    """
    try:
        yield from lookup.endpoints(future)
    except AttemptError as exc:
        now = asyncio.get_running_loop().time()
        answered.remove(lookup)
        failures.append(LookupFailure(lookup.service, _bare(exc), lookup.started, now))


def _bare(exc: AttemptError) -> AttemptError:
    """Return *exc* without its traceback, whose frames would form a cycle with it."""
    return exc.with_traceback(None)

"""Ask for the addresses of a race, a bounded number of look-ups at a time.

A place gets its turn here.  `_eyeballs` says in which order the addresses are tried.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import (
    AttemptError,
    lookup_displaced,
    lookup_expired,
    lookup_too_late,
)
from .._sansio.happy_eyeballs import DnsQuery, HappyEyeballs, TargetIndex
from .host_lookup import AddressSource, AnswerFuture, Failure, HostLookup, Upcoming
from .options import Options
from .service_lookup import ServiceLookup

__all__ = ["MOST_ASKED", "LookupQueue", "MultiHostLookup"]

# How many look-ups of one call are under way.  A name has two, AAAA and A.
MOST_ASKED = 64

# After so many seconds a look-up makes room for another.  It is what a name server has
# to answer ("timeout:n [...] default is RES_TIMEOUT", resolv.conf(5)).  With a deadline
# it is less, so that all have their turn, but no less than what most answers take.
_PATIENCE = 5.0
_LEAST_PATIENCE = 0.1

# So many places are looked at before the loop gets to run in between.
_IN_A_ROW = 64


class MultiHostLookup:
    """The look-ups of *places*, on the running loop, under *options*.

    The hosts and ports of a service take its turn once they are known.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        places: Sequence[Endpoint],
    ) -> None:
        self._loop = loop
        self._options = options
        # Those that nobody has looked at yet, each with its turn.
        self._places: deque[Iterator[tuple[TargetIndex, Endpoint | None]]] = deque()
        self._names: dict[TargetIndex, HostLookup] = {}
        self._services: dict[TargetIndex, str] = {}
        self._asked: dict[TargetIndex, ServiceLookup] = {}
        self._answered: list[ServiceLookup] = []
        self._failures: list[Failure] = []
        self._add((), places)

    def _add(self, turn: TargetIndex, places: Iterable[Endpoint | None]) -> None:
        """Have *places* take their turns at *turn*, one after the other."""
        self._places.append(((*turn, n), place) for n, place in enumerate(places))

    @property
    def has_more(self) -> bool:
        """Whether there are places that nobody has looked at."""
        return bool(self._places)

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the questions about the next places, or what is known of them."""
        found: list[Upcoming] = []
        for _ in range(_IN_A_ROW):
            if not self._places:
                break
            try:
                turn, place = next(self._places[0])
            except StopIteration:
                self._places.popleft()
            else:
                # A record of a service that is nowhere counts as one looked at.
                found += () if place is None else self._about(turn, place)
        return found

    def _about(self, turn: TargetIndex, place: Endpoint) -> Iterable[Upcoming]:
        question = turn, socket.AF_UNSPEC
        if place.service is not None:
            self._services[turn] = place.service
            return ((question, None),)
        if place.address is not None:
            return ((question, (place.address,)),)
        names = HostLookup(self._loop, self._options, place.host, place.port or 0, turn)
        now = self._loop.time()
        try:
            upcoming = names.upcoming()
        except AttemptError as exc:
            self._failures.append(Failure(place.host, _bare(exc), now, now))
            return ()
        self._names[turn] = names
        return upcoming

    def ask(self, question: DnsQuery) -> AnswerFuture:
        """Do what `HostLookup.ask` does."""
        turn = question[0]
        service = self._services.pop(turn, None)
        if service is None:
            return self._names[turn].ask(question)
        asked = self._asked[turn] = ServiceLookup(self._loop, self._options, service)
        return asked.future

    def answer(self, question: DnsQuery, lookup: AnswerFuture) -> Sequence[Address]:
        """Do what `HostLookup.answer` does; a service's places are `upcoming` then."""
        turn = question[0]
        asked = self._asked.pop(turn, None)
        if asked is None:
            return self._names[turn].answer(question, lookup)
        self._answered.append(asked)
        self._add(turn, self._places_of(asked, lookup))
        return ()

    def _places_of(
        self, asked: ServiceLookup, lookup: AnswerFuture
    ) -> Iterator[Endpoint | None]:
        """Yield what `ServiceLookup.places` does; if that is nothing, it has failed."""
        try:
            yield from asked.places(lookup)
        except AttemptError as exc:
            now = self._loop.time()
            self._answered.remove(asked)
            failure = Failure(asked.service, _bare(exc), asked.started, now)
            self._failures.append(failure)

    @property
    def knows_all(self) -> bool:
        """Whether every question was answered, if with no."""
        if self._places or self._services or self._asked or self._failures:
            return False
        return all(names.knows_all for names in self._names.values())

    def failures(self, late: bool) -> Iterator[Failure]:
        """Yield the look-ups that left a place without an address, or all if *late*."""
        yield from self._failures
        hung = lookup_expired("resolve")
        for one in self._asked.values():
            yield Failure(one.service, hung, one.started, None)
        # The hosts of a service that were asked for speak for it.
        for one in self._answered if late and not self._names else ():
            yield Failure(one.service, lookup_too_late("hosts"), one.started, None)
        for names in self._names.values():
            yield from names.failures(late)


def _bare(exc: AttemptError) -> AttemptError:
    return exc.with_traceback(None)  # which has this frame, and that what it is in


class LookupQueue:
    """The look-ups of *names* for *race*, on the running loop: `MOST_ASKED` at a time.

    *answered* is called when one of them has ended.  All are asked before *until*, if
    the time is enough.  Whoever drives it calls `begin` once, `take` and `ask` in
    turns, and `close` in any case.
    """

    __slots__ = (
        "_answered",
        "_asked",
        "_loop",
        "_names",
        "_race",
        "_unasked",
        "_until",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        names: AddressSource,
        race: HappyEyeballs,
        answered: Callable[[AnswerFuture], object],
        until: float | None,
    ) -> None:
        self._loop = loop
        self._names = names
        self._race = race
        self._answered = answered
        self._until = until
        self._unasked: deque[DnsQuery] = deque()
        # With the time when each began, the oldest first.
        self._asked: dict[DnsQuery, tuple[AnswerFuture, float]] = {}

    async def begin(self) -> None:
        """Ask the first questions, and wait for the answers that are there at once.

        Raises:
            AttemptError: There can be no address.
        """
        begun = self._begin()
        if any(not lookup.done() for lookup in begun):
            # A resolver that knows the answer has given it by then.
            await asyncio.sleep(0)
            self._listen(begun)

    def ask(self) -> None:
        """Ask what may be asked now."""
        if self._unasked or self._names.has_more:
            self._listen(self._begin())

    def _begin(self) -> list[AnswerFuture]:
        now = self._loop.time()
        for question, known in self._names.upcoming() if self._names.has_more else ():
            if known is not None:
                self._race.answered(question, known, now)
            else:
                self._race.asked(question)
                self._unasked.append(question)
        begun: list[AnswerFuture] = []
        while self._unasked and len(self._asked) < MOST_ASKED:
            question = self._unasked.popleft()
            lookup = self._names.ask(question)
            self._asked[question] = lookup, now
            begun.append(lookup)
        return begun

    def _listen(self, lookups: Iterable[AnswerFuture]) -> None:
        for lookup in lookups:
            if not lookup.done():
                lookup.add_done_callback(self._answered)

    def take(self, now: float) -> bool:
        """Give the race what was answered; tell whether there was anything."""
        self._make_room(now)
        done = [(to, it) for to, (it, _) in self._asked.items() if it.done()]
        for question, lookup in done:
            self._take(question, lookup, now)
        return bool(done)

    def _take(self, question: DnsQuery, lookup: AnswerFuture, now: float) -> None:
        del self._asked[question]
        found = self._names.answer(question, lookup)
        self._race.answered(question, found, now)

    def _make_room(self, now: float) -> None:
        """Give up the oldest look-ups that have kept others waiting for too long."""
        if self.due() is None:
            return
        oldest = list(itertools.islice(self._asked.items(), len(self._unasked)))
        for question, (lookup, began) in oldest:
            if self._patient_until(began) > now:
                break
            if not lookup.done():
                lookup.cancel()
                lookup = self._loop.create_future()  # noqa: PLW2901
                lookup.set_exception(lookup_displaced())
            self._take(question, lookup, now)

    def due(self) -> float | None:
        """Return when the oldest look-up has to make room for another, or None."""
        if not self._unasked or len(self._asked) < MOST_ASKED:
            return None
        _, began = next(iter(self._asked.values()))
        return self._patient_until(began)

    def _patient_until(self, began: float) -> float:
        """Return when a look-up that *began* then has to make room for another.

        What was left of the time is shared with those that wait.
        """
        if self._until is None:
            return began + _PATIENCE
        shares = 1 + math.ceil(len(self._unasked) / MOST_ASKED)
        share = (self._until - began) / shares
        return began + min(_PATIENCE, max(share, _LEAST_PATIENCE))

    @property
    def count(self) -> int:
        """How many look-ups are under way, or wait for that."""
        return len(self._asked) + len(self._unasked)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nobody who will say so."""
        return self._names.has_more or any(it.done() for it, _ in self._asked.values())

    def close(self) -> None:
        """Cancel the look-ups, and call nobody any more."""
        # Else this and what drives it would hold each other.
        self._answered = _seen
        asked, self._asked = self._asked, {}
        for lookup, _ in asked.values():
            lookup.add_done_callback(_seen)
            lookup.cancel()


def _seen(lookup: AnswerFuture) -> None:
    """Have an error not be logged that nobody looks at any more."""
    if not lookup.cancelled():
        lookup.exception()

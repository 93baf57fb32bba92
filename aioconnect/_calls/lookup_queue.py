"""Ask the queries of a race, a limited number at a time, and take their answers."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from .._io.getaddrinfo import is_crowded
from .._io.resolver import AnswerFuture, cancel_lookup, retrieve_error
from .._io.timers import earliest
from .._sansio.addresses import Address
from .._sansio.errors import lookup_displaced
from .._sansio.happy_eyeballs import DnsQuery, HappyEyeballs, Upcoming
from .._sansio.rfc6724 import TargetIndex
from .call_record import LookupFailure

__all__ = ["MOST_TARGETS", "AddressProvider", "LookupQueue"]

# The most targets of one call that are looked up at a time.
MOST_TARGETS = 64

# After this many seconds a target makes room for another.  A name server has the same
# time to answer ("timeout:n [...] default is RES_TIMEOUT", resolv.conf(5)).  A call
# with a deadline shortens the time, so that every name has its turn, but not below the
# time that most answers take.
_PATIENCE = 5.0
_LEAST_PATIENCE = 0.1

# In seconds: how often to look whether enough threads are free to ask for the families
# apart.
_CROWDED_DELAY = 0.05


class AddressProvider(Protocol):
    """The source of a race's addresses: a host, or many targets."""

    @property
    def has_more(self) -> bool:
        """Whether `upcoming` has queries that it has not given yet."""
        ...

    @property
    def begun_at(self) -> float | None:
        """When the only query was asked, if that was before the race."""
        ...

    def upcoming(self) -> Sequence[Upcoming]:
        """Return the next queries: a limited number at a time, and each query once.

        Raises:
            AttemptError: There can be no address.
        """
        ...

    def ask(self, query: DnsQuery) -> AnswerFuture:
        """Begin to look up the answer to *query*."""
        ...

    def answer(self, query: DnsQuery, future: AnswerFuture) -> Sequence[Address] | None:
        """Return the addresses in the result of *future*, which is done.

        There may be none.  None means that the look-up of both families has failed for
        now, and that one of them may have addresses.

        Raises:
            TypeError: The result is something else.
            Exception: The resolver raised it, and it is no `OSError`.
        """
        ...

    def failures(self, is_too_late: bool) -> Iterable[LookupFailure]:
        """Return the look-ups that left a target without an address.

        With *is_too_late*, return all look-ups: the time was up before any address
        could be dialled.
        """
        ...

    @property
    def is_complete(self) -> bool:
        """Whether every address was found, if there is one."""
        ...


class _Target:
    """A target that is looked up: when it was asked for, and its futures by family."""

    __slots__ = ("asked_at", "futures")

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.futures: dict[int, AnswerFuture] = {}


class LookupQueue:
    """The look-ups of *provider* for a race by *rules*: 64 targets at a time.

    *wake* is called when a look-up has ended.  All targets are asked for before
    *until*, if there is enough time.
    """

    __slots__ = (
        "_apart_from",
        "_loop",
        "_provider",
        "_rules",
        "_targets",
        "_unasked",
        "_until",
        "_wake",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        provider: AddressProvider,
        rules: HappyEyeballs,
        wake: Callable[[], object],
        until: float | None,
    ) -> None:
        self._loop = loop
        self._provider = provider
        self._rules = rules
        self._wake = wake
        self._until = until
        self._unasked: deque[DnsQuery] = deque()
        self._targets: dict[TargetIndex, _Target] = {}  # the oldest first
        self._apart_from = 0.0  # no family is asked for apart before

    def close(self) -> None:
        """Cancel the look-ups under way."""
        while self._targets:
            self._drop(next(iter(self._targets)))

    def _drop(self, index: TargetIndex) -> None:
        """Cancel what is left of the look-ups of the target at *index*."""
        for future in self._targets.pop(index).futures.values():
            cancel_lookup(future)

    @property
    def has_more(self) -> bool:
        """Whether there are targets that `ask` may ask for now."""
        if self._provider.has_more:
            return True
        return bool(self._unasked) and len(self._targets) < MOST_TARGETS

    async def ask(self) -> None:
        """Ask for the next targets, and give their answers a chance to come at once.

        Raises:
            AttemptError: There can be no address.
        """
        now = self._loop.time()
        begun_at = self._provider.begun_at
        asked_at = now if begun_at is None else begun_at
        has_more = self._provider.has_more
        for query, known in self._provider.upcoming() if has_more else ():
            if known is not None:
                self._rules.answered(query, known, now)
            else:
                self._unasked.append(query)
        pending: list[AnswerFuture] = []
        while self._unasked and len(self._targets) < MOST_TARGETS:
            query = self._unasked.popleft()
            self._rules.asked(query, asked_at)
            self._targets[query[0]] = _Target(asked_at)
            pending += self._ask(query)
        pending += self._ask_apart(now)
        if not pending:
            return
        # A resolver that knows the answer has given it by the next turn of the loop.
        await asyncio.sleep(0)
        for future in pending:
            self._watch(future)

    def _ask(self, query: DnsQuery) -> Sequence[AnswerFuture]:
        """Ask *query*; return its future, if there is no answer at once."""
        index, family = query
        future = self._provider.ask(query)
        self._targets[index].futures[family] = future
        return () if future.done() else (future,)

    def _ask_apart(self, now: float) -> list[AnswerFuture]:
        """Ask for the families apart where the whole answer is late."""
        pending: list[AnswerFuture] = []
        while (at := self._rules.next_apart()) is not None:
            if max(at, self._apart_from) > now:
                break
            if is_crowded():
                self._apart_from = now + _CROWDED_DELAY
                break
            for query in self._rules.ask_apart(now):
                pending += self._ask(query)
        return pending

    def _watch(self, future: AnswerFuture) -> None:
        if not future.done():
            future.add_done_callback(self._answered)

    def _answered(self, future: AnswerFuture) -> None:
        retrieve_error(future)
        self._wake()

    def take(self, now: float) -> bool:
        """Give the race the answers that have come; tell whether there are any.

        Then ask for the families of the targets whose whole answer is late.
        """
        has_answers = self._make_room(now)
        for index, target in list(self._targets.items()):
            if any(future.done() for future in target.futures.values()):
                self._take(index, target, now)
                has_answers = True
        for future in self._ask_apart(now):
            self._watch(future)
        return has_answers

    def _take(self, index: TargetIndex, target: _Target, now: float) -> None:
        """Take the answers of *target* that have come, the whole one first."""
        for family, future in list(target.futures.items()):
            if not future.done():
                continue
            del target.futures[family]
            # The provider may look at an error later, or never if the call is
            # cancelled.
            retrieve_error(future)
            query = index, family
            found = self._provider.answer(query, future)
            for half in self._rules.answered(query, found, now):
                for asked in self._ask(half):
                    self._watch(asked)
            if not self._rules.awaits(index):
                self._drop(index)
                return

    def _make_room(self, now: float) -> bool:
        """Give up the oldest targets if they have kept others waiting for too long."""
        if self._room_due() is None:
            return False
        has_answers = False
        oldest = list(itertools.islice(self._targets.items(), len(self._unasked)))
        for index, target in oldest:
            if self._patient_until(target) > now:
                break
            for family, future in target.futures.items():
                if not future.done():
                    future.cancel()
                    displaced = target.futures[family] = self._loop.create_future()
                    displaced.set_exception(lookup_displaced())
            self._take(index, target, now)
            if index in self._targets:
                self._rules.stop_asking(index)
                self._drop(index)
            has_answers = True
        return has_answers

    def _room_due(self) -> float | None:
        """Return when the oldest target has to make room for another, or None."""
        if not self._unasked or len(self._targets) < MOST_TARGETS:
            return None
        return self._patient_until(next(iter(self._targets.values())))

    def _patient_until(self, target: _Target) -> float:
        """Return when *target* has to make room.

        It shares the time that was left when it was asked for with the others that
        wait.
        """
        if self._until is None:
            return target.asked_at + _PATIENCE
        shares = 1 + math.ceil(len(self._unasked) / MOST_TARGETS)
        share = (self._until - target.asked_at) / shares
        return target.asked_at + min(_PATIENCE, max(share, _LEAST_PATIENCE))

    def due(self) -> float | None:
        """Return when `take` has something to do, if no answer comes before."""
        apart_at = self._rules.next_apart()
        if apart_at is not None:
            apart_at = max(apart_at, self._apart_from)
        return earliest(self._room_due(), apart_at)

    def __len__(self) -> int:
        """How many targets are looked up, or wait for that."""
        return len(self._targets) + len(self._unasked)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do now, which no callback will announce."""
        return self.has_more or any(
            future.done()
            for target in self._targets.values()
            for future in target.futures.values()
        )

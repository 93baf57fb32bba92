"""Ask the queries of a race, a bounded number at a time, and take their answers."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Callable

from .._sansio.errors import lookup_displaced
from .._sansio.happy_eyeballs import DnsQuery, HappyEyeballs
from .address_source import AddressSource, AnswerFuture

__all__ = ["MOST_ASKED", "LookupQueue"]

# How many look-ups of one call are under way.  A name has two, AAAA and A.
MOST_ASKED = 64

# After this many seconds a look-up makes room for another: a name server has as many to
# answer ("timeout:n [...] default is RES_TIMEOUT", resolv.conf(5)).  With a deadline it
# is less, so that every name has its turn, but no less than what most answers take.
_PATIENCE = 5.0
_LEAST_PATIENCE = 0.1


class LookupQueue:
    """The look-ups of *source* for a *race*, on *loop*: `MOST_ASKED` at a time.

    *wake* is called when one of them has ended.  If the time is enough, all are asked
    before *until*.
    """

    __slots__ = (
        "_loop",
        "_race",
        "_source",
        "_unasked",
        "_under_way",
        "_until",
        "_wake",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: AddressSource,
        race: HappyEyeballs,
        wake: Callable[[], object],
        until: float | None,
    ) -> None:
        self._loop = loop
        self._source = source
        self._race = race
        self._wake = wake
        self._until = until
        self._unasked: deque[DnsQuery] = deque()
        # With the time when each was asked, the oldest first.
        self._under_way: dict[DnsQuery, tuple[AnswerFuture, float]] = {}

    def close(self) -> None:
        """Cancel the look-ups under way."""
        while self._under_way:
            _, (future, _) = self._under_way.popitem()
            future.add_done_callback(_retrieve)
            future.cancel()

    @property
    def has_more(self) -> bool:
        """Whether there are queries that `ask` may ask now."""
        is_full = len(self._under_way) >= MOST_ASKED
        return self._source.has_more or (bool(self._unasked) and not is_full)

    async def ask(self) -> None:
        """Ask the next queries, and give their answers a chance to come at once.

        Raises:
            AttemptError: There can be no address.
        """
        now = self._loop.time()
        for query, known in self._source.upcoming() if self._source.has_more else ():
            if known is not None:
                self._race.answered(query, known, now)
            else:
                self._race.asked(query)
                self._unasked.append(query)
        asked: list[AnswerFuture] = []
        while self._unasked and len(self._under_way) < MOST_ASKED:
            query = self._unasked.popleft()
            future = self._source.ask(query)
            self._under_way[query] = future, now
            asked.append(future)
        if all(future.done() for future in asked):
            return
        # A resolver that knows the answer has given it by the next turn of the loop.
        await asyncio.sleep(0)
        for future in asked:
            if not future.done():
                future.add_done_callback(self._answered)

    def _answered(self, future: AnswerFuture) -> None:
        _retrieve(future)
        self._wake()

    def take(self, now: float) -> bool:
        """Give the race the answers that have come; tell whether there are any."""
        self._make_room(now)
        done = [
            (query, one) for query, (one, _) in self._under_way.items() if one.done()
        ]
        for query, future in done:
            self._take(query, future, now)
        return bool(done)

    def _take(self, query: DnsQuery, future: AnswerFuture, now: float) -> None:
        del self._under_way[query]
        # The source may look at an error later, or never if the call is cancelled.
        _retrieve(future)
        self._race.answered(query, self._source.answer(query, future), now)

    def _make_room(self, now: float) -> None:
        """Give up the oldest look-ups, which have kept others waiting for too long."""
        if self.due() is None:
            return
        oldest = list(itertools.islice(self._under_way.items(), len(self._unasked)))
        for query, (future, asked_at) in oldest:
            if self._patient_until(asked_at) > now:
                break
            if not future.done():
                future.cancel()
                future = self._loop.create_future()  # noqa: PLW2901  # it stands for it
                future.set_exception(lookup_displaced())
            self._take(query, future, now)

    def due(self) -> float | None:
        """Return when the oldest look-up has to make room for another, or None."""
        if not self._unasked or len(self._under_way) < MOST_ASKED:
            return None
        _, asked_at = next(iter(self._under_way.values()))
        return self._patient_until(asked_at)

    def _patient_until(self, asked_at: float) -> float:
        """Return when a look-up that was *asked_at* that time has to make room.

        The time that was left then is shared with those that wait.
        """
        if self._until is None:
            return asked_at + _PATIENCE
        shares = 1 + math.ceil(len(self._unasked) / MOST_ASKED)
        share = (self._until - asked_at) / shares
        return asked_at + min(_PATIENCE, max(share, _LEAST_PATIENCE))

    def __len__(self) -> int:
        """How many look-ups are under way, or wait to be."""
        return len(self._under_way) + len(self._unasked)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do that no callback will announce."""
        return self.has_more or any(
            future.done() for future, _ in self._under_way.values()
        )


def _retrieve(future: AnswerFuture) -> None:
    """Look at the error, so that the loop does not log it if nobody else does."""
    if not future.cancelled():
        future.exception()

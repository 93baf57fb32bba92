"""Ask the queries of a race, a limited number at a time, and take their answers."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Callable

from .._sansio.errors import lookup_displaced
from .._sansio.happy_eyeballs import DnsQuery, HappyEyeballs
from .address_provider import AddressProvider, AnswerFuture

__all__ = ["MOST_ASKED", "LookupQueue"]

# The most look-ups of one call at a time.  A name has two of them, AAAA and A.
MOST_ASKED = 64

# After this many seconds a look-up makes room for another.  A name server has the same
# time to answer ("timeout:n [...] default is RES_TIMEOUT", resolv.conf(5)).  A call
# with a deadline shortens the time, so that every name has its turn, but not below the
# time that most answers take.
_PATIENCE = 5.0
_LEAST_PATIENCE = 0.1


class LookupQueue:
    """The look-ups of *provider* for a race by *rules*, on *loop*: 64 at a time.

    *wake* is called when a look-up has ended.  All are asked before *until*, if there
    is enough time.
    """

    __slots__ = (
        "_loop",
        "_provider",
        "_rules",
        "_unasked",
        "_under_way",
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
        # Each with the time when it was asked, the oldest first.
        self._under_way: dict[DnsQuery, tuple[AnswerFuture, float]] = {}

    def close(self) -> None:
        """Cancel the look-ups under way."""
        for future, _ in self._under_way.values():
            future.add_done_callback(_retrieve)
            future.cancel()
        self._under_way.clear()

    @property
    def has_more(self) -> bool:
        """Whether there are queries that `ask` may ask now."""
        if self._provider.has_more:
            return True
        return bool(self._unasked) and len(self._under_way) < MOST_ASKED

    async def ask(self) -> None:
        """Ask the next queries, and give their answers a chance to come at once.

        Raises:
            AttemptError: There can be no address.
        """
        now = self._loop.time()
        for query, known in (
            self._provider.upcoming() if self._provider.has_more else ()
        ):
            if known is not None:
                self._rules.answered(query, known, now)
            else:
                self._rules.asked(query)
                self._unasked.append(query)
        pending: list[AnswerFuture] = []
        while self._unasked and len(self._under_way) < MOST_ASKED:
            query = self._unasked.popleft()
            future = self._provider.ask(query)
            self._under_way[query] = future, now
            if not future.done():
                pending.append(future)
        if not pending:
            return
        # A resolver that knows the answer has given it by the next turn of the loop.
        await asyncio.sleep(0)
        for future in pending:
            if not future.done():
                future.add_done_callback(self._answered)

    def _answered(self, future: AnswerFuture) -> None:
        _retrieve(future)
        self._wake()

    def take(self, now: float) -> bool:
        """Give the race the answers that have come; tell whether there are any."""
        count = len(self._under_way)
        self._make_room(now)
        under_way = self._under_way.items()
        for query, future in [(q, future) for q, (future, _) in under_way]:
            if future.done():
                self._take(query, future, now)
        return len(self._under_way) < count

    def _take(self, query: DnsQuery, future: AnswerFuture, now: float) -> None:
        del self._under_way[query]
        # The provider may look at an error later, or never if the call is cancelled.
        _retrieve(future)
        self._rules.answered(query, self._provider.answer(query, future), now)

    def _make_room(self, now: float) -> None:
        """Give up the oldest look-ups if they have kept others waiting for too long."""
        if self.due() is None:
            return
        oldest = list(itertools.islice(self._under_way.items(), len(self._unasked)))
        for query, (future, asked_at) in oldest:
            if self._patient_until(asked_at) > now:
                break
            if not future.done():
                future.cancel()
                future = self._loop.create_future()  # noqa: PLW2901  # a stand-in
                future.set_exception(lookup_displaced())
            self._take(query, future, now)

    def due(self) -> float | None:
        """Return when the oldest look-up has to make room for another, or None."""
        if not self._unasked or len(self._under_way) < MOST_ASKED:
            return None
        _, asked_at = next(iter(self._under_way.values()))
        return self._patient_until(asked_at)

    def _patient_until(self, asked_at: float) -> float:
        """Return when a look-up that was asked at *asked_at* has to make room.

        It shares the time that was left at that moment with the look-ups that wait.
        """
        if self._until is None:
            return asked_at + _PATIENCE
        shares = 1 + math.ceil(len(self._unasked) / MOST_ASKED)
        share = (self._until - asked_at) / shares
        return asked_at + min(_PATIENCE, max(share, _LEAST_PATIENCE))

    def __len__(self) -> int:
        """How many look-ups are under way, or waiting."""
        return len(self._under_way) + len(self._unasked)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do now, which no callback will announce."""
        return self.has_more or any(
            future.done() for future, _ in self._under_way.values()
        )


def _retrieve(future: AnswerFuture) -> None:
    """Retrieve the error of *future*, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()

"""Decide which address to dial, and when: Happy Eyeballs (RFC 8305).

Pure.  `HappyEyeballs` is told what happens and when, and says what is to be done; who
drives it owns the sockets, the look-ups and the clock.
"""

from __future__ import annotations

import heapq
import socket
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from .addresses import Address

__all__ = [
    "MAXIMUM_ATTEMPT_DELAY",
    "MINIMUM_ATTEMPT_DELAY",
    "MOST_LIVE",
    "DnsQuery",
    "HappyEyeballs",
    "SortAddresses",
    "TargetIndex",
]

# "Minimum Connection Attempt Delay [...] MUST NOT be less than 10 milliseconds.
# Maximum Connection Attempt Delay [...] Recommended to be 2 seconds" (RFC 8305,
# section 8).
MINIMUM_ATTEMPT_DELAY = 0.010
MAXIMUM_ATTEMPT_DELAY = 2.0

# A name with fifty addresses that are all silent is no reason for fifty SYNs.
MOST_LIVE = 6

# Puts the addresses of one place into the order in which they are tried, each once.
SortAddresses: TypeAlias = Callable[[Sequence[Address]], Sequence[Address]]

# Where a place stands among those that are raced: (2,) is the third, (2, 0) the first
# host of the service there, and () the only one.
TargetIndex: TypeAlias = tuple[int, ...]

# Whose addresses are asked for, and of which family.
DnsQuery: TypeAlias = tuple[TargetIndex, int]


class _Candidates:
    """The addresses that are left to try: the first of each place, then the second.

    An answer is put in order with those of its own place only.  It costs what is in
    it, however many places have answered before.
    """

    __slots__ = ("_all", "_found", "_heads", "_sort", "_sorted", "_taken")

    def __init__(self, sort: SortAddresses) -> None:
        self._sort = sort
        self._all: set[Address] = set()
        self._taken: set[Address] = set()
        # By place: as they came, and in order.
        self._found: dict[TargetIndex, dict[Address, None]] = {}
        self._sorted: dict[TargetIndex, Sequence[Address]] = {}
        # A heap: the next position of each place.  After each answer there is one more,
        # from the first position on: the new order may have another address there.
        self._heads: list[tuple[int, TargetIndex]] = []

    def __len__(self) -> int:
        return len(self._all) - len(self._taken)

    def add(self, turn: TargetIndex, addresses: Collection[Address]) -> None:
        """Have *addresses* join those of the place at *turn*."""
        found = self._found.setdefault(turn, {})
        before = len(found)
        found.update(dict.fromkeys(addresses))
        if len(found) > before:
            self._all.update(addresses)
            # With those that were taken, so that the families go on taking turns.
            self._sorted[turn] = self._sort(tuple(found))
            heapq.heappush(self._heads, (0, turn))

    def take(self) -> Address:
        """Return the next address, which is then no longer left."""
        while True:
            position, turn = self._heads[0]
            ordered = self._sorted[turn]
            if position + 1 < len(ordered):
                heapq.heapreplace(self._heads, (position + 1, turn))
            else:
                heapq.heappop(self._heads)
            # Two places can have the same address.
            if ordered[position] not in self._taken:
                self._taken.add(ordered[position])
                return ordered[position]


class HappyEyeballs:
    """One race: the answers, how many attempts are live, and what is left to dial.

    It begins with the first answer that has an address.  An answer without IPv6 waits
    *resolution_delay* seconds for the answer with it of the same name.  A further
    attempt starts *attempt_delay* seconds after the last one, or at once when one has
    failed.  With None, it only starts when one has failed.  The targets take turns, and
    *sort* puts the addresses of each in order.
    """

    __slots__ = (
        "_attempt_delay",
        "_candidates",
        "_last_start",
        "_live",
        "_opens_at",
        "_resolution_delay",
        "_start_next_now",
        "_targets_found",
        "_unanswered",
    )

    def __init__(
        self,
        *,
        attempt_delay: float | None,
        resolution_delay: float,
        sort: SortAddresses,
    ) -> None:
        if attempt_delay is not None:
            least = max(attempt_delay, MINIMUM_ATTEMPT_DELAY)
            attempt_delay = min(least, MAXIMUM_ATTEMPT_DELAY)
        self._attempt_delay = attempt_delay
        self._resolution_delay = resolution_delay
        self._candidates = _Candidates(sort)
        self._unanswered: set[DnsQuery] = set()
        self._targets_found: set[TargetIndex] = set()  # those that have an address
        self._live = 0
        self._start_next_now = False
        # When the first attempt may start, and when the last one did.
        self._opens_at: float | None = None
        self._last_start: float | None = None

    def asked(self, query: DnsQuery) -> None:
        """Note that an answer to *query* will come."""
        self._unanswered.add(query)

    def answered(
        self, query: DnsQuery, addresses: Collection[Address], now: float
    ) -> None:
        """Take the answer to *query*; one that failed has no *addresses*.

        New addresses join those that are left to dial.
        """
        target, _ = query
        self._unanswered.discard(query)
        if addresses:
            self._candidates.add(target, addresses)
            self._targets_found.add(target)
        if target not in self._targets_found:
            return
        # "If a positive A response is received first due to reordering, the client
        # SHOULD wait a short time for the AAAA response" (RFC 8305, section 3).
        if (target, socket.AF_INET6) not in self._unanswered:
            self._opens_at = now
        elif self._opens_at is None:
            self._opens_at = now + self._resolution_delay

    def next_address(self, now: float) -> Address | None:
        """Return the address to dial now, or None.  Its attempt is live from then on.

        The attempt may be one too many: `has_too_many` tells.
        """
        if self.has_too_many():
            return None
        start = self.next_start()
        if start is None or start > now:
            return None
        self._live += 1
        self._start_next_now = False
        self._last_start = now
        return self._candidates.take()

    def next_start(self) -> float | None:
        """Return when the next attempt starts, if nothing happens before, or None."""
        if not self._candidates:
            return None
        opens_at = self._opens_at
        assert opens_at is not None, "there are addresses, and no answer"
        if self._last_start is None or not self._live:
            return opens_at
        if self._attempt_delay is None:
            return None
        if self._start_next_now:
            return opens_at
        # "Starting a new connection attempt does not affect previous attempts, as
        # multiple connection attempts may occur in parallel" (RFC 8305, section 5).
        return self._last_start + self._attempt_delay

    def has_too_many(self) -> bool:
        """Whether the oldest live attempt has to end for the one that has started."""
        return self._live > MOST_LIVE

    def gave_up_oldest(self) -> None:
        """End the oldest live attempt.  The newest took its place: none starts now."""
        self._live -= 1

    def failed(self) -> None:
        """End a live attempt: the next one may start at once."""
        self._live -= 1
        self._start_next_now = True

    @property
    def untried(self) -> int:
        """How many addresses are left to dial."""
        return len(self._candidates)

    @property
    def has_begun(self) -> bool:
        """Whether an attempt has started."""
        return self._last_start is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing is live, nothing left to dial, and no answer to come."""
        return not (self._live or self._candidates or self._unanswered)

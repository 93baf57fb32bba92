"""Decide which address to dial, and when: Happy Eyeballs (RFC 8305).

Pure.  Tell `HappyEyeballs` what happens and when, and ask it what to do next.  The
caller owns the sockets, the look-ups and the clock.
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

# The most attempts at a time.  Fifty silent addresses are no reason for fifty SYNs.
MOST_LIVE = 6

# Returns the addresses of one target in the order in which to try them, each once.
SortAddresses: TypeAlias = Callable[[Sequence[Address]], Sequence[Address]]

# The position of a target among those of a race: (2,) is the third target.  If that is
# a service, (2, 0) is its first host.  () is the only target.
TargetIndex: TypeAlias = tuple[int, ...]

# A target, and the family of the addresses to ask for.
DnsQuery: TypeAlias = tuple[TargetIndex, int]


class _Candidates:
    """The addresses that are left to try: the first of each target, then the second.

    The addresses of an answer are sorted only with those of the same target.  So the
    cost of an answer does not grow with the number of targets.
    """

    __slots__ = ("_all", "_found", "_heads", "_sort", "_sorted", "_taken")

    def __init__(self, sort: SortAddresses) -> None:
        self._sort = sort
        self._all: set[Address] = set()
        self._taken: set[Address] = set()
        # By target: the addresses as they came, and the same addresses in order.
        self._found: dict[TargetIndex, dict[Address, None]] = {}
        self._sorted: dict[TargetIndex, Sequence[Address]] = {}
        # A heap of the next position in each target's order.  Each answer adds an entry
        # for the first position: the new order may have another address there.
        self._heads: list[tuple[int, TargetIndex]] = []

    def __len__(self) -> int:
        return len(self._all) - len(self._taken)

    def add(self, turn: TargetIndex, addresses: Collection[Address]) -> None:
        """Add *addresses* to those of the target at index *turn*."""
        found = self._found.setdefault(turn, {})
        before = len(found)
        found.update(dict.fromkeys(addresses))
        if len(found) > before:
            self._all.update(addresses)
            # Sort the taken ones too, so that the families go on alternating.
            self._sorted[turn] = self._sort(tuple(found))
            heapq.heappush(self._heads, (0, turn))

    def take(self) -> Address:
        """Remove the next address, and return it."""
        while True:
            position, turn = self._heads[0]
            ordered = self._sorted[turn]
            if position + 1 < len(ordered):
                heapq.heapreplace(self._heads, (position + 1, turn))
            else:
                heapq.heappop(self._heads)
            # Two targets can have the same address.
            if ordered[position] not in self._taken:
                self._taken.add(ordered[position])
                return ordered[position]


class HappyEyeballs:
    """One race: the answers, how many attempts are live, and what is left to dial.

    The first attempt starts when an answer has an address.  If the AAAA answer for the
    same name has not come yet, the attempt waits for that answer, at most
    *resolution_delay* seconds.  Each further attempt starts *attempt_delay* seconds
    after the one before, or at once when one has failed.  With None, it starts only
    when one has failed.  The targets take turns, and *sort* puts the addresses of each
    target in order.
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
        self._targets_found: set[TargetIndex] = set()  # the targets with an address
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
        """Take the answer to *query*.  It has no *addresses* if the look-up failed.

        New addresses are added to those that are left to dial.
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
        """Return the address to dial now, or None.  Its attempt is live from now on.

        Ask `has_too_many` afterwards: this may be one attempt too many.
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
        """Whether the oldest live attempt has to end, to make room for the newest."""
        return self._live > MOST_LIVE

    def gave_up_oldest(self) -> None:
        """Note the end of the oldest live attempt.  No other may start for it."""
        self._live -= 1

    def failed(self) -> None:
        """Note that a live attempt has failed.  The next one may start at once."""
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
        """Whether no attempt is live, no address is left, and no answer will come."""
        return not (self._live or self._candidates or self._unanswered)

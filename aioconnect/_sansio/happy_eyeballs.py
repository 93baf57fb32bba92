"""Decide which address to dial, and when: Happy Eyeballs (RFC 8305).

Pure.  Tell `HappyEyeballs` what happens and when, and ask it what to do next.  The
caller owns the sockets, the look-ups and the clock.
"""

from __future__ import annotations

import heapq
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from .addresses import Address
from .rfc6724 import interleave_families

__all__ = [
    "MAXIMUM_ATTEMPT_DELAY",
    "MINIMUM_ATTEMPT_DELAY",
    "MOST_LIVE",
    "SRV",
    "DnsQuery",
    "HappyEyeballs",
    "SortAddresses",
    "TargetIndex",
    "Upcoming",
]

# "Minimum Connection Attempt Delay [...] MUST NOT be less than 10 milliseconds.
# Maximum Connection Attempt Delay [...] Recommended to be 2 seconds" (RFC 8305,
# section 8).
MINIMUM_ATTEMPT_DELAY = 0.010
MAXIMUM_ATTEMPT_DELAY = 2.0

# The most attempts at a time.  Fifty silent addresses are no reason for fifty SYNs.
MOST_LIVE = 6

# Returns addresses that came apart, by family, in the order in which to try them.
SortAddresses: TypeAlias = Callable[[Sequence[Address]], Sequence[Address]]

# The position of a target among those of a race: (2,) is the third target.  If that is
# a service, (2, 0) is its first host.  () is the only target.
TargetIndex: TypeAlias = tuple[int, ...]

# A target, and the family of the addresses to ask for.
DnsQuery: TypeAlias = tuple[TargetIndex, int]

# A query, and its answer if that is known without asking.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]

# Stands for the family in the query for a service's records.
SRV = -1

_FAMILIES = (socket.AF_INET6, socket.AF_INET)


class _Candidates:
    """The addresses that are left to try: the first of each target, then the second.

    The addresses of an answer are sorted only with those of the same target.  So the
    cost of an answer does not grow with the number of targets.
    """

    __slots__ = ("_count", "_found", "_heads", "_order", "_sort", "_tried", "_untried")

    def __init__(self, first_family_count: int, sort: SortAddresses) -> None:
        self._count = first_family_count
        self._sort = sort
        self._tried: set[Address] = set()
        # With the number of targets that have the address.
        self._untried: dict[Address, int] = {}
        # By target: the addresses as they came, and the order in which to try them.
        self._found: dict[TargetIndex, dict[Address, None]] = {}
        self._order: dict[TargetIndex, Sequence[Address]] = {}
        # A heap of the next position in each target's order.  Each new order adds an
        # entry for its first position.
        self._heads: list[tuple[int, TargetIndex]] = []

    def __len__(self) -> int:
        return len(self._untried)

    def add(self, target: TargetIndex, addresses: Iterable[Address]) -> None:
        """Add *addresses*, which came apart, to those of *target*, and sort all."""
        found = {**self._found.get(target, {}), **dict.fromkeys(addresses)}
        self._set(target, found, self._sort(tuple(found)))

    def replace(self, target: TargetIndex, addresses: Iterable[Address]) -> None:
        """Let *target* have these *addresses*, in this order, and no others."""
        found = dict.fromkeys(addresses)
        self._set(target, found, tuple(found))

    def _set(
        self,
        target: TargetIndex,
        found: dict[Address, None],
        ordered: Sequence[Address],
    ) -> None:
        before = self._found.get(target, {})
        for address in found.keys() - before.keys() - self._tried:
            self._untried[address] = self._untried.get(address, 0) + 1
        for address in before.keys() - found.keys() - self._tried:
            self._untried[address] -= 1
            if not self._untried[address]:  # no other target has it
                del self._untried[address]
        self._found[target] = found
        # Order the tried ones too, so that the families go on alternating.
        self._order[target] = interleave_families(ordered, self._count)
        heapq.heappush(self._heads, (0, target))

    def take(self) -> Address:
        """Remove the next address, and return it."""
        while True:
            position, target = self._heads[0]
            ordered = self._order[target]
            if position + 1 < len(ordered):
                heapq.heapreplace(self._heads, (position + 1, target))
            else:
                heapq.heappop(self._heads)
            # The order may be shorter than the one before.
            address = ordered[position] if position < len(ordered) else None
            if address is not None and self._untried.pop(address, 0):
                self._tried.add(address)
                return address


class HappyEyeballs:
    """One race: the answers, how many attempts are live, and what is left to dial.

    The answer to a query for ``AF_UNSPEC`` is a target's *whole answer*: these are its
    addresses, in this order.  If it has not come after *resolution_delay* seconds, the
    two families are asked for apart.  The first answer that has addresses starts the
    race, and *sort* puts what came apart in order.  The whole answer then replaces what
    is left to dial.  With None, the families are never asked for apart.

    Each further attempt starts *attempt_delay* seconds after the one before, or at once
    when one has failed.  With None, it starts only when one has failed.  The targets
    take turns.  *first_family_count* addresses of a target's first family come before
    its families take turns; 0 keeps the order.
    """

    __slots__ = (
        "_attempt_delay",
        "_candidates",
        "_found_at",
        "_last_start",
        "_live",
        "_resolution_delay",
        "_start_next_now",
        "_unanswered",
        "_undivided",
    )

    def __init__(
        self,
        *,
        attempt_delay: float | None,
        resolution_delay: float | None,
        first_family_count: int,
        sort: SortAddresses,
    ) -> None:
        if attempt_delay is not None:
            least = max(attempt_delay, MINIMUM_ATTEMPT_DELAY)
            attempt_delay = min(least, MAXIMUM_ATTEMPT_DELAY)
        self._attempt_delay = attempt_delay
        self._resolution_delay = resolution_delay
        self._candidates = _Candidates(first_family_count, sort)
        self._unanswered: set[DnsQuery] = set()
        # The targets whose families may still be asked for apart, and when, in order.
        self._undivided: OrderedDict[TargetIndex, float] = OrderedDict()
        self._live = 0
        self._start_next_now = False
        # When there was an address for the first time, and when the last attempt began.
        self._found_at: float | None = None
        self._last_start: float | None = None

    def asked(self, query: DnsQuery, now: float) -> None:
        """Note that an answer to *query* will come."""
        target, family = query
        self._unanswered.add(query)
        if family == socket.AF_UNSPEC and self._resolution_delay is not None:
            self._undivided[target] = now + self._resolution_delay

    def answered(
        self, query: DnsQuery, addresses: Sequence[Address] | None, now: float
    ) -> None:
        """Take the answer to *query*: the *addresses*, if any.

        None means that the look-up failed in a way that may be one family's alone.  The
        families are then asked for apart, if they have not been.
        """
        target, family = query
        self._unanswered.discard(query)
        is_whole = family not in _FAMILIES
        if addresses is None and is_whole:
            if target in self._undivided:
                self._undivided[target] = now
                self._undivided.move_to_end(target, last=False)
            return
        if is_whole:
            self.stop_asking(target)
            self._candidates.replace(target, addresses or ())
        elif addresses:
            self._candidates.add(target, addresses)
        if self._found_at is None and self._candidates:
            self._found_at = now

    def stop_asking(self, target: TargetIndex) -> None:
        """Note that no answer for *target* will come any more."""
        self._undivided.pop(target, None)
        for family in (socket.AF_UNSPEC, *_FAMILIES):
            self._unanswered.discard((target, family))

    def awaits(self, target: TargetIndex) -> bool:
        """Tell whether an answer for *target* will still come."""
        if target in self._undivided:
            return True
        families = (socket.AF_UNSPEC, *_FAMILIES)
        return any((target, family) in self._unanswered for family in families)

    def next_division(self) -> float | None:
        """Return when `divide` has the next target, or None."""
        return next(iter(self._undivided.values()), None)

    def divide(self, now: float) -> Sequence[DnsQuery]:
        """Return the queries of a target whose families are to be asked for apart now.

        An answer to each of them is expected from now on.
        """
        due = self.next_division()
        if due is None or due > now:
            return ()
        target, _ = self._undivided.popitem(last=False)
        queries = [(target, family) for family in _FAMILIES]
        self._unanswered.update(queries)
        return queries

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
        if self._last_start is None or not self._live:
            return self._found_at
        if self._attempt_delay is None:
            return None
        if self._start_next_now:
            return self._found_at
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

    def take_untried(self) -> Sequence[Address]:
        """Remove the addresses that are left to dial, and return them in order."""
        return [self._candidates.take() for _ in range(len(self._candidates))]

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
        return not (
            self._live or self._candidates or self._unanswered or self._undivided
        )

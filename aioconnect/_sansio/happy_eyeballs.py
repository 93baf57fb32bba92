"""Decide which address to dial, and when: Happy Eyeballs (RFC 8305).

Pure.  Tell `HappyEyeballs` what happens and when, and ask it what to do next.  The
caller owns the sockets, the look-ups and the clock.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from .addresses import Address
from .rfc6724 import Candidates, SortAddresses, TargetIndex

if TYPE_CHECKING:
    from .history import Advice

__all__ = [
    "MAXIMUM_ATTEMPT_DELAY",
    "MINIMUM_ATTEMPT_DELAY",
    "MOST_LIVE",
    "SRV",
    "DnsQuery",
    "HappyEyeballs",
    "Upcoming",
]

# "Minimum Connection Attempt Delay [...] MUST NOT be less than 10 milliseconds.
# Maximum Connection Attempt Delay [...] Recommended to be 2 seconds" (RFC 8305,
# section 8).
MINIMUM_ATTEMPT_DELAY = 0.010
MAXIMUM_ATTEMPT_DELAY = 2.0

# The next attempt gives one that is connected this many round trips, as TCP's handshake
# measured them.  TLS takes two at most.
_HANDSHAKE_ROUND_TRIPS = 4

# The most attempts at a time.  Fifty silent addresses are no reason for fifty SYNs.
MOST_LIVE = 6

# A target, and the family of the addresses to ask for.
DnsQuery: TypeAlias = tuple[TargetIndex, int]

# A query, and its answer if that is known without asking.
Upcoming: TypeAlias = tuple[DnsQuery, Sequence[Address] | None]

# Stands for the family in the query for a service's records.
SRV = -1

_FAMILIES = (socket.AF_INET6, socket.AF_INET)


class HappyEyeballs:
    """One race: the answers, how many attempts are live, and what is left to dial.

    The answer to a query for ``AF_UNSPEC`` is a target's *whole answer*: these are its
    addresses, in this order.  If it has not come after *resolution_delay* seconds, the
    two families are asked for apart.  The first answer that has addresses starts the
    race, and *sort* puts what came apart in order.  The whole answer then replaces what
    is left to dial.  With None, the families are never asked for apart.

    Each further attempt starts *attempt_delay* seconds after the one before, or at once
    when one has failed.  With None, it starts only when one has failed.  An attempt
    that is connected may have more to do, a TLS handshake say.  It is live until its
    connection is usable, and puts the next start off once.  The targets take turns.
    *first_family_count* addresses of a target's first family come before its families
    take turns; 0 keeps the order.  *advice* has other delays, and addresses that go
    last.
    """

    __slots__ = (
        "_advice",
        "_attempt_delay",
        "_candidates",
        "_connected",
        "_enough_at",
        "_found_at",
        "_last_delay",
        "_last_start",
        "_live",
        "_not_apart",
        "_put_off_until",
        "_resolution_delay",
        "_start_next_now",
        "_unanswered",
    )

    def __init__(
        self,
        *,
        attempt_delay: float | None,
        resolution_delay: float | None,
        first_family_count: int,
        sort: SortAddresses,
        advice: Advice | None = None,
    ) -> None:
        if attempt_delay is not None:
            least = max(attempt_delay, MINIMUM_ATTEMPT_DELAY)
            attempt_delay = min(least, MAXIMUM_ATTEMPT_DELAY)
        self._attempt_delay = attempt_delay
        self._advice = advice
        # How long the next attempt waits for the last one.
        self._last_delay = attempt_delay
        # When each address that was tried has had its time, if there is advice.
        self._enough_at: dict[Address, float] = {}
        self._resolution_delay = resolution_delay
        is_doubtful = None if advice is None else advice.is_doubtful
        self._candidates = Candidates(first_family_count, sort, is_doubtful)
        self._unanswered: set[DnsQuery] = set()
        # The targets whose families are not asked for apart yet, and when they will be,
        # in order.
        self._not_apart: dict[TargetIndex, float] = {}
        self._live = 0
        self._connected = 0  # how many of these are connected
        self._start_next_now = False
        # When there was an address for the first time, and when the last attempt began.
        self._found_at: float | None = None
        self._last_start: float | None = None
        self._put_off_until = 0.0

    def asked(self, query: DnsQuery, now: float) -> None:
        """Note that an answer to *query* will come."""
        target, family = query
        self._unanswered.add(query)
        if family == socket.AF_UNSPEC and self._resolution_delay is not None:
            self._not_apart[target] = now + self._resolution_delay

    def answered(
        self, query: DnsQuery, addresses: Sequence[Address] | None, now: float
    ) -> Sequence[DnsQuery]:
        """Take the answer to *query*: the *addresses*, if any.

        None means that the look-up failed in a way that may be one family's alone.
        Return the queries to ask for that now.  An answer to each is expected.
        """
        target, family = query
        self._unanswered.discard(query)
        is_whole = family not in _FAMILIES
        if addresses is None and is_whole:
            return self._ask_apart(target) if target in self._not_apart else ()
        if is_whole:
            self.stop_asking(target)
            self._candidates.replace(target, addresses or ())
        elif addresses:
            self._candidates.add(target, addresses)
        if self._found_at is None and self._candidates:
            self._found_at = now
        return ()

    def _ask_apart(self, target: TargetIndex) -> Sequence[DnsQuery]:
        del self._not_apart[target]
        queries = [(target, family) for family in _FAMILIES]
        self._unanswered.update(queries)
        return queries

    def stop_asking(self, target: TargetIndex) -> None:
        """Note that no answer for *target* will come any more."""
        self._not_apart.pop(target, None)
        for family in (socket.AF_UNSPEC, *_FAMILIES):
            self._unanswered.discard((target, family))

    def awaits(self, target: TargetIndex) -> bool:
        """Tell whether an answer for *target* will still come."""
        if target in self._not_apart:
            return True
        families = (socket.AF_UNSPEC, *_FAMILIES)
        return any((target, family) in self._unanswered for family in families)

    def next_apart(self) -> float | None:
        """Return when `ask_apart` has the next target, or None."""
        return next(iter(self._not_apart.values()), None)

    def ask_apart(self, now: float) -> Sequence[DnsQuery]:
        """Return the queries of a target whose whole answer is late *now*.

        An answer to each is expected.
        """
        due = self.next_apart()
        if due is None or due > now:
            return ()
        return self._ask_apart(next(iter(self._not_apart)))

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
        address = self._candidates.take()
        if self._advice is not None and self._attempt_delay is not None:
            known = self._advice.attempt_delay(address)
            self._last_delay = self._attempt_delay if known is None else known
            # The very sum of `next_start`: a difference of times rounds otherwise.
            self._enough_at[address] = now + self._last_delay
        return address

    def had_time(self, address: Address, now: float) -> bool:
        """Tell whether *address*, if it was tried, has had the time to answer."""
        enough_at = self._enough_at.get(address)
        return enough_at is not None and now >= enough_at

    def next_start(self) -> float | None:
        """Return when the next attempt starts, if nothing happens before, or None."""
        if not self._candidates:
            return None
        if self._last_start is None or not self._live:
            return self._found_at
        if self._last_delay is None:
            return None
        if self._start_next_now:
            return self._found_at
        if self._connected >= MOST_LIVE:
            return None  # none of them is given up
        # "Starting a new connection attempt does not affect previous attempts, as
        # multiple connection attempts may occur in parallel" (RFC 8305, section 5).
        return max(self._last_start + self._last_delay, self._put_off_until)

    def connected(self, round_trip: float, now: float) -> None:
        """Note that a live attempt is connected, and has more to do.

        *round_trip* is that of its TCP handshake, in seconds.  The next start waits for
        what takes some round trips more, but not long.
        """
        self._connected += 1
        if self._attempt_delay is not None:
            delay = max(self._attempt_delay, _HANDSHAKE_ROUND_TRIPS * round_trip)
            put_off_until = now + min(delay, MAXIMUM_ATTEMPT_DELAY)
            self._put_off_until = max(self._put_off_until, put_off_until)

    @property
    def is_alone(self) -> bool:
        """Whether nothing else can win before the only live attempt has ended."""
        if self._live != 1:
            return False
        if self._attempt_delay is None:
            return True
        return not (self._candidates or self._unanswered or self._not_apart)

    def has_too_many(self) -> bool:
        """Whether the oldest unconnected attempt has to make room for the newest."""
        return self._live > MOST_LIVE

    def gave_up_oldest(self) -> None:
        """Note the end of the oldest unconnected attempt.  No other starts for it."""
        self._live -= 1

    def failed(self, *, was_connected: bool = False) -> None:
        """Note that a live attempt has failed.  The next one may start at once."""
        self._live -= 1
        self._connected -= was_connected
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
            self._live or self._candidates or self._unanswered or self._not_apart
        )

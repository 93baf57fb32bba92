"""Decide which address to start now, and when to look again: RFC 8305, no I/O.

Pure.  `Race` is told what happens and when, and says what is to be done; who
drives it owns the sockets, the look-ups and the clock.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from ._address import Address

__all__ = [
    "MAXIMUM_ATTEMPT_DELAY",
    "MINIMUM_ATTEMPT_DELAY",
    "MOST_LIVE",
    "Order",
    "Question",
    "Race",
]

# "Minimum Connection Attempt Delay [...] MUST NOT be less than 10 milliseconds.
# Maximum Connection Attempt Delay [...] Recommended to be 2 seconds" (RFC 8305,
# section 8).
MINIMUM_ATTEMPT_DELAY = 0.010
MAXIMUM_ATTEMPT_DELAY = 2.0

# A name with fifty addresses that are all silent is no reason for fifty SYNs.
MOST_LIVE = 6

# Gives the addresses, each once, in the order in which they are to be tried.
Order: TypeAlias = Callable[[Sequence[Address]], Sequence[Address]]

# Which of the names that are raced, and for which family.
Question: TypeAlias = tuple[int, int]


class Race:
    """One round: the answers, the attempts under way, and what is left to try.

    It begins with the first answer that has an address, but an answer without IPv6
    waits *resolution_delay* seconds for the same name's answer with it.  A further
    attempt starts *attempt_delay* seconds after the last one, or at once when one has
    failed; None means that one has to fail first.  *order* is asked anew with each
    answer.
    """

    __slots__ = (
        "_attempt_delay",
        "_found",
        "_hurried",
        "_last_start",
        "_live",
        "_named",
        "_opens_at",
        "_order",
        "_resolution_delay",
        "_unanswered",
        "_untried",
    )

    def __init__(
        self,
        *,
        attempt_delay: float | None,
        resolution_delay: float,
        order: Order,
    ) -> None:
        if attempt_delay is not None:
            least = max(attempt_delay, MINIMUM_ATTEMPT_DELAY)
            attempt_delay = min(least, MAXIMUM_ATTEMPT_DELAY)
        self._attempt_delay = attempt_delay
        self._resolution_delay = resolution_delay
        self._order = order
        self._unanswered: set[Question] = set()
        self._found: dict[Address, None] = {}
        self._named: set[int] = set()  # the names that have an address
        self._untried: list[Address] = []
        self._live = 0
        self._hurried = False
        # When the first attempt may start, and when the last one did.
        self._opens_at: float | None = None
        self._last_start: float | None = None

    def asked(self, question: Question) -> None:
        """Note that there will be an answer."""
        self._unanswered.add(question)

    def answered(
        self, question: Question, addresses: Collection[Address], now: float
    ) -> None:
        """Take the answer to *question*; one that failed has no *addresses*.

        Those that are new join what is left to try, which is put in order again.
        """
        self._unanswered.discard(question)
        if addresses:
            tried = self._found.keys() - self._untried if self._found else ()
            self._found.update(dict.fromkeys(addresses))
            # With what was tried already, so that the families go on taking turns.
            ordered = self._order(tuple(self._found))
            self._untried = [one for one in ordered if one not in tried]
            self._named.add(question[0])
        if question[0] in self._named:
            self._open(question[0], now)

    def _open(self, name: int, now: float) -> None:
        """Set the time of the first attempt, after an answer for *name*."""
        # "If a positive A response is received first due to reordering, the client
        # SHOULD wait a short time for the AAAA response" (RFC 8305, section 3).
        if (name, socket.AF_INET6) not in self._unanswered:
            self._opens_at = now
        elif self._opens_at is None:
            self._opens_at = now + self._resolution_delay

    def start(self, now: float) -> Address | None:
        """Return the address to connect to now, if there is one; it is then live."""
        due = self.due()
        if due is None or due > now:
            return None
        self._live += 1
        self._hurried = False
        self._last_start = now
        return self._untried.pop(0)

    def due(self) -> float | None:
        """Return when the next attempt starts if nothing happens before, or None."""
        if not self._untried or self._live >= MOST_LIVE:
            return None
        opens_at = self._opens_at
        assert opens_at is not None, "there are addresses, and no answer"
        if self._last_start is None or not self._live:
            return opens_at
        if self._attempt_delay is None:
            return None
        if self._hurried:
            return opens_at
        # "Starting a new connection attempt does not affect previous attempts, as
        # multiple connection attempts may occur in parallel" (RFC 8305, section 5).
        return self._last_start + self._attempt_delay

    def failed(self) -> None:
        """End one of the live attempts: the next may start at once."""
        self._live -= 1
        self._hurried = True

    @property
    def waiting(self) -> int:
        """How many addresses are left to try."""
        return len(self._untried)

    @property
    def is_over(self) -> bool:
        """Whether nothing is live, nothing left to try and no answer to come."""
        return not (self._live or self._untried or self._unanswered)

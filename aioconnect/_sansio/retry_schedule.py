"""Decide when the next round of attempts begins."""

from __future__ import annotations

__all__ = ["shorten_last_delay"]

# The last round has at least this long, in seconds, before the deadline.
_SHORTEST_LAST_ROUND = 0.05


def shorten_last_delay(delay: float, left: float, longest_answer: float) -> float:
    """Return *delay*, or less, so that the next round begins before the deadline.

    The deadline is *left* seconds from now.  The next round needs time for an attempt
    like those before: twice the *longest_answer* so far, at least 50 ms, at most half
    of *left*.  A delay that this shortens leads to the last round.
    """
    needed = min(max(2 * longest_answer, _SHORTEST_LAST_ROUND), left / 2)
    return min(delay, left - needed)

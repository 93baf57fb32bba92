"""Share the time of a call among its turns, their attempts, and checks by `ready`.

Pure.  Times are on the loop's clock, and durations in seconds.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "LEAST_SHARE",
    "Deadline",
    "Limit",
    "attempt_deadline",
    "call_deadline",
    "turn_deadline",
]

# Each address gets at least this many seconds, while they are left, as in Go's
# net.Dialer: "If the time per address is too short, steal from the end of the list".
LEAST_SHARE = 2.0

# What set a deadline.  When the time of the call is used up, the call is over.  When
# the share of an attempt or a turn is used up, there is still time for the others.
Limit: TypeAlias = Literal["attempt", "turn", "call"]


class Deadline(NamedTuple):
    """When something has to end (None means never), and what set this time."""

    at: float | None = None
    limit: Limit = "call"

    def has_passed(self, now: float) -> bool:
        """Tell whether the time is up."""
        return self.at is not None and now >= self.at

    def or_sooner(self, at: float, limit: Limit) -> Deadline:
        """Return the deadline *at*, set by *limit*, unless this one comes first."""
        if self.at is not None and self.at <= at:
            return self
        return Deadline(at, limit)


def call_deadline(started: float, timeout: float | None) -> Deadline:
    """Return the deadline of a call that began at *started* and has *timeout*."""
    return Deadline(None if timeout is None else started + timeout, "call")


def turn_deadline(call: Deadline, now: float, waiting: int) -> Deadline:
    """Return the deadline of a turn that starts *now*, while *waiting* others wait.

    The turn and the others get equal shares of the time that is left of the *call*.
    """
    if call.at is None or not waiting:
        return call
    return Deadline(now + (call.at - now) / (waiting + 1), "turn")


def attempt_deadline(
    turn: Deadline, now: float, attempt_timeout: float | None, waiting: int = 0
) -> Deadline:
    """Return the deadline of an attempt that starts *now*, in a *turn*.

    *waiting* is how many addresses have to wait until this attempt has ended.  Without
    *attempt_timeout*, this attempt and the others get equal shares of the time that is
    left, but at least 2 s each.
    """
    seconds = attempt_timeout
    if seconds is None:
        if not waiting or turn.at is None:
            return turn
        seconds = max((turn.at - now) / (waiting + 1), LEAST_SHARE)
    return turn.or_sooner(now + seconds, "attempt")

"""Decide what a call does next: try an endpoint, sleep, or give up.

Pure.  Times are on the loop's clock, and durations in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from .checks import check_duration
from .deadline import Deadline, Limit, call_deadline, turn_deadline
from .endpoints import Endpoint

__all__ = ["GiveUp", "RetrySchedule", "Sleep", "Step", "Try", "shorten_last_delay"]


# The last round gets at least this many seconds, or half of the time that is left.
_SHORTEST_LAST_ROUND = 0.05


class Try(NamedTuple):
    """Try *endpoint* until *deadline*."""

    endpoint: Endpoint
    deadline: Deadline


class Sleep(NamedTuple):
    """Sleep until the next round may begin.

    *delay* is its length in seconds, or None when the same sleep is returned again.
    """

    until: float
    delay: float | None


class GiveUp(NamedTuple):
    """Raise the error of the call: its time is up, or nothing is left to try."""

    is_timeout: bool


Step: TypeAlias = Try | Sleep | GiveUp


class _State(Enum):
    NEW = auto()
    TRYING = auto()  # a round is under way
    BACKING_OFF = auto()  # the caller sleeps before the next round
    RESTED = auto()  # the caller has slept, and the next round may begin
    REPEATING = auto()  # the round was cancelled, and begins again
    LOST = auto()  # a connection was lost, so another round follows in any case
    EXPIRED = auto()  # an attempt met the deadline of the call
    OUT_OF_TIME = auto()  # the call has ended: its time was up
    GIVEN_UP = auto()  # the call has ended: nothing was left to try


class RetrySchedule:
    """The rounds of a call to *endpoints*, and the delays between them.

    In each round every endpoint has its turn.  If *races*, all of them share one turn.
    *delays* are the seconds between rounds.  With None, there is only one round.  The
    call began at *started*, and may take *timeout* seconds, or any time with None.  A
    delay that would outlast the call is cut short, and a last round follows.
    """

    __slots__ = (
        "_delays",
        "_endpoints",
        "_has_one_round",
        "_is_last_round",
        "_longest_answer",
        "_next_delay",
        "_policy",
        "_queue",
        "_round_started",
        "_state",
        "_timeout",
        "_turns",
        "_wake_at",
        "deadline",
        "round",
        "started",
    )

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        started: float,
        timeout: float | None,
        delays: Iterable[float] | None,
        races: bool = False,
    ) -> None:
        self._endpoints = endpoints[:1] if races else endpoints
        self._timeout = timeout
        self._has_one_round = delays is None
        # Iterated only when the first delay is needed: that may run code of the caller.
        self._policy: Iterable[float] = () if delays is None else delays
        self._delays: Iterator[float] | None = None
        self._next_delay: float | None = None  # the first of them, once it is drawn
        self.round = 0
        self.started = self._round_started = started
        self.deadline = call_deadline(started, timeout)
        self._turns = 0  # of this round
        self._queue: deque[Endpoint] = deque()  # the turns that it has not come to
        self._state = _State.NEW
        self._is_last_round = False
        self._wake_at = 0.0
        # The longest time from the start of a round to the failure of an attempt.
        self._longest_answer = 0.0

    def next(self, now: float, may_retry: Callable[[], bool]) -> Step:
        """Return what to do *now*.

        *may_retry* tells whether another round may follow.  It is called when every
        attempt of a round has failed.
        """
        state = self._state
        if state is _State.RESTED:
            if not self.deadline.has_passed(now):  # unless the loop was late
                self._begin_round(now)
        elif state is _State.TRYING or state is _State.LOST:
            if state is _State.LOST or not self._queue:
                return self._back_off(now, may_retry)
        elif state is _State.NEW or state is _State.REPEATING:
            self._begin_round(now)
        elif state is _State.BACKING_OFF:
            return Sleep(self._wake_at, None)
        else:
            return self._give_up(is_timeout=state is not _State.GIVEN_UP)
        if self.deadline.has_passed(now):
            return self._give_up(is_timeout=True)
        return self._next_turn(now)

    def _begin_round(self, now: float) -> None:
        if self._state is not _State.REPEATING:
            self.round += 1
        self._state = _State.TRYING
        self._round_started = now
        self._queue = deque(self._endpoints)
        self._turns = len(self._queue)

    def _next_turn(self, now: float) -> Try:
        endpoint = self._queue.popleft()
        waiting = len(self._queue)
        deadline = self.deadline
        is_last_turn = not waiting and self._turns > 1 and not self._is_last_round
        if is_last_turn and deadline.at is not None:
            # Those of the next round wait, too.
            waiting = int(not self._has_one_round and self._draw() is not None)
        return Try(endpoint, turn_deadline(deadline, now, waiting))

    def _back_off(self, now: float, may_retry: Callable[[], bool]) -> Step:
        if self._has_one_round or (self._state is not _State.LOST and not may_retry()):
            return self._give_up(is_timeout=False)
        if self._is_last_round:
            return self._give_up(is_timeout=True)
        delay, self._next_delay = self._draw(), None
        if delay is None:
            return self._give_up(is_timeout=False)
        deadline = self.deadline
        if deadline.has_passed(now):
            return self._give_up(is_timeout=True)
        if deadline.at is not None:
            left = deadline.at - now
            shortened = shorten_last_delay(delay, left, self._longest_answer)
            self._is_last_round = shortened < delay
            delay = shortened
        self._state = _State.BACKING_OFF
        self._wake_at = now + delay
        return Sleep(self._wake_at, delay)

    def _draw(self) -> float | None:
        """Return the next delay, which stays the next, or None: there is none left."""
        if self._delays is None:
            self._delays = iter(self._policy)
        if self._next_delay is None:
            self._next_delay = next(self._delays, None)
            if self._next_delay is not None:
                check_duration("retry", self._next_delay)
        return self._next_delay

    def _give_up(self, *, is_timeout: bool) -> GiveUp:
        """Give up for good: `next` returns the same even after a cancellation."""
        self._state = _State.OUT_OF_TIME if is_timeout else _State.GIVEN_UP
        return GiveUp(is_timeout)

    def begin(self) -> Try:
        """Return the first turn, even if the time is up: its attempt has ended."""
        self._begin_round(self.started)
        return self._next_turn(self.started)

    def rested(self) -> None:
        """Note that the caller has slept until the time of the `Sleep`."""
        self._state = _State.RESTED

    def expand(self, endpoints: Sequence[Endpoint], now: float) -> Try:
        """Replace the current turn by one for each of *endpoints*; return the first."""
        self._queue.extendleft(reversed(endpoints))
        # The turn of a service counts as well: even if it has a single endpoint, that
        # shares the time with the next round, which may find another one.
        self._turns += len(endpoints)
        return self._next_turn(now)

    def answered(self, now: float) -> None:
        """Note that an attempt has failed *now*, before its deadline."""
        took = now - self._round_started
        self._longest_answer = max(self._longest_answer, took)

    def expired(self, limit: Limit) -> None:
        """Note that a deadline has passed.  *limit* tells what had set it."""
        if limit == "call":
            self._state = _State.EXPIRED

    def expect(self, seconds: float) -> None:
        """Leave the last round time for an attempt of this many *seconds*.

        Refusals take almost no time.  The schedule cannot learn the length from them.
        """
        self._longest_answer = seconds

    def lost(self, now: float) -> None:
        """Plan another round, and start the time anew: the connection was lost."""
        self._renew(now)
        self._state = _State.LOST

    def resume(self, now: float) -> None:
        """Continue where a cancellation ended the call, and start the time anew."""
        self._renew(now)
        if self._state in (_State.TRYING, _State.EXPIRED):
            self._state = _State.REPEATING

    def _renew(self, now: float) -> None:
        self.started = now
        self.deadline = call_deadline(now, self._timeout)
        self._is_last_round = False


def shorten_last_delay(delay: float, left: float, longest_answer: float) -> float:
    """Return *delay*, or less, so that the next round begins before the deadline.

    The deadline is *left* seconds from now.  The next round needs time for an attempt
    like those before: twice the *longest_answer* so far, at least 50 ms, at most half
    of *left*.  A delay that this shortens leads to the last round.
    """
    needed = min(max(2 * longest_answer, _SHORTEST_LAST_ROUND), left / 2)
    return min(delay, left - needed)

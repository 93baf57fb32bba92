"""Decide what a call does next: try an endpoint, sleep, or give up.

Pure.  Times are on the loop's clock, and durations in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from .backoff import check_duration, shorten_last_delay
from .deadline import Deadline, Limit, call_deadline, turn_deadline
from .endpoints import Endpoint

__all__ = ["GiveUp", "RetrySchedule", "Sleep", "Step", "Try"]


class Try(NamedTuple):
    """Try *endpoint*, until *deadline*."""

    endpoint: Endpoint
    deadline: Deadline


class Sleep(NamedTuple):
    """Sleep until the next round may begin.  *delay* is None if it was given before."""

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
    RESTED = auto()  # and now it has slept
    REPEATING = auto()  # the round was cancelled, and begins again
    LOST = auto()  # a connection was lost, so another round follows in any case
    EXPIRED = auto()  # the deadline of the call ended an attempt


class RetrySchedule:
    """The rounds of a call to *endpoints*.

    In each round every endpoint has its turn.  If they are raced, they share one turn.
    *delays* come between rounds.  The call *started* then, and has *timeout* seconds,
    which are used to their end: a delay that would reach past them is cut short, and a
    last round follows.
    """

    __slots__ = (
        "_delay",
        "_delays",
        "_endpoints",
        "_given_up",
        "_is_last_round",
        "_iterator",
        "_longest_answer",
        "_queue",
        "_round_started",
        "_state",
        "_timeout",
        "_turns",
        "_wake_at",
        "deadline",
        "round",
        "started",
        "turn_deadline",
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
        """*delays* are None if there is but one round."""
        self._endpoints = endpoints[:1] if races else endpoints
        self._timeout = timeout
        self.started = self._round_started = started
        self.deadline = self.turn_deadline = call_deadline(started, timeout)
        self._delays = delays
        self._iterator: Iterator[float] | None = None  # the delays that are left
        self._delay: float | None = None  # the first of them, once somebody has asked
        self.round = 0
        self._turns = 0  # of this round
        self._queue: deque[Endpoint] = deque()  # the turns that it has not come to
        self._state = _State.NEW
        self._is_last_round = False
        self._wake_at = 0.0
        # How long the slowest attempt of a round has taken to fail.
        self._longest_answer = 0.0
        self._given_up: GiveUp | None = None

    def next(self, now: float, may_retry: Callable[[], bool]) -> Step:
        """Return what to do *now*.

        *may_retry* is asked when every attempt of a round has failed.
        """
        if self._given_up is not None:
            return self._given_up
        if self._state is _State.EXPIRED:
            return self._give_up(is_timeout=True)
        if self._state is _State.TRYING and self._queue:
            return self._next_turn(now)
        if self._state is _State.BACKING_OFF:
            return Sleep(self._wake_at, None)
        if self._state in (_State.TRYING, _State.LOST):
            return self._back_off(now, may_retry)
        if self._state is _State.RESTED and self.deadline.has_passed(now):
            return self._give_up(is_timeout=True)  # the loop was late
        if self._state is not _State.REPEATING:
            self.round += 1
        return self._begin_round(now)

    def _begin_round(self, now: float) -> Step:
        self._fill_queue()
        self._round_started = now
        return self._next_turn(now)

    def _fill_queue(self) -> None:
        self._state = _State.TRYING
        self._queue = deque(self._endpoints)
        self._turns = len(self._queue)

    def _next_turn(self, now: float) -> Step:
        if self.deadline.has_passed(now):
            return self._give_up(is_timeout=True)
        return self._try(now)

    def _try(self, now: float) -> Try:
        endpoint = self._queue.popleft()
        self.turn_deadline = turn_deadline(self.deadline, now, self._waiting())
        return Try(endpoint, self.turn_deadline)

    def _waiting(self) -> int:
        """Return how many others wait for this turn to end."""
        if self._turns == 1 or self.deadline.at is None:
            return 0
        if self._queue or self._delays is None or self._is_last_round:
            return len(self._queue)
        return int(self._peek_delay() is not None)  # the turns of the next round

    def _back_off(self, now: float, may_retry: Callable[[], bool]) -> Step:
        if self._state is not _State.LOST and not may_retry():
            return self._give_up(is_timeout=False)
        if self._is_last_round:
            return self._give_up(is_timeout=True)
        delay, self._delay = self._peek_delay(), None
        if delay is None:
            return self._give_up(is_timeout=False)
        if self.deadline.has_passed(now):
            return self._give_up(is_timeout=True)
        if self.deadline.at is not None:
            left = self.deadline.at - now
            shortened = shorten_last_delay(delay, left, self._longest_answer)
            self._is_last_round = shortened < delay
            delay = shortened
        self._state = _State.BACKING_OFF
        self._wake_at = now + delay
        return Sleep(self._wake_at, delay)

    def _peek_delay(self) -> float | None:
        """Return the next delay, which stays the next, or None: there is none left."""
        if self._delay is None and self._delays is not None:
            if self._iterator is None:
                self._iterator = iter(self._delays)
            self._delay = next(self._iterator, None)
            if self._delay is not None:
                check_duration("retry", self._delay)
        return self._delay

    def _give_up(self, *, is_timeout: bool) -> GiveUp:
        """Give up, for good: the answer stands, also if its caller is cancelled."""
        self._given_up = GiveUp(is_timeout)
        return self._given_up

    def begin(self) -> None:
        """Begin with the first turn, whatever the time is: its attempt has ended."""
        self.round = 1
        self._fill_queue()
        self._try(self.started)

    def rested(self) -> None:
        """Note that the caller has slept as long as it was told to."""
        self._state = _State.RESTED

    def expand(self, endpoints: Sequence[Endpoint], now: float) -> Try:
        """Give the turn that has begun to *endpoints*, one after the other."""
        self._queue.extendleft(reversed(endpoints))
        self._turns += len(endpoints) - 1
        return self._try(now)

    def answered(self, now: float) -> None:
        """Note that an attempt has failed *now*, and not by a deadline."""
        took = now - self._round_started
        self._longest_answer = max(self._longest_answer, took)

    def expired(self, limit: Limit) -> None:
        """Note that a deadline has passed which *limit* has set."""
        if limit == "call":
            self._state = _State.EXPIRED

    def expect(self, seconds: float) -> None:
        """Leave the last round time for this much: refusals take next to none."""
        self._longest_answer = seconds

    def lost(self, now: float) -> None:
        """Have another round follow, with time anew: the connection was lost."""
        self._renew(now)
        self._state = _State.LOST

    def resume(self, now: float) -> None:
        """Go on after a cancellation, with time anew, where it has ended the call."""
        self._renew(now)
        if self._state is not _State.BACKING_OFF and self.round:
            self._state = _State.REPEATING

    def _renew(self, now: float) -> None:
        self.started = now
        self.deadline = self.turn_deadline = call_deadline(now, self._timeout)
        self._is_last_round = False

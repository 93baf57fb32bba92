"""Count the rounds of one call: their time, their failures, and if another follows.

Everything that failed is told to the observer and kept here, and the error that is
raised in the end is made here.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Iterator, Sequence

from .._io.timers import earliest, sleep_until
from .._sansio.addresses import Address
from .._sansio.checks import check_duration
from .._sansio.endpoints import Endpoint
from .._sansio.error_report import AttemptLog, error_group
from .._sansio.errors import (
    Attempt,
    AttemptDisplaced,
    AttemptError,
    AttemptExpired,
    ConnectError,
    ResolveError,
    os_error,
)
from .._sansio.retry_schedule import shorten_last_delay
from .host_lookup import Failure
from .observing import events
from .options import Options

__all__ = ["Rounds"]

# "If the time per address is too short, steal from the end of the list": what Go's
# net.Dialer gives an address at the least, in seconds, while there is as much left.
_LEAST_SHARE = 2.0

# Turns that fail at once, before the loop gets to run in between.
_IN_A_ROW = 16


class Rounds:
    """The rounds of a call to *places*, under *options*.

    In each round every place has its *turn*, unless they are raced: then there is one
    turn.  Without *retries* there is but one round.  With *all_errors* a failure is
    raised as a group of the attempts' errors.  They begin now, or have *started*.

    A turn has to end at *until*: at the *deadline* of the call, or, if others wait for
    theirs, after its share of what is left.  The deadline is used to its end: a delay
    that would reach past it is cut short, for a last round.
    """

    __slots__ = (
        "_all_errors",
        "_delays",
        "_drawn",
        "_due",
        "_goes_on",
        "_history",
        "_is_anew",
        "_is_expired",
        "_is_last",
        "_longest_answer",
        "_loop",
        "_places",
        "_retries",
        "_round_started",
        "_turns",
        "_verdict",
        "deadline",
        "number",
        "options",
        "started",
        "turn",
        "turns",
        "until",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        places: Sequence[Endpoint],
        *,
        turns: int = 1,
        retries: bool = True,
        all_errors: bool = False,
        started: float | None = None,
    ) -> None:
        self._loop = loop
        self.options = options
        self._places = places
        self._retries = retries
        self._all_errors = all_errors
        self.started = loop.time() if started is None else started
        timeout = options.timeout
        self.deadline = None if timeout is None else self.started + timeout
        self.until = self.deadline
        self.number = 0
        self.turn = 0
        self._turns = self.turns = turns
        self._is_expired = self._goes_on = self._is_anew = self._is_last = False
        # After how many seconds of a round an attempt has failed, at the most.
        self._longest_answer = 0.0
        self._round_started = self.started
        self._verdict: Callable[[Rounds], Exception] | None = None
        self._history: AttemptLog | None = None
        self._delays: Iterator[float] | None = None
        self._drawn: float | None = None
        self._due: float | None = None

    def begin(self) -> None:
        """Begin with the first turn, without a look at the time."""
        self.number = 1
        if self.turns > 1:
            self.share()

    def expect(self, seconds: float) -> None:
        """Say how long a success takes: refusals have taken next to no time."""
        self._longest_answer = seconds

    async def next(self) -> None:
        """Wait until the next turn may begin, in this round or in the next one.

        Raises:
            ConnectError: There is none, and this is what became of the call.
        """
        if self._verdict is not None:
            raise self._verdict(self)
        if self.number and self.turn + 1 < self.turns and not self._is_expired:
            self.turn += 1
            if self.turn % _IN_A_ROW == 0:
                await asyncio.sleep(0)
        else:
            if not self._is_anew:
                if self.number:
                    await self._pause()
                self.number += 1
            self._is_anew = False
            self.turn, self.turns = 0, self._turns
            self._round_started = self._loop.time()
        if self.deadline is not None and self._is_late(self._loop.time()):
            raise await self._ended(Rounds._time_is_up)
        if self.turns > 1:
            self.share()

    def share(self) -> None:
        """Give the turn its share of what is left of the time."""
        self.until = self.deadline
        waiting = self.turns - self.turn - 1
        if self.deadline is None:
            return
        if not waiting and self._retries and not self._is_last:
            # Those of the next round wait, too.
            waiting = int(self._upcoming() is not None)
        if waiting:
            now = self._loop.time()
            self.until = now + (self.deadline - now) / (waiting + 1)

    async def _pause(self) -> None:
        if self._is_expired:
            raise self._time_is_up()
        if self._due is None:
            now = self._loop.time()
            self._due = now + await self._schedule(now)
        await sleep_until(self._loop, self._due)
        self._due = None
        if self._is_late(self._loop.time()):  # the loop was
            raise self._time_is_up()

    async def _schedule(self, now: float) -> float:
        """Return after how many seconds the next round may begin, and tell of it.

        Raises:
            ConnectError: There is none, or the last one has been.
        """
        may_go_on = self._goes_on or self._may_retry()
        self._goes_on = False
        delay: float | None = None
        is_too_late = may_go_on and self._is_last
        if may_go_on and not is_too_late:
            delay = self._next_delay()
            is_too_late = delay is not None and self._is_late(now)
        if delay is None or is_too_late:
            verdict = Rounds._time_is_up if is_too_late else Rounds._give_up
            raise await self._ended(verdict)
        if self.deadline is not None:
            whole = delay
            delay = shorten_last_delay(whole, self.deadline - now, self._longest_answer)
            self._is_last = delay < whole
        if self.options.observer is not None:
            self.options.observer(events.RetryScheduled(now, self.number, delay))
        return delay

    async def _ended(self, verdict: Callable[[Rounds], Exception]) -> Exception:
        """Return the call's error, once others have run.

        Nothing may have waited in the call: a caller that tries again at once, and for
        ever, would be the only task that runs, and no timeout end it.
        """
        self._verdict = verdict  # it stands, if this is cancelled
        await asyncio.sleep(0)
        return verdict(self)

    def _is_late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def _may_retry(self) -> bool:
        if not self._retries:
            return False
        accepts = self.options.retry_on
        return any(
            accepts(attempt.error)
            for attempt in self._so_far.attempts_of_round(self.number)
            if isinstance(attempt.error, OSError)
            and attempt.phase != "guard"
            and not isinstance(attempt.error, ssl.SSLCertVerificationError)
        )

    def _next_delay(self) -> float | None:
        delay, self._drawn = self._upcoming(), None
        return delay

    def _upcoming(self) -> float | None:
        """Return the next delay, which is still to come."""
        if self._drawn is None:
            if self._delays is None:
                self._delays = iter(self.options.retry)
            self._drawn = next(self._delays, None)
            if self._drawn is not None:
                check_duration("retry", self._drawn)
        return self._drawn

    def limit(self, now: float, waiting: int = 0) -> float | None:
        """Return when an attempt that starts *now* has to end.

        If other addresses are *waiting* for it to end, one at a time, and no option
        bounds it, it is after its share of the time.
        """
        options, until = self.options, self.until
        seconds = options.attempt_timeout
        waits = waiting and options.happy_eyeballs_delay is None
        if seconds is None and waits and until is not None:
            seconds = max((until - now) / (waiting + 1), _LEAST_SHARE)
        return until if seconds is None else earliest(until, now + seconds)

    def patience(self, now: float, limit: float | None, others: int) -> float | None:
        """Return until when one may prove itself that others wait for."""
        if not others or limit is None or self.options.attempt_timeout is not None:
            return limit
        return min(limit, now + max((limit - now) / (others + 1), _LEAST_SHARE))

    def expire(self) -> None:
        """Note that the turn's time was up; if the call's, that is why it failed."""
        self._is_expired = self._is_expired or self.until == self.deadline

    def failed(
        self,
        address: Address | None,
        exc: AttemptError,
        started: float,
        limit: float | None,
        *,
        ended: float | None = None,
        host: str | None = None,
    ) -> None:
        """Keep the failure of an attempt that had to end at *limit*.

        It has *ended* now, if nothing else is said.  Without an *address* it is that
        of looking up *host*.
        """
        now = self._loop.time()
        if ended is None:
            ended = now
        if not isinstance(exc, AttemptExpired | AttemptDisplaced):
            answered_after = ended - self._round_started
            self._longest_answer = max(self._longest_answer, answered_after)
        elif limit == self.until:
            self.expire()
        looked_up = host if address is None else None
        what = (address, exc.phase, exc.error, started, ended - started)
        self._keep(Attempt(*what, self.number, exc.sent, looked_up), now)

    def _keep(self, attempt: Attempt, now: float) -> None:
        self._so_far.add(attempt)
        if self.options.observer is not None:
            self.options.observer(events.AttemptFailed(now, attempt))

    def not_found(self, failure: Failure) -> None:
        """Keep a look-up that gave no address."""
        host, error, started, ended = failure
        self.failed(None, error, started, self.until, ended=ended, host=host)

    def lost(self, address: Address | None, since: float, text: str) -> None:
        """Count what was connected, *since* then, as an attempt that has failed.

        Another round follows, with time anew, whatever errors may be retried.
        """
        error = os_error(errno.ECONNRESET, text)
        now = self._loop.time()
        # Not by `failed`: how long a connection has lasted is no answer to an attempt.
        self._keep(
            Attempt(address, "ready", error, since, now - since, self.number), now
        )
        self._renew()
        self._goes_on = True

    def resume(self) -> None:
        """Go on after a cancellation: with the wait, or the round, that it ended."""
        self._renew()
        self._is_anew = self.number > 0 and self._due is None

    def _renew(self) -> None:
        self.started = now = self._loop.time()
        timeout = self.options.timeout
        self.until = self.deadline = None if timeout is None else now + timeout
        self._is_expired = self._is_last = False

    def tell_connected(self, address: Address | None) -> None:
        """Tell the observer, if there is one and this was a connect."""
        observe = self.options.observer
        if observe is not None and address is not None:
            now = self._loop.time()
            observe(events.Connected(now, address, self.number, now - self.started))

    @property
    def end(self) -> tuple[str | None, int | None]:
        """Where the call goes: the host and the port, as of its error."""
        places = self._places
        is_one = len(places) == 1
        host, port, *_ = places[0].final_destination if is_one else (None, None)
        return host, port

    @property
    def _so_far(self) -> AttemptLog:
        if self._history is None:
            self._history = AttemptLog(self._places, self.started)
        return self._history

    def _give_up(self) -> Exception:
        """Return the error for a call that everything was tried for."""
        now = self._loop.time()
        error = self._told(self._so_far.failure(now, self.number))
        if self._all_errors and not isinstance(error, ResolveError):
            return error_group(error)
        return error

    def _time_is_up(self) -> ConnectError:
        """Return the error for a call whose time is up."""
        now = self._loop.time()
        seconds = self.options.timeout or 0.0
        return self._told(self._so_far.timeout(now, self.number, seconds))

    def _told(self, error: ConnectError) -> ConnectError:
        if self.options.observer is not None:
            self.options.observer(events.GaveUp(self._loop.time(), error))
        return error

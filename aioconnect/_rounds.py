"""Count the rounds of one call: their time, their failures, and if another follows.

Everything that failed is told to the observer and kept here, and the error that is
raised in the end is made here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

from ._address import Address
from ._backoff import check_duration
from ._errors import Attempt, AttemptError, ConnectError, Expired, ResolveError
from ._events import AttemptFailed, Connected, GaveUp, RetryScheduled
from ._history import History, error_group
from ._options import Options
from ._waits import sleep_until, soonest

__all__ = ["Rounds"]


class Rounds:
    """The rounds of a call to *host* and *port*, under *options*.

    Without *retries* there is but one.  With *all_errors* a failure is raised as a
    group of the attempts' errors.
    """

    __slots__ = (
        "_all_errors",
        "_delays",
        "_history",
        "_host",
        "_is_expired",
        "_loop",
        "_options",
        "_port",
        "_retries",
        "_started",
        "deadline",
        "number",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        host: str | None,
        port: int | None,
        *,
        retries: bool,
        all_errors: bool,
    ) -> None:
        self._loop = loop
        self._options = options
        self._host = host
        self._port = port
        self._retries = retries
        self._all_errors = all_errors
        self._started = loop.time()
        timeout = options.timeout
        self.deadline = None if timeout is None else self._started + timeout
        self.number = 0
        self._is_expired = False
        self._history: History | None = None
        self._delays: Iterator[float] | None = None

    async def next(self) -> None:
        """Wait until the next round may begin.

        Raises:
            ConnectError: There is none, and this is what became of the call.
        """
        if self.number:
            await self._pause()
        self.number += 1
        if self._is_late(self._loop.time()):
            raise self._time_is_up()

    async def _pause(self) -> None:
        if self._is_expired:
            raise self._time_is_up()
        now = self._loop.time()
        delay = self._next_delay() if self._may_retry() else None
        if delay is None:
            raise self._give_up()
        if self._is_late(now + delay):
            raise self._time_is_up(delay)
        if self._options.observer is not None:
            self._options.observer(RetryScheduled(now, self.number, delay))
        await sleep_until(self._loop, now + delay)

    def _is_late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def _may_retry(self) -> bool:
        if not self._retries:
            return False
        accepts = self._options.retry_on
        return any(
            accepts(attempt.error)
            for attempt in self._so_far.of_round(self.number)
            if isinstance(attempt.error, OSError)
            and attempt.phase != "guard"
            and not isinstance(attempt.error, ssl.SSLCertVerificationError)
        )

    def _next_delay(self) -> float | None:
        if self._delays is None:
            self._delays = iter(self._options.retry)
        delay = next(self._delays, None)
        if delay is not None:
            check_duration("retry", delay)
        return delay

    def limit(self, now: float) -> float | None:
        """Return when an attempt that starts *now* has to end."""
        seconds = self._options.attempt_timeout
        if seconds is None:
            return self.deadline
        return soonest(self.deadline, now + seconds)

    def expire(self) -> None:
        """Note that the time was up: whatever failed before, it is why."""
        self._is_expired = True

    def failed(
        self,
        address: Address | None,
        exc: AttemptError,
        started: float,
        limit: float | None,
        ended: float | None = None,
    ) -> None:
        """Keep the failure of an attempt that had to end at *limit*.

        It has *ended* now, if nothing else is said.
        """
        if isinstance(exc, Expired) and limit == self.deadline:
            self.expire()
        now = self._loop.time()
        elapsed = (now if ended is None else ended) - started
        attempt = Attempt(
            address, exc.phase, exc.error, started, elapsed, self.number, exc.sent
        )
        self._so_far.add(attempt)
        if self._options.observer is not None:
            self._options.observer(AttemptFailed(now, attempt))

    def tell_connected(self, address: Address | None) -> None:
        """Tell the observer, if there is one and this was a connect."""
        observe = self._options.observer
        if observe is not None and address is not None:
            now = self._loop.time()
            observe(Connected(now, address, self.number, now - self._started))

    @property
    def _so_far(self) -> History:
        if self._history is None:
            self._history = History(self._host, self._port, self._started)
        return self._history

    def _give_up(self) -> Exception:
        """Return the error for a call that everything was tried for."""
        now = self._loop.time()
        error = self._told(self._so_far.failure(now, self.number))
        if self._all_errors and not isinstance(error, ResolveError):
            return error_group(error)
        return error

    def _time_is_up(self, delay: float | None = None) -> ConnectError:
        """Return the error for a call whose time is up, or would be after *delay*."""
        now = self._loop.time()
        seconds = self._options.timeout or 0.0
        return self._told(self._so_far.timeout(now, self.number, seconds, delay))

    def _told(self, error: ConnectError) -> ConnectError:
        if self._options.observer is not None:
            self._options.observer(GaveUp(self._loop.time(), error))
        return error

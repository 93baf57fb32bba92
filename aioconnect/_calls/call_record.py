"""Record what happens in one call, for its error and for its observer.

The record keeps failures as values.  Only `CallRecord.error` makes an exception of
them, which the caller gets.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from .._io.socket_ownership import OnPhase
from .._sansio.addresses import Address
from .._sansio.deadline import Deadline
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
from .._sansio.retry_schedule import RetrySchedule
from .observing import Observer, events
from .options import Options

__all__ = ["CallRecord", "LookupFailure"]


# The phases in which the peer, or the way to it, makes an attempt fail.
_REMOTE = ("connect", "proxy", "tls", "ready", "adopt")

# A retry loop can run for days, and its resolver may know ever new addresses.
_MOST_UNVERIFIED = 64


class LookupFailure(NamedTuple):
    """A look-up without an address.  *ended* is None if it has not ended."""

    host: str | None
    error: AttemptError
    started: float
    ended: float | None


class CallRecord:
    """The attempts of one call to *endpoints*, with its *options* and *schedule*.

    *observe* is called with each event.  It is None if nobody observes the call.
    """

    __slots__ = (
        "_endpoints",
        "_log",
        "_loop",
        "_unverified",
        "address",
        "destination",
        "observe",
        "options",
        "schedule",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        endpoints: Sequence[Endpoint],
        schedule: RetrySchedule,
    ) -> None:
        self._loop = loop
        self._endpoints = endpoints
        self._log: AttemptLog | None = None  # made for the first failure
        # The phase and the error of each certificate that does not verify.
        self._unverified: dict[
            tuple[Address, Endpoint | None], tuple[str, OSError]
        ] = {}
        self.destination: Endpoint | None = None  # behind the proxies of this turn
        self.address: Address | None = None  # of the last connection
        self.observe: Observer | None = options.observer
        self.options = options
        self.schedule = schedule

    @property
    def host_and_port(self) -> tuple[str | None, int | None]:
        """The host and the port of the call's error: None for several endpoints."""
        if len(self._endpoints) > 1:
            return None, None
        end = self._endpoints[0].final_destination
        return end.host, end.port

    @property
    def endpoint_count(self) -> int:
        """The number of endpoints; the call connects to one of them."""
        return len(self._endpoints)

    def attempt_started(self, address: Address) -> None:
        """Tell the observer that an attempt at *address* starts."""
        if self.observe is not None:
            now = self._loop.time()
            self.observe(events.AttemptStarted(now, address, self.schedule.round))

    def on_phase(self, address: Address | None) -> OnPhase | None:
        """Return the function to call with each phase of a connection to *address*."""
        if self.observe is None or address is None:
            return None
        return partial(self._phase_started, address)

    def _phase_started(self, address: Address, phase: str) -> None:
        if self.observe is not None:
            now = self._loop.time()
            round_ = self.schedule.round
            self.observe(events.PhaseStarted(now, address, round_, phase))

    def connected(self, address: Address | None) -> None:
        """Keep the *address* of the connection, and tell the observer.

        It is None for a socket that the caller has connected.
        """
        self.address = address
        if self.observe is not None and address is not None:
            now = self._loop.time()
            schedule = self.schedule
            elapsed = now - schedule.started
            self.observe(events.Connected(now, address, schedule.round, elapsed))

    def failed(
        self,
        failure: AttemptError,
        address: Address | None,
        started: float,
        deadline: Deadline,
        *,
        host: str | None = None,
        ended: float | None = None,
    ) -> None:
        """Record the *failure* of an attempt, which began at *started*.

        The attempt had this *deadline*, and *ended* now by default.  Without an
        *address*, the attempt was a look-up of *host*.
        """
        now = self._loop.time()
        if ended is None:
            ended = now
        if isinstance(failure, AttemptExpired):
            self.schedule.expired(deadline.limit)
        elif not isinstance(failure, AttemptDisplaced):
            self.schedule.answered(ended)
        history = self.options.history
        if history is not None and address is not None and failure.phase in _REMOTE:
            history.failed(address, now)
        is_certificate = isinstance(failure.error, ssl.SSLCertVerificationError)
        has_room = len(self._unverified) < _MOST_UNVERIFIED
        if is_certificate and address is not None and has_room:
            # Not the exception itself, which refers to frames.
            key = address, self.destination
            self._unverified[key] = failure.phase, failure.error
        attempt = Attempt(
            address=address,
            phase=failure.phase,
            error=failure.error,
            started=started,
            elapsed=ended - started,
            round=self.schedule.round,
            sent=failure.sent,
            host=host if address is None else None,
        )
        self._keep(attempt, now)

    def check_certificate(self, address: Address) -> None:
        """Refuse *address* if its certificate has not verified in this call.

        It is not tried again: only who runs the server can mend that.

        Raises:
            AttemptError: The same error as then, but nothing was sent.
        """
        key = address, self.destination
        if self._unverified and key in self._unverified:
            phase, error = self._unverified[key]
            raise AttemptError(phase, error, sent=False)

    def lookup_failed(self, turn: Deadline, failure: LookupFailure) -> None:
        """Record a look-up of this *turn* that found no address."""
        host, error, started, ended = failure
        self.failed(error, None, started, turn, host=host, ended=ended)

    def lost(self, since: float, text: str) -> None:
        """Record the connection, open *since* then, as a failed attempt."""
        now = self._loop.time()
        error = os_error(errno.ECONNRESET, text)
        # Do not use `failed`: how long a connection lasted says nothing about how long
        # an attempt takes.
        attempt = Attempt(
            address=self.address,
            phase="ready",
            error=error,
            started=since,
            elapsed=now - since,
            round=self.schedule.round,
        )
        self._keep(attempt, now)
        self._unverified.clear()  # as for a new call
        self.schedule.lost(now)

    def _keep(self, attempt: Attempt, now: float) -> None:
        if self._log is None:
            self._log = AttemptLog(self._endpoints, self.schedule.started)
        self._log.add(attempt)
        if self.observe is not None:
            self.observe(events.AttemptFailed(now, attempt))

    def may_retry(self) -> bool:
        """Tell whether the policy accepts an error of the failed round."""
        if self._log is None:
            return False
        return any(
            self.options.retry_on(attempt.error)
            for attempt in self._log.attempts_of_round(self.schedule.round)
            if isinstance(attempt.error, OSError)
            and attempt.phase != "guard"
            and not isinstance(attempt.error, ssl.SSLCertVerificationError)
        )

    def retry_scheduled(self, now: float, delay: float) -> None:
        """Tell the observer that the next round begins *delay* seconds after *now*."""
        if self.observe is not None:
            self.observe(events.RetryScheduled(now, self.schedule.round, delay))

    def error(self, is_timeout: bool, all_errors: bool) -> Exception:
        """Return the exception that the call raises: a timeout, or why all has failed.

        With *all_errors*, it is a group of the attempts' errors, except for a timeout
        and for a name that was not resolved.
        """
        now = self._loop.time()
        schedule = self.schedule
        log = self._log or AttemptLog(self._endpoints, schedule.started)
        error: ConnectError
        if is_timeout:
            seconds = self.options.timeout or 0.0
            error = log.timeout(now, schedule.round, seconds)
        else:
            error = log.failure(now, schedule.round)
        if self.observe is not None:
            self.observe(events.GaveUp(self._loop.time(), error))
        if all_errors and not is_timeout and not isinstance(error, ResolveError):
            return error_group(error)
        return error

"""Wait until a server is up, or until it is down.

Both waits look again and again.  Each look connects once, and closes the socket.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import replace
from functools import partial

from .._io.sockets import disable_fast_open
from .._io.timers import TIMER_TOLERANCE, sleep_until
from .._sansio.checks import check_duration
from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.error_predicates import is_unknown_name
from .._sansio.error_report import AttemptLog
from .._sansio.errors import (
    Attempt,
    ConnectError,
    ConnectTimeoutError,
    ResolveError,
    attempt_reason,
    attempt_subject,
)
from .._sansio.hosts import numeric_address
from .._sansio.retry_schedule import GiveUp, RetrySchedule, Sleep, Step
from .backoff import Backoff
from .connect import ConnectOperation
from .observing import CallObserver, Observer, events, observing
from .options import Options, passage_to
from .ready import stay_open

__all__ = ["until_down", "until_up", "with_wait_defaults"]

# The caller of a wait wants to know soon.  A few looks a second are enough.
_DEFAULT_DELAYS = Backoff(maximum=1.0)

# The most seconds that an attempt may take.  A lost SYN is sent again after one second.
# Without this limit, an address that drops packets would delay the next look at the
# others.
_ATTEMPT_TIMEOUT = 3.0

# Nobody listens at the address, or the whole host is not there.
_GONE = (errno.ECONNREFUSED, errno.ENOENT, errno.EHOSTUNREACH, errno.EHOSTDOWN)

_UNKNOWN_NAME_HINT = (
    "retry_on=is_transient | is_unknown_name waits for a name that does not exist yet"
)

# This machine has no route, or no address of that family.
_NOT_FROM_HERE = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


async def until_up(options: Options, endpoint: Endpoint, settle: float) -> float:
    """Wait until *endpoint* accepts; return how many seconds that took.

    The connection has to stay open for *settle* seconds.

    Raises:
        ConnectError: The policy has given up, or the time is up.
        ValueError: *settle* does not fit into a timeout.
    """
    _check_settle(options, settle)
    loop = asyncio.get_running_loop()
    started = loop.time()
    options = with_wait_defaults(options, settle)
    if settle:
        options = replace(options, ready=partial(stay_open, settle, options.ready))
    operation = ConnectOperation(options, (endpoint,))
    operation.record.schedule.expect(settle)
    try:
        sock: socket.socket = await operation.run()
    except ResolveError as exc:
        if is_unknown_name(exc) and not options.retry_on(exc):
            exc.strerror = f"{exc.strerror}; {_UNKNOWN_NAME_HINT}"
            exc.args = (exc.errno, exc.strerror)  # which a pickle stores
        raise
    sock.close()
    return loop.time() - started


def _check_settle(options: Options, settle: float) -> None:
    check_duration("settle", settle)
    for name in ("timeout", "attempt_timeout"):
        seconds = getattr(options, name)
        if seconds and settle >= seconds:
            raise ValueError(
                f"settle ({settle:g} s) must be shorter than {name} ({seconds:g} s)"
            )


def with_wait_defaults(options: Options, settle: float = 0.0) -> Options:
    """Return *options* with a wait's own defaults for the ones that are not set."""
    if options.prepare:
        options = replace(options, prepare=(*options.prepare, disable_fast_open))
    limit: float | None = _ATTEMPT_TIMEOUT
    if options.ready is not None:  # only a check knows how long it needs
        limit = getattr(options.ready, "attempt_timeout", None)
    if options.attempt_timeout is None and limit is not None:
        options = replace(options, attempt_timeout=limit + settle)
    return options if options.retry else replace(options, retry=_DEFAULT_DELAYS)


async def until_down(options: Options, endpoint: Endpoint) -> float:
    """Wait until *endpoint* refuses or is gone; return how many seconds that took.

    Raises:
        ConnectTimeoutError: The wait has ended, and the server is up, or slow.
        ConnectError: A look failed with an error that the policy does not accept.
        ValueError: *endpoint* is behind a proxy.
    """
    _check_is_direct(options, endpoint)
    loop = asyncio.get_running_loop()
    return await _WaitUntilDown(loop, options, endpoint).run()


def _check_is_direct(options: Options, endpoint: Endpoint) -> None:
    if passage_to(options, endpoint) is not None:
        text = "a proxy does not tell whether a server is down or out of its reach"
        raise ValueError(f"wait_until_down: {text}; wait without a proxy")


class _WaitUntilDown:
    """One wait until *endpoint* is down: its looks, their failures and its time.

    Each look is a round of the schedule, and an operation of its own.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: Options, endpoint: Endpoint
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._observer = self._observe = options.observer
        self._timeout = options.timeout
        options = with_wait_defaults(replace(options, ready=None))
        started = loop.time()
        self._schedule = RetrySchedule(
            (endpoint,), started=started, timeout=options.timeout, delays=options.retry
        )
        self._log = AttemptLog((endpoint,), started)
        self._options = replace(options, retry=())

    async def run(self) -> float:
        """Look until the server is down; return how many seconds that took."""
        observer = self._observer
        if not isinstance(observer, CallObserver):
            return await self._run()
        host, port, *_ = self._endpoint.final_destination
        with observing(self._loop, observer, host, port) as observe:
            self._observe = observe
            return await self._run()

    async def _run(self) -> float:
        loop, schedule = self._loop, self._schedule
        error: ConnectError | None = None
        step: Step = schedule.begin()  # look once, even if there is no time
        while not isinstance(step, GiveUp):
            if isinstance(step, Sleep):
                if self._observe is not None and step.delay is not None:
                    now = loop.time()
                    event = events.RetryScheduled(now, schedule.round, step.delay)
                    self._observe(event)
                await sleep_until(loop, step.until)
                schedule.rested()
            else:
                error, is_complete = await self._look(step.deadline)
                if error is not None and is_complete and _is_server_gone(error):
                    return loop.time() - schedule.started
                if error is not None and not self._is_worth_retry(error):
                    raise self._reported(error)
            step = schedule.next(loop.time(), lambda: True)
        raise self._reported(self._not_down_error(error))

    def _is_worth_retry(self, error: ConnectError) -> bool:
        """Tell whether to go on after a look that ended just now with *error*."""
        is_timeout = isinstance(error, ConnectTimeoutError)
        soon = self._loop.time() + TIMER_TOLERANCE
        if is_timeout and self._schedule.deadline.has_passed(soon):
            return True  # The wait's own deadline cut the look short.
        return any(
            isinstance(one.error, OSError)
            and one.phase != "guard"
            and self._options.retry_on(one.error)
            for one in error.attempts
        )

    async def _look(self, deadline: Deadline) -> tuple[ConnectError | None, bool]:
        """Connect once, and close the socket.

        Return the error, if any, and whether it covers every address of the server.
        """
        # The environment, which can name a proxy, may have changed since the last look.
        _check_is_direct(self._options, self._endpoint)
        left = None
        if deadline.at is not None:
            left = max(deadline.at - self._loop.time(), 0.0)
        observe = _without_gave_up(self._observe)
        options = replace(self._options, timeout=left, observer=observe)
        operation = ConnectOperation(options, (self._endpoint,))
        error: ConnectError | None = None
        try:
            sock: socket.socket = await operation.run()
        except ConnectError as exc:
            for attempt in exc.attempts:
                self._log.add(replace(attempt, round=self._schedule.round))
            error = exc.with_traceback(None)
        else:
            sock.close()
        if not isinstance(error, ConnectTimeoutError):
            self._schedule.answered(self._loop.time())
        return error, error is None or operation.found_all_addresses

    def _not_down_error(self, last: ConnectError | None) -> ConnectTimeoutError:
        """Return the error of the wait.  *last* is the error of the last look."""
        state = "still up"
        if last is not None:
            lines = (
                f"{attempt_subject(one)}: {attempt_reason(one)}"
                for one in last.attempts
            )
            state = "; ".join(dict.fromkeys(lines)) or "nothing was tried"
        within = "" if self._timeout is None else f" within {self._timeout:g} s"
        count = self._schedule.round
        plural = "" if count == 1 else "s"
        elapsed = self._loop.time() - self._schedule.started
        checks = f"{count} check{plural}, {elapsed:.3f} s"
        text = f"{self._endpoint} is not down{within}: {state} ({checks})"
        error = ConnectTimeoutError(errno.ETIMEDOUT, text)
        error.host, error.port = self._endpoint.host, self._endpoint.port
        error.rounds, error.elapsed = count, elapsed
        error.attempts = self._log.attempts
        error.attempt_count = self._log.count
        error.__cause__ = last
        return error

    def _reported(self, error: ConnectError) -> ConnectError:
        """Tell the observer that the wait ends with *error*, and return it."""
        if self._observe is not None:
            self._observe(events.GaveUp(self._loop.time(), error))
        return error


def _without_gave_up(observe: Observer | None) -> Observer | None:
    """Return *observe* for looks, without `GaveUp`: a failed look ends no wait."""
    if observe is None:
        return None

    def observe_look(event: events.Event) -> None:
        if not isinstance(event, events.GaveUp):
            observe(event)

    return observe_look


def _is_server_gone(error: ConnectError) -> bool:
    """Tell whether all attempts prove the server gone.

    An address that this machine cannot reach does not count.  At least one has to.
    """
    attempts = [one for one in error.attempts if not _is_unreachable_from_here(one)]
    return bool(attempts) and all(map(_proves_gone, attempts))


def _is_unreachable_from_here(attempt: Attempt) -> bool:
    code = getattr(attempt.error, "errno", None)
    return attempt.phase == "connect" and not attempt.sent and code in _NOT_FROM_HERE


def _proves_gone(attempt: Attempt) -> bool:
    error = attempt.error
    if isinstance(error, socket.gaierror):
        # A numeric host is not looked up by name, so its error comes from this machine.
        is_name = numeric_address(str(attempt.host).partition("%")[0], 0) is None
        return attempt.phase == "resolve" and is_name and is_unknown_name(error)
    if attempt.phase != "connect" or not isinstance(error, OSError):
        return False
    # EHOSTUNREACH before a packet was sent comes from a route of this machine.
    is_answer = attempt.sent or error.errno in (errno.ECONNREFUSED, errno.ENOENT)
    return is_answer and error.errno in _GONE

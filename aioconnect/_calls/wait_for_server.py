"""Wait until a server is up, or down."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from dataclasses import replace

from .._io.sockets import disable_fast_open
from .._io.timers import TIMER_TOLERANCE, sleep_until
from .._sansio.checks import check_duration
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
from .._sansio.retry_schedule import shorten_last_delay
from .backoff import Backoff
from .call import Call
from .observing import CallObserver, Observer, events, observing
from .options import Options
from .ready import stays_open

__all__ = ["until_down", "until_up"]

# Who waits for a server wants to know soon, and asks but a few times a second.
_DELAYS = Backoff(maximum=1.0)

# How long a look may take, in seconds: a SYN that was lost is sent again after one.  An
# address that drops them would else keep the others from being looked at again.
_LOOK = 3.0

# Nobody listens, or nobody is there at all.
_GONE = (errno.ECONNREFUSED, errno.ENOENT, errno.EHOSTUNREACH, errno.EHOSTDOWN)

_NAME_TO_COME = (
    "retry_on=is_transient | is_unknown_name waits for a name that does not exist yet"
)

# No route, or no such family, here: that is about this machine.
_NOT_HERE = (errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


async def until_up(options: Options, place: Endpoint, settle: float) -> float:
    """Return how long it took until *place* was connected, and stayed so.

    Raises:
        ConnectError: The policy has given up, or the time is up.
        ValueError: There is no time to *settle* in.
    """
    _check_settle(options, settle)
    loop = asyncio.get_running_loop()
    started = loop.time()
    options = _patient(options, settle)
    if settle:
        options = replace(options, ready=stays_open(settle, options.ready))
    call = Call(options, (place,))
    call.expect(settle)
    try:
        sock: socket.socket = await call.run(None)
    except ResolveError as exc:
        if is_unknown_name(exc) and not options.retry_on(exc):
            exc.strerror = f"{exc.strerror}; {_NAME_TO_COME}"
            exc.args = (exc.errno, exc.strerror)  # they are what is pickled
        raise
    sock.close()
    return loop.time() - started


def _check_settle(options: Options, settle: float) -> None:
    check_duration("settle", settle)
    for name in ("timeout", "attempt_timeout"):
        seconds = getattr(options, name)
        if seconds and settle >= seconds:
            raise ValueError(f"settle: {settle:g} s do not fit into {name}={seconds:g}")


def _patient(options: Options, settle: float = 0.0) -> Options:
    """Return *options* with the defaults of a wait where they say nothing else."""
    if options.prepare:
        options = replace(options, prepare=(*options.prepare, disable_fast_open))
    if options.attempt_timeout is None and options.ready is None:
        options = replace(options, attempt_timeout=_LOOK + settle)
    return options if options.retry else replace(options, retry=_DELAYS)


async def until_down(options: Options, place: Endpoint) -> float:
    """Return how long it took until *place* refused, or was gone.

    Raises:
        ConnectTimeoutError: It is still up, or slow.
        ConnectError: The policy does not accept the error.
    """
    loop = asyncio.get_running_loop()
    return await _Descent(loop, options, place).run()


class _Descent:
    """The looks at *place*, until it is down: what they came to, and their time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: Options, place: Endpoint
    ) -> None:
        self._loop = loop
        self._place = place
        self._started = loop.time()
        self._timeout = options.timeout
        self._deadline = math.inf
        if options.timeout is not None:
            self._deadline = self._started + options.timeout
        self._observer = self._observe = options.observer
        options = _patient(replace(options, ready=None))
        self._delays = iter(options.retry)
        self._options = replace(options, retry=(), observer=_hushed(options.observer))
        self._history = AttemptLog((place,), self._started)
        self._looks = 0
        self._is_last = False
        self._longest_answer = 0.0

    async def run(self) -> float:
        """Look until it is down; return how long it took."""
        observer = self._observer
        if not isinstance(observer, CallObserver):
            return await self._run()
        host, port, *_ = self._place.final_destination
        with observing(self._loop, observer, host, port) as observe:
            self._observe = observe
            self._options = replace(self._options, observer=_hushed(observe))
            return await self._run()

    async def _run(self) -> float:
        while True:
            error, is_sure = await self._look()
            now = self._loop.time()
            if error is not None and is_sure and _is_gone(error):
                return now - self._started
            if error is not None and not self._may_pass(error, now):
                raise self._told(error)
            delay = self._next_delay(now)
            if delay is None:
                raise self._told(self._not_down(error))
            if self._observe is not None:
                self._observe(events.RetryScheduled(now, self._looks, delay))
            await sleep_until(self._loop, now + delay)
            if self._loop.time() >= self._deadline:  # the loop was late
                raise self._told(self._not_down(error))

    def _next_delay(self, now: float) -> float | None:
        """Return after how many seconds to look again, or None: this was the last."""
        delay = next(self._delays, None)
        if delay is None:
            return None
        check_duration("retry", delay)
        if self._is_last or now >= self._deadline:
            return None
        left = self._deadline - now
        cut = shorten_last_delay(delay, left, self._longest_answer)
        self._is_last = cut < delay
        return cut

    def _may_pass(self, error: ConnectError, now: float) -> bool:
        """Tell whether the policy accepts *error*, of a look that has ended *now*."""
        is_timeout = isinstance(error, ConnectTimeoutError)
        if is_timeout and now + TIMER_TOLERANCE >= self._deadline:
            return True  # it was cut short by the time of the wait: not the policy's
        return any(
            isinstance(one.error, OSError)
            and one.phase != "guard"
            and self._options.retry_on(one.error)
            for one in error.attempts
        )

    async def _look(self) -> tuple[ConnectError | None, bool]:
        """Connect once, and close; return why it could not be, and if that is all."""
        self._looks += 1
        left = None
        if self._timeout is not None:
            left = max(self._deadline - self._loop.time(), 0.0)
        call = Call(replace(self._options, timeout=left), (self._place,))
        started = self._loop.time()
        error: ConnectError | None = None
        try:
            sock: socket.socket = await call.run(None)
        except ConnectError as exc:
            for attempt in exc.attempts:
                self._history.add(replace(attempt, round=self._looks))
            error = exc.with_traceback(None)
        else:
            sock.close()
        if not isinstance(error, ConnectTimeoutError):
            took = self._loop.time() - started
            self._longest_answer = max(self._longest_answer, took)
        return error, error is None or call.knows_all

    def _not_down(self, last: ConnectError | None) -> ConnectTimeoutError:
        said = "it is up"
        if last is not None:
            lines = (
                f"{attempt_subject(one)}: {attempt_reason(one)}"
                for one in last.attempts
            )
            said = "; ".join(dict.fromkeys(lines)) or "nothing was tried"
        within = "" if self._timeout is None else f" within {self._timeout:g} s"
        many = "" if self._looks == 1 else "s"
        elapsed = self._loop.time() - self._started
        looks = f"{self._looks} look{many}, {elapsed:.3f} s"
        text = f"{self._place} is not down{within}: {said} ({looks})"
        error = ConnectTimeoutError(errno.ETIMEDOUT, text)
        error.host, error.port = self._place.host, self._place.port
        error.rounds, error.elapsed = self._looks, elapsed
        error.attempts = self._history.attempts
        error.attempt_count = self._history.count
        error.__cause__ = last
        return error

    def _told(self, error: ConnectError) -> ConnectError:
        if self._observe is not None:
            self._observe(events.GaveUp(self._loop.time(), error))
        return error


def _hushed(observe: Observer | None) -> Observer | None:
    """Return an observer of looks: that one of them fails is not the end."""
    if observe is None:
        return None

    def observe_look(event: events.Event) -> None:
        if not isinstance(event, events.GaveUp):
            observe(event)

    return observe_look


def _is_gone(error: ConnectError) -> bool:
    """Tell whether every address says so, but those that cannot be tried from here."""
    attempts = [one for one in error.attempts if not _is_elsewhere(one)]
    return bool(attempts) and all(map(_says_gone, attempts))


def _is_elsewhere(attempt: Attempt) -> bool:
    code = getattr(attempt.error, "errno", None)
    return attempt.phase == "connect" and not attempt.sent and code in _NOT_HERE


def _says_gone(attempt: Attempt) -> bool:
    error = attempt.error
    if isinstance(error, socket.gaierror):
        # Numbers have no name server: what is wrong with them is so here.
        is_name = numeric_address(str(attempt.host).partition("%")[0], 0) is None
        return attempt.phase == "resolve" and is_name and is_unknown_name(error)
    if attempt.phase != "connect" or not isinstance(error, OSError):
        return False
    # A route that says unreachable at once is this machine's.
    is_told = attempt.sent or error.errno in (errno.ECONNREFUSED, errno.ENOENT)
    return is_told and error.errno in _GONE

"""Drive one call: race, retry, and keep the time and the history.

Only here do they meet.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any, TypeVar

from ._address import Address
from ._adopt import Finish, discard
from ._backoff import check_duration
from ._errors import (
    Attempt,
    AttemptError,
    ConnectError,
    Expired,
    History,
    ResolveError,
    error_group,
    os_error,
)
from ._events import AttemptFailed, AttemptStarted, Connected, GaveUp, RetryScheduled
from ._eyeballs import Race
from ._guard import is_allowed
from ._names import Names
from ._options import Options, check_local_addr
from ._pending import settle
from ._racer import Racer, Winner
from ._resolver import resolve_local
from ._sockets import begin, start
from ._waits import sleep_until
from ._watchers import check_loop

__all__ = ["Call", "at_once"]

T = TypeVar("T")

_INET = (socket.AF_INET, socket.AF_INET6)


def at_once(
    options: Options, address: Address | None
) -> tuple[socket.socket, int] | None:
    """Begin the first attempt, if nothing has to be done and nobody told before it.

    A connect that the kernel answers at once then costs nothing else: no `Call`
    is made for it.
    """
    if address is None or options.observer is not None or options.prepare:
        return None
    if options.local_addr is not None or options.allow is not None:
        return None
    if options.timeout == 0:
        return None
    check_loop(asyncio.get_running_loop())
    try:
        return begin(address, (), None)
    except AttemptError:
        return None  # it is made once more, and then it counts


class Call:
    """One call of one of the functions, under way on the running loop."""

    __slots__ = (
        "_all_errors",
        "_deadline",
        "_delays",
        "_expired",
        "_history",
        "_host",
        "_local",
        "_loop",
        "_options",
        "_port",
        "_round",
        "_sock",
        "_started",
    )

    def __init__(
        self,
        options: Options,
        host: str | None,
        port: int | None,
        sock: socket.socket | None = None,
        all_errors: bool = False,
    ) -> None:
        """*sock* is the caller's own, to be used instead of new ones, once.

        With *all_errors* a failure is raised as a group of the attempts' errors.
        """
        self._loop = loop = asyncio.get_running_loop()
        check_loop(loop)
        self._options = options
        self._host = host
        self._port = port
        self._sock = sock
        self._all_errors = all_errors
        self._started = loop.time()
        timeout = options.timeout
        self._deadline = None if timeout is None else self._started + timeout
        self._round = 0
        self._expired = False
        self._local: tuple[Address, ...] | None = None
        self._history: History | None = None
        self._delays: Iterator[float] | None = None

    async def run(
        self,
        address: Address | None,
        finish: Finish[T] | None,
        begun: tuple[socket.socket, int] | None = None,
    ) -> T:
        """Return what *finish* makes of a connected socket; without it, the socket.

        Without an *address* it is the caller's socket as it is, if there is one,
        and else the first that is connected of all that the host has.  *begun* is
        the first attempt, if that is under way.

        Raises:
            ConnectError: None could be connected, or the time is up.
        """
        loop, options = self._loop, self._options
        while True:
            if begun is None:
                await self._next_round()
            else:
                self._round = 1
            where, started = address, loop.time()
            limit = self._deadline  # a look-up's; an attempt has its own
            try:
                if self._local_is_due(address):
                    await self._find_local()
                    started = loop.time()
                limit = self.limit(started)
                if address is None and self._sock is None:
                    winner = await self._race()
                    if winner is None:
                        continue
                    sock, where, started, limit = winner
                else:
                    sock, code = begun or self.begin(address)
                    begun = None
                    if code:
                        assert address is not None
                        await settle(
                            loop,
                            sock,
                            address,
                            code,
                            limit,
                            options.outcome,
                            self._sock is None,
                        )
                made: Any = sock
                if finish is not None:
                    made = await finish(loop, sock, limit, owned=self._sock is None)
            except AttemptError as exc:
                self.failed(where, exc, started, limit)
            else:
                self._tell_connected(where, made)
                return made  # type: ignore[no-any-return]  # T, or the socket

    async def _race(self) -> Winner | None:
        """Return the first of the host's addresses that is connected, or None."""
        loop, options = self._loop, self._options
        names = Names(loop, options, self._host, self._port or 0)
        known = names.known()
        families = names.families if known is None else ()
        race = Race(
            families,
            attempt_delay=options.happy_eyeballs_delay,
            resolution_delay=options.resolution_delay,
            order=names.ordered,
        )
        if known is not None:
            race.answered(options.family, known, loop.time())
        racer = Racer(loop, race, names, self, options.outcome, self._deadline)
        winner = await racer.run(families)
        if winner is None:
            self._expired = self._expired or not race.is_over
            if not race.has_addresses:
                for exc, started in names.failures():
                    self.failed(None, exc, started, self._deadline)
        return winner

    def begin(self, address: Address | None) -> tuple[socket.socket, int]:
        """Start an attempt at *address*; return its socket and the first answer.

        None stands for the caller's socket as it is.

        Raises:
            AttemptError: It came to nothing.
        """
        options = self._options
        if address is None:
            assert self._sock is not None
            return self._sock, 0
        if options.allow is not None and not is_allowed(options.allow, address):
            error = os_error(errno.EACCES, "not allowed")
            raise AttemptError("guard", error, sent=False)
        if options.observer is not None:
            now = self._loop.time()
            options.observer(AttemptStarted(now, address, self._round))
        if self._sock is None:
            return begin(address, options.prepare, self._local)
        return self._sock, start(self._sock, address, owned=False)

    def failed(
        self,
        address: Address | None,
        exc: AttemptError,
        started: float,
        limit: float | None,
    ) -> None:
        """Keep the failure of an attempt that had to end at *limit*."""
        if isinstance(exc, Expired) and limit == self._deadline:
            self._expired = True
        now = self._loop.time()
        attempt = Attempt(
            address, exc.phase, exc.error, started, now - started, self._round, exc.sent
        )
        self._so_far.add(attempt)
        if self._options.observer is not None:
            self._options.observer(AttemptFailed(now, attempt))

    def _local_is_due(self, address: Address | None) -> bool:
        """Tell whether there will be a socket to bind whose address is not known."""
        return (
            self._options.local_addr is not None
            and self._local is None
            and self._sock is None
            and (address is None or address.family in _INET)
        )

    async def _find_local(self) -> None:
        """Find out which addresses to bind to.

        Raises:
            AttemptError: They have no address.
        """
        assert self._options.local_addr is not None
        pairs = check_local_addr(self._options.local_addr)
        self._local = await resolve_local(self._loop, pairs, self._deadline)

    def _is_over(self, now: float) -> bool:
        return self._deadline is not None and now >= self._deadline

    def limit(self, now: float) -> float | None:
        """Return when an attempt that starts *now* has to end."""
        deadline, seconds = self._deadline, self._options.attempt_timeout
        if seconds is None:
            return deadline
        return now + seconds if deadline is None else min(now + seconds, deadline)

    def _tell_connected(self, address: Address | None, made: object) -> None:
        observe = self._options.observer
        if observe is None or address is None:
            return
        now = self._loop.time()
        try:
            observe(Connected(now, address, self._round, now - self._started))
        except BaseException:
            if self._sock is None:
                discard(made)
            raise

    @property
    def _so_far(self) -> History:
        if self._history is None:
            self._history = History(self._host, self._port, self._started)
        return self._history

    async def _next_round(self) -> None:
        """Wait until the next round may begin, or raise: there is none."""
        if self._round:
            if self._expired:
                raise self._time_is_up()
            now = self._loop.time()
            delay = self._next_delay() if self._may_retry() else None
            if delay is None:
                raise self._give_up()
            if self._is_over(now + delay):
                raise self._time_is_up(delay)
            if self._options.observer is not None:
                self._options.observer(RetryScheduled(now, self._round, delay))
            await sleep_until(self._loop, now + delay)
        self._round += 1
        if self._is_over(self._loop.time()):
            raise self._time_is_up()

    def _may_retry(self) -> bool:
        if self._sock is not None:
            return False
        accepts = self._options.retry_on
        return any(
            accepts(attempt.error)
            for attempt in self._so_far.of_round(self._round)
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

    def _give_up(self) -> Exception:
        """Return the error for a call that everything was tried for."""
        now = self._loop.time()
        error = self._told(self._so_far.failure(now, self._round))
        if self._all_errors and not isinstance(error, ResolveError):
            return error_group(error)
        return error

    def _time_is_up(self, delay: float | None = None) -> ConnectError:
        """Return the error for a call whose time is up, or would be after *delay*."""
        now = self._loop.time()
        seconds = self._options.timeout or 0.0
        return self._told(self._so_far.timeout(now, self._round, seconds, delay))

    def _told(self, error: ConnectError) -> ConnectError:
        if self._options.observer is not None:
            self._options.observer(GaveUp(self._loop.time(), error))
        return error

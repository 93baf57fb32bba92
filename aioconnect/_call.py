"""Drive one call: resolve, attempt, retry, and keep the time and the history.

Only here do they meet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Sequence
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
)
from ._events import (
    AttemptFailed,
    AttemptStarted,
    Connected,
    GaveUp,
    Resolved,
    ResolveFailed,
    ResolveStarted,
    RetryScheduled,
)
from ._options import Options, check_local_addr
from ._order import interleaved
from ._resolver import resolve, resolve_local
from ._sockets import begin, check_loop, settle, start
from ._waits import sleep_until

__all__ = ["Call", "at_once"]

T = TypeVar("T")

_INET = (socket.AF_INET, socket.AF_INET6)

# The phases in which there is a connected socket already.
_AFTER_CONNECT = ("tls", "adopt")


def at_once(
    options: Options, addresses: Sequence[Address] | None
) -> tuple[socket.socket, int] | None:
    """Begin the first attempt, if nothing has to be done and nobody told before it.

    A connect that the kernel answers at once then costs nothing else: no `Call`
    is made for it.
    """
    if addresses is None or options.observer is not None or options.prepare:
        return None
    if options.local_addr is not None or options.timeout == 0:
        return None
    check_loop(asyncio.get_running_loop())
    try:
        return begin(addresses[0], (), None)
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
        addresses: Sequence[Address | None] | None,
        finish: Finish[T] | None,
        begun: tuple[socket.socket, int] | None = None,
    ) -> T:
        """Return what *finish* makes of the first socket that is connected.

        *addresses* are tried in order; None stands for those of the host, and as
        one of them for the caller's socket as it is.  Without *finish* it is the
        socket itself.  *begun* is the first attempt, if that is under way.

        Raises:
            ConnectError: None could be connected, or the time is up.
        """
        loop, options = self._loop, self._options
        while True:
            self._round += 1
            found = addresses
            if found is None or self._local_is_due(found):
                found = await self._find(addresses)
            for address in found:
                started = loop.time()
                if begun is None and self._is_over(started):
                    raise self._time_is_up()
                limit = self._limit(started)
                try:
                    sock, code = begun or self._begin(address)
                    begun = None
                    if code and address is not None:
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
                    over = self._failed(address, exc, started, limit)
                else:
                    self._tell_connected(address, made)
                    return made  # type: ignore[no-any-return]  # T, or the socket
                if over:
                    break
            await self._next_round()

    def _begin(self, address: Address | None) -> tuple[socket.socket, int]:
        observe = self._options.observer
        if observe is not None and address is not None:
            observe(AttemptStarted(self._loop.time(), address, self._round))
        if self._sock is None:
            assert address is not None
            return begin(address, self._options.prepare, self._local)
        code = 0 if address is None else start(self._sock, address, owned=False)
        return self._sock, code

    def _failed(
        self,
        address: Address | None,
        exc: AttemptError,
        started: float,
        limit: float | None,
    ) -> bool:
        """Keep the failure; tell whether the round ends with it."""
        self._record(address, exc, started)
        self._expired = isinstance(exc, Expired) and limit == self._deadline
        # A connect that was made and came to nothing afterwards is not the next
        # address's business.
        return self._expired or exc.phase in _AFTER_CONNECT

    def _local_is_due(self, addresses: Sequence[Address | None]) -> bool:
        """Tell whether there will be a socket to bind whose address is not known."""
        return (
            self._options.local_addr is not None
            and self._local is None
            and self._sock is None
            and any(address and address.family in _INET for address in addresses)
        )

    async def _find(
        self, addresses: Sequence[Address | None] | None
    ) -> Sequence[Address | None]:
        """Return what to try in this round; a failure to find it is an attempt."""
        options = self._options
        started = self._loop.time()
        try:
            if options.local_addr is not None and self._local is None:
                pairs = check_local_addr(options.local_addr)
                self._local = await resolve_local(self._loop, pairs, self._deadline)
            if addresses is not None:
                return addresses
            return await self._resolve()
        except AttemptError as exc:
            self._failed(None, exc, started, self._deadline)
        return ()

    async def _resolve(self) -> tuple[Address, ...]:
        options, loop, started = self._options, self._loop, self._loop.time()
        observe, host, port = options.observer, self._host, self._port or 0
        what = (str(host), port, options.family)
        if observe is not None:
            observe(ResolveStarted(started, *what))
        try:
            found = await resolve(
                loop,
                host,
                port,
                family=options.family,
                proto=options.proto,
                flags=options.flags,
                deadline=self._deadline,
            )
        except AttemptError as exc:
            if observe is not None:
                now = loop.time()
                observe(ResolveFailed(now, *what, exc.error, now - started))
            raise
        found = interleaved(found, options.interleave or 0)
        if observe is not None:
            now = loop.time()
            observe(Resolved(now, *what, found, now - started))
        return found

    def _is_over(self, now: float) -> bool:
        return self._deadline is not None and now >= self._deadline

    def _limit(self, now: float) -> float | None:
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

    def _record(
        self, address: Address | None, exc: AttemptError, started: float
    ) -> None:
        now = self._loop.time()
        attempt = Attempt(
            address, exc.phase, exc.error, started, now - started, self._round, exc.sent
        )
        self._so_far.add(attempt)
        if self._options.observer is not None:
            self._options.observer(AttemptFailed(now, attempt))

    @property
    def _so_far(self) -> History:
        if self._history is None:
            self._history = History(self._host, self._port, self._started)
        return self._history

    async def _next_round(self) -> None:
        """Wait for the next round, or raise: there is none."""
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

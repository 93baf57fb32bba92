"""Wait until a server is up, or down."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Iterator
from dataclasses import replace

from ._backoff import Backoff, check_duration
from ._call import Call
from ._errors import Attempt, ConnectError, ConnectTimeoutError, reason
from ._options import Options
from ._ready import settled
from ._target import Place
from ._waits import sleep_until

__all__ = ["until_down", "until_up"]

# Who waits for a server wants to know soon, and asks but a few times a second.
_DELAYS = Backoff(maximum=1.0)

# Before the end of the time, in seconds, who waits looks once more.
_LAST_LOOK = 0.05


class _Looks:
    """The delays of a wait that has *timeout* seconds from now on.

    What a timeout is given for is to be used: a delay that would pass its end is cut
    short for a last look.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float | None) -> None:
        self._loop = loop
        self._last = math.inf if timeout is None else loop.time() + timeout - _LAST_LOOK

    def __iter__(self) -> Iterator[float]:
        for delay in _DELAYS:
            left = self._last - self._loop.time()
            yield min(delay, left) if left > 0 else delay + _LAST_LOOK


# Nobody listens, or nobody is there at all.  A network without a route is none of
# them: that is about this machine.
_GONE = frozenset(
    {errno.ECONNREFUSED, errno.ENOENT, errno.EHOSTUNREACH, errno.EHOSTDOWN}
)
_GONE_NAMES = frozenset(
    getattr(socket, code)
    for code in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, code)
)


async def until_up(options: Options, place: Place, settle: float) -> float:
    """Return how long it took until *place* was connected, and stayed so.

    Raises:
        ConnectError: The policy has given up, or the time is up.
    """
    check_duration("settle", settle)
    if settle:
        options = replace(options, ready=settled(settle, options.ready))
    loop = asyncio.get_running_loop()
    started = loop.time()
    if not options.retry:
        options = replace(options, retry=_Looks(loop, options.timeout))
    sock: socket.socket = await Call(options, (place,)).run(None)
    sock.close()
    return loop.time() - started


async def until_down(options: Options, place: Place) -> float:
    """Return how long it took until *place* refused, or was gone.

    Raises:
        ConnectTimeoutError: It is still up, or slow.
        ConnectError: The policy does not accept the error.
    """
    loop = asyncio.get_running_loop()
    started = now = loop.time()
    timeout = options.timeout
    deadline = None if timeout is None else started + timeout
    delays = iter(options.retry or _Looks(loop, timeout))
    looks = 0
    while True:
        looks += 1
        left = None if deadline is None else max(deadline - now, 0.0)
        error = await _look(options, place, left)
        now = loop.time()
        if error is not None and _is_gone(error):
            return now - started
        if error is not None and not _may_pass(options, error):
            raise error
        delay = next(delays, None)
        if delay is not None:
            check_duration("retry", delay)
        if delay is None or (deadline is not None and now + delay >= deadline):
            raise _not_down(place, timeout, looks, now - started, error)
        await sleep_until(loop, now + delay)
        now = loop.time()


async def _look(
    options: Options, place: Place, left: float | None
) -> ConnectError | None:
    """Connect once, and close; return why it could not be."""
    options = replace(options, retry=(), ready=None, timeout=left)
    try:
        sock: socket.socket = await Call(options, (place,)).run(None)
    except ConnectError as exc:
        return exc.with_traceback(None)
    sock.close()
    return None


def _is_gone(error: ConnectError) -> bool:
    """Tell whether every address says so, of those that a packet was sent to."""
    attempts = _last_round(error)
    errors = [one.error for one in attempts if one.sent] or [
        one.error for one in attempts
    ]
    return bool(errors) and all(map(_says_gone, errors))


def _may_pass(options: Options, error: ConnectError) -> bool:
    return any(
        isinstance(one.error, OSError) and options.retry_on(one.error)
        for one in _last_round(error)
    )


def _last_round(error: ConnectError) -> list[Attempt]:
    return [one for one in error.attempts if one.round == error.rounds]


def _says_gone(error: Exception) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno in _GONE_NAMES
    return isinstance(error, OSError) and error.errno in _GONE


def _not_down(
    place: Place,
    timeout: float | None,
    looks: int,
    elapsed: float,
    last: ConnectError | None,
) -> ConnectTimeoutError:
    said = "it is up"
    if last is not None:
        said = "; ".join(
            dict.fromkeys(
                f"{one.address or one.host}: {reason(one)}" for one in last.attempts
            )
        )
    within = "" if timeout is None else f" within {timeout:g} s"
    many = "" if looks == 1 else "s"
    text = f"{place} is not down{within}: {said} ({looks} look{many}, {elapsed:.3f} s)"
    error = ConnectTimeoutError(errno.ETIMEDOUT, text)
    error.host, error.port = place.host, place.port
    error.rounds, error.elapsed = looks, elapsed
    if last is not None:
        error.attempts, error.attempt_count = last.attempts, last.attempt_count
        error.__cause__ = last
    return error

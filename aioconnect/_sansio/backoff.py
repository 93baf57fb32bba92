"""Decide whether to try again, and after how many seconds.

Pure: a schedule is numbers, a policy is a function of the error.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .addresses import numeric_address
from .text import safe_repr

__all__ = [
    "ERRNOS",
    "Backoff",
    "Predicate",
    "check_duration",
    "is_refused",
    "is_transient",
    "is_unknown_name",
    "random_fraction",
    "shorten_last_delay",
]

_TRANSIENT = frozenset(
    {
        errno.EADDRINUSE,  # of a local port that was asked for
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOBUFS,
        errno.ENODEV,  # an interface that is not there yet
        errno.ENOENT,
        errno.ETIMEDOUT,
    }
)

# There is no such name, or it has no address.  Not every system has both.
_UNKNOWN = frozenset(
    getattr(socket, code)
    for code in ("EAI_NONAME", "EAI_NODATA")
    if hasattr(socket, code)
)


ErrorPredicate: TypeAlias = Callable[[OSError], bool]


@dataclass(frozen=True, slots=True, repr=False)
class Predicate:
    """A question about an `OSError`, which is called like a function.

    ``|`` and ``&`` join it with another, or with a function of yours on either side:
    ``is_refused | (lambda error: error.errno == errno.EPERM)``.  It is a value, which
    compares, hashes and pickles as the functions do that it is made of.

    Raises:
        TypeError: *ask* is not callable.
    """

    ask: ErrorPredicate

    def __post_init__(self) -> None:
        if not _is_question(self.ask):
            raise TypeError(f"ask must be a function, not {safe_repr(self.ask)}")

    def __repr__(self) -> str:
        return _named(self.ask)

    def __call__(self, error: OSError) -> bool:
        """Return the answer."""
        return bool(self.ask(error))

    def __or__(self, other: ErrorPredicate) -> Predicate:
        return _join(any, self, other)

    def __ror__(self, other: ErrorPredicate) -> Predicate:
        return _join(any, other, self)

    def __and__(self, other: ErrorPredicate) -> Predicate:
        return _join(all, self, other)

    def __rand__(self, other: ErrorPredicate) -> Predicate:
        return _join(all, other, self)


def _join(how: Callable[[Iterable[bool]], bool], *parts: Any) -> Predicate:
    # Python then says which types cannot be joined.
    other: Any = NotImplemented
    joined: Any = _Joined(how, parts)  # to mypy, no named tuple can be called
    return Predicate(joined) if all(map(_is_question, parts)) else other


def _is_question(value: object) -> bool:
    # An exception's class can be called too, and what it gives is true.
    return callable(value) and not isinstance(value, type)


def _named(ask: object) -> str:
    """Return what *ask* is called where it is imported from."""
    name: str = getattr(ask, "__name__", "") or repr(ask)
    return name.removeprefix("_")


class _Joined(NamedTuple):
    """Several questions, asked one after the other: *how* is `any` or `all`."""

    how: Callable[[Iterable[bool]], bool]
    parts: tuple[ErrorPredicate, ...]

    def __call__(self, error: OSError) -> bool:
        return self.how(part(error) for part in self.parts)

    def __repr__(self) -> str:
        sign = " | " if self.how is any else " & "
        return f"({sign.join(map(_named, self.parts))})"


def _is_refused(error: OSError) -> bool:
    return _code(error) in (errno.ECONNREFUSED, errno.ENOENT)


def _is_transient(error: OSError) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return _code(error) in _TRANSIENT


def _is_unknown_name(error: OSError) -> bool:
    if not isinstance(error, socket.gaierror) or error.errno not in _UNKNOWN:
        return False
    # A ConnectError says which host.  An address is no name: nobody will register it.
    host = str(getattr(error, "host", None) or "").partition("%")[0]
    return numeric_address(host, 0) is None


# Nobody listens there (yet), and the server may be starting: ECONNREFUSED, and
# ENOENT of a Unix path not there yet.
is_refused = Predicate(_is_refused)

# The same connect may succeed later, with nothing changed here.  True for what
# is_refused accepts, and for reset, aborted, timed out, unreachable (host and
# network), network down, EAGAIN, EADDRNOTAVAIL, EADDRINUSE, ENODEV, ENOBUFS and
# EAI_AGAIN.  False for everything else: what the kernel or a route forbids, a lack of
# descriptors, a name that does not exist, a certificate that does not verify.
is_transient = Predicate(_is_transient)

# The name does not exist (yet), or has no address: EAI_NONAME and EAI_NODATA of a
# look-up.  In a cluster a service's name often comes with the service, and
# ``retry_on=is_transient | is_unknown_name`` waits for it.  It is not transient, as a
# name that was misspelt never comes.
is_unknown_name = Predicate(_is_unknown_name)


def _code(error: OSError) -> int | None:
    # The codes of these two are not errnos: SSL_ERROR_SSL is EPERM's number.
    if isinstance(error, socket.gaierror | ssl.SSLError):
        return None
    if error.errno is None:
        # asyncio raises some without one (a TLS handshake cut short).
        for builtin, code in ERRNOS.items():
            if isinstance(error, builtin):
                return code
    # A hook can put anything there.
    return error.errno if isinstance(error.errno, int) else None


# Of the exceptions that asyncio raises without one.
ERRNOS: dict[type[OSError], int] = {
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    TimeoutError: errno.ETIMEDOUT,
}


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow: *initial* seconds, times *factor*, up to *maximum*.

    *jitter* is the random share of each delay: with 1.0 ("full jitter") it is
    drawn evenly from 0 to the whole, so that clients that failed together do
    not come back together; with 0.0 it is the whole, always.  *attempts* is
    how many delays there are, None for no end.  Each iteration starts anew.

    The first ten delays, in seconds, each drawn from 0 to:

    ============================  ====  ====  ====  ====  ====  ===  ===  ==  ==  ==
    ``Backoff()``                 0.05  0.1   0.2   0.4   0.8   1.6  3.2  5   5   5
    ``Backoff(maximum=1)``        0.05  0.1   0.2   0.4   0.8   1    1    1   1   1
    ``Backoff(0.5, factor=1.5)``  0.5   0.75  1.13  1.69  2.53  3.8  5    5   5   5
    ============================  ====  ====  ====  ====  ====  ===  ===  ==  ==  ==

    Raises:
        ValueError: A number is negative, NaN or infinite, *factor* is below 1, or
            *jitter* above 1.
        TypeError: One is no number, or *attempts* no whole one.
    """

    initial: float = 0.05
    factor: float = 2.0
    maximum: float = 5.0
    jitter: float = 1.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        for name in ("initial", "maximum", "jitter"):
            check_duration(name, getattr(self, name))
        factor: object = self.factor
        if not isinstance(factor, int | float) or isinstance(factor, bool):
            raise TypeError(f"factor must be a number, not {safe_repr(factor)}")
        if not 1.0 <= factor <= sys.float_info.max:
            raise ValueError(f"factor must be 1 or more, not {safe_repr(factor)}")
        if self.jitter > 1.0:
            raise ValueError(
                f"jitter must be between 0 and 1, not {safe_repr(self.jitter)}"
            )
        attempts: object = self.attempts
        if attempts is None:
            return
        if not isinstance(attempts, int) or isinstance(attempts, bool):
            raise TypeError(
                f"attempts must be an int or None, not {safe_repr(attempts)}"
            )
        if attempts < 0:
            raise ValueError(f"attempts must not be negative: {safe_repr(attempts)}")

    def __iter__(self) -> Iterator[float]:
        return self.delays(random_fraction)

    def delays(self, random_fraction: Callable[[], float]) -> Iterator[float]:
        """Yield the delays, drawn by *uniform*, which gives numbers in [0, 1)."""
        whole = min(self.initial, self.maximum)
        given = 0
        while self.attempts is None or given < self.attempts:
            yield whole * (1.0 - self.jitter * random_fraction())
            given += 1
            whole = min(whole * self.factor, self.maximum)


# What the last round has at the least, in seconds, before the end of the time.
_LEAST_FOR_LAST = 0.05


def shorten_last_delay(delay: float, left: float, longest_answer: float) -> float:
    """Return *delay*, or less of it, so that the next round begins before the end.

    The end is *left* seconds from now.  The round needs time for an attempt like those
    before: twice the *longest_answer* so far, at least 50 ms, at most half of *left*.
    A delay that has been cut short leads to the last round.
    """
    needed = min(max(2 * longest_answer, _LEAST_FOR_LAST), left / 2)
    return min(delay, left - needed)


def random_fraction() -> float:
    """Return a number in [0, 1)."""
    # The kernel's randomness and not `random`: workers that seed that one alike
    # would come back as one herd.
    return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53


def check_duration(name: str, value: object, *, positive: bool = False) -> None:
    """Raise unless *value* is a number of seconds that can be waited for."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        text = f"{name} must be a number of seconds, such as {name}=5"
        raise TypeError(f"{text}, not {safe_repr(value)}")
    # Ten thousand years, and no number that the loop's clock cannot hold.
    if not 0 <= value < 1e12 or (positive and value == 0):
        least = "more than 0" if positive else "0 or more"
        raise ValueError(f"{name} must be {least} and finite, not {safe_repr(value)}")

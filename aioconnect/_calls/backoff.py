"""Delay retries: exponential backoff, with jitter from the kernel's randomness."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._sansio.checks import check_duration
from .._sansio.text import safe_repr

__all__ = ["Backoff", "random_fraction"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow: *initial* seconds, times *factor*, up to *maximum*.

    *jitter* is the random share of each delay.  With 1.0 ("full jitter") a delay is
    drawn evenly from 0 to its whole length, so that clients that failed together do
    not come back together.  With 0.0 a delay always has its whole length.  *attempts*
    limits how many delays there are; None means no end.  Each iteration starts with
    *initial* again.

    The first ten delays, in seconds, each drawn from 0 to:

    ============================  ====  ====  ====  ====  ====  ===  ===  ==  ==  ==
    ``Backoff()``                 0.05  0.1   0.2   0.4   0.8   1.6  3.2  5   5   5
    ``Backoff(maximum=1)``        0.05  0.1   0.2   0.4   0.8   1    1    1   1   1
    ``Backoff(0.5, factor=1.5)``  0.5   0.75  1.13  1.69  2.53  3.8  5    5   5   5
    ============================  ====  ====  ====  ====  ====  ===  ===  ==  ==  ==

    Raises:
        ValueError: A number is negative, NaN or infinite, *factor* is below 1, or
            *jitter* is above 1.
        TypeError: A value is not a number, or *attempts* is neither an int nor None.
    """

    initial: float = 0.05
    factor: float = 2.0
    maximum: float = 5.0
    jitter: float = 1.0
    attempts: int | None = None

    def __post_init__(self) -> None:
        for name in ("initial", "maximum", "jitter"):
            check_duration(name, getattr(self, name))
        _check_factor(self.factor)
        if self.jitter > 1.0:
            raise ValueError(
                f"jitter must be between 0 and 1, not {safe_repr(self.jitter)}"
            )
        if self.attempts is not None:
            _check_attempts(self.attempts)

    def __iter__(self) -> Iterator[float]:
        return self.delays(random_fraction)

    def delays(self, random_fraction: Callable[[], float]) -> Iterator[float]:
        """Yield the delays; *random_fraction* returns numbers in [0, 1)."""
        whole = min(self.initial, self.maximum)
        count = 0
        while self.attempts is None or count < self.attempts:
            yield whole * (1.0 - self.jitter * random_fraction())
            count += 1
            whole = min(whole * self.factor, self.maximum)


def _check_factor(factor: object) -> None:
    if not isinstance(factor, int | float) or isinstance(factor, bool):
        raise TypeError(f"factor must be a number, not {safe_repr(factor)}")
    if not 1.0 <= factor <= sys.float_info.max:
        raise ValueError(f"factor must be 1 or more, not {safe_repr(factor)}")


def _check_attempts(attempts: object) -> None:
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise TypeError(f"attempts must be an int or None, not {safe_repr(attempts)}")
    if attempts < 0:
        raise ValueError(f"attempts must not be negative: {safe_repr(attempts)}")


def random_fraction() -> float:
    """Return a random number in [0, 1)."""
    # Use the kernel's randomness and not `random`.  Workers that seed `random` alike
    # would all come back at the same time.
    return (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53

from __future__ import annotations

import itertools
import math
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import (
    Backoff,
)
from aioconnect._calls.backoff import random_fraction


def whole(backoff: Backoff, count: int) -> list[float]:
    return list(itertools.islice(backoff.delays(lambda: 0.0), count))


def test_the_documented_ten() -> None:
    """The first ten delays are drawn from 0 to the docstring's numbers."""
    rows = re.findall(r"``(Backoff\(.*?\))`` +(.*)", Backoff.__doc__ or "")
    assert len(rows) == 3
    for text, numbers in rows:
        backoff = eval(text)  # noqa: S307  # the docstring's own
        expected = [float(number) for number in numbers.split()]
        assert whole(backoff, 10) == pytest.approx(expected, abs=0.006)


def test_jitter() -> None:
    """Full jitter at 1.0, none at 0.0."""
    half = Backoff(initial=1, factor=1).delays(lambda: 0.5)
    assert next(half) == 0.5
    none = Backoff(initial=1, factor=1, jitter=0.0).delays(lambda: 0.9)
    assert next(none) == 1.0
    some = Backoff(initial=1, factor=1, jitter=0.2).delays(lambda: 0.5)
    assert next(some) == pytest.approx(0.9)


def test_each_iteration_starts_anew() -> None:
    backoff = Backoff(initial=1, jitter=0.0, attempts=3)
    assert list(backoff) == list(backoff) == [1, 2, 4]
    assert list(Backoff(attempts=0)) == []


def test_draws_are_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all bits set, too."""
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    assert random_fraction() < 1.0


def test_draws_differ() -> None:
    assert len({next(iter(Backoff())) for _ in range(20)}) == 20


def test_value() -> None:
    backoff = Backoff(initial=0.1, attempts=2)
    assert pickle.loads(pickle.dumps(backoff)) == backoff
    assert hash(backoff) == hash(Backoff(initial=0.1, attempts=2))
    with pytest.raises(AttributeError):
        backoff.initial = 1.0  # type: ignore[misc]  # that is the test


seconds = st.floats(0, 1e6, allow_nan=False)


@given(
    seconds,
    st.floats(1, 1e6),
    seconds,
    st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_bounds(
    initial: float, factor: float, maximum: float, jitter: float, u: float
) -> None:
    """A delay is never below 0 and never above the maximum."""
    backoff = Backoff(initial, factor, maximum, jitter)
    for delay in itertools.islice(backoff.delays(lambda: u), 50):
        assert 0 <= delay <= maximum


def test_no_overflow() -> None:
    delays = itertools.islice(Backoff(factor=1e300), 10_000)
    assert all(math.isfinite(delay) and delay <= 5.0 for delay in delays)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"initial": -1}, ValueError, "initial"),
        ({"initial": math.nan}, ValueError, "initial"),
        ({"maximum": math.inf}, ValueError, "maximum"),
        ({"factor": 0.5}, ValueError, "factor must be 1 or more"),
        ({"jitter": 1.1}, ValueError, "jitter must be between 0 and 1"),
        ({"attempts": -1}, ValueError, "attempts must not be negative"),
        ({"attempts": 1.5}, TypeError, "attempts must be an int or None"),
        ({"initial": "1"}, TypeError, "initial must be a number of seconds"),
        ({"initial": True}, TypeError, "initial"),
        ({"factor": True}, TypeError, "factor must be a number"),
    ],
)
def test_bad(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Backoff(**arguments)

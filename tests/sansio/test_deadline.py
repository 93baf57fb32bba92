"""How the time of a call is shared: times in, deadlines out."""

from __future__ import annotations

import pytest

from aioconnect._sansio.deadline import (
    Deadline,
    attempt_deadline,
    call_deadline,
    turn_deadline,
)

NEVER = Deadline()
CALL = Deadline(112.0)


def test_of_a_call() -> None:
    assert call_deadline(100.0, None) == NEVER
    assert call_deadline(100.0, 12.0) == CALL
    assert not NEVER.has_passed(1e9)
    assert not CALL.has_passed(111.9)
    assert CALL.has_passed(112.0)


@pytest.mark.parametrize(
    ("call", "waiting", "expected"),
    [
        (NEVER, 3, NEVER),
        (CALL, 0, CALL),
        (CALL, 1, Deadline(106.0, "turn")),
        (CALL, 2, Deadline(104.0, "turn")),
    ],
)
def test_of_a_turn(call: Deadline, waiting: int, expected: Deadline) -> None:
    """Each turn has its share of what is left."""
    assert turn_deadline(call, 100.0, waiting) == expected


@pytest.mark.parametrize(
    ("timeout", "waiting", "expected"),
    [
        (None, 0, CALL),  # nobody else waits
        (None, 1, Deadline(106.0, "attempt")),
        (None, 2, Deadline(104.0, "attempt")),
        (None, 11, Deadline(102.0, "attempt")),  # at least two seconds
        (1.0, 3, Deadline(101.0, "attempt")),  # an option bounds it
        (12.0, 0, CALL),  # both at once: the call is over
        (60.0, 0, CALL),
    ],
)
def test_of_an_attempt(timeout: float | None, waiting: int, expected: Deadline) -> None:
    """One address at a time has its share of what is left, at least 2 s."""
    assert attempt_deadline(CALL, 100.0, timeout, waiting) == expected


def test_of_an_attempt_without_a_time() -> None:
    assert attempt_deadline(NEVER, 100.0, None, 5) == NEVER
    assert attempt_deadline(NEVER, 100.0, 3.0) == Deadline(103.0, "attempt")


def test_of_an_attempt_near_the_end() -> None:
    """There are no two seconds left: the last ones are for this attempt."""
    assert attempt_deadline(CALL, 111.0, None, 2) == CALL

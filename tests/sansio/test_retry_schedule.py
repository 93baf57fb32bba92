from __future__ import annotations

import math

import pytest

from aioconnect._sansio.retry_schedule import shorten_last_delay


@pytest.mark.parametrize(
    ("delay", "left", "longest_answer", "cut"),
    [
        (1.0, 5.0, 0.0, 1.0),  # it ends in time
        (4.95, 5.0, 0.0, 4.95),
        (4.96, 5.0, 0.0, 4.95),  # 50 ms at the least
        (9.0, 5.0, 0.001, 4.95),
        (9.0, 5.0, 0.5, 4.0),  # twice the longest answer
        (9.0, 5.0, 4.0, 2.5),  # half of what is left at the most
        (9.0, 0.06, 0.0, 0.03),
        (0.0, 0.06, 9.0, 0.0),
        (9.0, math.inf, 1.0, 9.0),  # without an end nothing is cut
    ],
)
def test_a_last_round(
    delay: float, left: float, longest_answer: float, cut: float
) -> None:
    """A delay that would reach past the end is cut short for a last round."""
    assert shorten_last_delay(delay, left, longest_answer) == pytest.approx(cut)

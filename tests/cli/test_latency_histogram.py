"""The histogram of how long many connects took."""

from __future__ import annotations

import re

import pytest
from cli.probe_process import is_well_formed
from hypothesis import given, settings
from hypothesis import strategies as st

from aioconnect._cli.probe.latency_histogram import LatencyHistogram
from aioconnect._sansio.text_width import display_width


def made(*took: float, **failures: int) -> LatencyHistogram:
    histogram = LatencyHistogram("db:5432")
    for elapsed in took:
        histogram.add_connected(elapsed)
    for reason, count in failures.items():
        for _ in range(count):
            histogram.add_failed(reason)
    return histogram


def test_histogram() -> None:
    """Durations of the same magnitude have bars of equal range."""
    took = [0.010 + number * 0.0001 for number in range(100)]
    text = made(*took, ECONNREFUSED=10).to_text(40, color=False)
    assert text.splitlines() == [
        "db:5432: 100 of 110 connected",
        "min 10 ms, median 15 ms, p95 19 ms, max",
        "20 ms",
        *(f"{f'{low} to {low + 1} ms':12} {'█' * 24} 10" for low in range(10, 20)),
        "ECONNREFUSED ████████████████████████ 10",
    ]


def test_histogram_of_very_many() -> None:
    """Very many connects take no more memory and time than a few thousand."""
    histogram = made(*(1 + number / 1e9 for number in range(100_000)))
    assert len(histogram._durations) == 1
    assert histogram.to_text(80, color=False).startswith(
        "db:5432: 100,000 of 100,000 connected\n"
        "min 1.000 s, median 1.000 s, p95 1.000 s, max 1.000 s\n"
    )


def test_histogram_of_other_magnitudes() -> None:
    """Durations of different magnitudes have bars of growing range."""
    text = made(0.0003, 0.0004, 0.0041, 1.0, 1.9).to_text(40, color=False)
    rows = text.splitlines()
    assert [re.sub(r" +█* *", " ", row) for row in rows[3:]] == [
        "0.2 to 0.5 ms 2",
        "0.5 to 1 ms 0",
        "1 to 2 ms 0",
        "2 to 5 ms 1",
        "5 to 10 ms 0",
        "10 to 20 ms 0",
        "20 to 50 ms 0",
        "50 to 100 ms 0",
        "100 to 200 ms 0",
        "200 to 500 ms 0",
        "0.5 to 1 s 0",
        "1 to 2 s 2",
    ]


REASONS = st.sampled_from(["ECONNREFUSED", "EAI_NONAME", "x" * 99, "\x1b[1m", "例え"])


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 1e6), max_size=40),
    st.dictionaries(REASONS, st.integers(1, 1000), max_size=4),
    st.integers(20, 200),
)
def test_any_histogram(took: list[float], failures: dict[str, int], width: int) -> None:
    """Each connect is in one bar, no line is too wide, and the SVG is well-formed."""
    histogram = made(*took, **failures)
    assert histogram.count == len(took) + sum(failures.values())
    rows = histogram.to_text(width, color=False).split("\n")
    assert [
        row for row in rows if display_width(row) > width or not row.isprintable()
    ] == []
    assert is_well_formed(histogram.to_svg())
    bars = [bar for bar in histogram._bars() if bar.outcome == "ok"]
    assert sum(bar.count for bar in bars) == len(took)
    assert len(bars) <= 50


@pytest.mark.parametrize("unit", [0.0001, 0.001, 0.1, 1.0])
def test_round_durations(unit: float) -> None:
    """One that is a bar's edge is in that bar: 0.7 / 0.1 is rounded to less than 7."""
    for number in range(1, 500):
        (bar,) = made(number * unit)._bars()
        assert bar.count == 1


def test_colors_of_the_histogram() -> None:
    text = made(0.1, ECONNREFUSED=1).to_text(40, color=True)
    assert "\x1b[32m█" in text
    assert "\x1b[31m█" in text
    plain = re.sub(r"\x1b\[\d+m", "", text)
    assert plain == made(0.1, ECONNREFUSED=1).to_text(40, color=False)

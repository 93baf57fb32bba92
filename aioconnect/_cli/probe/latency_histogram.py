"""Sum up many connects: a histogram of how long they took, and why some failed.

This module is pure.  Its memory is bounded, however many connects there are.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass

from ..._sansio.text import printable
from ..._sansio.text_width import display_width, pad, truncate, wrap
from ..._timeline.phrases import format_duration
from ..._timeline.svg_writer import WIDTH, bar, document, text

__all__ = ["LatencyHistogram"]

# The histogram has about this many bars of equal range, if the longest connect took
# less than ten times as long as the shortest.  Otherwise the ranges grow (1, 2, 5, 10).
_BARS = 10
_DECADE = 10

# The least duration, in seconds, in case the clock has not moved.
_SHORTEST = 1e-6

# Durations are kept to this many digits.  No more are shown, and so the number of
# different durations is bounded.
_DIGITS = 4

_GREEN, _RED, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    count: int
    outcome: str


class LatencyHistogram:
    """The connects to *target*: how long they took, and how many failed, and why."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._durations: Counter[float] = Counter()
        self._failures: Counter[str] = Counter()

    def add_connected(self, elapsed: float) -> None:
        """Count a connect that took *elapsed* seconds."""
        self._durations[float(f"{max(elapsed, _SHORTEST):.{_DIGITS}g}")] += 1

    def add_failed(self, reason: str) -> None:
        """Count a connect that failed."""
        self._failures[printable(reason)] += 1

    @property
    def count(self) -> int:
        """The number of connects, failed ones included."""
        return self._durations.total() + self._failures.total()

    def to_text(self, width: int, *, color: bool) -> str:
        """Return the histogram as lines that are at most *width* columns wide."""
        bars = self._bars()
        label_width = max((display_width(one.label) for one in bars), default=0)
        label_width = min(label_width, width // 2)
        count_width = max((len(f"{one.count:,}") for one in bars), default=0)
        bar_width = width - label_width - count_width - 2
        highest = max((one.count for one in bars), default=1)
        lines = [line for one in self._headlines() for line in wrap(one, width, 3)]
        for one in bars:
            length = math.ceil(one.count / highest * bar_width)
            drawn = ("█" * length).ljust(bar_width)
            if color:
                drawn = (_RED if one.outcome == "failed" else _GREEN) + drawn + _RESET
            label = pad(truncate(one.label, label_width), label_width)
            lines.append(f"{label} {drawn} {one.count:>{count_width},}")
        return "\n".join(lines)

    def to_svg(self) -> str:
        """Return the histogram as an SVG document."""
        title, *numbers = self._headlines()
        bars = self._bars()
        highest = max((one.count for one in bars), default=1)
        left, right, top = 200, WIDTH - 80, 56
        body = [text(", ".join(numbers), 12, 40, "small")]
        for number, one in enumerate(bars):
            y, length = top + 18 * number, (right - left) * one.count / highest
            body.append(text(truncate(one.label, 28), left - 10, y + 12, "", "end"))
            body.append(bar(left, y + 3, length, one.outcome))
            body.append(text(f"{one.count:,}", left + length + 6, y + 12, "small"))
        return document(title, top + 18 * len(bars) + 8, body)

    def _headlines(self) -> list[str]:
        connected = self._durations.total()
        headlines = [f"{self._target}: {connected:,} of {self.count:,} connected"]
        if self._durations:
            numbers = {
                "min": min(self._durations),
                "median": _percentile(self._durations, 0.5),
                "p95": _percentile(self._durations, 0.95),
                "max": max(self._durations),
            }
            named = (f"{name} {format_duration(n)}" for name, n in numbers.items())
            headlines.append(", ".join(named))
        return headlines

    def _bars(self) -> list[_Bar]:
        failed = self._failures.most_common()
        return [
            *_connected_bars(self._durations),
            *(_Bar(reason, count, "failed") for reason, count in failed),
        ]


def _percentile(durations: Counter[float], share: float) -> float:
    """Return the duration that *share* of them (0 to 1) do not exceed."""
    ranked = sorted(durations)
    cumulative = [*itertools.accumulate(durations[one] for one in ranked)]
    return ranked[bisect_left(cumulative, math.ceil(share * cumulative[-1]))]


def _connected_bars(durations: Counter[float]) -> list[_Bar]:
    if not durations:
        return []
    edges = _edges(min(durations), max(durations))
    counts: Counter[int] = Counter()
    for one, count in durations.items():
        counts[bisect_right(edges, one)] += count
    return [
        _Bar(_range_label(low, high), counts[number], "ok")
        for number, (low, high) in enumerate(itertools.pairwise(edges), 1)
    ]


def _range_label(low: float, high: float) -> str:
    unit, per_second = ("s", 1) if high >= 1 else ("ms", 1000)
    return f"{low * per_second:.6g} to {high * per_second:.6g} {unit}"


def _edges(low: float, high: float) -> list[float]:
    """Return round numbers: the first is at most *low*, the last is above *high*.

    They are evenly spaced.  If *high* is far above *low*, they are 1, 2, 5, 10, 20 and
    so on.
    """
    # Each quotient and logarithm may be rounded to the wrong side of a whole number, so
    # one more edge is made on both sides, and dropped where it is not needed.
    if high < low * _DECADE:
        step = _round_up((high - low) / _BARS or high / _BARS)
        first, last = math.floor(low / step) - 1, math.floor(high / step) + 2
        # Round as the durations are rounded: 13 * 0.001 is more than 0.013.
        edges = [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    else:
        power = math.floor(math.log10(low)) - 1
        tens = (10.0**exponent for exponent in itertools.count(power))
        numbers = (digit * ten for ten in tens for digit in (1, 2, 5))
        edges = [next(numbers)]
        while edges[-1] <= high:
            edges.append(next(numbers))
    neighbours = zip(
        [-math.inf, *edges[:-1]], edges, [*edges[1:], math.inf], strict=True
    )
    return [edge for below, edge, above in neighbours if above > low and below <= high]


def _round_up(value: float) -> float:
    """Return *value* rounded up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= value)

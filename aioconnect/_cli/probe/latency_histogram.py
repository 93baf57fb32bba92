"""How long many connects took, and why some failed: numbers, and a histogram of them.

Pure, and of bounded size, however many there are.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass

from ..._sansio.text import printable
from ..._timeline.phrases import duration
from ..._timeline.svg_writer import WIDTH, box, document, text
from ..._timeline.text_width import display_width, pad, truncate, wrapped

__all__ = ["Distribution"]

# So many bars there are, about, if the longest took less than ten times the shortest;
# else each is of another order of magnitude.
_BARS = 10
_DECADE = 10

# A clock that has not moved in between.
_SHORTEST = 1e-6

# No more is shown of a time, and so there are not many different ones.
_DIGITS = 4

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Bar:
    label: str
    count: int
    outcome: str


class Distribution:
    """Of the connects to *target*: those that were made, and those that failed."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._took: Counter[float] = Counter()
        self._failures: Counter[str] = Counter()

    def add(self, elapsed: float) -> None:
        """Count a connect that took so many seconds."""
        self._took[float(f"{max(elapsed, _SHORTEST):.{_DIGITS}g}")] += 1

    def fail(self, why: str) -> None:
        """Count one that failed."""
        self._failures[printable(why)] += 1

    @property
    def count(self) -> int:
        """How many there were."""
        return self._took.total() + self._failures.total()

    def to_text(self, width: int, *, color: bool) -> str:
        """Return it as lines that are at most *width* wide."""
        bars = self._bars()
        label = max((display_width(bar.label) for bar in bars), default=0)
        label = min(label, width // 2)
        counts = max((len(f"{bar.count:,}") for bar in bars), default=0)
        room = width - label - counts - 2
        most = max((bar.count for bar in bars), default=1)
        lines = [line for said in self._said() for line in wrapped(said, width, 3)]
        for bar in bars:
            drawn = ("█" * math.ceil(bar.count / most * room)).ljust(room)
            if color:
                drawn = (_RED if bar.outcome == "failed" else _GREEN) + drawn + _PLAIN
            name = pad(truncate(bar.label, label), label)
            lines.append(f"{name} {drawn} {bar.count:>{counts},}")
        return "\n".join(lines)

    def to_svg(self) -> str:
        """Return it as a picture."""
        title, *numbers = self._said()
        bars = self._bars()
        most = max((bar.count for bar in bars), default=1)
        left, right, top = 200, WIDTH - 80, 56
        body = [text(", ".join(numbers), 12, 40, "small")]
        for number, bar in enumerate(bars):
            y, wide = top + 18 * number, (right - left) * bar.count / most
            body.append(text(truncate(bar.label, 28), left - 10, y + 12, "", "end"))
            body.append(box(left, y + 3, wide, bar.outcome))
            body.append(text(f"{bar.count:,}", left + wide + 6, y + 12, "small"))
        return document(title, top + 18 * len(bars) + 8, body)

    def _said(self) -> list[str]:
        said = [f"{self._target}: {self._took.total():,} of {self.count:,} connected"]
        if self._took:
            numbers = {
                "min": min(self._took),
                "median": _ranked(self._took, 0.5),
                "p95": _ranked(self._took, 0.95),
                "max": max(self._took),
            }
            named = (f"{name} {duration(took)}" for name, took in numbers.items())
            said.append(", ".join(named))
        return said

    def _bars(self) -> list[_Bar]:
        failed = self._failures.most_common()
        return [*_histogram(self._took), *(_Bar(why, n, "failed") for why, n in failed)]


def _ranked(took: Counter[float], part: float) -> float:
    """Return the least of *took* that so large a part of them does not exceed."""
    ranked = sorted(took)
    up_to = [*itertools.accumulate(took[one] for one in ranked)]
    return ranked[bisect_left(up_to, math.ceil(part * up_to[-1]))]


def _histogram(took: Counter[float]) -> list[_Bar]:
    if not took:
        return []
    edges = _edges(min(took), max(took))
    counts: Counter[int] = Counter()
    for one, count in took.items():
        counts[bisect_right(edges, one)] += count
    return [
        _Bar(_range(low, high), counts[number], "ok")
        for number, (low, high) in enumerate(itertools.pairwise(edges), 1)
    ]


def _range(low: float, high: float) -> str:
    unit, size = ("s", 1) if high >= 1 else ("ms", 1000)
    return f"{low * size:.6g} to {high * size:.6g} {unit}"


def _edges(low: float, high: float) -> list[float]:
    """Return round numbers, of which the first is at most *low*, the last over *high*.

    They are as far from each other, or, if *high* is far from *low*, 1, 2, 5, 10, 20.
    """
    if high < low * _DECADE:
        step = _round((high - low) / _BARS or high / _BARS)
        first, last = math.floor(low / step), math.floor(high / step) + 1
        # As the times are rounded, too: 13 * 0.001 is more than 0.013.
        return [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    power = math.floor(math.log10(low))
    tens = (10.0**exponent for exponent in itertools.count(power))
    numbers = (digit * ten for ten in tens for digit in (1, 2, 5))
    edges = [next(numbers)]
    while edges[-1] <= high:
        edges.append(next(numbers))
    return [
        edge for edge, above in itertools.pairwise([*edges, math.inf]) if above > low
    ]


def _round(value: float) -> float:
    """Return *value*, or what is next above it of 1, 2 and 5 and their tens."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(n * power for n in (1, 2, 5, 10) if n * power >= value)

"""Say what was measured, as text."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from .bounds import Verdict, judge
from .results import Measure, Outcome, Row
from .running import NONE

__all__ = ["bounds_lines", "lines", "text_of"]


def text_of(value: float, unit: str) -> str:
    """Return *value* with three digits, in a unit that suits it."""
    if unit == "s":
        for size, short in ((1.0, "s"), (1e-3, "ms")):
            if value >= size:
                return f"{_digits(value / size)} {short}"
        return f"{_digits(value * 1e6)} us"
    if unit in ("calls", "clients"):
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:,.0f}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def lines(outcome: Outcome) -> Iterator[str]:
    """Yield the lines of a case: the median of each row, its spread, or its failure."""
    yield f"{outcome.case}: {outcome.title}"
    if outcome.skipped:
        yield f"  skipped: {outcome.skipped}"
    if outcome.failed:
        yield f"  failed: {outcome.failed}"
    for measure in outcome.measures:
        unit = "" if measure.unit == "s" else f", {measure.unit}"
        yield f"  {measure.name}{unit}: median (quartiles)"
        for at in dict.fromkeys(row.at for row in measure.rows):
            if at is not None:
                yield f"   at {at:,.0f}"
            rows = [row for row in measure.rows if row.at == at]
            yield from _rows(measure, rows)


def _rows(measure: Measure, rows: Iterable[Row]) -> Iterator[str]:
    for row in sorted(rows, key=lambda one: one.median if one.samples else 1e99):
        loop = "" if row.loop == NONE else row.loop
        what = f"  {row.contestant:<40}{loop:<8}"
        if not row.samples:
            yield f"{what}failed: {row.failed}"
            continue
        low, high = (text_of(one, measure.unit) for one in row.spread)
        failed = f", then failed: {row.failed}" if row.failed else ""
        median = text_of(row.median, measure.unit)
        yield f"{what}{median:>8}  ({low} to {high}){failed}"


def bounds_lines(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield the table of the bounds whose cases were measured."""
    verdicts = list(judge(outcomes))
    if not verdicts:
        return
    yield ""
    yield "ratio, median of this run: ours, of at most (floor)"
    for what, judged in itertools.groupby(verdicts, lambda one: one.bound.what):
        yield f"  {what}"
        yield from map(_line, judged)


def _line(verdict: Verdict) -> str:
    loop = "" if verdict.loop == NONE else verdict.loop
    if verdict.ratio is None:
        return f"    {loop:<8}none: {verdict.why}"
    floor = "" if verdict.floor is None else f" ({verdict.floor:.2f})"
    met = "met" if verdict.is_met else "not met"
    return f"    {loop:<8}{verdict.ratio:.2f} of {verdict.limit:.2f}{floor}  {met}"

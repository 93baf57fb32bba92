"""Put the record of a call into words: a headline, and a row for each step.

Both charts, as text and as SVG, show these words.  This module is pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .._sansio.text_width import display_width, truncate_middle
from .model import CallHistory, Step, StepOutcome

__all__ = ["ChartRow", "chart_rows", "format_duration", "headline"]

# The mark of each outcome, for readers who see no colour.
_MARKS: dict[StepOutcome, str] = {
    "ok": "✓",
    "failed": "✗",
    "dropped": "-",
    "pending": "…",
}

# If there are more rounds than this, all but the first and the last ones are folded
# into one row.
_MOST_UNFOLDED = 8
_FIRST_SHOWN = 3
_LAST_SHOWN = 3

# A folded row names at most this many different reasons.
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class ChartRow:
    """A row of a chart: *kind* and *what* name it, *detail* says how it ended.

    *spans* are the times of its bars, start and end, in seconds since the call began.
    """

    kind: str
    what: str
    outcome: StepOutcome
    spans: Sequence[tuple[float, float]]
    detail: str

    @property
    def mark(self) -> str:
        """The mark of the outcome; a wait and a folded row have none."""
        return " " if self.kind in ("wait", "rounds") else _MARKS[self.outcome]

    @property
    def label(self) -> str:
        """The name of the row, in a few words."""
        return f"{self.kind} {self.what}"

    def label_within(self, width: int) -> str:
        """Return the label, or a shorter one that fits *width* columns."""
        fits = display_width(self.label) <= width
        return self.label if fits else truncate_middle(self.what, width)

    @property
    def elapsed(self) -> float:
        """The seconds from the first start to the last end."""
        return self.spans[-1][1] - self.spans[0][0] if self.spans else 0.0


def headline(record: CallHistory) -> str:
    """Return the outcome of the call, in one line."""
    target = record.target
    if record.servers > 1:
        target = f"one of {record.servers:,} servers ({target}, ...)"
    took = format_duration(record.elapsed)
    rounds = f", {record.rounds:,} rounds" if record.rounds > 1 else ""
    if record.outcome == "connected":
        address = "" if record.address == target else f" to {record.address}"
        return f"{target}: connected{address} in {took}{rounds}"
    if record.outcome == "failed" and record.error is not None:
        reason = record.error["errno"] or record.error["type"]
        if (last := _error_before_timeout(record, record.error)) is not None:
            return f"{target}: timed out after {took}{rounds}, last error {last}"
        return f"{target}: not connected, {reason}, after {took}{rounds}"
    words = {"cancelled": "cancelled after", "ended": "ended after"}
    word = words.get(record.outcome, "connecting for")
    return f"{target}: {word} {took}{rounds}"


def _error_before_timeout(
    record: CallHistory, error: dict[str, str | None]
) -> str | None:
    """Return why the last attempt failed, if the call timed out after it.

    That says more than the timeout.
    """
    if error["type"] != "ConnectTimeoutError":
        return None
    failed = (step for step in reversed(record.steps) if step.outcome == "failed")
    last = next((step.errno for step in failed), None)
    return None if last == error["errno"] else last


def chart_rows(record: CallHistory) -> list[ChartRow]:
    """Return the rows of a chart of *record*; many rounds are folded into one row."""
    steps = record.steps
    start, stop = _folded_range(steps)
    if record.left_out:
        if start == stop:
            start = stop = record.gap
        start, stop = min(start, record.gap), max(stop, record.gap)
    rows = [_row(record, step) for step in steps[:start]]
    if start < stop or record.left_out:
        rows.append(_folded_row(record, steps[start:stop]))
    return rows + [_row(record, step) for step in steps[stop:]]


def _folded_range(steps: Sequence[Step]) -> tuple[int, int]:
    """Return the range of *steps* to fold, from the first to one past the last."""
    first_steps: dict[int, int] = {}  # for each round, the position of its first step
    for position, step in enumerate(steps):
        first_steps.setdefault(step.round, position)
    if len(first_steps) <= _MOST_UNFOLDED:
        return 0, 0
    positions = list(first_steps.values())
    return positions[_FIRST_SHOWN], positions[-_LAST_SHOWN]


def _row(record: CallHistory, step: Step) -> ChartRow:
    spans = (_span(record, step),)
    return ChartRow(step.kind, step.what, step.outcome, spans, _detail(step))


def _detail(step: Step) -> str:
    if step.outcome == "dropped":
        return "no answer, dropped"
    if step.outcome == "pending":
        return "not over" if step.kind == "wait" else "no answer yet"
    if step.outcome == "failed":
        return step.reason or "failed"
    if step.kind == "lookup":
        return ", ".join(step.addresses) or "found"
    return {"attempt": "connected", "wait": ""}.get(step.kind, "done")


def _folded_row(record: CallHistory, steps: Sequence[Step]) -> ChartRow:
    tried = [step for step in steps if step.kind != "wait"]
    counts = Counter(_detail(step) for step in tried).most_common(_MOST_REASONS)
    details = [f"{n:,} \N{MULTIPLICATION SIGN} {reason}" for reason, n in counts]
    if record.left_out:
        details.insert(0, f"{record.left_out:,} steps not kept")
    rounds = [step.round for step in steps] or [record.rounds]
    what = f"{min(rounds):,} to {max(rounds):,}"
    spans = [_span(record, step) for step in tried]
    return ChartRow("rounds", what, "failed", spans, ", ".join(details))


def _span(record: CallHistory, step: Step) -> tuple[float, float]:
    end = record.elapsed if step.end is None else step.end - record.started
    return step.start - record.started, end


def format_duration(seconds: float) -> str:
    """Return *seconds* in a fitting unit, in about eight characters."""
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        digits = 2 if milliseconds < 0.995 else 1 if milliseconds < 9.95 else 0
        return f"{milliseconds:.{digits}f} ms" if seconds else "0"
    if seconds < 100:
        return f"{seconds:.3f} s"
    return f"{seconds:,.0f} s" if seconds < 36_000 else f"{seconds / 3600:,.1f} h"

"""Say what became of a call, line by line, in words: what every picture of it shows.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .model import Outcome, Step
from .text_width import display_width, shortened

__all__ = ["MARKS", "Ending", "Row", "Story", "duration", "headline", "rows"]

Ending: TypeAlias = Literal["connected", "failed", "cancelled", "ended", "pending"]

# What came of a step, to who sees no colour.
MARKS: dict[Outcome, str] = {"ok": "✓", "failed": "✗", "dropped": "-", "pending": "…"}

# More rounds than so many are folded, but for the first and the last ones.
_UNFOLDED = 8
_FIRST_SHOWN = 3
_LAST_SHOWN = 3

# So many different reasons of what is folded are named.
_REASONS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Story:
    """What a call did so far: *elapsed* seconds since it *started*.

    After the first *gap* of the *steps* there were others, which were *left_out*.
    """

    target: str
    outcome: Ending
    address: str | None
    error: dict[str, str | None] | None
    rounds: int
    started: float
    elapsed: float
    steps: Sequence[Step]
    gap: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a picture: *kind* and *what* name it, *detail* says what came of it.

    *spans* are when something was done, in seconds since the call began.
    """

    kind: str
    what: str
    outcome: Outcome
    spans: Sequence[tuple[float, float]]
    detail: str

    @property
    def mark(self) -> str:
        """What came of it, as a mark; of a wait or a fold there is nothing to say."""
        return " " if self.kind in ("wait", "rounds") else MARKS[self.outcome]

    @property
    def label(self) -> str:
        """What it is, in a few words."""
        return f"{self.kind} {self.what}"

    def label_within(self, width: int) -> str:
        """Return what it is in *width* columns, if with less words."""
        fits = display_width(self.label) <= width
        return self.label if fits else shortened(self.what, width)

    @property
    def elapsed(self) -> float:
        """How long it took, all in all."""
        return self.spans[-1][1] - self.spans[0][0] if self.spans else 0.0


def headline(story: Story) -> str:
    """Return what became of the call, in one line."""
    took = duration(story.elapsed)
    rounds = f", {story.rounds:,} rounds" if story.rounds > 1 else ""
    if story.outcome == "connected":
        there = "" if story.address == story.target else f" to {story.address}"
        return f"{story.target}: connected{there} in {took}{rounds}"
    if story.outcome == "failed" and story.error is not None:
        why = story.error["errno"] or story.error["type"]
        last = _last_errno(story)
        if story.error["type"] == "ConnectTimeoutError" and last not in (None, why):
            why = f"{last} until the time was up"
        return f"{story.target}: not connected, {why}, after {took}{rounds}"
    words = {"cancelled": "cancelled after", "ended": "ended after"}
    word = words.get(story.outcome, "connecting for")
    return f"{story.target}: {word} {took}{rounds}"


def _last_errno(story: Story) -> str | None:
    """Return why the last attempt failed, which says more than that it was the last."""
    failed = (step for step in reversed(story.steps) if step.outcome == "failed")
    return next((step.errno for step in failed), None)


def rows(story: Story) -> list[Row]:
    """Return the lines of a picture of *story*, with those of many rounds folded."""
    steps = story.steps
    start, stop = _repeated(steps)
    if story.left_out:
        if start == stop:
            start = stop = story.gap
        start, stop = min(start, story.gap), max(stop, story.gap)
    shown = [_row(story, step) for step in steps[:start]]
    if start < stop or story.left_out:
        shown.append(_fold(story, steps[start:stop]))
    return shown + [_row(story, step) for step in steps[stop:]]


def _repeated(steps: Sequence[Step]) -> tuple[int, int]:
    """Return from where to where the rounds are that are folded."""
    first: dict[int, int] = {}  # of each round, its first step
    for number, step in enumerate(steps):
        first.setdefault(step.round, number)
    if len(first) <= _UNFOLDED:
        return 0, 0
    begins = list(first.values())
    return begins[_FIRST_SHOWN], begins[-_LAST_SHOWN]


def _row(story: Story, step: Step) -> Row:
    return Row(step.kind, step.what, step.outcome, (_span(story, step),), _detail(step))


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


def _fold(story: Story, steps: Sequence[Step]) -> Row:
    tried = [step for step in steps if step.kind != "wait"]
    reasons = Counter(_detail(step) for step in tried)
    said = [f"{n:,} \N{MULTIPLICATION SIGN} {why}" for why, n in reasons.most_common()]
    del said[_REASONS_NAMED:]
    if story.left_out:
        said.insert(0, f"{story.left_out:,} steps not kept")
    numbers = [step.round for step in steps] or [story.rounds]
    what = f"{min(numbers):,} to {max(numbers):,}"
    spans = [_span(story, step) for step in tried]
    return Row("rounds", what, "failed", spans, ", ".join(said))


def _span(story: Story, step: Step) -> tuple[float, float]:
    end = story.elapsed if step.end is None else step.end - story.started
    return step.start - story.started, end


def duration(seconds: float) -> str:
    """Return *seconds* in a unit of their size, in eight characters or so."""
    if seconds < 0.9995:
        thousandths = seconds * 1000
        digits = 2 if thousandths < 0.995 else 1 if thousandths < 9.95 else 0
        return f"{thousandths:.{digits}f} ms" if seconds else "0"
    if seconds < 100:
        return f"{seconds:.3f} s"
    return f"{seconds:,.0f} s" if seconds < 36_000 else f"{seconds / 3600:,.1f} h"

"""Count the outcomes of many connects, and sum them up in a few lines.

This module is pure.  Its memory is bounded, however many targets there are.
"""

from __future__ import annotations

import math
import os
import socket
import textwrap
from collections import Counter
from itertools import accumulate

from ..._sansio.errors import (
    AddressBlockedError,
    ConnectError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResolveError,
)
from ..._sansio.text_width import wrap
from ..._timeline.phrases import format_duration

__all__ = ["CONNECTED", "NOT_READY", "Summary", "outcome_of"]

CONNECTED = "connected"
NOT_READY = "not ready"

# How many failed targets are named for each outcome, and in how many lines.
_EXAMPLES = 3
_MOST_LINES = 24

_NO_SUCH_NAME = tuple(
    getattr(socket, code)
    for code in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, code)
)

_GREEN, _RED, _RESET = "\033[32m", "\033[31m", "\033[0m"


def outcome_of(error: ConnectError) -> str:
    """Return the outcome that *error* counts as, in two or three words."""
    match error:
        case ConnectTimeoutError():
            return "timed out"
        case ConnectRefusedError():
            return "refused"
        case AddressBlockedError():
            return "not allowed"
        case ResolveError():
            is_unknown = error.errno in _NO_SUCH_NAME
            return "no such name" if is_unknown else "look-up failed"
        case _ if error.attempts and error.attempts[-1].phase == "ready":
            return NOT_READY
        case _ if error.errno is not None:
            return os.strerror(error.errno).lower()
        case _:
            return "several reasons"


class Summary:
    """The outcomes so far: their counts, their durations, and a few targets of each."""

    def __init__(self) -> None:
        self._outcomes: dict[str, _Outcome] = {}
        self.count = 0

    def add(self, target: str, outcome: str, elapsed: float) -> None:
        """Count *target*, whose *outcome* took *elapsed* seconds."""
        self.count += 1
        self._outcomes.setdefault(outcome, _Outcome()).add(target, elapsed)

    @property
    def failed(self) -> int:
        """The number of targets that were not connected."""
        connected = self._outcomes.get(CONNECTED)
        return self.count - (0 if connected is None else connected.count)

    def to_lines(self, width: int, *, color: bool = False) -> list[str]:
        """Return a paragraph for each outcome, in lines of at most *width* columns."""
        outcomes = sorted(
            self._outcomes.items(),
            key=lambda one: (one[0] != CONNECTED, -one[1].count, one[0]),
        )
        name_width = max((len(name) for name in self._outcomes), default=0)
        count_width = len(f"{self.count:,}")
        lines: list[str] = []
        for name, outcome in outcomes:
            share = f"{outcome.count / self.count:.1%}"
            row = f"  {name:{name_width}}  {outcome.count:{count_width},}  {share:>6}"
            wrapped = _wrap_row(f"{row}  {outcome.durations()}", width)
            if color:
                shade = _GREEN if name == CONNECTED else _RED
                wrapped[0] = wrapped[0].replace(name, f"{shade}{name}{_RESET}", 1)
            lines += wrapped
            if name != CONNECTED:
                examples = wrap(outcome.examples(), width - 4, _MOST_LINES)
                lines += [f"    {line}" for line in examples]
        return lines


# Joins words that have to stay on one line.
_NO_BREAK = "\N{NO-BREAK SPACE}"


def _wrap_row(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, subsequent_indent="    ")
    return [line.replace(_NO_BREAK, " ") for line in lines]


class _Outcome:
    """The targets of one outcome: their count, examples, a histogram of durations."""

    # Each bucket ends this much later than the one before, so a duration is known to
    # within 1 %.
    _GROWTH = math.log(1.01)
    _SHORTEST = 1e-6

    def __init__(self) -> None:
        self.count = 0
        self._examples: list[str] = []
        self._buckets: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, target: str, elapsed: float) -> None:
        """Count *target*, which took *elapsed* seconds."""
        self.count += 1
        if len(self._examples) < _EXAMPLES and target not in self._examples:
            self._examples.append(target)
        self._longest = max(self._longest, elapsed)
        bucket = math.log(max(elapsed, self._SHORTEST)) / self._GROWTH
        self._buckets[math.floor(bucket)] += 1

    def examples(self) -> str:
        """Return a few of the targets, and how many more there are."""
        more = self.count - len(self._examples)
        return ", ".join(self._examples) + (f" and {more:,} more" if more else "")

    def durations(self) -> str:
        """Return the median, the 95th percentile and the longest duration."""
        seconds = self._percentile(0.5), self._percentile(0.95), self._longest
        named = zip(("p50", "p95", "max"), map(format_duration, seconds), strict=True)
        return ", ".join(f"{n} {said}".replace(" ", _NO_BREAK) for n, said in named)

    def _percentile(self, share: float) -> float:
        """Return the seconds within which *share* of the targets (0 to 1) ended."""
        buckets = sorted(self._buckets)
        cumulative = accumulate(self._buckets[bucket] for bucket in buckets)
        least = math.ceil(self.count * share)
        bucket = buckets[sum(count < least for count in cumulative)]
        return min(math.exp((bucket + 1) * self._GROWTH), self._longest)

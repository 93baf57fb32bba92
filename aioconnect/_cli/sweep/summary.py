"""Count what became of many targets, and say it in a few lines.

Pure, and of bounded size, however many there are.
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
from ..._timeline.phrases import duration
from ..._timeline.text_width import wrapped

__all__ = ["CONNECTED", "Tally", "outcome_of"]

CONNECTED = "connected"

# Of the targets of an outcome that is no success.
_EXAMPLES = 3
_MOST_LINES = 24

_NO_NAME = tuple(
    getattr(socket, code)
    for code in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, code)
)

_GREEN, _RED, _PLAIN = "\033[32m", "\033[31m", "\033[0m"


def outcome_of(error: ConnectError) -> str:
    """Return what *error* is to who counts, in two or three words."""
    match error:
        case ConnectTimeoutError():
            return "timed out"
        case ConnectRefusedError():
            return "refused"
        case AddressBlockedError():
            return "not allowed"
        case ResolveError():
            return "no such name" if error.errno in _NO_NAME else "look-up failed"
        case _ if error.errno is not None:
            return os.strerror(error.errno).lower()
        case _:
            return "several reasons"


class Tally:
    """The outcomes so far: how many, how long they took, and a few of the targets."""

    def __init__(self) -> None:
        self._outcomes: dict[str, _Outcome] = {}
        self.count = 0

    def add(self, target: str, outcome: str, elapsed: float) -> None:
        """Count *target*, whose *outcome* took *elapsed* seconds."""
        self.count += 1
        self._outcomes.setdefault(outcome, _Outcome()).add(target, elapsed)

    @property
    def failed(self) -> int:
        """How many were not connected."""
        found = self._outcomes.get(CONNECTED)
        return self.count - (0 if found is None else found.count)

    def report(self, width: int, *, color: bool = False) -> list[str]:
        """Return lines, none wider than *width*: an outcome each, and examples."""
        outcomes = sorted(
            self._outcomes.items(),
            key=lambda one: (one[0] != CONNECTED, -one[1].count, one[0]),
        )
        names = max((len(name) for name in self._outcomes), default=0)
        counts = len(f"{self.count:,}")
        found: list[str] = []
        for name, outcome in outcomes:
            share = f"{outcome.count / self.count:.1%}"
            row = f"  {name:{names}}  {outcome.count:{counts},}  {share:>6}"
            lines = _wrapped(f"{row}  {outcome.times()}", width)
            if color:
                shade = _GREEN if name == CONNECTED else _RED
                lines[0] = lines[0].replace(name, f"{shade}{name}{_PLAIN}", 1)
            found += lines
            if name != CONNECTED:
                examples = wrapped(outcome.examples(), width - 4, _MOST_LINES)
                found += [f"    {line}" for line in examples]
        return found


# Between what stays on a line.
_JOINT = "\N{NO-BREAK SPACE}"


def _wrapped(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, subsequent_indent="    ")
    return [line.replace(_JOINT, " ") for line in lines]


class _Outcome:
    """Those that ended alike: how many, examples, and a histogram of their times."""

    # A bucket ends so much later than the one before: a time is known to within 1 %.
    _GROWTH = math.log(1.01)
    _LEAST = 1e-6

    def __init__(self) -> None:
        self.count = 0
        self._examples: list[str] = []
        self._buckets: Counter[int] = Counter()
        self._longest = 0.0

    def add(self, target: str, elapsed: float) -> None:
        """Count *target*."""
        self.count += 1
        if len(self._examples) < _EXAMPLES and target not in self._examples:
            self._examples.append(target)
        self._longest = max(self._longest, elapsed)
        bucket = math.log(max(elapsed, self._LEAST)) / self._GROWTH
        self._buckets[math.floor(bucket)] += 1

    def examples(self) -> str:
        """Return some of the targets, and how many more there are."""
        more = self.count - len(self._examples)
        return ", ".join(self._examples) + (f" and {more:,} more" if more else "")

    def times(self) -> str:
        """Return the median, and how long the slowest took."""
        times = self._within(0.5), self._within(0.95), self._longest
        named = zip(("p50", "p95", "max"), map(duration, times), strict=True)
        return ", ".join(f"{n} {time}".replace(" ", _JOINT) for n, time in named)

    def _within(self, share: float) -> float:
        """Return within how many seconds that *share* of them ended."""
        buckets = sorted(self._buckets)
        counts = accumulate(self._buckets[bucket] for bucket in buckets)
        least = math.ceil(self.count * share)
        bucket = buckets[sum(count < least for count in counts)]
        return min(math.exp((bucket + 1) * self._GROWTH), self._longest)

"""Follow the wait for one target by the events of its call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..._sansio.errors import Attempt, attempt_reason
from ..._sansio.events import (
    AttemptFailed,
    Connected,
    Event,
    GaveUp,
    PhaseStarted,
    RetryScheduled,
)

__all__ = ["TargetStatus", "distinct_names"]


def distinct_names(targets: Iterable[object]) -> list[str]:
    """Return the text of each target, with a number if others have the same text.

    The texts of URLs leave out the query, which may be all that differs.
    """
    seen = Counter[str]()
    names: list[str] = []
    for text in map(str, targets):
        seen[text] += 1
        names.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return names


@dataclass(slots=True)
class TargetStatus:
    """The status of the wait for the target *name*: an observer of its call.

    *reason* says why the last round failed, and *tries* counts the rounds.
    *limit* is the time of each attempt in seconds, if the target is a service.
    *is_settling* is True while the target is connected, but has not yet stayed open for
    long enough, or has not yet passed its check.  At the end, *done* is a text that
    says how the wait succeeded, or *gave_up* is True.  Neither is set if the time ran
    out.  *changed* is called with the status after each change.
    """

    name: str
    changed: Callable[[TargetStatus], None]
    limit: float | None = None
    reason: str = ""
    tries: int = 0
    is_settling: bool = False
    done: str = ""
    gave_up: bool = False
    _round_results: set[str] = field(default_factory=set[str])
    # Of the services that were asked, in this round and in the one before.
    _answers: set[str] = field(default_factory=set[str])
    _last_answers: set[str] = field(default_factory=set[str])

    def __call__(self, event: Event) -> None:
        """Take an event of the call."""
        match event:
            case AttemptFailed():
                self.is_settling = False
                # The phase "ready" is the watch for --settle.  The user gave no
                # `ready`, so the word would only confuse.
                reason = attempt_reason(event.attempt).removeprefix("ready: ")
                if event.attempt.phase == "ready" and self.limit is not None:
                    self._answers |= self._answers_of(event.attempt, reason, self.limit)
                else:
                    self._round_results.add(reason)
            case Connected():
                self._round_results.add("still up")
            case PhaseStarted():
                self.is_settling = True
                self.changed(self)
            case RetryScheduled() | GaveUp():
                self.tries += 1
                # Racing addresses fail in any order.  Sorting keeps the text the same.
                results = sorted(self._round_results | self._answers)
                self.reason = "; ".join(results) or self.reason
                self._round_results.clear()
                self._last_answers, self._answers = self._answers, set()
                self.changed(self)
            case _:
                pass

    def _answers_of(self, attempt: Attempt, reason: str, limit: float) -> set[str]:
        """Return what to show for *attempt*, whose service was asked."""
        if not isinstance(attempt.error, TimeoutError):
            return {reason}
        if attempt.elapsed >= limit:
            return {f"no answer within {limit:g} s"}
        # The end of the wait cut the attempt short.  The last answers say more.
        return self._last_answers or {reason}

    def end(self, done: str = "", *, gave_up: bool = False) -> None:
        """Record how the wait ended."""
        self.done, self.gave_up = done, gave_up
        self.changed(self)

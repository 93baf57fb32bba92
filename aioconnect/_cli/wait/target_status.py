"""Follow the wait for one target by the events of its call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..._sansio.errors import attempt_reason
from ..._sansio.events import (
    AttemptFailed,
    Connected,
    Event,
    GaveUp,
    PhaseStarted,
    RetryScheduled,
)

__all__ = ["TargetStatus"]


@dataclass(slots=True)
class TargetStatus:
    """The status of the wait for the target *name*: an observer of its call.

    *reason* says why the last round failed, and *tries* counts the rounds.
    *is_settling* tells that the target is connected, and must stay so for a while, or
    is asked whether it is ready.
    At the end, *done* is a text that says how the wait succeeded, or *gave_up* is
    True; neither is set if the time ran out.  *changed* is called with the status
    after each change.
    """

    name: str
    changed: Callable[[TargetStatus], None]
    reason: str = ""
    tries: int = 0
    is_settling: bool = False
    done: str = ""
    gave_up: bool = False
    _round_results: set[str] = field(default_factory=set[str])

    def __call__(self, event: Event) -> None:
        """Take an event of the call."""
        match event:
            case AttemptFailed():
                self.is_settling = False
                # The phase "ready" is the watch for --settle.  The user gave no
                # `ready`, so the word would only confuse.
                reason = attempt_reason(event.attempt).removeprefix("ready: ")
                self._round_results.add(reason)
            case Connected():
                self._round_results.add("it is up")
            case PhaseStarted():
                self.is_settling = True
                self.changed(self)
            case RetryScheduled() | GaveUp():
                self.tries += 1
                # Racing addresses fail in any order.  Sorting keeps the text the same.
                self.reason = "; ".join(sorted(self._round_results)) or self.reason
                self._round_results.clear()
                self.changed(self)
            case _:
                pass

    def end(self, done: str = "", *, gave_up: bool = False) -> None:
        """Record how the wait ended."""
        self.done, self.gave_up = done, gave_up
        self.changed(self)

"""Know how the wait for a target goes, by the events of its call."""

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

__all__ = ["State"]


@dataclass(slots=True)
class State:
    """How the wait for the target *name* goes; it is an observer of that.

    *reason* is why it is not there yet, by the last round, and *tries* counts the
    rounds; *is_settling* tells that it is there now, if it stays so.  In the end it is
    *done*, with a text that says how that came, or it *gave up*, unless its time ran
    out.  *changed* is called with it when there is news.
    """

    name: str
    changed: Callable[[State], None]
    reason: str = ""
    tries: int = 0
    is_settling: bool = False
    done: str = ""
    gave_up: bool = False
    _met: set[str] = field(default_factory=set[str])

    def __call__(self, event: Event) -> None:
        """Take an event of the call."""
        match event:
            case AttemptFailed():
                self.is_settling = False
                # Ready is what it has to stay: the user has given no such thing.
                why = attempt_reason(event.attempt).removeprefix("ready: ")
                self._met.add(why)
            case Connected():
                self._met.add("it is up")
            case PhaseStarted():
                self.is_settling = True
                self.changed(self)
            case RetryScheduled() | GaveUp():
                self.tries += 1
                # Addresses that race fail in any order: that is no change.
                self.reason = "; ".join(sorted(self._met)) or self.reason
                self._met.clear()
                self.changed(self)
            case _:
                pass

    def end(self, done: str = "", *, gave_up: bool = False) -> None:
        """Take how it ended."""
        self.done, self.gave_up = done, gave_up
        self.changed(self)

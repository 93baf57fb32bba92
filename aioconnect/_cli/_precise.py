"""Tell a timeline the time as it is, and not as a loop's clock has it.

That of uvloop counts milliseconds, and stands still while callbacks run.
"""

from __future__ import annotations

import time
from dataclasses import replace

from .._event_types import Connected, Event
from .._timeline import Timeline

__all__ = ["Precise"]


class Precise:
    """An observer that gives *timeline* what it is told when it is told it.

    Both clocks are the system's monotonic one.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._started: float | None = None

    def __call__(self, event: Event) -> None:
        """Take *event*."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        event = replace(event, at=now)
        if isinstance(event, Connected):
            event = replace(event, elapsed=now - self._started)
        self._timeline(event)

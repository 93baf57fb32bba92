"""Look at what one call did: as text, as a dict, as a picture."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from .._calls.observing import CallObserver, Observer
from .._sansio.events import AttemptFailed, Event
from .event_reducer import Narrator
from .model import Step
from .phrases import Story, headline
from .svg_chart import picture
from .text_chart import waterfall

__all__ = ["Timeline"]


class Timeline(CallObserver):
    """An observer of a call, ``observer=timeline``, that can show what it did.

    It may be looked at while the call is under way: what is not over is *pending* then,
    and drawn up to *end*, a time of `time.monotonic`: now, where a loop is running.
    *target* is what to call it, if not as the call does.  Of a call that takes very
    many steps the first 64 and the last 448 are kept.

    Of several calls it shows the one that began last.  It looks at the clock whenever
    something happens: uvloop's own counts milliseconds, and can stand still while
    callbacks run.

    It can be called with events, too.  Those do not say whose they are, and have to be
    one call's.  It shows the times that they say.
    """

    __module__ = "aioconnect"  # where users import it from

    def __init__(self, target: object = None) -> None:
        self._target = target
        self._narrator = Narrator(target)

    def __call__(self, event: Event) -> None:
        """Take *event*."""
        self._narrator.take(event)

    @contextlib.contextmanager
    def call(self, host: str | None, port: int | None) -> Generator[Observer]:
        """Show the call that begins."""
        narrator = self._narrator = Narrator(self._target)
        narrator.begin(host, port, time.monotonic())
        try:
            yield lambda event: narrator.take(_as_of(event, time.monotonic()))
        except BaseException as exc:
            narrator.ended(time.monotonic(), exc)
            raise
        narrator.left(time.monotonic())

    def ended(self, at: float, error: BaseException | None = None) -> None:
        """Note that the call ended *at* that time, where no event says so.

        For who calls the timeline with events.  The call was cancelled, or ended by an
        *error* that is not its own: a hook's.  That is no news of one that has
        connected or given up.
        """
        self._narrator.ended(at, error)

    def to_dict(self, *, end: float | None = None) -> dict[str, Any]:
        """Return the record of the call, in JSON's types, with all of these keys.

        ``schema`` (1); ``target``; ``outcome``: ``connected``, ``failed``,
        ``cancelled``, ``ended`` (a wait until it was down, or a socket that was
        connected before) or ``pending``; ``elapsed``; ``address``: what was connected,
        or None; ``error``: None, or its ``type``, ``errno`` (a name, ``ECONNREFUSED``
        or ``EAI_NONAME`` say, or None) and ``message``; ``rounds``; ``steps``; and
        ``steps_left_out``: how many there were after the first 64, before the others.

        A step has ``kind``: ``lookup``, ``attempt``, ``proxy``, ``tls``, ``ready`` or
        ``wait``; ``what``: ``AAAA db.internal``, an address, ``for round 2``;
        ``round`` (from 1); ``start``, and ``end``: None while it is not over;
        ``outcome``: ``ok``, ``failed``, ``dropped`` (another was faster, or the round
        was over) or ``pending``; ``reason`` and ``errno`` of one that failed, else
        None; ``addresses``: what a look-up found, 16 at most.  An attempt that goes on
        to something, TLS say, is ``ok``, and that is a step of its own.

        Times are seconds since the call began.  A text is one line of printable
        characters; others are escaped in it.  Keys may be added to schema 1; none goes,
        or changes its meaning.
        """
        story = self._story(end)
        return {
            "schema": 1,
            "target": story.target,
            "outcome": story.outcome,
            "elapsed": _seconds(story.elapsed),
            "address": story.address,
            "error": None if story.error is None else dict(story.error),
            "rounds": story.rounds,
            "steps": [_record(step, story.started) for step in story.steps],
            "steps_left_out": story.left_out,
        }

    def to_text(
        self, width: int = 80, *, color: bool = False, end: float | None = None
    ) -> str:
        """Return a waterfall: a line for each step, none wider than *width* (from 20).

        Where they do not fit beside each other there are two; many rounds are folded.
        With *color* outcomes have the colours of a terminal, besides their marks.
        """
        return waterfall(self._story(end), width, color=color)

    def to_svg(self, *, end: float | None = None) -> str:
        """Return the same as a picture, which is readable in light and in dark."""
        return picture(self._story(end))

    def _story(self, end: float | None) -> Story:
        if end is None:
            with contextlib.suppress(RuntimeError):  # no loop is running
                asyncio.get_running_loop()
                end = time.monotonic()
        return self._narrator.story(end)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Timeline {headline(self._story(None))}>"

    def _repr_svg_(self) -> str:
        return self.to_svg()


def _as_of(event: Event, now: float) -> Event:
    """Return *event*, which is on the loop's clock, as one that happens *now*."""
    later = now - event.at
    event = replace(event, at=now)
    if isinstance(event, AttemptFailed):
        started = event.attempt.started + later
        event = replace(event, attempt=replace(event.attempt, started=started))
    return event


def _record(step: Step, started: float) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "what": step.what,
        "round": step.round,
        "start": _seconds(step.start - started),
        "end": None if step.end is None else _seconds(step.end - started),
        "outcome": step.outcome,
        "reason": step.reason,
        "errno": step.errno,
        "addresses": list(step.addresses),
    }


def _seconds(value: float) -> float:
    """Return *value* to the microsecond: what is finer is noise."""
    return round(value, 6)

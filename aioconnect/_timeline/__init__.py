"""Show what one call did: as text, as a dict, as a picture."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from .._calls.observing import CallObserver, CountsServers, Observer
from .._sansio.events import AttemptFailed, Event
from .event_reducer import EventReducer
from .model import CallHistory, Step
from .phrases import headline
from .svg_chart import draw_svg_chart
from .text_chart import draw_text_chart

__all__ = ["Timeline"]


class Timeline(CallObserver):
    """An observer of a call, ``observer=timeline``, that shows what the call did.

    You can look at it while the call is under way.  A step that is not over is then
    *pending*, and is drawn up to *end*, a time of `time.monotonic` (default: now, if a
    loop is running).  *target* is the name to show for the call's target (default: what
    the call connects to).  A timeline keeps the first 64 steps of a call and the last
    448.

    If several calls have the same timeline, it shows the one that began last.  Its
    times are from `time.monotonic` and not from the loop, because uvloop's clock counts
    milliseconds, and can stand still while callbacks run.

    You can also call a timeline with events yourself.  Events do not say which call
    they belong to, so they must all be of one call.  The timeline then shows the times
    of the events.
    """

    __module__ = "aioconnect"  # where users import it from

    def __init__(self, target: object = None) -> None:
        self._target = target
        self._reducer = EventReducer(target)

    def __call__(self, event: Event) -> None:
        """Take *event*."""
        self._reducer.take(event)

    @contextlib.contextmanager
    def call(self, host: str | None, port: int | None) -> Generator[Observer]:
        """Show the call that begins, from now on."""
        reducer = self._reducer = EventReducer(self._target)
        reducer.call_began(host, port, time.monotonic())
        try:
            yield _CallOnMonotonicClock(reducer)
        except BaseException as exc:
            reducer.call_ended(time.monotonic(), exc)
            raise
        reducer.call_returned(time.monotonic())

    def ended(self, at: float, error: BaseException | None = None) -> None:
        """Note that the call ended *at* that time, if no event says so.

        You need this only if you call the timeline with events.  The call was
        cancelled, or an *error* of a hook ended it.  This changes nothing if the call
        has connected or given up.
        """
        self._reducer.call_ended(at, error)

    def to_dict(self, *, end: float | None = None) -> dict[str, Any]:
        """Return the record of the call, in JSON's types, with all of these keys.

        ``schema`` (1); ``target``; ``outcome``: ``connected``, ``failed``,
        ``cancelled``, ``ended`` (without a new connection: a wait until the target was
        down, a look-up alone, or a socket that was connected before) or ``pending``;
        ``elapsed``; ``address``: the address that is connected, or None; ``error``:
        None, or its ``type``, ``errno`` (a name such as ``ECONNREFUSED`` or
        ``EAI_NONAME``, or None) and ``message``; ``rounds``; ``steps``; and
        ``steps_left_out``: how many steps are missing after the first 64.

        A step has ``kind``: ``lookup``, ``attempt``, ``proxy``, ``tls``, ``ready`` or
        ``wait``; ``what``: ``AAAA db.internal``, an address, ``for round 2``;
        ``round`` (from 1); ``start``, and ``end``: None while it is not over;
        ``outcome``: ``ok``, ``failed``, ``dropped`` (another was faster, or the round
        was over) or ``pending``; ``reason`` and ``errno`` if it failed, else None;
        ``addresses``: what a look-up found, 16 at most.  An attempt that goes on to a
        handshake, such as TLS, is ``ok``, and the handshake is a step of its own.

        Times are seconds since the call began.  Each text is one line of printable
        characters; others are escaped.  Keys may be added to schema 1, but none will go
        or change its meaning.
        """
        record = self._record(end)
        return {
            "schema": 1,
            "target": record.target,
            "outcome": record.outcome,
            "elapsed": _rounded(record.elapsed),
            "address": record.address,
            "error": None if record.error is None else dict(record.error),
            "rounds": record.rounds,
            "steps": [_step_to_dict(step, record.started) for step in record.steps],
            "steps_left_out": record.left_out,
        }

    def to_text(
        self, width: int = 80, *, color: bool = False, end: float | None = None
    ) -> str:
        """Return a waterfall: a line for each step, at most *width* columns wide.

        *width* is at least 20.  If there are few columns, a step takes two lines.  Many
        rounds are folded into one line.  With *color*, outcomes have terminal colours
        as well as their marks.
        """
        return draw_text_chart(self._record(end), width, color=color)

    def to_svg(self, *, end: float | None = None) -> str:
        """Return the waterfall as an SVG picture, readable in light and in dark."""
        return draw_svg_chart(self._record(end))

    def _record(self, end: float | None) -> CallHistory:
        if end is None:
            with contextlib.suppress(RuntimeError):  # no loop is running
                asyncio.get_running_loop()
                end = time.monotonic()
        return self._reducer.record(end)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Timeline {headline(self._record(None))}>"

    def _repr_svg_(self) -> str:
        return self.to_svg()


class _CallOnMonotonicClock(CountsServers):
    """The observer of one call for *reducer*, with times of `time.monotonic`."""

    def __init__(self, reducer: EventReducer) -> None:
        self._reducer = reducer

    def __call__(self, event: Event) -> None:
        self._reducer.take(_moved_to(event, time.monotonic()))

    def note_servers(self, count: int) -> None:
        self._reducer.has_servers(count)


def _moved_to(event: Event, now: float) -> Event:
    """Move the times of *event*, which are the loop's, so that it happens *now*."""
    offset = now - event.at
    event = replace(event, at=now)
    if isinstance(event, AttemptFailed):
        started = event.attempt.started + offset
        event = replace(event, attempt=replace(event.attempt, started=started))
    return event


def _step_to_dict(step: Step, started: float) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "what": step.what,
        "round": step.round,
        "start": _rounded(step.start - started),
        "end": None if step.end is None else _rounded(step.end - started),
        "outcome": step.outcome,
        "reason": step.reason,
        "errno": step.errno,
        "addresses": list(step.addresses),
    }


def _rounded(seconds: float) -> float:
    """Return *seconds* rounded to microseconds: finer digits are noise."""
    return round(seconds, 6)

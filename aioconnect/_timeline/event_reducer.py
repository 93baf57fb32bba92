"""Take the events of one call as they come, and make a story of them.

Pure: what time it is, the events say, or who asks.
"""

from __future__ import annotations

import socket

from .._sansio.errors import Attempt, attempt_reason
from .._sansio.events import (
    AttemptFailed,
    AttemptStarted,
    Connected,
    Event,
    GaveUp,
    PhaseStarted,
    Resolved,
    ResolveFailed,
    ResolveStarted,
    RetryScheduled,
)
from .._sansio.target_text import join_host_port
from .._sansio.text import error_text, printable
from .model import Kind, Outcome, Step, Steps, errno_name
from .phrases import Ending, Story

__all__ = ["Narrator"]

# So many addresses of a look-up are kept.
_MOST_ADDRESSES = 16

# Of a text, and of the message of the call's error, in characters.
_LONGEST = 300
_LONGEST_MESSAGE = 4000

_RECORDS: dict[int, str] = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}

_PHASES: dict[str, Kind] = {"proxy": "proxy", "tls": "tls", "ready": "ready"}


class Narrator:
    """What is known of one call, which is called *target*, or what is told first."""

    def __init__(self, target: object = None) -> None:
        self._target = None if target is None else _plain(target)
        self._steps = Steps()
        self._open: list[Step] = []
        self._asked: list[Step] = []  # the look-ups of this round
        self._started: float | None = None
        self._has_begun = False
        self._last = 0.0
        self._round = 1
        self._rounds = 0
        self._outcome: Ending = "pending"
        self._address: str | None = None
        self._error: dict[str, str | None] | None = None

    def begin(self, host: str | None, port: int | None, at: float) -> None:
        """Note that the call begins, to *host* and *port* if it has but one target."""
        self._tick(at)
        self._has_begun = True
        if self._target is None and host is not None:
            self._target = _plain(join_host_port(host, port) if port else host)

    def take(self, event: Event) -> None:
        """Keep *event*."""
        self._tick(event.at)
        self._outcome = "pending"
        for step in [one for one in self._open if one.kind == "wait"]:
            self._end(step, event.at, "ok")
        match event:
            case ResolveStarted() | Resolved() | ResolveFailed():
                self._look_up(event)
            case AttemptStarted() | PhaseStarted() | AttemptFailed():
                self._attempt(event)
            case RetryScheduled():
                self._retry(event)
            case Connected():
                self._connected(event)
            case GaveUp():
                self._gave_up(event)

    def ended(self, at: float, error: BaseException | None = None) -> None:
        """Note that the call ended *at* that time, where no event says so.

        It was cancelled, or ended by an *error* that is not its own: a hook's.  That is
        no news of a call that has connected or given up.
        """
        if self._outcome != "pending":
            return
        self._tick(at)
        if isinstance(error, Exception):
            self._failed(error)
        else:
            self._outcome = "cancelled"

    def left(self, at: float) -> None:
        """Note that the call returned *at* that time, whatever it was."""
        if self._outcome == "pending":
            self._tick(at)
            self._outcome = "ended"

    def story(self, end: float | None) -> Story:
        """Return what became of it so far; *end* is now, while it is under way."""
        until = self._last
        if end is not None and self._outcome == "pending":
            until = max(until, end)
        started = until if self._started is None else self._started
        return Story(
            target=self._target or "nothing yet",
            outcome=self._outcome,
            address=self._address,
            error=self._error,
            rounds=self._rounds,
            started=started,
            elapsed=max(until - started, 0.0),
            steps=tuple(self._steps),
            gap=self._steps.gap,
            left_out=self._steps.left_out,
        )

    def _tick(self, at: float, started: float | None = None) -> None:
        first = at if started is None else min(at, started)
        self._started = first if self._started is None else min(self._started, first)
        self._last = max(self._last, at)

    def _take_elapsed(self, at: float, elapsed: float) -> None:
        """Note how long the call has taken, unless it is known when it began."""
        if not self._has_begun:
            self._tick(at, at - elapsed)

    def _begin(self, kind: Kind, what: object, of: object, at: float) -> Step:
        self._rounds = self._round
        step = Step(kind, _plain(what), of, self._round, at)
        self._steps.add(step)
        self._open.append(step)
        if self._target is None:
            self._target = step.what
        return step

    def _end(
        self,
        step: Step,
        at: float,
        outcome: Outcome,
        why: str | None = None,
        error: Exception | None = None,
    ) -> None:
        step.end = max(at, step.start)
        step.outcome = outcome
        step.reason = why
        step.errno = None if error is None else errno_name(error)
        self._open.remove(step)

    def _drop_others(self, at: float) -> None:
        for step in list(self._open):
            self._end(step, at, "dropped")

    def _look_up(self, event: ResolveStarted | Resolved | ResolveFailed) -> None:
        host, at = event.host, event.at
        kind = _RECORDS.get(event.family, "SRV" if host[:1] == "_" else "")
        what = _plain(f"{kind} {host}".strip())
        if isinstance(event, ResolveStarted):
            if self._target is None:
                self._target = _plain(
                    join_host_port(host, event.port) if event.port else host
                )
            self._asked.append(self._begin("lookup", what, host, at))
            return
        step = self._find("lookup", host, what)
        if step is None:
            self._tick(at, at - event.elapsed)
            step = self._begin("lookup", what, host, at - event.elapsed)
            self._asked.append(step)
        if isinstance(event, Resolved):
            step.addresses = tuple(map(str, event.addresses[:_MOST_ADDRESSES]))
            self._end(step, at, "ok")
        else:
            failure = Attempt(None, "resolve", event.error, at, 0.0, self._round)
            self._end(step, at, "failed", attempt_reason(failure), event.error)

    def _find(self, kind: Kind, of: object, what: str | None = None) -> Step | None:
        for step in self._open:
            if step.kind == kind and step.of == of and what in (None, step.what):
                return step
        return None

    def _attempt(self, event: AttemptStarted | PhaseStarted | AttemptFailed) -> None:
        if isinstance(event, AttemptFailed):
            self._attempt_failed(event)
            return
        self._round = max(self._round, event.round)
        kind: Kind = "attempt"
        if isinstance(event, PhaseStarted):
            for step in self._attempts_at(event.address):
                self._end(step, event.at, "ok")
            kind = _PHASES[event.phase]
        self._begin(kind, event.address, event.address, event.at)

    def _attempts_at(self, address: object) -> list[Step]:
        return [s for s in self._open if s.kind != "lookup" and s.of == address]

    def _attempt_failed(self, event: AttemptFailed) -> None:
        attempt = event.attempt
        self._round = max(self._round, attempt.round)
        if attempt.address is None and attempt.phase == "resolve":
            self._not_found(event)
            return
        of: object = attempt.address or attempt.host or "names"
        open_steps = self._attempts_at(of)
        if not open_steps:
            # It was not begun: it is not allowed, say, or nothing to bind to is there.
            self._tick(event.at, attempt.started)
            open_steps = [self._begin("attempt", of, of, attempt.started)]
        for step in open_steps:
            why = attempt_reason(attempt).removeprefix(f"{step.kind}: ")
            self._end(step, event.at, "failed", why, attempt.error)

    def _not_found(self, event: AttemptFailed) -> None:
        """Take the failure of a look-up, which may have been told before."""
        attempt = event.attempt
        why = attempt_reason(attempt)
        asked = [one for one in self._asked if one.of == attempt.host]
        step = next((one for one in asked if one.reason == why), None)
        step = step or next((one for one in asked if one.end is None), None)
        if step is None:
            self._tick(event.at, attempt.started)
            host = attempt.host or "names"
            step = self._begin("lookup", host, host, attempt.started)
        else:
            self._asked.remove(step)  # the next one is another's
        if step.end is None:
            self._end(step, event.at, "failed", why, attempt.error)

    def _retry(self, event: RetryScheduled) -> None:
        self._drop_others(event.at)
        self._asked.clear()
        self._round = max(self._round, event.round)
        self._begin("wait", f"for round {self._round + 1}", None, event.at)
        self._round += 1

    def _connected(self, event: Connected) -> None:
        self._take_elapsed(event.at, event.elapsed)
        for step in self._attempts_at(event.address):
            self._end(step, event.at, "ok")
        self._drop_others(event.at)
        self._outcome, self._address = "connected", str(event.address)

    def _gave_up(self, event: GaveUp) -> None:
        self._take_elapsed(event.at, event.error.elapsed)
        self._drop_others(event.at)
        self._failed(event.error)

    def _failed(self, error: Exception) -> None:
        self._outcome = "failed"
        self._error = {
            "type": printable(type(error).__name__),
            "errno": errno_name(error),
            "message": error_text(error, _LONGEST_MESSAGE),
        }


def _plain(text: object) -> str:
    return printable(str(text), _LONGEST)

"""Turn the events of one call, as they come, into the record of that call.

This module is pure: the times come with the events, or from the caller.
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
from .model import (
    CallHistory,
    CallOutcome,
    Step,
    StepKind,
    StepLog,
    StepOutcome,
    errno_name,
)

__all__ = ["EventReducer"]

# The most addresses that are kept of a look-up.
_MOST_ADDRESSES = 16

# The most characters of a text, and of the message of the call's error.
_LONGEST_TEXT = 300
_LONGEST_MESSAGE = 4000

_RECORD_TYPES: dict[int, str] = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}

_PHASES: dict[str, StepKind] = {"proxy": "proxy", "tls": "tls", "ready": "ready"}


class EventReducer:
    """Collect what is known of one call.

    *target* is what to call its target.  Without it, the first event that names a
    target decides.
    """

    def __init__(self, target: object = None) -> None:
        self._target = None if target is None else _short_text(target)
        self._steps = StepLog()
        self._open_steps: list[Step] = []
        self._round_lookups: list[Step] = []  # of this round
        self._started: float | None = None
        self._is_start_known = False
        self._latest = 0.0
        self._round = 1
        self._rounds = 0
        self._outcome: CallOutcome = "pending"
        self._address: str | None = None
        self._error: dict[str, str | None] | None = None
        self._servers = 1

    def call_began(self, host: str | None, port: int | None, at: float) -> None:
        """Note that the call began, to *host* and *port* if it has only one target."""
        self._note_time(at)
        self._is_start_known = True
        if host is not None:
            self._set_target(host, port)

    def has_servers(self, count: int) -> None:
        """Note that the call connects to one of *count* servers."""
        if self._target is None:  # a name that the user gave stands for all of them
            self._servers = count

    def take(self, event: Event) -> None:
        """Take the next event of the call."""
        self._note_time(event.at)
        self._outcome = "pending"
        for step in [one for one in self._open_steps if one.kind == "wait"]:
            self._end_step(step, event.at, "ok")
        match event:
            case ResolveStarted() | Resolved() | ResolveFailed():
                self._on_lookup(event)
            case AttemptStarted() | PhaseStarted() | AttemptFailed():
                self._on_attempt(event)
            case RetryScheduled():
                self._on_retry(event)
            case Connected():
                self._on_connected(event)
            case GaveUp():
                self._on_gave_up(event)

    def call_ended(self, at: float, error: BaseException | None = None) -> None:
        """Note that the call ended *at* that time, if no event said so.

        It was cancelled, or ended by an *error* of a hook.  This changes nothing if the
        call has connected or given up.
        """
        if self._outcome != "pending":
            return
        self._note_time(at)
        if isinstance(error, Exception):
            self._set_error(error)
        else:
            self._outcome = "cancelled"

    def call_returned(self, at: float) -> None:
        """Note that the call returned *at* that time, whatever kind of call it was."""
        if self._outcome == "pending":
            self._note_time(at)
            self._outcome = "ended"

    def record(self, end: float | None) -> CallHistory:
        """Return the record so far; *end* is the time now, if the call is under way."""
        until = self._latest
        if end is not None and self._outcome == "pending":
            until = max(until, end)
        started = until if self._started is None else self._started
        return CallHistory(
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
            servers=self._servers,
        )

    def _note_time(self, at: float, started: float | None = None) -> None:
        """Extend the time of the call up to *at*, and back to *started*."""
        first = at if started is None else min(at, started)
        self._started = first if self._started is None else min(self._started, first)
        self._latest = max(self._latest, at)

    def _note_elapsed(self, at: float, elapsed: float) -> None:
        """Derive the start of the call from *elapsed*, unless the start is known."""
        if not self._is_start_known:
            self._note_time(at, at - elapsed)

    def _set_target(self, host: str, port: int | None) -> None:
        if self._target is None:
            self._target = _short_text(join_host_port(host, port) if port else host)

    def _start_step(self, kind: StepKind, what: object, of: object, at: float) -> Step:
        """Start a step whose subject is *of*."""
        self._rounds = self._round
        step = Step(kind, _short_text(what), of, self._round, at)
        self._steps.add(step)
        self._open_steps.append(step)
        if self._target is None:
            self._target = step.what
        return step

    def _end_step(
        self,
        step: Step,
        at: float,
        outcome: StepOutcome,
        reason: str | None = None,
        error: Exception | None = None,
    ) -> None:
        step.end = max(at, step.start)
        step.outcome = outcome
        step.reason = reason
        step.errno = None if error is None else errno_name(error)
        self._open_steps.remove(step)

    def _drop_open_steps(self, at: float) -> None:
        for step in list(self._open_steps):
            self._end_step(step, at, "dropped")

    def _on_lookup(self, event: ResolveStarted | Resolved | ResolveFailed) -> None:
        host, at = event.host, event.at
        record_type = _RECORD_TYPES.get(event.family, "SRV" if host[:1] == "_" else "")
        what = _short_text(f"{record_type} {host}".strip())
        if isinstance(event, ResolveStarted):
            self._set_target(host, event.port)
            self._round_lookups.append(self._start_step("lookup", what, host, at))
            return
        step = self._open_lookup(host, what)
        if step is None:
            self._note_time(at, at - event.elapsed)
            step = self._start_step("lookup", what, host, at - event.elapsed)
            self._round_lookups.append(step)
        if isinstance(event, Resolved):
            step.addresses = tuple(map(str, event.addresses[:_MOST_ADDRESSES]))
            self._end_step(step, at, "ok")
        else:
            failure = Attempt(None, "resolve", event.error, at, 0.0, self._round)
            reason = attempt_reason(failure)
            self._end_step(step, at, "failed", reason, event.error)

    def _open_lookup(self, host: str, what: str) -> Step | None:
        for step in self._open_steps:
            if step.kind == "lookup" and step.subject == host and step.what == what:
                return step
        return None

    def _on_attempt(self, event: AttemptStarted | PhaseStarted | AttemptFailed) -> None:
        if isinstance(event, AttemptFailed):
            self._on_attempt_failed(event)
            return
        self._round = max(self._round, event.round)
        kind: StepKind = "attempt"
        if isinstance(event, PhaseStarted):
            for step in self._open_attempts(event.address):
                self._end_step(step, event.at, "ok")
            kind = _PHASES[event.phase]
        self._start_step(kind, event.address, event.address, event.at)

    def _open_attempts(self, address: object) -> list[Step]:
        return [
            step
            for step in self._open_steps
            if step.kind != "lookup" and step.subject == address
        ]

    def _on_attempt_failed(self, event: AttemptFailed) -> None:
        attempt = event.attempt
        self._round = max(self._round, attempt.round)
        if attempt.address is None and attempt.phase == "resolve":
            self._on_lookup_failed(event)
            return
        subject: object = attempt.address or attempt.host or "names"
        steps = self._open_attempts(subject)
        if not steps:
            # Nothing was started: the guard blocked the address, for instance, or
            # there was no local address to bind to.
            self._note_time(event.at, attempt.started)
            steps = [self._start_step("attempt", subject, subject, attempt.started)]
        for step in steps:
            reason = attempt_reason(attempt).removeprefix(f"{step.kind}: ")
            self._end_step(step, event.at, "failed", reason, attempt.error)

    def _on_lookup_failed(self, event: AttemptFailed) -> None:
        """Take the failure of a look-up; a `ResolveFailed` may have come before."""
        attempt = event.attempt
        reason = attempt_reason(attempt)
        lookups = [one for one in self._round_lookups if one.subject == attempt.host]
        step = next((one for one in lookups if one.reason == reason), None)
        step = step or next((one for one in lookups if one.end is None), None)
        if step is None:
            self._note_time(event.at, attempt.started)
            host = attempt.host or "names"
            step = self._start_step("lookup", host, host, attempt.started)
        else:
            # The next failure belongs to another look-up, even for the same reason.
            self._round_lookups.remove(step)
        if step.end is None:
            self._end_step(step, event.at, "failed", reason, attempt.error)

    def _on_retry(self, event: RetryScheduled) -> None:
        self._drop_open_steps(event.at)
        self._round_lookups.clear()
        self._round = max(self._round, event.round)
        self._start_step("wait", f"for round {self._round + 1}", None, event.at)
        self._round += 1

    def _on_connected(self, event: Connected) -> None:
        self._note_elapsed(event.at, event.elapsed)
        for step in self._open_attempts(event.address):
            self._end_step(step, event.at, "ok")
        self._drop_open_steps(event.at)
        self._outcome, self._address = "connected", str(event.address)

    def _on_gave_up(self, event: GaveUp) -> None:
        self._note_elapsed(event.at, event.error.elapsed)
        self._drop_open_steps(event.at)
        self._set_error(event.error)

    def _set_error(self, error: Exception) -> None:
        self._outcome = "failed"
        self._error = {
            "type": printable(type(error).__name__),
            "errno": errno_name(error),
            "message": error_text(error, _LONGEST_MESSAGE),
        }


def _short_text(text: object) -> str:
    return printable(str(text), _LONGEST_TEXT)

"""The record of one call: its outcome, and its steps with their times and outcomes.

This module is pure.  A record's memory is bounded, however long the call takes.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "CallHistory",
    "CallOutcome",
    "Step",
    "StepKind",
    "StepLog",
    "StepOutcome",
    "errno_name",
]

StepKind: TypeAlias = Literal["lookup", "attempt", "proxy", "tls", "ready", "wait"]

# A step is "dropped" if nothing waited for its end: another address was faster, or the
# round was over.
StepOutcome: TypeAlias = Literal["ok", "failed", "dropped", "pending"]

CallOutcome: TypeAlias = Literal["connected", "failed", "cancelled", "ended", "pending"]

# A call can go on for days.  Its beginning and its end tell what happened.
_FIRST_KEPT = 64
_LAST_KEPT = 448

_EAI = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


@dataclass(slots=True)
class Step:
    """One step of a call, begun at *start* (on the loop's clock) in a *round*.

    *subject* is the address or the host that the step is about.  *end* is None until
    the step is over.
    """

    kind: StepKind
    what: str
    subject: object
    round: int
    start: float
    end: float | None = None
    outcome: StepOutcome = "pending"
    reason: str | None = None
    errno: str | None = None
    addresses: tuple[str, ...] = ()


class StepLog:
    """The steps of a call, oldest first: of a long call the first 64 and last 448.

    *left_out* is the number of steps between those, which are not kept.
    """

    def __init__(self) -> None:
        self._first: list[Step] = []
        self._last: deque[Step] = deque(maxlen=_LAST_KEPT)
        self.left_out = 0

    def add(self, step: Step) -> None:
        """Keep *step*; if the log is full, an older one is left out."""
        if len(self._first) < _FIRST_KEPT:
            self._first.append(step)
            return
        self.left_out += len(self._last) == _LAST_KEPT
        self._last.append(step)

    @property
    def gap(self) -> int:
        """The number of steps before those that are left out."""
        return len(self._first)

    def __iter__(self) -> Iterator[Step]:
        yield from self._first
        yield from self._last


@dataclass(frozen=True, slots=True)
class CallHistory:
    """What a call did so far: *elapsed* seconds since it *started*.

    A call to one of several *servers* has the first one as its *target*.  *left_out*
    more steps came after the first *gap* of *steps*.
    """

    target: str
    outcome: CallOutcome
    address: str | None
    error: dict[str, str | None] | None
    rounds: int
    started: float
    elapsed: float
    steps: Sequence[Step]
    gap: int
    left_out: int
    servers: int = 1


def errno_name(error: BaseException) -> str | None:
    """Return the name of the errno or the ``EAI_`` code of *error*, or None."""
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return None  # the errno of an SSLError is OpenSSL's
    if not isinstance(error.errno, int):
        return None  # there is none, or a hook put something else there
    names = _EAI if isinstance(error, socket.gaierror) else errno.errorcode
    return names.get(error.errno)

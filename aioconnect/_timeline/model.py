"""Keep what one call did as steps, each with a beginning, an end and an outcome.

Pure, and of bounded size.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Kind", "Outcome", "Step", "Steps", "errno_name"]

Kind: TypeAlias = Literal["lookup", "attempt", "proxy", "tls", "ready", "wait"]

# Dropped is what nobody waited for to the end: another address was faster, or the
# round was over.
Outcome: TypeAlias = Literal["ok", "failed", "dropped", "pending"]

# A call can go on for days: its beginning and its end say what happened.
_FIRST_KEPT = 64
_LAST_KEPT = 448

_EAI = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


@dataclass(slots=True)
class Step:
    """One thing that was begun at *start*, on the loop's clock, in a *round*.

    *of* is whom it is about, the address or the host, *end* None while it is not over.
    """

    kind: Kind
    what: str
    of: object
    round: int
    start: float
    end: float | None = None
    outcome: Outcome = "pending"
    reason: str | None = None
    errno: str | None = None
    addresses: tuple[str, ...] = ()


class Steps:
    """The steps of a call, oldest first: of a long one its first 64 and its last 448.

    *left_out* says how many there were in between, which come after the first *gap*.
    """

    def __init__(self) -> None:
        self._first: list[Step] = []
        self._last: deque[Step] = deque(maxlen=_LAST_KEPT)
        self.left_out = 0

    def add(self, step: Step) -> None:
        """Keep *step*, or the memory of one that is older."""
        if len(self._first) < _FIRST_KEPT:
            self._first.append(step)
            return
        self.left_out += len(self._last) == _LAST_KEPT
        self._last.append(step)

    @property
    def gap(self) -> int:
        """How many come before those that were left out."""
        return len(self._first)

    def __iter__(self) -> Iterator[Step]:
        yield from self._first
        yield from self._last


def errno_name(error: BaseException) -> str | None:
    """Return the name of the errno of *error*, or of its ``EAI_`` code, or None."""
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return None  # an SSLError's is OpenSSL's
    if not isinstance(error.errno, int):
        return None  # there is none, or a hook put something else there
    names = _EAI if isinstance(error, socket.gaierror) else errno.errorcode
    return names.get(error.errno)

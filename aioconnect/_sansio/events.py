"""Define the events that an observer gets while a connect runs.

Events are values, which are made only if there is an observer.  Every ``at`` is a time
of the loop's clock (`asyncio.loop.time`).

Importing this module takes nearly a fifth of the package's time to import, so
`_calls.observing` imports it only when there is an observer.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, get_args

from .addresses import Address
from .errors import Attempt, ConnectError
from .text import error_text, printable, safe_repr

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "Connected",
    "Event",
    "GaveUp",
    "PhaseStarted",
    "ResolveFailed",
    "ResolveStarted",
    "Resolved",
    "RetryScheduled",
    "log_events",
]


@dataclass(frozen=True, slots=True)
class ResolveStarted:
    """The look-up of a name begins, for *family* (``AF_UNSPEC`` means both)."""

    at: float
    host: str
    port: int
    family: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """The look-up found *addresses* after *elapsed* seconds; for a service, none."""

    at: float
    host: str
    port: int
    family: int
    addresses: tuple[Address, ...]
    elapsed: float


@dataclass(frozen=True, slots=True)
class ResolveFailed:
    """The look-up failed with *error*, after *elapsed* seconds."""

    at: float
    host: str
    port: int
    family: int
    error: Exception
    elapsed: float


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt to connect to *address* begins, in *round* (counted from 1)."""

    at: float
    address: Address
    round: int


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """The socket of an attempt is connected, and a further *phase* begins.

    *phase* is ``proxy``, ``tls`` or ``ready``, as in an `Attempt`.
    """

    at: float
    address: Address
    round: int
    phase: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed.  The call's error lists the same `Attempt`."""

    at: float
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Connected:
    """The call returns its connection, *elapsed* seconds after the call's start."""

    at: float
    address: Address
    round: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """Every attempt of *round* failed; the next round begins after *delay* seconds."""

    at: float
    round: int
    delay: float


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The whole call failed; it raises *error*."""

    at: float
    error: ConnectError


Event: TypeAlias = (
    ResolveStarted
    | Resolved
    | ResolveFailed
    | AttemptStarted
    | PhaseStarted
    | AttemptFailed
    | Connected
    | RetryScheduled
    | GaveUp
)


def log_events(
    logger: logging.Logger, level: int = logging.DEBUG
) -> Callable[[Event], None]:
    """Return an observer that writes a line to *logger* for each event.

    Unprintable characters in quoted text are escaped, so that no text from elsewhere
    can forge a second line.

    Raises:
        TypeError: *logger* is not a logger, or *level* not a number.
    """
    if not callable(getattr(logger, "isEnabledFor", None)):
        raise TypeError(f"logger must be a logging.Logger, not {safe_repr(logger)}")
    if not isinstance(level, int):
        raise TypeError(f"level must be an int, as of logging.INFO: {safe_repr(level)}")
    return _Logger(logger, level)


@dataclass(frozen=True, slots=True)
class _Logger:
    """A value that can be compared and pickled, as all options can."""

    logger: logging.Logger
    level: int

    def __call__(self, event: Event) -> None:
        if self.logger.isEnabledFor(self.level):
            self.logger.log(self.level, "%s", printable(_line(event)))


_FAMILIES: dict[int, str] = {socket.AF_INET: " for IPv4", socket.AF_INET6: " for IPv6"}

# What follows a connect before the call ends.
_NEXT_STEPS = {
    "proxy": "the proxy",
    "ready": "the ready check",
    "tls": "the TLS handshake",
}


def _line(event: Event) -> str:
    match event:
        case ResolveStarted():
            family = _FAMILIES.get(event.family, "")
            return f"looking up {event.host}{family}"
        case Resolved():
            found = ", ".join(map(str, event.addresses)) or "a service"
            return f"{event.host} is {found} ({event.elapsed:.3f} s)"
        case ResolveFailed():
            why = error_text(event.error)
            return f"no address for {event.host}: {why} ({event.elapsed:.3f} s)"
        case AttemptStarted():
            return f"connecting to {event.address} (round {event.round})"
        case PhaseStarted():
            step = _NEXT_STEPS.get(event.phase, event.phase)
            return f"connected to {event.address}; next is {step}"
        case AttemptFailed():
            return str(event.attempt)
        case Connected():
            return f"connected to {event.address} ({event.elapsed:.3f} s)"
        case RetryScheduled():
            return f"round {event.round} failed, next one in {event.delay:.3f} s"
        case GaveUp():
            return f"gave up: {event.error}"


# Users import these from the package, so a repr and a pickle must name it.
for _each in (*get_args(Event), log_events):
    _each.__module__ = "aioconnect"

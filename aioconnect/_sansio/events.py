"""Describe what a connect is doing while it does it: the observer's events.

Values only.  They are built by whoever drives the connect, and only when there
is an observer; every ``at`` is on the loop's clock (`asyncio.loop.time`).

Nearly a fifth of what the package's import would cost: `_events` imports it, when
somebody observes.
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
    """A name is being looked up, for *family* (``AF_UNSPEC``: for any)."""

    at: float
    host: str
    port: int
    family: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """The look-up gave *addresses*, after *elapsed* seconds; of a service, none."""

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
    """One attempt at one *address* begins, in *round* (from 1)."""

    at: float
    address: Address
    round: int


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """The socket of an attempt is connected, and that is not all.

    *phase* is what begins: ``proxy``, ``tls`` or ``ready``, as of an `Attempt`.
    """

    at: float
    address: Address
    round: int
    phase: str


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed; the `Attempt` is the one that the error will list."""

    at: float
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Connected:
    """The connect that is returned was made, *elapsed* seconds after its start."""

    at: float
    address: Address
    round: int
    elapsed: float


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """Every attempt of *round* failed; the next one begins after *delay* seconds."""

    at: float
    round: int
    delay: float


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The whole call failed: *error* is what it raises."""

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

    What a line quotes is escaped where it is not printable, so that nobody's words make
    two lines of it.

    Raises:
        TypeError: The *logger* is none, or the *level* no number.
    """
    if not callable(getattr(logger, "isEnabledFor", None)):
        raise TypeError(f"logger must be a logging.Logger, not {safe_repr(logger)}")
    if not isinstance(level, int):
        raise TypeError(f"level must be an int, as of logging.INFO: {safe_repr(level)}")
    return _Log(logger, level)


@dataclass(frozen=True, slots=True)
class _Log:
    """A value, as the options are: it is compared, and sent to another process."""

    logger: logging.Logger
    level: int

    def __call__(self, event: Event) -> None:
        if self.logger.isEnabledFor(self.level):
            self.logger.log(self.level, "%s", printable(_line(event)))


_FAMILIES: dict[int, str] = {socket.AF_INET: " for IPv4", socket.AF_INET6: " for IPv6"}


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
            return f"connected to {event.address}, now {event.phase}"
        case AttemptFailed():
            return str(event.attempt)
        case Connected():
            return f"connected to {event.address} ({event.elapsed:.3f} s)"
        case RetryScheduled():
            return f"round {event.round} failed, next one in {event.delay:.3f} s"
        case GaveUp():
            return f"gave up: {event.error}"


# As with all that users import, a repr and a pickle name the package.
for _each in (*get_args(Event), log_events):
    _each.__module__ = "aioconnect"

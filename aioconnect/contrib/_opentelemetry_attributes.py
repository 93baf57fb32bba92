"""Say what happens in OpenTelemetry's words: the semantic conventions' attributes.

Pure.  https://opentelemetry.io/docs/specs/semconv/registry/attributes/
"""

from __future__ import annotations

import os
import socket
from typing import TypeAlias

from .._sansio.addresses import Address
from .._sansio.errors import AddressBlockedError, Attempt, attempt_reason
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
from .._sansio.text import error_text, printable
from .._timeline.model import errno_name

__all__ = [
    "Attributes",
    "error_type",
    "failure",
    "network",
    "peer",
    "said",
]

Attributes: TypeAlias = dict[str, str | int | float | list[str]]

_TYPES: dict[int, str] = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
_TRANSPORTS: dict[int, str] = {
    socket.AF_INET: "tcp",
    socket.AF_INET6: "tcp",
    socket.AF_UNIX: "unix",
}
if hasattr(socket, "AF_VSOCK"):
    _TRANSPORTS[socket.AF_VSOCK] = "vsock"  # the conventions have no name for it


def network(address: Address) -> Attributes:
    """Return of what kind *address* is; of these there are few."""
    found: Attributes = {}
    if (transport := _TRANSPORTS.get(address.family)) is not None:
        found["network.transport"] = transport
    if (kind := _TYPES.get(address.family)) is not None:
        found["network.type"] = kind
    return found


def peer(address: Address) -> Attributes:
    """Return which *address* is."""
    sockaddr = address.sockaddr
    if isinstance(sockaddr, str | bytes):
        path = os.fsdecode(sockaddr).replace("\0", "@", 1)
        return {"network.peer.address": printable(path)}
    host = printable(str(sockaddr[0]))
    return {"network.peer.address": host, "network.peer.port": sockaddr[1]}


def _answer(address: Address) -> str:
    return str(peer(address)["network.peer.address"])


def error_type(error: BaseException) -> str:
    """Return which kind of error it is: by its code if it has one, else its class."""
    # What is blocked was no system's to refuse.
    code = None if isinstance(error, AddressBlockedError) else errno_name(error)
    if code is not None:
        return code
    kind = type(error)
    is_builtin = kind.__module__ == "builtins"
    within = "" if is_builtin else f"{kind.__module__}."
    return printable(f"{within}{kind.__qualname__}")


def failure(attempt: Attempt) -> Attributes:
    """Return what there is to count of a failed *attempt*."""
    kind = {} if attempt.address is None else network(attempt.address)
    phase: Attributes = {"aioconnect.phase": attempt.phase}
    return kind | phase | {"error.type": error_type(attempt.error)}


def said(event: Event) -> tuple[str, Attributes] | None:
    """Return the name and the attributes of a span's event that says what *event* does.

    None is returned for the end of a call that failed: the span's status says it.
    """
    match event:
        case ResolveStarted():
            return "lookup.started", _question(event)
        case Resolved():
            answers = [_answer(address) for address in event.addresses]
            return "lookup.answered", _question(event) | {"dns.answers": answers}
        case ResolveFailed():
            return "lookup.failed", _question(event) | {
                "error.type": error_type(event.error),
                "exception.message": error_text(event.error),
            }
        case AttemptStarted():
            return "attempt.started", _at(event.address, event.round)
        case PhaseStarted():
            return f"{event.phase}.started", _at(event.address, event.round)
        case AttemptFailed():
            return "attempt.failed", _failed(event.attempt)
        case Connected():
            return "connected", _at(event.address, event.round)
        case RetryScheduled():
            return "retry.scheduled", {
                "aioconnect.round": event.round,
                "aioconnect.delay": event.delay,
            }
        case GaveUp():
            return None


def _question(event: ResolveStarted | Resolved | ResolveFailed) -> Attributes:
    name: Attributes = {"dns.question.name": printable(event.host)}
    kind = _TYPES.get(event.family)
    return name if kind is None else name | {"network.type": kind}


def _at(address: Address, number: int) -> Attributes:
    return network(address) | peer(address) | {"aioconnect.round": number}


def _failed(attempt: Attempt) -> Attributes:
    where: Attributes = {"aioconnect.round": attempt.round}
    if attempt.address is not None:
        where = _at(attempt.address, attempt.round)
    elif attempt.host is not None:
        where["dns.question.name"] = printable(attempt.host)
    why: Attributes = {"exception.message": attempt_reason(attempt)}
    return where | failure(attempt) | why

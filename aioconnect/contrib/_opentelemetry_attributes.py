"""Describe events with the attributes of OpenTelemetry's semantic conventions.

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
    "failure_attributes",
    "network_attributes",
    "peer_attributes",
    "span_event",
]

Attributes: TypeAlias = dict[str, str | int | float | list[str]]

_NETWORK_TYPES: dict[int, str] = {socket.AF_INET: "ipv4", socket.AF_INET6: "ipv6"}
_TRANSPORTS: dict[int, str] = {
    socket.AF_INET: "tcp",
    socket.AF_INET6: "tcp",
    socket.AF_UNIX: "unix",
}
if hasattr(socket, "AF_VSOCK"):
    _TRANSPORTS[socket.AF_VSOCK] = "vsock"  # not a value of the conventions


def network_attributes(address: Address) -> Attributes:
    """Return the kind of *address*; these attributes have few different values."""
    found: Attributes = {}
    if (transport := _TRANSPORTS.get(address.family)) is not None:
        found["network.transport"] = transport
    if (kind := _NETWORK_TYPES.get(address.family)) is not None:
        found["network.type"] = kind
    return found


def peer_attributes(address: Address) -> Attributes:
    """Return the host and the port, or the path, of *address*."""
    sockaddr = address.sockaddr
    if isinstance(sockaddr, str | bytes):
        path = os.fsdecode(sockaddr).replace("\0", "@", 1)
        return {"network.peer.address": printable(path)}
    host = printable(str(sockaddr[0]))
    return {"network.peer.address": host, "network.peer.port": sockaddr[1]}


def _peer_address(address: Address) -> str:
    return str(peer_attributes(address)["network.peer.address"])


def error_type(error: BaseException) -> str:
    """Return the name of the error's code, or of its class if it has no code."""
    # A blocked address was refused by the ``allow`` hook, and not by the system.
    code = None if isinstance(error, AddressBlockedError) else errno_name(error)
    if code is not None:
        return code
    kind = type(error)
    is_builtin = kind.__module__ == "builtins"
    within = "" if is_builtin else f"{kind.__module__}."
    return printable(f"{within}{kind.__qualname__}")


def failure_attributes(attempt: Attempt) -> Attributes:
    """Return the attributes by which failed attempts are counted."""
    kind = {} if attempt.address is None else network_attributes(attempt.address)
    phase: Attributes = {"aioconnect.phase": attempt.phase}
    return kind | phase | {"error.type": error_type(attempt.error)}


def span_event(event: Event) -> tuple[str, Attributes] | None:
    """Return the name and the attributes of the span event for *event*.

    Return None for the end of a failed call, because the span's status tells that.
    """
    match event:
        case ResolveStarted():
            return "lookup.started", _question_attributes(event)
        case Resolved():
            answers = [_peer_address(address) for address in event.addresses]
            question = _question_attributes(event)
            return "lookup.answered", question | {"dns.answers": answers}
        case ResolveFailed():
            return "lookup.failed", _question_attributes(event) | {
                "error.type": error_type(event.error),
                "exception.message": error_text(event.error),
            }
        case AttemptStarted():
            return "attempt.started", _address_attributes(event.address, event.round)
        case PhaseStarted():
            return f"{event.phase}.started", _address_attributes(
                event.address, event.round
            )
        case AttemptFailed():
            return "attempt.failed", _failed_attempt_attributes(event.attempt)
        case Connected():
            return "connected", _address_attributes(event.address, event.round)
        case RetryScheduled():
            return "retry.scheduled", {
                "aioconnect.round": event.round,
                "aioconnect.delay": event.delay,
            }
        case GaveUp():
            return None


def _question_attributes(
    event: ResolveStarted | Resolved | ResolveFailed,
) -> Attributes:
    name: Attributes = {"dns.question.name": printable(event.host)}
    kind = _NETWORK_TYPES.get(event.family)
    return name if kind is None else name | {"network.type": kind}


def _address_attributes(address: Address, number: int) -> Attributes:
    return (
        network_attributes(address)
        | peer_attributes(address)
        | {"aioconnect.round": number}
    )


def _failed_attempt_attributes(attempt: Attempt) -> Attributes:
    where: Attributes = {"aioconnect.round": attempt.round}
    if attempt.address is not None:
        where = _address_attributes(attempt.address, attempt.round)
    elif attempt.host is not None:
        where["dns.question.name"] = printable(attempt.host)
    why: Attributes = {"exception.message": attempt_reason(attempt)}
    return where | failure_attributes(attempt) | why

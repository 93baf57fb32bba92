"""Define the errors of one attempt, and those of a whole call.

`error_report` makes the error of a call from its attempts.  `ConnectError` and its
subclasses::

    OSError
    └── ConnectError                      the attempts do not agree
        ├── ConnectRefusedError           and ConnectionRefusedError
        ├── ConnectTimeoutError           and TimeoutError
        ├── ResolveError                  and socket.gaierror
        ├── AddressBlockedError           and PermissionError
        ├── ConnectTLSError               and ssl.SSLError
        │   └── ConnectCertificateError   and ssl.SSLCertVerificationError
        └── Connect...Error               and the builtin of their errno
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import Self

from .addresses import Address
from .text import error_text, printable

__all__ = [
    "AddressBlockedError",
    "Attempt",
    "AttemptDisplaced",
    "AttemptError",
    "AttemptExpired",
    "ConnectAbortedError",
    "ConnectBlockingError",
    "ConnectBrokenPipeError",
    "ConnectCertificateError",
    "ConnectChildProcessError",
    "ConnectError",
    "ConnectExistsError",
    "ConnectInterruptedError",
    "ConnectIsDirectoryError",
    "ConnectNotDirectoryError",
    "ConnectNotFoundError",
    "ConnectPermissionError",
    "ConnectProcessLookupError",
    "ConnectRefusedError",
    "ConnectResetError",
    "ConnectTLSError",
    "ConnectTimeoutError",
    "ResolveError",
    "attempt_reason",
    "attempt_subject",
    "lookup_displaced",
    "lookup_expired",
    "lookup_too_late",
    "os_error",
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed.

    *address* is None for a look-up of *host*.  *phase* is ``resolve``, ``guard``,
    ``socket``, ``bind``, ``connect``, ``proxy``, ``ready``, ``tls`` or ``adopt``.
    *started* is on the loop's clock, *elapsed* in seconds, *round* counts from 1.
    *sent* is False if the attempt failed before a packet could leave the machine.
    """

    address: Address | None
    phase: str
    error: Exception
    started: float
    elapsed: float
    round: int
    sent: bool = True
    host: str | None = None

    def __str__(self) -> str:
        took = f"({self.elapsed:.3f} s, round {self.round})"
        return f"{attempt_subject(self)}: {attempt_reason(self)} {took}"


class AttemptError(Exception):
    """An attempt's failure, on its way to the log of the call."""

    def __init__(self, phase: str, error: OSError, *, sent: bool = True) -> None:
        super().__init__(phase, error)
        self.phase = phase
        # The log keeps the error, which would keep its frames and their variables.
        cause: BaseException | None = error
        while cause is not None and cause.__traceback__ is not None:
            cause.__traceback__ = None
            cause = cause.__cause__ or cause.__context__
        self.error = error
        self.sent = sent

    def in_phase(self, phase: str) -> Self:
        """Return the same failure in another *phase*."""
        return type(self)(phase, self.error, sent=self.sent)


class AttemptExpired(AttemptError):  # noqa: N818  # named for the event
    """The attempt had not ended when its time was up."""


class AttemptDisplaced(AttemptError):  # noqa: N818  # likewise
    """The attempt was given up to make room for another."""


class ConnectError(OSError):
    """A connect that failed, with every attempt.

    *host* and *port* are the arguments of the call.  For a Unix path, *host* is its
    text, such as ``unix:/run/app.sock``, and *port* is None.  Both are None for several
    targets.  *attempts* lists the failed attempts: of a long history the first 16 and
    the last 48.  *attempt_count* counts all of them.  *rounds* and *elapsed* (seconds)
    are for the whole call.  ``errno`` is the one on which the attempts of the last
    round agree, or None.
    """

    host: str | None = None
    port: int | None = None
    attempts: tuple[Attempt, ...] = ()
    attempt_count: int = 0
    rounds: int = 0
    elapsed: float = 0.0

    def __str__(self) -> str:
        return str(self.strerror) if self.strerror else super().__str__()


class ConnectRefusedError(ConnectError, ConnectionRefusedError):
    """Nothing listens there."""


class ConnectTimeoutError(ConnectError, TimeoutError):
    """The time ran out, the caller's or the kernel's."""


class ResolveError(ConnectError, socket.gaierror):
    """The name has no address.  ``errno`` is the resolver's ``EAI_`` code."""


class AddressBlockedError(ConnectError, PermissionError):
    """``allow`` refused every address."""


class ConnectTLSError(ConnectError, ssl.SSLError):
    """The TLS handshake failed.  The cause is the `ssl` module's own error."""


class ConnectCertificateError(ConnectTLSError, ssl.SSLCertVerificationError):
    """The server's certificate does not verify."""


class ConnectResetError(ConnectError, ConnectionResetError):
    """The peer reset the connection."""


class ConnectAbortedError(ConnectError, ConnectionAbortedError):
    """The connection was aborted."""


class ConnectNotFoundError(ConnectError, FileNotFoundError):
    """There is no Unix socket at the path."""


class ConnectPermissionError(ConnectError, PermissionError):
    """The kernel, or a route, does not allow it."""


class ConnectBlockingError(ConnectError, BlockingIOError):
    """The connect cannot go on now, and no event announces when it can."""


class ConnectBrokenPipeError(ConnectError, BrokenPipeError):
    """The connection was shut down."""


class ConnectInterruptedError(ConnectError, InterruptedError):
    """A signal interrupted the attempt for good."""


class ConnectIsDirectoryError(ConnectError, IsADirectoryError):
    """The path is a directory."""


class ConnectNotDirectoryError(ConnectError, NotADirectoryError):
    """A part of the path is not a directory."""


# No socket call fails with these, but a hook or a resolver may.


class ConnectChildProcessError(ConnectError, ChildProcessError):
    """There is no such child process."""


class ConnectExistsError(ConnectError, FileExistsError):
    """The file is there already."""


class ConnectProcessLookupError(ConnectError, ProcessLookupError):
    """There is no such process."""


def os_error(code: int, text: str) -> OSError:
    """Return the `OSError` subclass for errno *code*, with *text*."""
    return OSError(code, text)


def lookup_expired(phase: str, why: str | None = None) -> AttemptExpired:
    """Return the error of an attempt that expired before a name was resolved."""
    text = "the resolver did not answer in time"
    error = os_error(errno.ETIMEDOUT, text if why is None else f"{text}: {why}")
    return AttemptExpired(phase, error, sent=False)


def attempt_subject(attempt: Attempt) -> str:
    """Return the address that *attempt* dialled, or the name that it looked up."""
    return printable(str(attempt.address or attempt.host or "names"))


def lookup_too_late(what: str) -> AttemptExpired:
    """Return the error of a look-up that found *what* too late to try them."""
    text = f"the time ran out before its {what} could be tried"
    return AttemptExpired("resolve", os_error(errno.ETIMEDOUT, text), sent=False)


def lookup_displaced() -> OSError:
    """Return the error of a look-up that was given up to make room for another."""
    text = "the resolver did not answer in time, given up for the next name"
    return os_error(errno.ETIMEDOUT, text)


def attempt_reason(attempt: Attempt) -> str:
    """Return why *attempt* failed, in a few words on one line."""
    text = error_text(attempt.error)
    if " " in text and text[1:2].islower():
        text = text[0].lower() + text[1:]  # but keep an abbreviation, or a class name
    return (
        text if attempt.phase in ("connect", "resolve") else f"{attempt.phase}: {text}"
    )

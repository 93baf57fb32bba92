"""Keep the attempts of one call, and make its one error from them.

Only this module decides which class of error a call raises.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from .endpoints import Endpoint
from .error_predicates import ERRNOS
from .errors import (
    AddressBlockedError,
    Attempt,
    ConnectAbortedError,
    ConnectBlockingError,
    ConnectBrokenPipeError,
    ConnectCertificateError,
    ConnectChildProcessError,
    ConnectError,
    ConnectExistsError,
    ConnectInterruptedError,
    ConnectIsDirectoryError,
    ConnectNotDirectoryError,
    ConnectNotFoundError,
    ConnectPermissionError,
    ConnectProcessLookupError,
    ConnectRefusedError,
    ConnectResetError,
    ConnectTimeoutError,
    ConnectTLSError,
    ResolveError,
    attempt_reason,
    attempt_subject,
)
from .text import printable

__all__ = ["AttemptLog", "error_group"]

# A retry loop can run for days.  The beginning and the end of its log tell what
# happened, and the memory stays bounded.
_FIRST_KEPT = 16
_LAST_KEPT = 48

# Of several targets, an error's text names at most this many.
_MOST_NAMED = 16


# By the builtin exceptions that Python raises for an errno.
_CLASSES: dict[type[OSError], type[ConnectError]] = {
    BlockingIOError: ConnectBlockingError,
    BrokenPipeError: ConnectBrokenPipeError,
    ChildProcessError: ConnectChildProcessError,
    ConnectionAbortedError: ConnectAbortedError,
    ConnectionRefusedError: ConnectRefusedError,
    ConnectionResetError: ConnectResetError,
    FileExistsError: ConnectExistsError,
    FileNotFoundError: ConnectNotFoundError,
    InterruptedError: ConnectInterruptedError,
    IsADirectoryError: ConnectIsDirectoryError,
    NotADirectoryError: ConnectNotDirectoryError,
    PermissionError: ConnectPermissionError,
    ProcessLookupError: ConnectProcessLookupError,
    TimeoutError: ConnectTimeoutError,
}

_TLS_DETAILS = ("library", "reason", "verify_code", "verify_message")


# The phases of an attempt that is connected, before `ready`.
_HANDSHAKES = ("proxy", "tls", "adopt")


class AttemptLog:
    """The failed attempts of one call to *endpoints*, which *started* at that time."""

    __slots__ = ("_endpoints", "_first", "_last", "_latest_round", "count", "started")

    def __init__(self, endpoints: Sequence[Endpoint], started: float) -> None:
        self._endpoints = endpoints
        self.started = started
        self.count = 0
        self._first: list[Attempt] = []
        self._last: deque[Attempt] = deque(maxlen=_LAST_KEPT)
        # All attempts of the latest round, however many: together they decide which
        # error it is.
        self._latest_round: list[Attempt] = []

    def add(self, attempt: Attempt) -> None:
        """Count *attempt*, and keep it if it is among the first or the last."""
        self.count += 1
        if self.count <= _FIRST_KEPT:
            self._first.append(attempt)
        else:
            self._last.append(attempt)
        if self._latest_round and self._latest_round[0].round != attempt.round:
            self._latest_round = []
        self._latest_round.append(attempt)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts that an error lists, oldest first."""
        return (*self._first, *self._last)

    def attempts_of_round(self, number: int) -> list[Attempt]:
        """Return the attempts of round *number*, if it is the latest round.

        Those that were connected, and failed in a handshake, speak for the others: a
        peer that answers says more than one that is not there.
        """
        attempts = self._latest_round
        if not attempts or attempts[0].round != number:
            return []
        if len(attempts) == 1:
            return attempts
        connected = [one for one in attempts if one.sent and _has_answered(one)]
        return connected or attempts

    def relevant_attempts(self, number: int) -> list[Attempt]:
        """Return the attempts of round *number* that decide the class of the error.

        An attempt that never sent a packet counts only if no attempt did: a missing
        route for one family says nothing about the server.
        """
        attempts = self.attempts_of_round(number)
        sent = [attempt for attempt in attempts if attempt.sent]
        # If one family's look-up failed temporarily, the other family's "no such
        # address" is not the answer yet.
        temporary = [attempt for attempt in attempts if _is_temporary(attempt)]
        return sent or temporary or attempts

    def failure(self, now: float, rounds: int) -> ConnectError:
        """Return the error for a call whose *rounds* all failed."""
        relevant = self.relevant_attempts(rounds)
        kinds = {_kind_of(attempt) for attempt in relevant}
        kind = kinds.pop()
        if kinds:  # the errnos differ, but the class may be the same, of look-ups, say
            is_same = all(other.error is kind.error for other in kinds)
            kind = _Kind(kind.error if is_same else ConnectError, None)
        return self._error(kind, "cannot connect", now, rounds, relevant)

    def timeout(self, now: float, rounds: int, seconds: float) -> ConnectError:
        """Return the error for a call that has not succeeded within *seconds*."""
        kind = _Kind(ConnectTimeoutError, errno.ETIMEDOUT)
        verb = f"not connected within {seconds:g} s"
        return self._error(kind, verb, now, rounds, self.relevant_attempts(rounds))

    def _error(
        self,
        kind: _Kind,
        verb: str,
        now: float,
        rounds: int,
        causes: list[Attempt],
    ) -> ConnectError:
        elapsed = now - self.started
        reasons = self._reasons(rounds, elapsed)
        message = f"{verb} to {self._destination()}: {reasons}"
        args = (message,) if kind.code is None else (kind.code, message)
        error = kind.error(*args)
        if kind.code is None:
            # Without an errno, OSError leaves strerror empty.
            error.strerror = message
        if len(self._endpoints) == 1:
            error.host, error.port, *_ = self._endpoints[0].final_destination
        error.attempts, error.attempt_count = self.attempts, self.count
        error.rounds, error.elapsed = rounds, elapsed
        for name in _TLS_DETAILS if isinstance(error, ssl.SSLError) else ():
            detail = getattr(causes[-1].error, name, None)
            text = printable(detail) if isinstance(detail, str) else detail
            setattr(error, name, text)
        error.__cause__ = _cause([attempt.error for attempt in causes[-_LAST_KEPT:]])
        return error

    def _destination(self) -> str:
        if len(self._endpoints) == 1:
            return str(self._endpoints[0])
        named = ", ".join(map(str, self._endpoints[:_MOST_NAMED]))
        more = len(self._endpoints) - _MOST_NAMED
        return f"any of {named} and {more} more" if more > 0 else f"any of {named}"

    def _reasons(self, rounds: int, elapsed: float) -> str:
        lines = dict.fromkeys(map(self._line, self.attempts))
        reasons = "; ".join(lines) or "nothing was tried"
        if self.count == 0:
            return f"{reasons} ({elapsed:.3f} s)"
        are_lookups = all(attempt.phase == "resolve" for attempt in self.attempts)
        what = "look-up" if are_lookups else "attempt"
        plural = "" if self.count == 1 else "s"
        in_rounds = f" in {rounds} rounds" if rounds > 1 else ""
        return f"{reasons} ({self.count} {what}{plural}{in_rounds}, {elapsed:.3f} s)"

    def _line(self, attempt: Attempt) -> str:
        endpoint = self._endpoints[0]
        is_only = len(self._endpoints) == 1 and endpoint.destination is None
        subject = attempt.address or attempt.host
        is_named = is_only and subject in (endpoint.host, endpoint.address)
        if subject is None or is_named:  # the text begins with its name
            return attempt_reason(attempt)
        return f"{attempt_subject(attempt)}: {attempt_reason(attempt)}"


def _is_temporary(attempt: Attempt) -> bool:
    error = attempt.error
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN


class _Kind(NamedTuple):
    """The class and the errno of a call's error if it had only one attempt."""

    error: type[ConnectError]
    code: int | None


def _kind_of(attempt: Attempt) -> _Kind:
    error = attempt.error
    code = error.errno if isinstance(error, OSError) else None
    code = code if isinstance(code, int) else None  # a hook can put any value there
    if attempt.phase == "guard":
        return _Kind(AddressBlockedError, code)
    if isinstance(error, socket.gaierror):
        return _Kind(ResolveError, code)
    if isinstance(error, ssl.SSLCertVerificationError):
        return _Kind(ConnectCertificateError, code)
    if isinstance(error, ssl.SSLError):
        return _Kind(ConnectTLSError, code)
    for builtin, connect_error in _CLASSES.items():
        if isinstance(error, builtin):
            # asyncio raises some of these without an errno.
            return _Kind(connect_error, code or ERRNOS.get(builtin))
    return _Kind(ConnectError, code)


def _cause(errors: Sequence[Exception]) -> BaseException | None:
    if len(errors) < 2:
        return errors[0] if errors else None
    return ExceptionGroup("the attempts of the last round", errors)


def error_group(error: ConnectError) -> ExceptionGroup[Exception]:
    """Return the group of errors that asyncio raises with ``all_errors=True``."""
    errors = [attempt.error for attempt in error.attempts]
    return ExceptionGroup("create_connection failed", errors or [error])


def _has_answered(attempt: Attempt) -> bool:
    is_certificate = isinstance(attempt.error, ssl.SSLCertVerificationError)
    return is_certificate or attempt.phase in _HANDSHAKES

"""Keep the attempts of one call, and make the one error of them that is raised.

Pure.  Which error it is, is said here and nowhere else.
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

# A retry loop can run for days: the beginning and the end of its history say
# what happened, and the memory stays bounded.
_FIRST_KEPT = 16
_LAST_KEPT = 48

# So many of several targets are named in a text.
_NAMED = 16


# The builtins that an errno maps to.
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


class AttemptLog:
    """The attempts of one call so far: what its error will be made of."""

    __slots__ = ("_first", "_last", "_of_round", "_places", "count", "started")

    def __init__(self, places: Sequence[Endpoint], started: float) -> None:
        self._places = places
        self.started = started
        self.count = 0
        self._first: list[Attempt] = []
        self._last: deque[Attempt] = deque(maxlen=_LAST_KEPT)
        # What a round came to is judged by all of its attempts, however many.
        self._of_round: list[Attempt] = []

    def add(self, attempt: Attempt) -> None:
        """Keep *attempt*, or the memory of it."""
        self.count += 1
        if self.count <= _FIRST_KEPT:
            self._first.append(attempt)
        else:
            self._last.append(attempt)
        if self._of_round and self._of_round[0].round != attempt.round:
            self._of_round = []
        self._of_round.append(attempt)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts that an error lists, oldest first."""
        return (*self._first, *self._last)

    def of_round(self, number: int) -> list[Attempt]:
        """Return the attempts of round *number*, the last one.

        A handshake that came to nothing has ended the round, and stands for it.
        """
        attempts = self._of_round
        if not attempts or attempts[0].round != number:
            return []
        if attempts[-1].phase in ("proxy", "tls", "adopt"):
            return attempts[-1:]
        return attempts

    def decisive(self, number: int) -> list[Attempt]:
        """Return the attempts of round *number* that speak for the round.

        A host without a route for one family says nothing about the server: an
        attempt that never sent a packet counts only when no other did.
        """
        attempts = self.of_round(number)
        sent = [attempt for attempt in attempts if attempt.sent]
        # One family's "no such address" is no answer while the other's is to come.
        temporary = [one for one in attempts if _is_temporary(one)]
        return sent or temporary or attempts

    def failure(self, now: float, rounds: int) -> ConnectError:
        """Return the error for a call whose *rounds* all failed."""
        decisive = self.decisive(rounds)
        kinds = {_kind(attempt) for attempt in decisive}
        kind = kinds.pop()
        if kinds:  # no errno is the one of all; a class may be, of look-ups, say
            is_one = all(other.error is kind.error for other in kinds)
            kind = _Kind(kind.error if is_one else ConnectError, None)
        return self._error(kind, "cannot connect", now, rounds, decisive)

    def timeout(self, now: float, rounds: int, seconds: float) -> ConnectError:
        """Return the error for a call whose *seconds* are over."""
        kind = _Kind(ConnectTimeoutError, errno.ETIMEDOUT)
        verb = f"not connected within {seconds:g} s"
        cause = self.decisive(rounds)
        return self._error(kind, verb, now, rounds, cause)

    def _error(
        self,
        kind: _Kind,
        verb: str,
        now: float,
        rounds: int,
        cause: list[Attempt],
    ) -> ConnectError:
        elapsed = now - self.started
        reasons = self._reasons(rounds, elapsed)
        message = f"{verb} to {self._target()}: {reasons}"
        args = (message,) if kind.code is None else (kind.code, message)
        error = kind.error(*args)
        if kind.code is None:
            # OSError leaves strerror empty unless it is given an errno too.
            error.strerror = message
        if len(self._places) == 1:
            error.host, error.port, *_ = self._places[0].final_destination
        error.attempts, error.attempt_count = self.attempts, self.count
        error.rounds, error.elapsed = rounds, elapsed
        for name in _TLS_DETAILS if isinstance(error, ssl.SSLError) else ():
            detail = getattr(cause[-1].error, name, None)
            text = printable(detail) if isinstance(detail, str) else detail
            setattr(error, name, text)
        error.__cause__ = _cause([attempt.error for attempt in cause[-_LAST_KEPT:]])
        return error

    def _target(self) -> str:
        if len(self._places) == 1:
            return str(self._places[0])
        named = ", ".join(map(str, self._places[:_NAMED]))
        more = len(self._places) - _NAMED
        return f"any of {named} and {more} more" if more > 0 else f"any of {named}"

    def _reasons(self, rounds: int, elapsed: float) -> str:
        lines = dict.fromkeys(map(self._line, self.attempts))
        tried = "; ".join(lines) or "nothing was tried"
        if self.count == 0:
            return f"{tried} ({elapsed:.3f} s)"
        many = "" if self.count == 1 else "s"
        rest = f" in {rounds} rounds" if rounds > 1 else ""
        return f"{tried} ({self.count} attempt{many}{rest}, {elapsed:.3f} s)"

    def _line(self, attempt: Attempt) -> str:
        place = self._places[0]
        is_only = len(self._places) == 1 and place.destination is None
        where = attempt.address or attempt.host
        if where is None or (is_only and where in (place.host, place.address)):
            return attempt_reason(attempt)  # it is named already
        return f"{attempt_subject(attempt)}: {attempt_reason(attempt)}"


def _is_temporary(attempt: Attempt) -> bool:
    error = attempt.error
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN


class _Kind(NamedTuple):
    """What an attempt's error would be called if it were the only one."""

    error: type[ConnectError]
    code: int | None


def _kind(attempt: Attempt) -> _Kind:
    error = attempt.error
    code = error.errno if isinstance(error, OSError) else None
    code = code if isinstance(code, int) else None  # a hook can put anything there
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
            # asyncio raises some of them without an errno.
            return _Kind(connect_error, code or ERRNOS.get(builtin))
    return _Kind(ConnectError, code)


def _cause(errors: Sequence[Exception]) -> BaseException | None:
    if len(errors) < 2:
        return errors[0] if errors else None
    return ExceptionGroup("the attempts of the last round", errors)


def error_group(error: ConnectError) -> ExceptionGroup[Exception]:
    """Return the attempts' errors as ``all_errors=True`` of asyncio gives them."""
    errors = [attempt.error for attempt in error.attempts]
    return ExceptionGroup("create_connection failed", errors or [error])

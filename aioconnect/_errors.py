"""Turn the attempts that failed into the one error that is raised.

Pure.  `ConnectError` and its subclasses::

    OSError
    └── ConnectError                      the attempts do not agree on an errno
        ├── ConnectRefusedError           and ConnectionRefusedError
        ├── ConnectTimeoutError           and TimeoutError
        ├── ResolveError                  and socket.gaierror
        ├── AddressBlockedError           and PermissionError
        ├── ConnectTLSError               and ssl.SSLError
        │   └── ConnectCertificateError   and ssl.SSLCertVerificationError
        └── Connect...Error               and the builtin of the errno they agree on
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ._address import Address

__all__ = [
    "AddressBlockedError",
    "Attempt",
    "AttemptError",
    "ConnectAbortedError",
    "ConnectBlockingError",
    "ConnectBrokenPipeError",
    "ConnectCertificateError",
    "ConnectError",
    "ConnectInterruptedError",
    "ConnectIsDirectoryError",
    "ConnectNotDirectoryError",
    "ConnectNotFoundError",
    "ConnectPermissionError",
    "ConnectRefusedError",
    "ConnectResetError",
    "ConnectTLSError",
    "ConnectTimeoutError",
    "Expired",
    "History",
    "ResolveError",
    "error_group",
    "os_error",
]

# A retry loop can run for days: the beginning and the end of its history say
# what happened, and the memory stays bounded.
_FIRST_KEPT = 16
_LAST_KEPT = 48


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that failed.

    *address* is None for a look-up.  *phase* is ``resolve``, ``guard``,
    ``socket``, ``bind``, ``connect``, ``ready``, ``tls`` or ``adopt``.
    *started* is on the loop's clock, *elapsed* in seconds, *round* counts from
    1.  *sent* is False when it failed before a packet could leave the machine.
    """

    address: Address | None
    phase: str
    error: Exception
    started: float
    elapsed: float
    round: int
    sent: bool = True

    def __str__(self) -> str:
        where = self.address or "names"
        return f"{where}: {_reason(self)} ({self.elapsed:.3f} s, round {self.round})"


class AttemptError(Exception):
    """An attempt's failure on its way to whoever keeps the history."""

    def __init__(self, phase: str, error: OSError, *, sent: bool = True) -> None:
        super().__init__(phase, error)
        self.phase = phase
        # Its frames would hold what they had, and the history them.
        self.error = error.with_traceback(None)
        self.sent = sent


class Expired(AttemptError):  # noqa: N818  # it is no error but a time
    """The attempt had not ended when its time was up."""


class ConnectError(OSError):
    """A connect that failed, with everything that was tried.

    *host* and *port* are what was asked for (*port* is None for a Unix path),
    *attempts* what was tried: of a long history the first 16 and the last 48,
    *attempt_count* of them in all.  *rounds* and *elapsed* (seconds) are the
    whole call's.  ``errno`` is the one that the attempts of the last round
    agree on, else None.
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
    """The name has no address; ``errno`` is the resolver's ``EAI_`` code."""


class AddressBlockedError(ConnectError, PermissionError):
    """Every address was refused by ``allow``."""


class ConnectTLSError(ConnectError, ssl.SSLError):
    """The TLS handshake failed; the cause is the `ssl` module's own error."""


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
    """It would have to wait for something that no event announces."""


class ConnectBrokenPipeError(ConnectError, BrokenPipeError):
    """The connection was shut down."""


class ConnectInterruptedError(ConnectError, InterruptedError):
    """A signal interrupted the attempt for good."""


class ConnectIsDirectoryError(ConnectError, IsADirectoryError):
    """The path is a directory."""


class ConnectNotDirectoryError(ConnectError, NotADirectoryError):
    """A part of the path is not a directory."""


# Of the builtins that an errno maps to, those that connecting can give: no
# socket call answers ECHILD, ESRCH or EEXIST.
_CLASSES: dict[type[OSError], type[ConnectError]] = {
    BlockingIOError: ConnectBlockingError,
    BrokenPipeError: ConnectBrokenPipeError,
    ConnectionAbortedError: ConnectAbortedError,
    ConnectionRefusedError: ConnectRefusedError,
    ConnectionResetError: ConnectResetError,
    FileNotFoundError: ConnectNotFoundError,
    InterruptedError: ConnectInterruptedError,
    IsADirectoryError: ConnectIsDirectoryError,
    NotADirectoryError: ConnectNotDirectoryError,
    PermissionError: ConnectPermissionError,
    TimeoutError: ConnectTimeoutError,
}

_TLS_DETAILS = ("library", "reason", "verify_code", "verify_message")


def os_error(code: int, text: str | None = None) -> OSError:
    """Return the `OSError` subclass of errno *code*, with the system's words."""
    return OSError(code, text or os.strerror(code))


class History:
    """The attempts of one call so far: what its error will be made of."""

    __slots__ = ("_first", "_last", "count", "host", "port", "started")

    def __init__(self, host: str | None, port: int | None, started: float) -> None:
        self.host = host
        self.port = port
        self.started = started
        self.count = 0
        self._first: list[Attempt] = []
        self._last: list[Attempt] = []

    def add(self, attempt: Attempt) -> None:
        """Keep *attempt*, or the memory of it."""
        self.count += 1
        if len(self._first) < _FIRST_KEPT:
            self._first.append(attempt)
            return
        self._last.append(attempt)
        # What the round came to is judged by all of its attempts.
        while len(self._last) > _LAST_KEPT and self._last[0].round != attempt.round:
            del self._last[0]

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts that an error lists, oldest first."""
        return (*self._first, *self._last[-_LAST_KEPT:])

    @property
    def last(self) -> Attempt:
        """The newest attempt."""
        return (self._last or self._first)[-1]

    def of_round(self, number: int) -> list[Attempt]:
        """Return the attempts of round *number*.

        A connect that was made and then came to nothing stands for all of them.
        """
        kept = (*self._first, *self._last)
        attempts = [attempt for attempt in kept if attempt.round == number]
        if attempts and attempts[-1].phase in ("tls", "adopt", "ready"):
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
        found = {_kind(attempt) for attempt in decisive}
        kind = found.pop() if len(found) == 1 else _Kind(ConnectError, None)
        return self._error(kind, "cannot connect", now, rounds, decisive)

    def timeout(
        self, now: float, rounds: int, seconds: float, delay: float | None = None
    ) -> ConnectError:
        """Return the error for a call whose *seconds* are over, or would be.

        The latter is so when the next round would begin after *delay* seconds.
        """
        kind = _Kind(ConnectTimeoutError, errno.ETIMEDOUT)
        verb = f"not connected within {seconds:g} s"
        if delay is not None:
            verb = f"a further try in {delay:g} s is past the {seconds:g} s to connect"
        return self._error(kind, verb, now, rounds, self.decisive(rounds))

    def _error(
        self, kind: _Kind, verb: str, now: float, rounds: int, cause: list[Attempt]
    ) -> ConnectError:
        elapsed = now - self.started
        message = f"{verb} to {self._target()}: {self._reasons(rounds, elapsed)}"
        args = (message,) if kind.code is None else (kind.code, message)
        error = kind.error(*args)
        if kind.code is None:
            # OSError leaves strerror empty unless it is given an errno too.
            error.strerror = message
        error.host, error.port = self.host, self.port
        error.attempts, error.attempt_count = self.attempts, self.count
        error.rounds, error.elapsed = rounds, elapsed
        for name in _TLS_DETAILS if isinstance(error, ssl.SSLError) else ():
            setattr(error, name, getattr(cause[-1].error, name, None))
        error.__cause__ = _cause([attempt.error for attempt in cause])
        return error

    def _target(self) -> str:
        if self.port is None:
            return str(self.host)
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"{host}:{self.port}"

    def _reasons(self, rounds: int, elapsed: float) -> str:
        lines = dict.fromkeys(
            f"{attempt.address}: {_reason(attempt)}"
            if attempt.address
            else _reason(attempt)
            for attempt in self.attempts
        )
        tried = "; ".join(lines) or "nothing was tried"
        if self.count == 0:
            return f"{tried} ({elapsed:.3f} s)"
        many = "" if self.count == 1 else "s"
        rest = f" in {rounds} rounds" if rounds > 1 else ""
        return f"{tried} ({self.count} attempt{many}{rest}, {elapsed:.3f} s)"


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
            return _Kind(connect_error, code or _ERRNOS.get(builtin))
    return _Kind(ConnectError, code)


_ERRNOS: dict[type[OSError], int] = {
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    TimeoutError: errno.ETIMEDOUT,
}


def _reason(attempt: Attempt) -> str:
    error = attempt.error
    text = str((isinstance(error, OSError) and error.strerror) or error)
    text = " ".join(text.split()) or type(error).__name__
    if " " in text and text[1:2].islower():
        text = text[0].lower() + text[1:]  # but not the name of an exception
    return (
        text if attempt.phase in ("connect", "resolve") else f"{attempt.phase}: {text}"
    )


def _cause(errors: Sequence[Exception]) -> BaseException | None:
    if len(errors) < 2:
        return errors[0] if errors else None
    return ExceptionGroup("the attempts of the last round", errors)


def error_group(error: ConnectError) -> ExceptionGroup[Exception]:
    """Return the attempts' errors as ``all_errors=True`` of asyncio gives them."""
    errors = [attempt.error for attempt in error.attempts]
    return ExceptionGroup("create_connection failed", errors or [error])

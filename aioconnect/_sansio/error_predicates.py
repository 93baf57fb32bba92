"""Tell which errors are worth a retry."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from .hosts import numeric_address
from .text import safe_repr

__all__ = [
    "ERRNOS",
    "ErrorPredicate",
    "Predicate",
    "is_refused",
    "is_transient",
    "is_unknown_name",
]

ErrorPredicate: TypeAlias = Callable[[OSError], bool]

# asyncio raises these without an errno, for a TLS handshake cut short, say.
ERRNOS: dict[type[OSError], int] = {
    ConnectionAbortedError: errno.ECONNABORTED,
    ConnectionRefusedError: errno.ECONNREFUSED,
    ConnectionResetError: errno.ECONNRESET,
    TimeoutError: errno.ETIMEDOUT,
}

_TRANSIENT = frozenset(
    {
        errno.EADDRINUSE,  # the local port that the caller asked for
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENOBUFS,
        errno.ENODEV,  # an interface that is not there yet
        errno.ENOENT,
        errno.ETIMEDOUT,
    }
)

# The name does not exist, or has no address.  Not every system has both codes.
_UNKNOWN_NAME = frozenset(
    getattr(socket, code)
    for code in ("EAI_NONAME", "EAI_NODATA")
    if hasattr(socket, code)
)


@dataclass(frozen=True, slots=True, repr=False)
class Predicate:
    """A predicate of an `OSError`; call it like a function.

    ``|`` and ``&`` join it with another predicate, or with a function of yours on
    either side: ``is_refused | (lambda error: error.errno == errno.EPERM)``.  A
    predicate is a value: it compares, hashes and pickles as its functions do.

    Raises:
        TypeError: *ask* is not callable.
    """

    ask: ErrorPredicate

    def __post_init__(self) -> None:
        if not _is_function(self.ask):
            raise TypeError(f"ask must be a function, not {safe_repr(self.ask)}")

    def __repr__(self) -> str:
        return _name(self.ask)

    def __call__(self, error: OSError) -> bool:
        """Return the answer for *error*."""
        return bool(self.ask(error))

    def __or__(self, other: ErrorPredicate) -> Predicate:
        return _join(any, self, other)

    def __ror__(self, other: ErrorPredicate) -> Predicate:
        return _join(any, other, self)

    def __and__(self, other: ErrorPredicate) -> Predicate:
        return _join(all, self, other)

    def __rand__(self, other: ErrorPredicate) -> Predicate:
        return _join(all, other, self)


def _join(combine: Callable[[Iterable[bool]], bool], *parts: Any) -> Predicate:
    # With NotImplemented, Python itself says which types cannot be joined.
    not_implemented: Any = NotImplemented
    joined: Any = _Joined(combine, parts)  # mypy does not see that it can be called
    return Predicate(joined) if all(map(_is_function, parts)) else not_implemented


def _is_function(value: object) -> bool:
    # An exception class can be called too, but its result is always true.
    return callable(value) and not isinstance(value, type)


def _name(ask: object) -> str:
    """Return the public name of *ask*, which users import."""
    name: str = getattr(ask, "__name__", "") or repr(ask)
    return name.removeprefix("_")


class _Joined(NamedTuple):
    """Several predicates, asked one after the other; *combine* is `any` or `all`."""

    combine: Callable[[Iterable[bool]], bool]
    parts: tuple[ErrorPredicate, ...]

    def __call__(self, error: OSError) -> bool:
        return self.combine(part(error) for part in self.parts)

    def __repr__(self) -> str:
        operator = " | " if self.combine is any else " & "
        return f"({operator.join(map(_name, self.parts))})"


def _is_refused(error: OSError) -> bool:
    return _errno_of(error) in (errno.ECONNREFUSED, errno.ENOENT)


def _is_transient(error: OSError) -> bool:
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return _errno_of(error) in _TRANSIENT


def _is_unknown_name(error: OSError) -> bool:
    if not isinstance(error, socket.gaierror) or error.errno not in _UNKNOWN_NAME:
        return False
    # A ConnectError knows its host.  Nobody will ever register a numeric address.
    host = str(getattr(error, "host", None) or "").partition("%")[0]
    return numeric_address(host, 0) is None


# Nobody listens there yet, and the server may be starting: ECONNREFUSED, or ENOENT
# for a Unix path that is not there yet.
is_refused = Predicate(_is_refused)

# The same connect may succeed later, with nothing changed on this side.  True for what
# is_refused accepts, and for reset, aborted, timed out, unreachable (host and
# network), network down, EAGAIN, EADDRNOTAVAIL, EADDRINUSE, ENODEV, ENOBUFS and
# EAI_AGAIN.  False for everything else: what the kernel or a route forbids, a lack of
# descriptors, a name that does not exist, a certificate that does not verify.
is_transient = Predicate(_is_transient)

# The name does not exist yet, or has no address: a look-up's EAI_NONAME and EAI_NODATA.
# In a cluster a service's name often appears together with the service;
# ``retry_on=is_transient | is_unknown_name`` waits for the name.  This is not part of
# is_transient, because a misspelt name never appears.
is_unknown_name = Predicate(_is_unknown_name)


def _errno_of(error: OSError) -> int | None:
    # The codes of these two are not errnos: SSL_ERROR_SSL is EPERM's number.
    if isinstance(error, socket.gaierror | ssl.SSLError):
        return None
    if error.errno is None:
        for builtin, code in ERRNOS.items():
            if isinstance(error, builtin):
                return code
    # A hook can put any value into errno.
    return error.errno if isinstance(error.errno, int) else None

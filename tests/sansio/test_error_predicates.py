from __future__ import annotations

import errno
import operator
import pickle
import socket
import ssl
from typing import Any

import pytest

from aioconnect import (
    Predicate,
    ResolveError,
    is_refused,
    is_transient,
    is_unknown_name,
)

REFUSED = {errno.ECONNREFUSED, errno.ENOENT}
TRANSIENT = REFUSED | {
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.EHOSTDOWN,
    errno.ENETUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.EAGAIN,
    errno.EADDRNOTAVAIL,
    errno.EADDRINUSE,
    errno.ENOBUFS,
    errno.ENODEV,
}


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_errno(code: int) -> None:
    """is_refused and is_transient accept what the contract lists, nothing else."""
    assert is_refused(OSError(code, "")) == (code in REFUSED)
    assert is_transient(OSError(code, "")) == (code in TRANSIENT)


def resolve_error(host: str, code: int = socket.EAI_NONAME) -> ResolveError:
    error = ResolveError(code, "")
    error.host = host
    return error


@pytest.mark.parametrize(
    ("error", "is_unknown"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), True),
        (socket.gaierror(socket.EAI_NODATA, ""), True),
        (socket.gaierror(socket.EAI_AGAIN, ""), False),
        (socket.gaierror(socket.EAI_FAIL, ""), False),
        (socket.gaierror(socket.EAI_ADDRFAMILY, ""), False),
        (socket.gaierror("no code"), False),
        (OSError(socket.EAI_NONAME, ""), False),
        (OSError(errno.ENOENT, ""), False),
        (resolve_error("db"), True),
        (resolve_error("db", socket.EAI_AGAIN), False),
        (resolve_error("127.0.0.1"), False),
        (resolve_error("fe80::1%wg9"), False),
    ],
)
def test_unknown_names(error: OSError, is_unknown: bool) -> None:
    """A name that does not exist or has no address, and nothing else is one.

    An address is no name, and it is not transient: a misspelt name never comes.
    """
    assert is_unknown_name(error) == is_unknown
    assert (is_transient | is_unknown_name)(error) == is_unknown or is_transient(error)
    assert not (is_transient & is_unknown_name)(error)


def is_forbidden(error: OSError) -> bool:
    return error.errno == errno.EPERM


REFUSAL, RESET = OSError(errno.ECONNREFUSED, ""), OSError(errno.ECONNRESET, "")
FORBIDDEN, FULL = OSError(errno.EPERM, ""), OSError(errno.EMFILE, "")


@pytest.mark.parametrize(
    ("predicate", "accepted"),
    [
        (is_refused | is_forbidden, [REFUSAL, FORBIDDEN]),
        (is_forbidden | is_refused, [REFUSAL, FORBIDDEN]),
        (is_refused | is_transient, [REFUSAL, RESET]),
        (is_refused & is_transient, [REFUSAL]),
        (is_refused & is_forbidden, []),
        (is_forbidden & is_transient, []),
        (is_refused & is_transient | is_forbidden, [REFUSAL, FORBIDDEN]),
        (is_refused | is_transient & Predicate(is_forbidden), [REFUSAL]),
        (Predicate(is_forbidden) | is_forbidden, [FORBIDDEN]),
    ],
)
def test_joined(predicate: Predicate, accepted: list[OSError]) -> None:
    """Predicates are joined with ``|`` and ``&``, functions on either side too."""
    errors = [REFUSAL, RESET, FORBIDDEN, FULL]
    assert [one for one in errors if predicate(one)] == accepted
    same = pickle.loads(pickle.dumps(predicate))
    assert same == predicate
    assert hash(same) == hash(predicate)
    assert [one for one in errors if same(one)] == accepted


def test_not_more_is_asked_than_has_to_be() -> None:
    def breaks(error: OSError) -> bool:
        raise ZeroDivisionError

    assert (is_refused | breaks)(REFUSAL)
    assert not (is_refused & breaks)(RESET)
    with pytest.raises(ZeroDivisionError):
        (is_refused | breaks)(RESET)


def test_what_is_no_predicate() -> None:
    """An exception's class is none: what it gives, when it is called, is true."""
    others: list[Any] = [errno.EPERM, ConnectionResetError]
    for other in others:
        for join in (operator.or_, operator.and_):
            for pair in ((is_refused, other), (other, is_refused)):
                with pytest.raises(TypeError, match="unsupported operand"):
                    join(*pair)
        with pytest.raises(TypeError, match="ask must be a function"):
            Predicate(other)


def test_what_predicates_are_called() -> None:
    assert repr(is_refused) == "is_refused"
    joined = is_refused | is_forbidden & is_transient
    assert repr(joined) == "(is_refused | (is_forbidden & is_transient))"


def test_predicates_are_values() -> None:
    assert pickle.loads(pickle.dumps(is_refused)) == is_refused
    assert is_refused != is_transient
    assert len({is_refused, is_refused | is_transient, is_refused | is_transient}) == 2


def test_codes_that_are_no_errnos() -> None:
    """The codes of getaddrinfo and of TLS are not errnos, whatever their numbers."""
    assert is_transient(socket.gaierror(socket.EAI_AGAIN, ""))
    assert not is_transient(socket.gaierror(socket.EAI_NONAME, ""))
    assert not is_transient(socket.gaierror(errno.ENOENT, ""))
    for code in (errno.ENOENT, errno.ECONNREFUSED):
        assert not is_refused(ssl.SSLError(code, ""))
        assert not is_refused(socket.gaierror(code, ""))
    assert not is_transient(ssl.SSLCertVerificationError(1, ""))
    assert is_transient(ConnectionResetError())
    assert is_transient(TimeoutError())
    assert not is_transient(OSError("no errno"))

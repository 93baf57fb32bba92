"""Many failures, one error: which class, which errno, which words."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import ssl

import pytest

import aioconnect
from aioconnect import Address, Attempt
from aioconnect._io.sockets import system_error
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.error_report import AttemptLog, error_group
from aioconnect._sansio.errors import AttemptError

V4 = Address(socket.AF_INET, ("192.0.2.1", 80))
V6 = Address(socket.AF_INET6, ("2001:db8::1", 80))


def failed(
    code: int, address: Address = V4, phase: str = "connect", sent: bool = True
) -> Attempt:
    return Attempt(address, phase, system_error(code), 1.0, 0.5, 1, sent)


def failure(*attempts: Attempt) -> aioconnect.ConnectError:
    history = AttemptLog([Endpoint("example.org", 80)], 1.0)
    for attempt in attempts:
        history.add(attempt)
    return history.failure(3.5, 1)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ECONNREFUSED, aioconnect.ConnectRefusedError),
        (errno.ETIMEDOUT, aioconnect.ConnectTimeoutError),
        (errno.ECONNRESET, aioconnect.ConnectResetError),
        (errno.ECONNABORTED, aioconnect.ConnectAbortedError),
        (errno.ENOENT, aioconnect.ConnectNotFoundError),
        (errno.EACCES, aioconnect.ConnectPermissionError),
        (errno.EPERM, aioconnect.ConnectPermissionError),
        (errno.EAGAIN, aioconnect.ConnectBlockingError),
        (errno.EPIPE, aioconnect.ConnectBrokenPipeError),
        (errno.EINTR, aioconnect.ConnectInterruptedError),
        (errno.ENOTDIR, aioconnect.ConnectNotDirectoryError),
        (errno.EISDIR, aioconnect.ConnectIsDirectoryError),
        (errno.ECHILD, aioconnect.ConnectChildProcessError),
        (errno.EEXIST, aioconnect.ConnectExistsError),
        (errno.ESRCH, aioconnect.ConnectProcessLookupError),
        (errno.ENETUNREACH, aioconnect.ConnectError),
        (errno.EINVAL, aioconnect.ConnectError),
    ],
)
def test_class_of_an_errno(code: int, kind: type[aioconnect.ConnectError]) -> None:
    """The error is of the builtin that the errno maps to, and keeps the errno."""
    error = failure(failed(code))
    assert type(error) is kind
    assert error.errno == code
    assert isinstance(error, type(OSError(code, "")))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.attempts[0].error.args == (code, os.strerror(code))


def test_every_builtin_of_an_errno() -> None:
    for code in errno.errorcode:
        assert isinstance(failure(failed(code)), type(OSError(code, "")))


def test_agreement() -> None:
    error = failure(failed(errno.ECONNREFUSED), failed(errno.ECONNREFUSED, V6))
    assert type(error) is aioconnect.ConnectRefusedError
    assert str(error) == (
        "cannot connect to example.org:80: 192.0.2.1:80: connection refused;"
        " [2001:db8::1]:80: connection refused (2 attempts, 2.500 s)"
    )
    assert isinstance(error.__cause__, ExceptionGroup)
    assert len(error.__cause__.exceptions) == 2


def test_no_agreement() -> None:
    error = failure(failed(errno.ECONNREFUSED), failed(errno.ETIMEDOUT, V6))
    assert type(error) is aioconnect.ConnectError
    assert error.errno is None
    assert "connection refused" in str(error)
    assert "timed out" in str(error)
    assert pickle.loads(pickle.dumps(error)).args == error.args
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_agreement_on_a_class() -> None:
    """Two look-ups that failed in two ways failed as look-ups do."""
    codes = (socket.EAI_FAIL, socket.EAI_NODATA)
    errors = [socket.gaierror(code, "no address") for code in codes]
    error = failure(*(Attempt(None, "resolve", one, 1, 0, 1, False) for one in errors))
    assert (type(error), error.errno) == (aioconnect.ResolveError, None)
    assert "no address" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.errno) == (type(error), str(error), None)
    error = failure(failed(errno.EACCES), failed(errno.EPERM, V6))
    assert (type(error), error.errno) == (aioconnect.ConnectPermissionError, None)


@pytest.mark.parametrize("code", [errno.ENETUNREACH, errno.EACCES, errno.EAFNOSUPPORT])
def test_those_that_sent_nothing(code: int) -> None:
    """A dual-stack name on an IPv4-only machine is refused, not many things."""
    error = failure(failed(code, V6, sent=False), failed(errno.ECONNREFUSED))
    assert type(error) is aioconnect.ConnectRefusedError
    assert error.attempt_count == 2
    alone = failure(failed(code, V6, sent=False))
    assert alone.errno == code


def test_only_the_last_round() -> None:
    history = AttemptLog([Endpoint("example.org", 80)], 0.0)
    history.add(Attempt(V4, "connect", system_error(errno.ETIMEDOUT), 0, 1, 1))
    history.add(Attempt(V4, "connect", system_error(errno.ECONNREFUSED), 1, 1, 2))
    error = history.failure(2.0, 2)
    assert type(error) is aioconnect.ConnectRefusedError
    assert error.attempt_count == 2
    assert "timed out" in str(error)


def test_a_round_longer_than_what_is_listed() -> None:
    """All of it is judged, though an error lists the first 16 and the last 48."""
    history = AttemptLog([Endpoint("example.org", 80)], 0.0)
    blocked = Attempt(V4, "guard", system_error(errno.EACCES), 0, 0, 1, False)
    refused = Attempt(V4, "connect", system_error(errno.ECONNREFUSED), 0, 0, 1)
    for attempt in [blocked] * 16 + [refused] * 4 + [blocked] * 60:
        history.add(attempt)
    error = history.failure(1.0, 1)
    assert type(error) is aioconnect.ConnectRefusedError
    assert (len(error.attempts), error.attempt_count) == (64, 80)


def test_a_long_history_is_not_kept() -> None:
    """A retry loop can run for days."""
    history = AttemptLog([Endpoint("example.org", 80)], 0.0)
    for number in range(1, 10_000):
        history.add(Attempt(V4, "connect", system_error(errno.ETIMEDOUT), 0, 0, number))
    assert len(history.attempts) == 64
    assert sum(map(len, (history._first, history._last))) < 100


def test_codes_that_are_no_errnos() -> None:
    resolving = Attempt(
        None, "resolve", socket.gaierror(socket.EAI_NONAME, "unknown"), 0, 0, 1, False
    )
    error = failure(resolving)
    assert type(error) is aioconnect.ResolveError
    assert error.errno == socket.EAI_NONAME
    bad = ssl.SSLCertVerificationError(1, "self-signed")
    error = failure(Attempt(V4, "tls", bad, 0, 0, 1))
    assert type(error) is aioconnect.ConnectCertificateError
    assert not isinstance(error, PermissionError)
    assert "tls: self-signed" in str(error)
    other = failure(Attempt(V4, "tls", ssl.SSLError(1, "wrong version"), 0, 0, 1))
    assert type(other) is aioconnect.ConnectTLSError
    cut = failure(Attempt(V4, "tls", ConnectionResetError(), 0, 0, 1))
    assert type(cut) is aioconnect.ConnectResetError
    assert cut.errno == errno.ECONNRESET
    assert "tls: ConnectionResetError" in str(cut)


def test_after_the_connect() -> None:
    """What fails after the connect speaks for the round, in any order, if it agrees."""
    tls = Attempt(V4, "tls", ssl.SSLError(1, "wrong version"), 0, 0, 1)
    refused = failed(errno.ECONNREFUSED, V6)
    for attempts in ((refused, tls), (tls, refused)):
        assert type(failure(*attempts)) is aioconnect.ConnectTLSError
    proxy = Attempt(V4, "proxy", system_error(errno.EHOSTUNREACH), 0, 0, 1)
    assert failure(failed(errno.ECONNREFUSED, V6), proxy).errno == errno.EHOSTUNREACH
    bad = ssl.SSLCertVerificationError(1, "self-signed")
    unverified = Attempt(V6, "tls", bad, 0, 0, 1)
    assert type(failure(unverified, refused)) is aioconnect.ConnectCertificateError
    for attempts in ((unverified, tls), (tls, unverified)):
        error = failure(*attempts)
        assert type(error) is aioconnect.ConnectError
        assert error.errno is None


def test_timeout() -> None:
    history = AttemptLog([Endpoint("::1", 80)], 0.0)
    nothing = history.timeout(0.0, 0, 0.0)
    assert str(nothing) == (
        "not connected within 0 s to [::1]:80: nothing was tried (0.000 s)"
    )
    history.add(failed(errno.ECONNREFUSED))
    error = history.timeout(2.0, 1, 2.0)
    assert type(error) is aioconnect.ConnectTimeoutError
    assert error.errno == errno.ETIMEDOUT
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_blocked() -> None:
    blocked = Attempt(V4, "guard", PermissionError(errno.EPERM, "private"), 0, 0, 1)
    assert type(failure(blocked)) is aioconnect.AddressBlockedError


def test_group() -> None:
    group = error_group(failure(failed(errno.ECONNREFUSED), failed(errno.ETIMEDOUT)))
    assert [type(error) for error in group.exceptions] == [
        ConnectionRefusedError,
        TimeoutError,
    ]
    history = AttemptLog([Endpoint("x", 1)], 0.0)
    assert len(error_group(history.timeout(0, 0, 0)).exceptions) == 1


def test_history_is_bounded() -> None:
    history = AttemptLog([Endpoint("x", 1)], 0.0)
    for number in range(1000):
        history.add(
            Attempt(V4, "connect", system_error(errno.ECONNREFUSED), 0, 0, number + 1)
        )
    error = history.failure(1.0, 1000)
    assert error.attempt_count == 1000
    assert len(error.attempts) == 64
    assert len(str(error)) < 200


def test_no_frames_are_kept() -> None:
    try:
        raise OSError(errno.EIO, "broken")
    except OSError as exc:
        assert AttemptError("connect", exc).error.__traceback__ is None


def test_the_one_host_is_named_once() -> None:
    """Of several names, the error says which one was looked up, and the result."""
    failed = Attempt(
        None,
        "resolve",
        socket.gaierror(socket.EAI_NONAME, "unknown"),
        0,
        0,
        1,
        False,
        "x",
    )
    one, two = (
        AttemptLog([Endpoint("x", 1)], 0.0),
        AttemptLog([Endpoint("x", 1), Endpoint("y", 1)], 0.0),
    )
    for history in (one, two):
        history.add(failed)
    assert str(one.failure(0.0, 1)).startswith("cannot connect to x:1: unknown (1 ")
    assert str(two.failure(0.0, 1)).startswith(
        "cannot connect to any of x:1, y:1: x: unknown"
    )

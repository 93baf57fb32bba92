from __future__ import annotations

import errno
import itertools
import math
import operator
import pickle
import re
import socket
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import (
    Backoff,
    Predicate,
    ResolveError,
    is_refused,
    is_transient,
    is_unknown_name,
)
from aioconnect._sansio.backoff import random_fraction, shorten_last_delay


def whole(backoff: Backoff, count: int) -> list[float]:
    return list(itertools.islice(backoff.delays(lambda: 0.0), count))


def test_the_documented_ten() -> None:
    """The first ten delays are drawn from 0 to the docstring's numbers."""
    rows = re.findall(r"``(Backoff\(.*?\))`` +(.*)", Backoff.__doc__ or "")
    assert len(rows) == 3
    for text, numbers in rows:
        backoff = eval(text)  # noqa: S307  # the docstring's own
        expected = [float(number) for number in numbers.split()]
        assert whole(backoff, 10) == pytest.approx(expected, abs=0.006)


def test_jitter() -> None:
    """Full jitter at 1.0, none at 0.0."""
    half = Backoff(initial=1, factor=1).delays(lambda: 0.5)
    assert next(half) == 0.5
    none = Backoff(initial=1, factor=1, jitter=0.0).delays(lambda: 0.9)
    assert next(none) == 1.0
    some = Backoff(initial=1, factor=1, jitter=0.2).delays(lambda: 0.5)
    assert next(some) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("delay", "left", "longest_answer", "cut"),
    [
        (1.0, 5.0, 0.0, 1.0),  # it ends in time
        (4.95, 5.0, 0.0, 4.95),
        (4.96, 5.0, 0.0, 4.95),  # 50 ms at the least
        (9.0, 5.0, 0.001, 4.95),
        (9.0, 5.0, 0.5, 4.0),  # twice the longest answer
        (9.0, 5.0, 4.0, 2.5),  # half of what is left at the most
        (9.0, 0.06, 0.0, 0.03),
        (0.0, 0.06, 9.0, 0.0),
        (9.0, math.inf, 1.0, 9.0),  # without an end nothing is cut
    ],
)
def test_a_last_round(
    delay: float, left: float, longest_answer: float, cut: float
) -> None:
    """A delay that would reach past the end is cut short for a last round."""
    assert shorten_last_delay(delay, left, longest_answer) == pytest.approx(cut)


def test_each_iteration_starts_anew() -> None:
    backoff = Backoff(initial=1, jitter=0.0, attempts=3)
    assert list(backoff) == list(backoff) == [1, 2, 4]
    assert list(Backoff(attempts=0)) == []


def test_draws_are_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all bits set, too."""
    monkeypatch.setattr("os.urandom", lambda count: b"\xff" * count)
    assert random_fraction() < 1.0


def test_draws_differ() -> None:
    assert len({next(iter(Backoff())) for _ in range(20)}) == 20


def test_value() -> None:
    backoff = Backoff(initial=0.1, attempts=2)
    assert pickle.loads(pickle.dumps(backoff)) == backoff
    assert hash(backoff) == hash(Backoff(initial=0.1, attempts=2))
    with pytest.raises(AttributeError):
        backoff.initial = 1.0  # type: ignore[misc]  # that is the test


seconds = st.floats(0, 1e6, allow_nan=False)


@given(
    seconds,
    st.floats(1, 1e6),
    seconds,
    st.floats(0, 1),
    st.floats(0, 1, exclude_max=True),
)
def test_bounds(
    initial: float, factor: float, maximum: float, jitter: float, u: float
) -> None:
    """A delay is never below 0 and never above the maximum."""
    backoff = Backoff(initial, factor, maximum, jitter)
    for delay in itertools.islice(backoff.delays(lambda: u), 50):
        assert 0 <= delay <= maximum


def test_no_overflow() -> None:
    delays = itertools.islice(Backoff(factor=1e300), 10_000)
    assert all(math.isfinite(delay) and delay <= 5.0 for delay in delays)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"initial": -1}, ValueError, "initial"),
        ({"initial": math.nan}, ValueError, "initial"),
        ({"maximum": math.inf}, ValueError, "maximum"),
        ({"factor": 0.5}, ValueError, "factor must be 1 or more"),
        ({"jitter": 1.1}, ValueError, "jitter must be between 0 and 1"),
        ({"attempts": -1}, ValueError, "attempts must not be negative"),
        ({"attempts": 1.5}, TypeError, "attempts must be an int or None"),
        ({"initial": "1"}, TypeError, "initial must be a number of seconds"),
        ({"initial": True}, TypeError, "initial"),
        ({"factor": True}, TypeError, "factor must be a number"),
    ],
)
def test_bad(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Backoff(**arguments)


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

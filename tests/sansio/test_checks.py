from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from aioconnect._sansio.checks import (
    check_count,
    check_duration,
    check_port_number,
    explain_unknown,
    explains_misuse,
)


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 7, 1e11])
def test_durations(value: float) -> None:
    check_duration("timeout", value)
    if value:
        check_duration("timeout", value, positive=True)


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (-1, ValueError, "timeout must be 0 or more and finite, not -1"),
        (math.inf, ValueError, "timeout must be 0 or more and finite, not inf"),
        (math.nan, ValueError, "timeout must be 0 or more and finite, not nan"),
        (1e12, ValueError, "timeout must be 0 or more and finite"),
        ("5", TypeError, "a number of seconds, such as timeout=5, not '5'"),
        (True, TypeError, "a number of seconds, such as timeout=5, not True"),
        (None, TypeError, "a number of seconds"),
    ],
)
def test_bad_durations(value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        check_duration("timeout", value)
    assert says in str(caught.value)


def test_a_positive_duration() -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0 and finite"):
        check_duration("timeout", 0, positive=True)


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (-1, ValueError, "proto must be 0 or more, and fit a C int: -1"),
        (2**31, ValueError, "proto must be 0 or more, and fit a C int"),
        (1.0, TypeError, "proto must be an int, not 1.0"),
        (True, TypeError, "proto must be an int, not True"),
    ],
)
def test_counts(value: Any, error: type[Exception], says: str) -> None:
    check_count("proto", 0)
    check_count("proto", 2**31 - 1)
    with pytest.raises(error) as caught:
        check_count("proto", value)
    assert says in str(caught.value)


def test_port_numbers() -> None:
    """The name of a service is not a number, and the system is not asked for it."""
    assert check_port_number("0080") == check_port_number(b"80") == 80
    with pytest.raises(ValueError, match="'http' is neither a number nor a TCP"):
        check_port_number("http")


def test_corrections() -> None:
    known = ["timeout", "retry"]
    assert explain_unknown(["timeot"], known, "or") == (
        "'timeot' (did you mean 'timeout'?)"
    )
    assert explain_unknown(["zz", "timeot"], known, "or") == (
        "'timeot' (did you mean 'timeout'?), 'zz'"
    )
    assert explain_unknown(["zz"], known, "see the manual") == "'zz'; see the manual"


@explains_misuse
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    timeout: float = 0.0
    retry: bool = False

    def __post_init__(self) -> None:
        if self.timeout == 7:
            raise TypeError("seven")


def test_misuse() -> None:
    """A wrong call says what is right; an error of the class's own stays as it is."""
    make: Any = Options
    assert make(timeout=1).timeout == 1
    with pytest.raises(TypeError, match=r"^Options takes options by name: Options"):
        make(1)
    with pytest.raises(TypeError, match=r"^no such option: 'retri' \(did you mean 're"):
        make(retri=True)
    with pytest.raises(TypeError, match=r"^no such option: 'zz'; Options has timeout,"):
        make(zz=1)
    with pytest.raises(TypeError, match=r"^seven$"):
        make(timeout=7)

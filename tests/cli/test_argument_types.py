"""Convert the text of an argument to a value."""

from __future__ import annotations

import argparse

import pytest

from aioconnect._cli.argument_types import duration, duration_or_none, target
from aioconnect._cli.errors import CommandError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0", 0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("30s", 30),
        ("0s", 0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("1m", 60),
        ("1m30s", 90),
        ("1m500ms", 60.5),
        ("2h", 7200),
        ("1.5h", 5400),
        ("1h2m3s4ms", 3723.004),
        ("90s", 90),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A number is in seconds; units are those of Go, from hours to milliseconds."""
    assert duration(text) == pytest.approx(seconds)
    assert duration_or_none(text) == duration(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "ms", ".s", "1.2.3s", "1m30", "30s1m", "1s1s", "1 m", "1m 30s"),
        *("-1", "-1s", "1d", "1S", "PT30S", "1_0s", "٣s", "nan", "inf", "1e12"),
        *("9" * 5000 + "h", "1us", "1s\n"),
    ],
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        duration(text)
    says = "is not a duration, such as 30, 0.5, 500ms or 1m30s"
    assert str(caught.value) == f"{text!r} {says}"


@pytest.mark.parametrize("text", ["8080", ":8080"])
def test_a_port_without_a_host(text: str) -> None:
    """It is never taken for a host, nor for a port of this machine."""
    with pytest.raises(CommandError, match="write 'localhost:8080' for this machine"):
        target(text)

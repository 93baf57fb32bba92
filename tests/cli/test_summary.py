"""Sum up a sweep."""

from __future__ import annotations

import errno
import re
import socket

import pytest

from aioconnect import (
    AddressBlockedError,
    ConnectError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResolveError,
)
from aioconnect._cli.sweep.summary import CONNECTED, Summary, outcome_of


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectRefusedError(errno.ECONNREFUSED, ""), "refused"),
        (ConnectTimeoutError(errno.ETIMEDOUT, ""), "timed out"),
        (ResolveError(socket.EAI_NONAME, ""), "no such name"),
        (ResolveError(socket.EAI_AGAIN, ""), "look-up failed"),
        (AddressBlockedError(errno.EACCES, ""), "not allowed"),
        (ConnectError(errno.EHOSTUNREACH, ""), "no route to host"),
        (ConnectError("many"), "several reasons"),
    ],
)
def test_outcomes(error: ConnectError, said: str) -> None:
    assert outcome_of(error) == said


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_report(width: int) -> None:
    """Connected targets come first, then the most frequent outcome; all lines fit."""
    summary = Summary()
    summary.add("up", CONNECTED, 0.25)
    for number in range(200):
        summary.add(f"[2001:db8::{number // 2:x}]:65535", "refused", 0.0)
    summary.add("last", "timed out", 10.0)
    assert (summary.count, summary.failed) == (202, 201)
    lines = summary.to_lines(width)
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert " ".join(" ".join(lines).split()) == (
            "connected 1 0.5% p50 250 ms, p95 250 ms, max 250 ms"
            " refused 200 99.0% p50 0, p95 0, max 0 [2001:db8::0]:65535,"
            " [2001:db8::1]:65535, [2001:db8::2]:65535 and 197 more"
            " timed out 1 0.5% p50 10.000 s, p95 10.000 s, max 10.000 s last"
        )
    (first, *_) = summary.to_lines(80, color=True)
    assert first.startswith("  \x1b[32mconnected\x1b[0m ")


def test_percentiles() -> None:
    """Percentiles are known to within 1 %, however many targets there are."""
    summary = Summary()
    for number in range(1, 10_001):
        summary.add("up", CONNECTED, number)
    seconds = re.findall(r"([\d,]+) s", summary.to_lines(200)[0])
    median, late, longest = (int(one.replace(",", "")) for one in seconds)
    assert median == pytest.approx(5000, rel=0.01)
    assert late == pytest.approx(9500, rel=0.01)
    assert longest == 10_000

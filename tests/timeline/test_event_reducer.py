"""Reduce events to a record, whatever they are."""

from __future__ import annotations

import errno
import json
import socket
import ssl
import typing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from timeline.scripted import ONE, REFUSED, TWO, failed, many_rounds, tags, tcp, told

import aioconnect
from aioconnect import Address, Attempt, Event, Timeline
from aioconnect._sansio.text_width import display_width


def test_very_many_rounds() -> None:
    """The memory is bounded, and the steps that are left out are counted."""
    timeline = many_rounds(10_000)
    record = timeline.to_dict()
    assert record["rounds"] == 10_000
    assert len(record["steps"]) == 512
    assert record["steps_left_out"] == 2 * 10_000 - 512
    assert record["steps"][63]["what"] == "for round 33"
    assert record["steps"][64]["round"] == 10_000 - 224 + 1
    text = timeline.to_text(120)
    assert len(text.splitlines()) == 2 + 13
    assert "rounds 4 to 9,997" in text
    assert "19,488 steps not kept" in text


def test_memory_of_look_ups() -> None:
    """Earlier rounds' look-ups are forgotten, and the addresses of one are bounded."""
    timeline = Timeline()
    what = ("db.test", 5432, socket.AF_INET)
    for number in range(1, 100):
        timeline(aioconnect.ResolveStarted(1.0, *what))
        timeline(aioconnect.Resolved(1.0, *what, (ONE,) * 20, 0.0))
        timeline(aioconnect.RetryScheduled(1.0, number, 0.0))
    assert len(timeline.to_dict()["steps"][0]["addresses"]) == 16
    assert timeline._reducer._round_lookups == []


def test_what_was_not_begun() -> None:
    """Without an event for the start, the times come from the event at the end."""
    timeline = told(
        aioconnect.Resolved(3.0, "db.test", 5432, socket.AF_INET, (ONE,), 1.0),
        aioconnect.Connected(4.0, ONE, 1, 3.0),
    )
    record = timeline.to_dict()
    assert record["elapsed"] == 3.0
    assert record["steps"][0]["start"] == 1.0
    assert record["steps"][0]["end"] == 2.0


HOSTILE = (
    "</text><script>alert(1)</script>",
    "\"'><&",
    "\x1b[31mred\x1b]0;title\x07",
    "a\0b\nc\rd\u2028e",
    "\ud800\udfff lone",
    "\ufffe\uffff",
    "\u202egnp.exe",
    "例え.テスト",
    "x" * 5000,
    "e" + "\u0301" * 50,
    "]]>",
)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_texts(text: str) -> None:
    """Whatever a name or a server says, a terminal and a picture show it as text."""
    error = OSError(errno.EPROTO, text)
    giving_up = aioconnect.ConnectError(errno.EPROTO, text)
    timeline = told(
        aioconnect.ResolveStarted(1.0, text, 80, socket.AF_INET),
        aioconnect.ResolveFailed(2.0, text, 80, socket.AF_INET, error, 1.0),
        aioconnect.AttemptStarted(2.0, ONE, 1),
        aioconnect.PhaseStarted(2.0, ONE, 1, "ready"),
        failed(2.0, ONE, error, phase="ready"),
        aioconnect.GaveUp(3.0, giving_up),
        target=text,
    )
    for width in (20, 40, 80, 200):
        rows = timeline.to_text(width).split("\n")
        assert all(display_width(row) <= width for row in rows)
        assert all(row.isprintable() for row in rows)
    drawn = {"svg", "title", "style", "text", "path", "g", "rect"}
    assert set(tags(timeline.to_svg())) == drawn
    record = json.dumps(timeline.to_dict(), allow_nan=False)
    assert json.loads(record) == timeline.to_dict()
    assert len(record) < 8000


NAMES = st.sampled_from(["db", "a.test", "例え.テスト", "_x._tcp.a", "<&>", "\x1b[1m"])
ADDRESSES = st.sampled_from([ONE, TWO, tcp("::1", 1), Address(socket.AF_UNIX, "/x")])
FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6, socket.AF_UNSPEC])
ERRORS = st.sampled_from(
    [
        REFUSED,
        socket.gaierror(socket.EAI_AGAIN, "not now"),
        ssl.SSLError(1, "\x1b bad"),
        OSError("no errno"),
        OSError(99999, "no such errno"),
        ValueError(""),
    ]
)
TIMES = st.floats(0, 1e7)
PHASES = st.sampled_from(["proxy", "tls", "ready"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    return Attempt(
        draw(st.none() | ADDRESSES),
        draw(PHASES | st.sampled_from(["resolve", "guard", "bind", "connect"])),
        draw(ERRORS),
        draw(TIMES),
        draw(TIMES),
        draw(st.integers(1, 9)),
        host=draw(st.none() | NAMES),
    )


def giving_up(error: Exception) -> aioconnect.ConnectError:
    return aioconnect.ConnectError(errno.ETIMEDOUT, str(error))


ROUNDS = st.integers(1, 20)
FOUND = st.lists(ADDRESSES, max_size=20).map(tuple)
DRAWN = (
    st.builds(aioconnect.ResolveStarted, TIMES, NAMES, ROUNDS, FAMILIES),
    st.builds(aioconnect.Resolved, TIMES, NAMES, ROUNDS, FAMILIES, FOUND, TIMES),
    st.builds(aioconnect.ResolveFailed, TIMES, NAMES, ROUNDS, FAMILIES, ERRORS, TIMES),
    st.builds(aioconnect.AttemptStarted, TIMES, ADDRESSES, ROUNDS),
    st.builds(aioconnect.PhaseStarted, TIMES, ADDRESSES, ROUNDS, PHASES),
    st.builds(aioconnect.AttemptFailed, TIMES, attempts()),
    st.builds(aioconnect.Connected, TIMES, ADDRESSES, ROUNDS, TIMES),
    st.builds(aioconnect.RetryScheduled, TIMES, ROUNDS, TIMES),
    st.builds(aioconnect.GaveUp, TIMES, ERRORS.map(giving_up)),
)
assert len(DRAWN) == len(typing.get_args(Event))


@given(
    st.lists(st.one_of(DRAWN), max_size=40),
    st.integers(20, 200),
    st.booleans(),
    st.none() | TIMES,
)
@example([], 20, False, None)
def test_any_events(
    events: list[Event], width: int, cancels: bool, end: float | None
) -> None:
    """No line is too wide, and all forms are well-formed."""
    timeline = told(*events)
    if cancels:
        timeline.ended(end or 0.0)
    rows = timeline.to_text(width, end=end).split("\n")
    assert [
        row for row in rows if display_width(row) > width or not row.isprintable()
    ] == []
    assert tags(timeline.to_svg(end=end))
    record = timeline.to_dict(end=end)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    for step in record["steps"]:
        assert step["start"] >= 0
        assert (step["end"] is None) == (step["outcome"] == "pending")
        assert step["end"] is None or step["start"] <= step["end"]
        assert (step["reason"] is None) == (step["outcome"] != "failed")
    if record["outcome"] in ("connected", "failed") and not cancels:
        assert "pending" not in [step["outcome"] for step in record["steps"]]

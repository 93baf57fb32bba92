"""Follow the reasons why a target is not up."""

from __future__ import annotations

import errno
import io

from aioconnect import Attempt, AttemptFailed, RetryScheduled
from aioconnect._cli.wait.log_view import LogView
from aioconnect._cli.wait.target_status import TargetStatus, distinct_names


def failed(text: str) -> AttemptFailed:
    error = OSError(errno.ECONNREFUSED, text)
    return AttemptFailed(0, Attempt(None, "connect", error, 0, 0, 1))


def test_a_reason_is_one_line() -> None:
    """What a server says cannot end the line, or move the cursor."""
    stream = io.StringIO()
    status = TargetStatus("db:1", LogView(stream).changed)
    status(failed("busy\n\x1b[2J\udcff\u202e"))
    status(RetryScheduled(0, 1, 0))
    assert stream.getvalue() == "db:1: busy\\n\\x1b[2J\\udcff\\u202e\n"


def test_reasons() -> None:
    """There is a line whenever a round's set of reasons changes."""
    stream = io.StringIO()
    status = TargetStatus("db:1", LogView(stream).changed)
    for said in (("a", "b"), ("b", "a"), ("b",), ("b", "b")):
        for text in said:
            status(failed(text))
        status(RetryScheduled(0, 1, 0))
    assert status.tries == 4
    assert stream.getvalue() == "db:1: a; b\ndb:1: b\n"


def test_names_of_two_targets_with_one_text() -> None:
    """The query of a URL is not shown, but each target has a name of its own."""
    assert distinct_names(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]


def test_a_service_that_is_silent() -> None:
    """The reason says how long the look was.

    If the end of the wait cuts a look short, the reason from before stays.
    """
    stream = io.StringIO()
    status = TargetStatus("http://web:80/", LogView(stream).changed, limit=5.0)
    error = TimeoutError(errno.ETIMEDOUT, "no answer yet")
    for elapsed in (5.001, 2.0, None, 2.0):
        status(failed("refused"))  # by another address
        if elapsed is not None:
            status(AttemptFailed(0, Attempt(None, "ready", error, 0, elapsed, 1)))
        status(RetryScheduled(0, 1, 0))
    assert stream.getvalue().splitlines() == [
        "http://web:80/: no answer within 5 s; refused",
        "http://web:80/: refused",
        "http://web:80/: no answer yet; refused",
    ]

"""A recorder keeps the events, and its messages are readable."""

from __future__ import annotations

import socket

import pytest

from aioconnect._sansio.addresses import Address
from aioconnect._sansio.errors import Attempt
from aioconnect._sansio.events import AttemptFailed, AttemptStarted, Connected
from aioconnect.testing import Recorder

ADDRESS = Address(socket.AF_INET, ("127.0.0.1", 80))
STARTED = AttemptStarted(10.0, ADDRESS, 1)
FAILED = AttemptFailed(
    10.25, Attempt(ADDRESS, "connect", OSError(111, "refused"), 10.0, 0.25, 1)
)
CONNECTED = Connected(11.0, ADDRESS, 2, 1.0)


@pytest.fixture
def recorder() -> Recorder:
    """Give a recorder of a connect that failed once."""
    recorder = Recorder()
    for event in (STARTED, FAILED, STARTED, CONNECTED):
        recorder(event)
    return recorder


def test_it_keeps_the_events(recorder: Recorder) -> None:
    assert recorder.events == [STARTED, FAILED, STARTED, CONNECTED]
    assert recorder.kinds() == [
        "AttemptStarted",
        "AttemptFailed",
        "AttemptStarted",
        "Connected",
    ]
    assert "AttemptFailed" in repr(recorder)
    assert recorder.of(AttemptStarted) == [STARTED, STARTED]
    assert recorder.only(Connected).elapsed == 1.0
    recorder.clear()
    assert recorder.events == []


def test_assert_kinds(recorder: Recorder) -> None:
    recorder.assert_kinds(AttemptStarted, "AttemptFailed", AttemptStarted, Connected)
    with pytest.raises(AssertionError) as caught:
        recorder.assert_kinds("AttemptStarted", "Connected")
    text = str(caught.value)
    assert text.startswith("event 1 is AttemptFailed, expected Connected; the events")
    assert "+0.250 AttemptFailed(" in text
    with pytest.raises(AssertionError, match="event 4 is nothing, expected GaveUp"):
        recorder.assert_kinds(*recorder.kinds(), "GaveUp")
    with pytest.raises(AssertionError, match="event 3 is Connected, expected nothing"):
        recorder.assert_kinds(*recorder.kinds()[:-1])
    with pytest.raises(AssertionError, match="no event came"):
        Recorder().assert_kinds("GaveUp")


def test_assert_in_order(recorder: Recorder) -> None:
    recorder.assert_in_order()
    recorder.assert_in_order("AttemptFailed", Connected)
    with pytest.raises(AssertionError, match="no AttemptFailed after Connected; the"):
        recorder.assert_in_order(Connected, AttemptFailed)


def test_assert_none_and_only(recorder: Recorder) -> None:
    Recorder().assert_none()
    recorder.assert_none("GaveUp")
    with pytest.raises(AssertionError, match="there is Connected"):
        recorder.assert_none(Connected)
    with pytest.raises(AssertionError, match="there is AttemptStarted"):
        recorder.assert_none()
    with pytest.raises(AssertionError, match="2 events are AttemptStarted, not one"):
        recorder.only(AttemptStarted)


def test_a_misspelt_kind_is_an_error_of_its_own(recorder: Recorder) -> None:
    """A check that could never fail would be useless."""
    with pytest.raises(
        ValueError, match="'AttemptFailled' is not one of AttemptFailed"
    ):
        recorder.assert_none("AttemptFailled")

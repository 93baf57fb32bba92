"""What is kept of a call and told of it: attempts, events, one error."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from dataclasses import replace

import pytest

import aioconnect
from aioconnect import (
    AttemptFailed,
    AttemptStarted,
    Connected,
    Connector,
    GaveUp,
    Resolved,
    ResolveFailed,
    ResolveStarted,
    RetryScheduled,
)
from aioconnect._calls.call_record import CallRecord
from aioconnect._sansio.deadline import Deadline
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.errors import AttemptError, os_error
from aioconnect._sansio.retry_schedule import RetrySchedule
from aioconnect.testing import Recorder, Server


async def test_long_history(refused_port: int) -> None:
    """The first 16 and the last 48 attempts of a long history are kept."""
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("127.0.0.1", refused_port, retry=(0,) * 199)
    error = caught.value
    assert error.attempt_count == error.rounds == 200
    rounds = [attempt.round for attempt in error.attempts]
    assert rounds == [*range(1, 17), *range(153, 201)]


ENDPOINT = Endpoint("x", 80)


async def test_retry_on_is_asked_of_every_error(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round is tried again if retry_on accepts at least one of its errors."""
    asked: list[int | None] = []

    def accepts(exc: OSError) -> bool:
        asked.append(exc.errno)
        return False

    connector = Connector(retry=(0,), retry_on=accepts)
    schedule = RetrySchedule((ENDPOINT,), started=0.0, timeout=None, delays=(0,))
    loop = asyncio.get_running_loop()
    record = CallRecord(loop, connector, (ENDPOINT,), schedule)
    schedule.next(0.0, lambda: False)
    address = aioconnect.Address(socket.AF_INET, ("192.0.2.1", 80))
    for code, sent in ((errno.ENETUNREACH, False), (errno.ECONNREFUSED, True)):
        failure = AttemptError("connect", os_error(code, "no answer"), sent=sent)
        record.failed(failure, address, 0.0, Deadline())
    assert not record.may_retry()
    error = record.error(is_timeout=False, all_errors=False)
    assert isinstance(error, aioconnect.ConnectRefusedError)
    assert asked == [errno.ENETUNREACH, errno.ECONNREFUSED]


async def test_events(port: int, refused_port: int, recorder: Recorder) -> None:
    """The observer gets every event, in order, with times of the loop's clock."""
    connector = Connector(observer=recorder, retry=(0,), family=socket.AF_INET)
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await connector.connect("localhost", refused_port)
    a_round = (ResolveStarted, Resolved, AttemptStarted, AttemptFailed)
    recorder.assert_kinds(*a_round, RetryScheduled, *a_round, GaveUp)
    times = [event.at for event in recorder.events]
    assert times == sorted(times)
    assert recorder.only(GaveUp).error is caught.value
    recorder.clear()
    (await connector.connect("127.0.0.1", port)).close()
    recorder.assert_kinds(AttemptStarted, Connected)
    recorder.clear()
    with pytest.raises(aioconnect.ResolveError):
        await connector.connect("no-such-name.invalid", 80)
    assert [type(event) for event in recorder.events[:3]] == [
        ResolveStarted,
        ResolveFailed,
        AttemptFailed,
    ]


async def test_observer_that_breaks_and_a_given_socket(
    listener: Server,
) -> None:
    """The caller's own socket stays open, whatever an observer does."""

    def breaks(event: aioconnect.Event) -> None:
        if isinstance(event, Connected):
            raise ZeroDivisionError

    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ZeroDivisionError):
            await Connector(observer=breaks).connect_sock(sock, listener.sockaddr)
        assert sock.fileno() != -1


@pytest.mark.parametrize("kind", [AttemptStarted, Connected])
async def test_observer_that_breaks(kind: type, port: int) -> None:
    """A bug in an observer comes through as itself, once everything is closed."""

    def breaks(event: aioconnect.Event) -> None:
        if isinstance(event, kind):
            raise ZeroDivisionError

    connector = Connector(observer=breaks)
    with pytest.raises(ZeroDivisionError):
        await connector.connect("127.0.0.1", port)
    with pytest.raises(ZeroDivisionError):
        await connector.open_connection("127.0.0.1", port)
    with pytest.raises(ZeroDivisionError):
        await connector.create_connection(asyncio.Protocol, "127.0.0.1", port)


async def passing(sock: socket.socket) -> None:
    """Be ready."""


async def test_log(
    port: int, refused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """log_events writes a line for each event, and nothing else does."""
    caplog.set_level(logging.DEBUG, "test")
    logger = logging.getLogger("test")
    connector = Connector(observer=aioconnect.log_events(logger), retry=(0,))
    (await connector.connect("localhost", port)).close()
    with pytest.raises(aioconnect.ConnectError):
        await connector.connect("127.0.0.1", refused_port)
    checking = replace(connector, ready=passing)
    (await checking.connect("127.0.0.1", port)).close()
    with pytest.raises(aioconnect.ConnectError):
        await connector.connect("no-such-name.invalid", 80)
    lines = [record.message for record in caplog.records if record.name == "test"]
    text = "\n".join(lines)
    for said in (
        "looking up localhost",
        "localhost is ",
        "connecting to 127.0.0.1:",
        "connected to 127.0.0.1:",
        "; next is the ready check",
        "connection refused",
        "round 1 failed, next one in 0.000 s",
        "gave up: cannot connect to 127.0.0.1:",
        "no address for no-such-name.invalid",
    ):
        assert said in text
    caplog.clear()
    quiet = aioconnect.log_events(logger, logging.DEBUG - 1)
    (await aioconnect.connect("127.0.0.1", port, observer=quiet)).close()
    assert not [record for record in caplog.records if record.name == "test"]

"""Observers of single calls, and the phases of an attempt."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Generator
from typing import Any

import pytest

import aioconnect
from aioconnect import (
    AttemptStarted,
    CallObserver,
    Connector,
    PhaseStarted,
    RetryScheduled,
)
from aioconnect._calls.observing import Observer
from aioconnect.testing import (
    BlackHole,
    Recorder,
    Server,
    StaticResolver,
    echoing,
    tls_echoing,
)


class Calls(CallObserver):
    """Records the events of each call, and the exception at its end."""

    def __init__(self, fails_at_end: bool = False) -> None:
        self.calls: list[tuple[str | None, int | None, Recorder]] = []
        self.left: list[BaseException | None] = []
        self.fails_at_end = fails_at_end

    @contextlib.contextmanager
    def call(self, host: str | None, port: int | None) -> Generator[Observer]:
        recorder = Recorder()
        self.calls.append((host, port, recorder))
        try:
            yield recorder
        except BaseException as exc:
            self.left.append(exc)
            if self.fails_at_end:
                raise LookupError("a bug") from None
            return  # to suppress it
        self.left.append(None)
        if self.fails_at_end:
            raise LookupError("a bug")


async def test_each_call_by_itself(port: int, refused_port: int) -> None:
    """Concurrent calls have an observer each, which gets the call's exception."""
    calls = Calls()
    connector = Connector(observer=calls, retry=(0,))
    up, down = await asyncio.gather(
        connector.connect("127.0.0.1", port),
        connector.connect("127.0.0.1", refused_port),
        return_exceptions=True,
    )
    assert isinstance(up, socket.socket)
    up.close()
    assert isinstance(down, aioconnect.ConnectRefusedError)
    assert [call[:2] for call in calls.calls] == [
        ("127.0.0.1", port),
        ("127.0.0.1", refused_port),
    ]
    assert calls.calls[0][2].kinds() == ["AttemptStarted", "Connected"]
    assert calls.calls[1][2].kinds()[-1] == "GaveUp"
    assert None in calls.left
    assert down in calls.left
    assert connector.observer is calls


async def test_nested_calls(port: int, listener: Server) -> None:
    """A call that starts within another call has its own observer."""
    calls = Calls()

    async def ready(sock: socket.socket) -> None:
        (await aioconnect.connect("127.0.0.1", port, observer=calls)).close()

    sock = await aioconnect.connect("127.0.0.1", port, observer=calls, ready=ready)
    sock.close()
    outer, inner = (recorder.kinds() for _, _, recorder in calls.calls)
    assert outer == ["AttemptStarted", "PhaseStarted", "Connected"]
    assert inner == ["AttemptStarted", "Connected"]


async def test_no_context_manager(port: int) -> None:
    """For example a generator function that lacks ``@contextmanager``."""

    class Generates(CallObserver):
        def call(self, host: str | None, port: int | None) -> Any:
            yield Recorder()

    said = "call\\(\\) of Generates must return a context manager, not a generator"
    with pytest.raises(TypeError, match=said):
        await aioconnect.connect("127.0.0.1", port, observer=Generates())


async def test_cancelled(black_hole: BlackHole) -> None:
    calls = Calls()
    address = black_hole.host, black_hole.port
    task = asyncio.ensure_future(aioconnect.connect(*address, observer=calls))
    while not calls.calls or not calls.calls[0][2].events:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (left,) = calls.left
    assert isinstance(left, asyncio.CancelledError)


async def test_bug_when_the_call_is_cancelled(black_hole: BlackHole) -> None:
    """A bug in an observer is reported, and does not swallow the cancellation."""
    said: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: said.append(context))
    calls = Calls(fails_at_end=True)
    address = black_hole.host, black_hole.port
    task = asyncio.ensure_future(aioconnect.connect(*address, observer=calls))
    while not calls.calls:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    loop.set_exception_handler(before)
    assert [type(context["exception"]) for context in said] == [LookupError]


@pytest.mark.parametrize("is_up", [True, False])
async def test_bug_at_the_end(is_up: bool, port: int, refused_port: int) -> None:
    """A bug comes through as it is, and the connection is closed."""
    to = port if is_up else refused_port
    connector = Connector(observer=Calls(fails_at_end=True))
    with pytest.raises(LookupError, match="a bug"):
        await connector.open_connection("127.0.0.1", to)


async def test_bug_at_the_end_of_a_call_with_a_socket(port: int) -> None:
    """The new transport is closed.  A socket alone stays with its owner."""
    connector = Connector(observer=Calls(fails_at_end=True))
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(LookupError, match="a bug"):
            await connector.connect_sock(sock, ("127.0.0.1", port))
        assert sock.getpeername() == ("127.0.0.1", port)
        with pytest.raises(LookupError, match="a bug"):
            await connector.open_connection(sock=sock)
        while sock.fileno() != -1:
            await asyncio.sleep(0)


async def test_wait_until_down_is_one_call(refused_port: int) -> None:
    """All looks of a wait are one call, which a failed look does not end."""
    calls = Calls()
    with echoing() as server:
        down = aioconnect.wait_until_down(
            "127.0.0.1", server.port, timeout=30, observer=calls, retry=(0, 0)
        )
        with pytest.raises(aioconnect.ConnectTimeoutError):
            await down
    await aioconnect.wait_until_down(
        "127.0.0.1", refused_port, timeout=30, observer=calls
    )
    (up, gone) = calls.calls
    assert up[2].kinds().count("Connected") == 3
    assert gone[2].kinds() == ["AttemptStarted", "AttemptFailed"]
    assert [type(one) for one in calls.left] == [
        aioconnect.ConnectTimeoutError,
        type(None),
    ]


async def test_reconnecting_is_a_call_for_each(port: int, listener: Server) -> None:
    calls = Calls()
    connections = aioconnect.reconnecting(
        "127.0.0.1", port, observer=calls, retry=(0, 0, 0)
    )
    async with contextlib.aclosing(connections):
        for _ in range(2):
            await anext(connections)
    assert len(calls.calls) == len(calls.left) == 2


async def test_its_own_observer(port: int) -> None:
    """A `CallObserver` that accepts events can be its own call's observer."""
    told: list[object] = []

    class Both(CallObserver):
        @contextlib.contextmanager
        def call(self, host: str | None, port: int | None) -> Generator[Observer]:
            yield self

        def __call__(self, event: aioconnect.Event) -> None:
            told.append(event)

    (await aioconnect.connect("127.0.0.1", port, observer=Both())).close()
    assert [type(event).__name__ for event in told] == ["AttemptStarted", "Connected"]


async def test_connect_any_has_no_host(port: int, refused_port: int) -> None:
    calls = Calls()
    targets = [("127.0.0.1", refused_port), ("127.0.0.1", port)]
    (await aioconnect.connect_any(targets, observer=calls)).close()
    assert [call[:2] for call in calls.calls] == [(None, None)]


def test_an_observer_of_calls_takes_no_events() -> None:
    """Code that calls an observer of calls gets an error, and loses no event."""
    event = aioconnect.RetryScheduled(0.0, 1, 0.0)
    with pytest.raises(TypeError, match="Calls observes calls: give it as observer="):
        Calls()(event)


@pytest.mark.parametrize("by_name", [True, False])
async def test_phases(by_name: bool, recorder: Recorder) -> None:
    """The observer gets an event when TLS and *ready* begin."""

    async def ready(reader: Any, writer: Any) -> bool:
        return recorder.kinds()[-1] == "PhaseStarted"

    with tls_echoing() as server:
        host = "echo.test" if by_name else server.host
        _, writer = await aioconnect.open_connection(
            host,
            server.port,
            ssl=server.client_context,
            server_hostname="localhost",
            ready=ready,
            resolver=StaticResolver({"echo.test": [server.host]}),
            observer=recorder,
        )
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    phases = recorder.of(PhaseStarted)
    assert [one.phase for one in phases] == ["tls", "ready"]
    assert {one.address.sockaddr[:2] for one in phases} == {(server.host, server.port)}
    started = recorder.only(aioconnect.AttemptStarted).at
    assert started <= phases[0].at <= phases[1].at
    assert phases[1].at <= recorder.only(aioconnect.Connected).at


async def test_phases_of_a_socket(recorder: Recorder) -> None:
    """For a connected socket of the caller's, no event has an address."""
    with tls_echoing() as server:
        sock = await aioconnect.connect(server.host, server.port)
        _, writer = await aioconnect.open_connection(
            sock=sock,
            ssl=server.client_context,
            server_hostname="localhost",
            observer=recorder,
        )
        writer.transport.abort()
    assert recorder.events == []


@pytest.mark.parametrize("kind", [LookupError, ConnectionResetError])
@pytest.mark.parametrize("phase", ["tls", "ready"])
async def test_bug_in_a_phase(phase: str, kind: type[Exception]) -> None:
    """A bug in an observer comes through, and the connection is closed."""

    def breaks(event: aioconnect.Event) -> None:
        if isinstance(event, PhaseStarted) and event.phase == phase:
            raise kind(phase)

    async def ready(reader: Any, writer: Any) -> None: ...

    with tls_echoing() as server, pytest.raises(kind, match=f"^{phase}$"):
        await aioconnect.open_connection(
            server.host,
            server.port,
            ssl=server.client_context,
            server_hostname="localhost",
            ready=ready,
            retry=(0,),
            observer=breaks,
        )


async def test_the_time_that_a_hook_takes(
    refused_port: int, recorder: Recorder
) -> None:
    """An attempt starts when *allow* has answered; the delay includes *retry_on*."""

    def slow(*_: object) -> bool:
        time.sleep(0.05)
        return True

    connector = Connector(allow=slow, retry_on=slow, retry=(0.1,), observer=recorder)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    with pytest.raises(aioconnect.ConnectRefusedError):
        await connector.connect("127.0.0.1", refused_port)
    first, second = recorder.of(AttemptStarted)
    assert first.at >= begun + 0.04
    scheduled = recorder.only(RetryScheduled)
    # The delay, and then 0.05 s of *allow*.
    assert second.at >= scheduled.at + scheduled.delay + 0.04

"""Every call that tries again uses its time to the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import aioconnect
from aioconnect import Connector, RetryScheduled
from aioconnect._loops.subclass import convert_loop
from aioconnect._sansio.retry_schedule import shorten_last_delay
from aioconnect.testing import HeldPort, Recorder, listening, unused_port

# More than the time of a call, so that each delay reaches past its end.
NEVER = 3600.0
TIMEOUT = 60.0

Call: TypeAlias = Callable[[HeldPort, dict[str, Any]], Awaitable[Any]]


def without_shortened_delays(delay: float, left: float, longest_answer: float) -> float:
    """Return *delay*, or 0 if it has to be cut short, so that no test waits."""
    is_cut = shorten_last_delay(delay, left, longest_answer) < delay
    return 0.0 if is_cut else delay


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin the last round at once instead of just before the deadline."""
    monkeypatch.setattr(
        "aioconnect._sansio.retry_schedule.shorten_last_delay", without_shortened_delays
    )


async def first_turn(held: HeldPort, options: dict[str, Any]) -> Any:
    """Return the streams of the first turn of `reconnecting`."""
    iterator = aioconnect.reconnecting(held.host, held.port, **options)
    async with contextlib.aclosing(iterator):
        return await anext(iterator)


async def open_connection_on_loop(held: HeldPort, options: dict[str, Any]) -> Any:
    """Return asyncio's own streams, made on a loop that connects like this."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    convert_loop(loop, Connector(**options))
    try:
        return await asyncio.open_connection(held.host, held.port)
    finally:
        loop.__class__ = kind


CALLS: dict[str, Call] = {
    "connect": lambda to, o: aioconnect.connect(to.host, to.port, **o),
    "open_connection": lambda to, o: aioconnect.open_connection(to.host, to.port, **o),
    "create_connection": lambda to, o: aioconnect.create_connection(
        asyncio.Protocol, to.host, to.port, **o
    ),
    "connect_any": lambda to, o: aioconnect.connect_any([(to.host, to.port)], **o),
    "connect_any, raced": lambda to, o: aioconnect.connect_any(
        [(to.host, to.port)], race=True, **o
    ),
    "wait_until_up": lambda to, o: aioconnect.wait_until_up(to.host, to.port, **o),
    "reconnecting": first_turn,
    "loop_factory": open_connection_on_loop,
}


def listen_on_retry(held: HeldPort) -> Callable[[aioconnect.Event], None]:
    """Return an observer that makes the port listen before the second round."""

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            held.listen()

    return observe


async def close(connection: Any) -> None:
    """Close what a call returned."""
    if isinstance(connection, socket.socket):
        connection.close()
    elif isinstance(connection, tuple):
        first, second = connection
        is_reader = isinstance(first, asyncio.StreamReader)
        (second.transport if is_reader else first).abort()
        await asyncio.sleep(0)


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_is_up_before_the_end(call: Call) -> None:
    """A delay that would outlast the call is cut short for a last round."""
    with unused_port() as held:
        connection = await call(
            held,
            {"timeout": TIMEOUT, "retry": (NEVER,), "observer": listen_on_retry(held)},
        )
        await close(connection)


@pytest.mark.usefixtures("no_wait")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_server_that_never_comes(call: Call) -> None:
    """After a failed last round the time is up, however much of it is left."""
    recorder = Recorder()
    options = {"timeout": TIMEOUT, "retry": (NEVER, NEVER), "observer": recorder}
    with unused_port() as held, pytest.raises(TimeoutError) as caught:
        await call(held, options)
    assert isinstance(caught.value, aioconnect.ConnectTimeoutError)
    assert str(caught.value).startswith(f"not connected within {TIMEOUT:g} s to ")
    assert "connection refused (2 attempts in 2 rounds, " in str(caught.value)
    assert recorder.only(RetryScheduled).delay == 0


@pytest.mark.usefixtures("no_wait")
async def test_a_unix_path_that_comes_before_the_end(tmp_path: Path) -> None:
    """The same holds for paths, which are not raced."""
    path = tmp_path / "late"
    server = socket.socket(socket.AF_UNIX)

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            server.bind(str(path))
            server.listen()

    options: Any = {"timeout": TIMEOUT, "retry": (NEVER,), "observer": observe}
    with server, await aioconnect.connect_unix(path, **options) as sock:
        assert sock.getpeername() == str(path)


@pytest.mark.usefixtures("no_wait")
async def test_one_of_several_in_turn() -> None:
    """The last round has a turn for each target."""
    with unused_port() as never, unused_port() as late:
        targets = [(one.host, one.port) for one in (never, late)]
        options: Any = {"timeout": TIMEOUT, "retry": (NEVER,)}
        options["observer"] = listen_on_retry(late)
        with await aioconnect.connect_any(targets, **options) as sock:
            assert sock.getpeername() == late.sockaddr


@pytest.mark.usefixtures("no_wait")
async def test_down_before_the_end() -> None:
    """A wait until a server is down has a last look too."""
    with unused_port() as held:
        held.listen()

        def observe(event: aioconnect.Event) -> None:
            if isinstance(event, RetryScheduled):
                held.refuse()

        options: Any = {"retry": (NEVER,), "observer": observe}
        to = held.host, held.port
        await aioconnect.wait_until_down(*to, timeout=TIMEOUT, **options)


async def test_time_to_settle() -> None:
    """The last round has time for a success to settle, and not only for a refusal."""
    with unused_port() as held:
        options: Any = {"retry": (NEVER,), "observer": listen_on_retry(held)}
        to = held.host, held.port
        await aioconnect.wait_until_up(*to, timeout=2, settle=0.4, **options)


@pytest.mark.usefixtures("no_wait")
async def test_never_down() -> None:
    """No look follows the last one, and the error counts it."""
    options: Any = {"timeout": TIMEOUT, "retry": (NEVER, NEVER)}
    with listening() as server, pytest.raises(TimeoutError) as caught:
        await aioconnect.wait_until_down(server.host, server.port, **options)
    assert isinstance(caught.value, aioconnect.ConnectTimeoutError)
    assert caught.value.rounds == 2


@pytest.mark.usefixtures("no_wait")
async def test_a_connection_that_has_not_lasted() -> None:
    """Each turn of `reconnecting` has its own time, and uses it to the end."""
    recorder = Recorder()
    with listening() as server:
        options: Any = {"timeout": TIMEOUT, "retry": (NEVER,) * 3, "observer": recorder}
        iterator = aioconnect.reconnecting(server.host, server.port, **options)
        async with contextlib.aclosing(iterator):
            for _ in range(2):
                await anext(iterator)
    assert recorder.only(RetryScheduled).delay == 0


async def test_a_policy_that_ends() -> None:
    """Without a further delay a call fails at once, with the errors' own class."""
    with unused_port() as held, pytest.raises(ConnectionRefusedError) as caught:
        await aioconnect.connect(held.host, held.port, timeout=NEVER, retry=(0.0,))
    assert isinstance(caught.value, aioconnect.ConnectRefusedError)
    assert caught.value.rounds == 2


@pytest.mark.usefixtures("no_wait")
async def test_the_last_round_fails_for_good() -> None:
    """An error that the policy refuses says more than a timeout does."""
    accepted: list[OSError] = []

    def once(error: OSError) -> bool:
        accepted.append(error)
        return len(accepted) == 1

    options: Any = {"timeout": TIMEOUT, "retry": (NEVER, NEVER), "retry_on": once}
    with unused_port() as held, pytest.raises(ConnectionRefusedError):
        await aioconnect.connect(held.host, held.port, **options)
    assert len(accepted) == 2


async def test_time_for_an_attempt_like_those_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last round begins twice the longest answer before the end."""
    monkeypatch.setattr("aioconnect._sansio.retry_schedule._SHORTEST_LAST_ROUND", 0.0)
    recorder = Recorder()

    async def says_no_after_a_while(sock: socket.socket) -> bool:
        await asyncio.sleep(0.2)
        return False

    timeout = 1.2
    options: Any = {"retry": (NEVER,), "observer": recorder}
    options |= {"timeout": timeout, "ready": says_no_after_a_while}
    with listening() as server, pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(server.host, server.port, **options)
    first = caught.value.attempts[0]
    scheduled = recorder.only(RetryScheduled)
    left = first.started + timeout - scheduled.at
    least = min(2 * first.elapsed, left / 2)
    # The round began with the attempt, or a moment before it.
    assert left - scheduled.delay == pytest.approx(least, abs=0.05)

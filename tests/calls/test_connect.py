"""A whole call: names, rounds, deadlines, errors, observers."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import gc
import pickle
import socket
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from loop_ticks import LoopTicks

import aioconnect
from aioconnect import (
    Address,
    AttemptStarted,
    Backoff,
    Connected,
    Connector,
    RetryScheduled,
    is_refused,
)
from aioconnect._calls.connect import ConnectOperation
from aioconnect._sansio.endpoints import Endpoint
from aioconnect.testing import BlackHole, Recorder, Server, black_hole, flaky


async def test_name(port: int) -> None:
    """A name is resolved, and its addresses are tried in order."""
    with await aioconnect.connect("localhost", port) as sock:
        assert sock.getpeername()[1] == port
    with await aioconnect.connect("127.0.0.1", str(port)) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)


async def test_name_that_does_not_exist() -> None:
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("no-such-name.invalid", 80)
    assert isinstance(caught.value, socket.gaierror)
    attempts = caught.value.attempts
    assert [(one.phase, one.address) for one in attempts] == [("resolve", None)]
    assert attempts[0].error.args[0] == caught.value.errno
    assert "no-such-name.invalid:80" in str(caught.value)


async def test_family(port: int) -> None:
    with pytest.raises(aioconnect.ResolveError, match=r"[Aa]ddress family"):
        await aioconnect.connect("::1", port, family=socket.AF_INET)
    with await aioconnect.connect("localhost", port, family=socket.AF_INET) as sock:
        assert sock.family == socket.AF_INET


async def test_all_addresses_are_tried(port: int, recorder: Recorder) -> None:
    """A dual-stack name of a server that listens on IPv4 alone is connected."""
    connector = Connector(observer=recorder)
    with await connector.connect("localhost", port) as sock:
        assert sock.family == socket.AF_INET
    assert isinstance(recorder.events[-1], Connected)


async def test_error(refused_port: int) -> None:
    """One error names the address, why it failed, and how long it took."""
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect("127.0.0.1", refused_port, retry=(0, 0.001))
    error = caught.value
    assert (error.host, error.port) == ("127.0.0.1", refused_port)
    assert error.attempt_count == len(error.attempts) == error.rounds == 3
    assert [attempt.round for attempt in error.attempts] == [1, 2, 3]
    assert error.elapsed > 0
    text = str(error)
    assert "\n" not in text
    assert text.count(f"127.0.0.1:{refused_port}: connection refused") == 1
    assert "(3 attempts in 3 rounds, " in text
    assert isinstance(error.__cause__, ConnectionRefusedError)
    for attempt in error.attempts:
        assert attempt.elapsed >= 0
        assert f"127.0.0.1:{refused_port}" in str(attempt)


async def test_error_travels(refused_port: int) -> None:
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect("127.0.0.1", refused_port)
    for same in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):
        assert type(same) is aioconnect.ConnectRefusedError
        assert str(same) == str(caught.value)
        assert same.args == caught.value.args
        assert same.errno == errno.ECONNREFUSED
        assert (same.host, same.port) == ("127.0.0.1", refused_port)
        assert [a.address for a in same.attempts] == [
            a.address for a in caught.value.attempts
        ]


async def test_retry_reaches_a_late_server() -> None:
    """Each round starts from the beginning: a new socket for each."""
    sockets: list[socket.socket] = []

    def hook(sock: socket.socket, address: aioconnect.Address) -> None:
        sockets.append(sock)

    with flaky(["refuse", "refuse", "refuse", "accept"]) as server:
        connector = Connector(retry=Backoff(initial=0.001), prepare=[hook, server])
        with await connector.connect(server.host, server.port) as sock:
            assert sock.getpeername() == server.sockaddr
        assert server.log == ["refuse", "refuse", "refuse", "accept"]
    assert len(set(sockets)) == 4


async def test_retry_lets_the_loop_run(refused_port: int) -> None:
    """With delays of 0, other tasks still run between any two rounds."""
    rounds: list[int] = []

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            rounds.append(ticks.count)

    with LoopTicks() as ticks, pytest.raises(aioconnect.ConnectRefusedError):
        await aioconnect.connect(
            "127.0.0.1", refused_port, retry=(0,) * 20, observer=observe
        )
    assert len(rounds) == 20
    assert len(set(rounds)) == 20, "the loop did not run between two rounds"


async def test_failing_at_once_lets_the_loop_run(refused_port: int) -> None:
    """A caller that tries again at once, and for ever, stops no other task."""
    with LoopTicks() as ticks:
        for _ in range(10):
            with pytest.raises(aioconnect.ConnectRefusedError):
                await aioconnect.connect("127.0.0.1", refused_port)
    assert ticks.count >= 10


async def test_retry_on(refused_port: int) -> None:
    """Only what retry_on accepts is tried again."""
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect(
            "127.0.0.1", refused_port, retry=(0, 0), retry_on=lambda _: False
        )
    assert caught.value.attempt_count == 1
    with pytest.raises(aioconnect.ConnectError) as caught_other:
        await aioconnect.connect("255.255.255.255", 80, retry=(0,), retry_on=is_refused)
    assert caught_other.value.attempt_count == 1

    def breaks(exc: OSError) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await aioconnect.connect("127.0.0.1", refused_port, retry=(0,), retry_on=breaks)


async def test_bad_delay(refused_port: int) -> None:
    """A delay that no one can wait is found when it is drawn, if not before."""

    class Delays:
        def __iter__(self) -> Iterator[float]:
            yield -1.0

    with pytest.raises(ValueError, match="retry must be 0 or more"):
        await aioconnect.connect("127.0.0.1", refused_port, retry=Delays())


async def test_attempt_timeout(black_hole: BlackHole) -> None:
    """It ends an attempt, not the call: the next round begins."""
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "127.0.0.1", black_hole.port, attempt_timeout=0.02, retry=(0, 0)
        )
    assert caught.value.attempt_count == 3
    assert str(caught.value).startswith("cannot connect")


@pytest.mark.parametrize("timeout", [None, 5.0])
async def test_attempt_timeout_of_a_given_socket(timeout: float | None) -> None:
    """It ends the attempt, and is not taken for the timeout of the call."""

    async def never_ready(*_: object) -> None:
        await asyncio.sleep(60)

    connector = Connector(timeout=timeout, attempt_timeout=0.02, ready=never_ready)
    for all_errors in (False, True):
        one, other = socket.socketpair()
        one.setblocking(False)
        with one, other, pytest.raises(Exception, match=r"cannot|failed") as caught:
            await connector.open_connection(sock=one, all_errors=all_errors)
        assert isinstance(caught.value, ExceptionGroup) is all_errors


async def test_ready_and_late_in_one_tick() -> None:
    """When readiness and the deadline come in one tick, the socket wins."""
    loop = asyncio.get_running_loop()
    for _ in range(5):
        with black_hole() as hole:
            connecting = asyncio.ensure_future(
                aioconnect.connect("127.0.0.1", hole.port, timeout=1.2)
            )
            await asyncio.sleep(0)
            hole.open()
            # The SYN comes again after a second; the loop looks when both are due.
            loop.call_later(0.9, time.sleep, 0.5)
            with contextlib.suppress(aioconnect.ConnectTimeoutError):
                (await connecting).close()
                return
            # Else this machine was late with the SYN.
    pytest.fail("the deadline won five times")


async def test_no_cycles(refused_port: int, black_hole: BlackHole) -> None:
    """A failure leaves nothing for the garbage collector, and holds no frames."""

    async def fail() -> None:
        with pytest.raises(aioconnect.ConnectError):
            await aioconnect.connect("127.0.0.1", refused_port, retry=(0, 0))
        with pytest.raises(aioconnect.ConnectError):
            await aioconnect.connect("127.0.0.1", black_hole.port, timeout=0.01)

    class Canary:
        pass

    async def watched() -> weakref.ref[Canary]:
        canary = Canary()
        with contextlib.suppress(aioconnect.ConnectError):
            await aioconnect.connect("127.0.0.1", refused_port, retry=(0,))
        with contextlib.suppress(aioconnect.ConnectError):
            await aioconnect.open_connection(
                "127.0.0.1", black_hole.port, attempt_timeout=0.01
            )
        return weakref.ref(canary)

    await fail()
    gc.collect()
    gc.disable()
    try:
        reference = await watched()
        assert reference() is None, "an error keeps the frames that it went through"
    finally:
        gc.enable()


async def test_a_silent_address_leaves_time(
    black_hole: BlackHole, listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, with a time for the call: the second has its share."""
    monkeypatch.setattr("aioconnect._sansio.deadline.LEAST_SHARE", 0.2)
    found = [black_hole.address, listener.address]

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        return found if family != socket.AF_INET6 else []

    recorder = Recorder()
    options: Any = {"resolver": resolver, "observer": recorder}
    deadline = asyncio.get_running_loop().time() + 2
    sock = await aioconnect.connect(
        "two", 1, happy_eyeballs_delay=None, timeout=2, **options
    )
    with sock:
        assert sock.getpeername() == listener.sockaddr
    one, two = recorder.of(AttemptStarted)
    assert two.at - one.at >= (deadline - one.at) / 2 - 0.01


async def test_a_round_is_cut_at_the_deadline() -> None:
    """Not before: what it would need is not asked."""
    with (
        flaky(["refuse", "hang"]) as server,
        pytest.raises(aioconnect.ConnectTimeoutError) as caught,
    ):
        await aioconnect.connect(
            server.host,
            server.port,
            timeout=0.5,
            attempt_timeout=60,
            retry=(0, 0, 0),
            prepare=[server],
        )
    last = caught.value.attempts[-1]
    assert caught.value.rounds == 2
    assert last.elapsed < 60
    assert caught.value.elapsed >= 0.49


async def test_the_loop_was_late(refused_port: int) -> None:
    """A round without time is not counted; the last counted round is the cause."""

    def blocks(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            time.sleep(0.3)

    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "127.0.0.1", refused_port, timeout=0.2, retry=(0, 0), observer=blocks
        )
    assert caught.value.rounds == 1
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize(
    "hosts", [("some.test", "all.test"), ("all.test", "some.test")]
)
async def test_whether_an_address_may_be_missing(
    hosts: tuple[str, str], refused_port: int
) -> None:
    """It may if one endpoint of the round has a look-up without an answer."""

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        if host == "some.test" and family == socket.AF_INET:
            return [Address(socket.AF_INET, ("127.0.0.1", refused_port))]
        if host == "some.test":
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [Address(socket.AF_INET, ("127.0.0.1", refused_port))]

    connector = Connector(resolver=resolver)
    endpoints = [Endpoint(host, refused_port) for host in hosts]
    operation = ConnectOperation(connector, endpoints)
    with pytest.raises(aioconnect.ConnectRefusedError):
        await operation.run()
    assert not operation.found_all_addresses
    operation = ConnectOperation(connector, [Endpoint("all.test", refused_port)])
    with pytest.raises(aioconnect.ConnectRefusedError):
        await operation.run()
    assert operation.found_all_addresses

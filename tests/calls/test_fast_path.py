"""The first attempt, which starts before there is an operation."""

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest
from calls.targets import V4

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    BlackHole,
    Server,
    leak_check,
    refusing,
)


@pytest.mark.parametrize("race", [False, True])
async def test_first_is_there(listener: Server, race: bool) -> None:
    """Nobody else is asked, if the kernel connects the first at once."""
    with refusing() as port:
        sock = await aioconnect.connect_any([listener.address, port.address], race=race)
    assert sock.getpeername() == listener.sockaddr
    sock.close()


@pytest.mark.parametrize("race", [False, True])
async def test_first_is_started_once(race: bool) -> None:
    """A first attempt from before the operation counts as one of its attempts."""
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(refusing()) for _ in range(8)]
        targets = [Address(V4, port.sockaddr) for port in ports]
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect_any(targets, race=race)
    error = caught.value
    assert [attempt.address for attempt in error.attempts] == targets
    assert error.rounds == 1


@pytest.mark.parametrize("race", [False, True])
async def test_first_is_silent_and_the_time_up(
    black_hole: BlackHole, race: bool
) -> None:
    """A first attempt is closed if the time is up before its turn."""
    with refusing() as port:
        targets = [black_hole.address, port.address]
        with pytest.raises(aioconnect.ConnectError):
            await aioconnect.connect_any(targets, race=race, timeout=1e-9)


async def test_first_is_closed_when_memory_is_out(
    black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if nobody has asked for it yet."""

    async def race(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("aioconnect._calls.connect.race", race)
    async with leak_check():
        with pytest.raises(MemoryError) as caught:
            await aioconnect.connect_any([black_hole.address] * 2, race=True)
        assert caught.traceback  # its frames hold the operation


async def test_timeout(black_hole: BlackHole) -> None:
    """K6: the error that a deadline raises has what was tried until then."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect("127.0.0.1", black_hole.port, timeout=0.5)
    error = caught.value
    assert isinstance(error, TimeoutError)
    assert error.errno == errno.ETIMEDOUT
    assert str(error).startswith("not connected within 0.5 s to 127.0.0.1:")
    (attempt,) = error.attempts
    assert attempt.phase == "connect"
    assert attempt.started + attempt.elapsed >= started + 0.49


@pytest.mark.parametrize("times", [(0.05, 60), (60, 0.05)])
async def test_the_shorter_time_ends_a_first_attempt(
    black_hole: BlackHole, times: tuple[float, float]
) -> None:
    timeout, attempt_timeout = times
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "127.0.0.1",
            black_hole.port,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
        )
    (attempt,) = caught.value.attempts
    assert attempt.elapsed < 30


async def test_timeout_of_zero(port: int) -> None:
    with pytest.raises(aioconnect.ConnectTimeoutError, match="nothing was tried"):
        await aioconnect.connect("127.0.0.1", port, timeout=0)

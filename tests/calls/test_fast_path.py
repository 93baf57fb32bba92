"""The first attempt, which starts before there is an operation."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from typing import Any

import pytest
from calls.targets import V4, V6

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    BlackHole,
    Lookup,
    ScriptedResolver,
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


class Watched(ScriptedResolver):
    """A resolver that notes when it was called."""

    def __init__(self, script: Any) -> None:
        super().__init__(script)
        self.at: list[tuple[int, float]] = []

    async def __call__(self, host: str, port: int, **asked: Any) -> Any:
        now = asyncio.get_running_loop().time()
        self.at.append((asked["family"], now))
        return await super().__call__(host, port, **asked)


@pytest.mark.parametrize("delay", [0.0, 0.01])
async def test_a_name_with_one_address(listener: Server, delay: float) -> None:
    """It is asked for once, whether it answers at once or in time."""
    resolver = Watched({"name": Lookup(["127.0.0.1"], delay=delay)})
    for wrapped in (False, True):
        call: Any = aioconnect.open_connection if wrapped else aioconnect.connect
        async with leak_check():
            found = await call(
                "name", listener.port, resolver=resolver, resolution_delay=60
            )
            (found[1].transport.abort if wrapped else found.close)()
            await asyncio.sleep(0)
    assert [family for family, _ in resolver.at] == [socket.AF_UNSPEC] * 2


async def test_a_name_with_one_address_that_refuses() -> None:
    """The history has the address, and each round asks for the name anew."""
    resolver = Watched({"name": Lookup(["127.0.0.1"])})
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect("name", refused.port, resolver=resolver, retry=(0, 0))
    error = caught.value
    assert (error.host, error.port, error.rounds) == ("name", refused.port, 3)
    assert [one.address for one in error.attempts] == [refused.address] * 3
    assert [one.round for one in error.attempts] == [1, 2, 3]
    assert [family for family, _ in resolver.at] == [socket.AF_UNSPEC] * 3


async def test_time_for_a_name_with_one_address(black_hole: BlackHole) -> None:
    """An attempt's time begins with the attempt, and not with the look-up."""
    started = asyncio.get_running_loop().time()
    resolver = Watched({"name": Lookup(["127.0.0.1"], delay=0.2)})
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "name",
            black_hole.port,
            resolver=resolver,
            resolution_delay=60,
            attempt_timeout=0.1,
        )
    (attempt,) = caught.value.attempts
    assert attempt.started - started > 0.15
    assert 0.05 < attempt.elapsed < 30


async def test_a_name_that_is_late(listener: Server) -> None:
    """The race goes on with its look-up, and the Resolution Delay began with that."""
    script = {("name", socket.AF_UNSPEC): Lookup(never=True)}
    resolver = Watched({**script, "name": Lookup(["127.0.0.1"])})
    async with leak_check():
        sock = await aioconnect.connect(
            "name", listener.port, resolver=resolver, resolution_delay=1.0
        )
        sock.close()
        await asyncio.sleep(0)
    (whole, began), (_, six), (_, four) = resolver.at
    assert whole == socket.AF_UNSPEC
    assert 0.5 <= six - began < 1.9  # and not one delay after the other
    assert four >= six


@pytest.mark.parametrize("ends", ["cancelled", "cancelled at once", "timed out"])
async def test_a_name_that_hangs(ends: str) -> None:
    """Nobody is asked any more, and the error names the look-up."""
    resolver = ScriptedResolver({"name": Lookup(never=True)})
    timeout = 0.2 if ends == "timed out" else None
    async with leak_check():
        connecting = asyncio.ensure_future(
            aioconnect.connect(
                "name", 1, resolver=resolver, resolution_delay=60, timeout=timeout
            )
        )
        if ends != "timed out":
            await asyncio.sleep(0)
            while ends == "cancelled" and not resolver.pending:
                await asyncio.sleep(0)
            connecting.cancel()
        await asyncio.wait([connecting])
        await asyncio.sleep(0)
        assert resolver.pending == 0
    if ends != "timed out":
        assert connecting.cancelled()
        return
    error = connecting.exception()
    assert isinstance(error, aioconnect.ConnectTimeoutError)
    assert [one.phase for one in error.attempts] == ["resolve"]


async def test_a_look_up_ends_when_memory_is_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that was begun before the race could ask for it."""

    async def race(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("aioconnect._calls.connect.race", race)
    resolver = ScriptedResolver({"name": Lookup(never=True)})
    with pytest.raises(MemoryError) as caught:
        await aioconnect.connect("name", 1, resolver=resolver, resolution_delay=0.01)
    await asyncio.sleep(0)
    assert not resolver.pending
    assert caught.traceback  # its frames hold the operation


async def test_a_bug_of_a_resolver_that_is_asked_at_once() -> None:
    async def wrong(host: str, port: int, **_: int) -> Any:
        return ["127.0.0.1"]

    with pytest.raises(TypeError, match="resolver must give Address values"):
        await aioconnect.connect("name", 1, resolver=wrong)


async def test_an_address_of_another_family_is_not_asked_for() -> None:
    resolver = ScriptedResolver({})
    with pytest.raises(aioconnect.ResolveError, match=r"[Aa]ddress family"):
        await aioconnect.connect("127.0.0.1", 1, resolver=resolver, family=V6)
    assert not resolver.calls

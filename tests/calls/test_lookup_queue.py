"""Look-ups wait for each other: 64 are under way at most."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from calls.targets import V4, tried

import aioconnect
from aioconnect._calls.lookup_queue import LookupQueue
from aioconnect._sansio.happy_eyeballs import HappyEyeballs
from aioconnect.testing import (
    Lookup,
    Recorder,
    ScriptedResolver,
    Server,
    StaticResolver,
    leak_check,
    refusing,
)


class Counting(StaticResolver):
    """A resolver that waits for a turn of the loop, and counts who waits."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        super().__init__(names)
        self.live = self.most = 0

    async def __call__(self, host: str, port: int, **asked: Any) -> Any:
        self.live += 1
        self.most = max(self.most, self.live)
        try:
            await asyncio.sleep(0)
            return await super().__call__(host, port, **asked)
        finally:
            self.live -= 1


async def test_look_ups_at_a_time() -> None:
    """64 at most, and all of them in the end, in their order."""
    recorder = Recorder()
    names = {f"n{n}.test": [f"127.1.0.{n}"] for n in range(1, 151)}
    resolver = Counting(names)
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect_any(
            [(name, refused.port) for name in names],
            race=True,
            resolver=resolver,
            observer=recorder,
        )
    assert caught.value.attempt_count == 150
    assert resolver.most == 64
    assert [call.host for call in resolver.calls[::2]] == [*names]
    assert [address.sockaddr[0] for address in tried(recorder)] == [
        address for (address,) in names.values()
    ]


async def test_names_that_hang_make_room(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many that hang as may be asked for at a time, the next has its turn."""
    monkeypatch.setattr("aioconnect._calls.lookup_queue._PATIENCE", 0.05)
    recorder = Recorder()
    script: Any = {f"n{n}": Lookup(never=True) for n in range(40)}
    resolver = ScriptedResolver({**script, "good": Lookup(["127.0.0.1"])})
    async with leak_check():
        sock = await aioconnect.connect_any(
            [*((name, 1) for name in script), ("good", listener.port)],
            race=True,
            resolver=resolver,
            observer=recorder,
        )
        sock.close()
        await asyncio.sleep(0)
    given_up = recorder.of(aioconnect.ResolveFailed)
    assert {event.host for event in given_up[:-1]} == {f"n{n}" for n in range(9)}
    for event in given_up[:-1]:
        assert "given up for the next name" in str(event.error)
        assert isinstance(event.error, OSError)
        assert aioconnect.is_transient(event.error)


class Silence:
    """Look-ups of *count* names, without an answer."""

    def __init__(self, count: int) -> None:
        self.has_more = True
        self.count = count
        self.started: list[int] = []

    def upcoming(self) -> list[Any]:
        self.has_more = False
        return [(((n,), V4), None) for n in range(self.count)]

    def ask(self, question: Any) -> Any:
        self.started.append(question[0][0])
        return asyncio.get_running_loop().create_future()

    def answer(self, question: Any, lookup: Any) -> tuple[()]:
        lookup.exception()
        return ()


@pytest.mark.parametrize(
    ("count", "left", "patience"),
    [
        (65, None, 5.0),
        (65, 60.0, 5.0),
        (65, 4.0, 2.0),  # those that are asked, and one that waits
        (3 * 64, 3.0, 1.0),
        (1000 * 64, 3.0, 0.1),
        (64, 3.0, None),  # nobody waits
    ],
)
async def test_patience_with_a_look_up(
    count: int, left: float | None, patience: float | None
) -> None:
    """The deadline is shared, so that all have their turn; they make room at once."""
    loop = asyncio.get_running_loop()
    race = HappyEyeballs(
        attempt_delay=None, resolution_delay=0, sort=lambda found: found
    )
    names: Any = Silence(count)
    began = loop.time()
    until = None if left is None else began + left
    asking = LookupQueue(loop, names, race, lambda: None, until)
    await asking.ask()
    due = asking.due()
    if patience is None:
        assert due is None
    else:
        assert due is not None
        assert due == pytest.approx(began + patience, abs=0.05)
        asking.take(due - 0.001)
        await asking.ask()
        assert len(names.started) == 64
        asking.take(loop.time() + patience)
        await asking.ask()
        assert names.started == [*range(min(2 * 64, count))]
    asking.close()


async def test_names_that_hang_leave_time_for_the_next(listener: Server) -> None:
    """With a deadline the last name is asked for before it, whatever hangs."""
    script: Any = {f"n{n}": Lookup(never=True) for n in range(40)}
    resolver = ScriptedResolver({**script, "good": Lookup(["127.0.0.1"])})
    sock = await aioconnect.connect_any(
        [*((name, 1) for name in script), ("good", listener.port)],
        race=True,
        resolver=resolver,
        timeout=5,
    )
    sock.close()
    await asyncio.sleep(0)

"""Look-ups wait for each other: 64 targets at a time.  And who is asked apart."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from calls.targets import tried

import aioconnect
from aioconnect._calls.first_addresses import first_addresses
from aioconnect._calls.host_lookup import HostLookup
from aioconnect._calls.lookup_queue import LookupQueue
from aioconnect._sansio.endpoints import Endpoint
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

V6, V4, UNSPEC = socket.AF_INET6, socket.AF_INET, socket.AF_UNSPEC


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
            resolution_delay=60,
            observer=recorder,
        )
    assert caught.value.attempt_count == 150
    assert resolver.most == 64
    assert [call.host for call in resolver.calls] == [*names]
    assert [address.sockaddr[0] for address in tried(recorder)] == [
        address for (address,) in names.values()
    ]


async def test_names_that_hang_make_room(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many that hang as may be asked for at a time, the next has its turn."""
    monkeypatch.setattr("aioconnect._calls.lookup_queue._PATIENCE", 0.05)
    recorder = Recorder()
    script: Any = {f"n{n}": Lookup(never=True) for n in range(70)}
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
    assert {event.host for event in given_up} == {f"n{n}" for n in range(7)}
    for event in given_up:
        assert "given up for the next name" in str(event.error)
        assert isinstance(event.error, OSError)
        assert aioconnect.is_transient(event.error)


class Silence:
    """Look-ups of *count* names, without an answer."""

    def __init__(self, count: int) -> None:
        self.has_more = True
        self.begun_at = None
        self.count = count
        self.started: list[int] = []

    def upcoming(self) -> list[Any]:
        self.has_more = False
        return [(((n,), UNSPEC), None) for n in range(self.count)]

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
        attempt_delay=None, resolution_delay=None, first_family_count=1, sort=tuple
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
    script: Any = {f"n{n}": Lookup(never=True) for n in range(70)}
    resolver = ScriptedResolver({**script, "good": Lookup(["127.0.0.1"])})
    sock = await aioconnect.connect_any(
        [*((name, 1) for name in script), ("good", listener.port)],
        race=True,
        resolver=resolver,
        timeout=5,
    )
    sock.close()
    await asyncio.sleep(0)


async def test_a_crowd_of_threads_that_hang(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No family is asked for apart meanwhile, and each is when there is room."""
    crowded = [True, True, False]
    monkeypatch.setattr(
        "aioconnect._calls.lookup_queue.is_crowded",
        lambda: crowded.pop(0) if crowded else False,
    )
    resolver = ScriptedResolver(
        {("name", UNSPEC): Lookup(never=True), "name": Lookup(["127.0.0.1"])}
    )
    recorder = Recorder()
    sock = await aioconnect.connect(
        "name",
        listener.port,
        resolver=resolver,
        resolution_delay=0,
        observer=recorder,
    )
    sock.close()
    assert not crowded
    whole, *apart = recorder.of(aioconnect.ResolveStarted)
    assert len(apart) == 2
    assert apart[0].at - whole.at > 0.09  # it was looked at twice more


def host_lookup(resolver: ScriptedResolver) -> HostLookup:
    loop = asyncio.get_running_loop()
    options = aioconnect.Connector(resolver=resolver)
    return HostLookup(loop, options, None, Endpoint("name", 1))


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ({UNSPEC: Lookup(["127.0.0.2", "::1"])}, ["127.0.0.2", "::1"]),
        ({UNSPEC: Lookup(never=True), V4: Lookup(["127.0.0.1"])}, ["127.0.0.1"]),
        (
            {
                UNSPEC: Lookup(never=True),
                V6: Lookup(["::1"]),
                V4: Lookup(["127.0.0.1"], delay=0.05),
            },
            ["::1", "127.0.0.1"],
        ),
        (
            {UNSPEC: Lookup(error=socket.EAI_AGAIN), V6: Lookup(["::1"], delay=0.05)},
            ["::1"],
        ),
        ({UNSPEC: Lookup(), V4: Lookup(["127.0.0.1"])}, []),
        ({UNSPEC: Lookup(never=True), V4: Lookup(never=True)}, []),
    ],
)
async def test_first_addresses(script: dict[int, Lookup], found: list[str]) -> None:
    """Where no race waits for more, one family waits a moment for the other."""
    loop = asyncio.get_running_loop()
    names: Any = {("name", family): lookup for family, lookup in script.items()}
    resolver = ScriptedResolver(names)
    lookup = host_lookup(resolver)
    options = aioconnect.Connector(resolution_delay=0.2)
    async with leak_check():
        until = loop.time() + 1
        addresses = await first_addresses(loop, options, lookup, until)
        await asyncio.sleep(0)
    assert [str(address.sockaddr[0]) for address in addresses] == found
    assert bool(lookup.failures()) == (not found)


@pytest.mark.parametrize(
    ("whole", "six", "four", "is_complete"),
    [
        (Lookup(["::1"]), None, None, True),
        (Lookup(error=socket.EAI_NONAME), None, None, True),
        (Lookup(never=True), Lookup(["::1"]), Lookup(never=True), False),
        (Lookup(never=True), Lookup(["::1"]), Lookup(error=socket.EAI_NODATA), False),
        (Lookup(error=socket.EAI_AGAIN), Lookup(["::1"]), Lookup(), True),
        (
            Lookup(error=socket.EAI_AGAIN),
            Lookup(["::1"]),
            Lookup(error=socket.EAI_AGAIN),
            False,
        ),
    ],
)
async def test_is_complete(
    whole: Lookup, six: Lookup | None, four: Lookup | None, is_complete: bool
) -> None:
    """Every address was found if both families have answered, in one answer or two.

    Two answers do not count before the one for both has failed.
    """
    script: Any = {("name", UNSPEC): whole, "name": Lookup(never=True)}
    script |= {("name", V6): six} if six else {}
    script |= {("name", V4): four} if four else {}
    lookup = host_lookup(ScriptedResolver(script))
    assert not lookup.is_complete
    asked = {
        family: lookup.ask(((), family))
        for family, one in ((UNSPEC, whole), (V6, six), (V4, four))
        if one is not None
    }
    await asyncio.wait(asked.values(), timeout=0.05)
    for family, future in asked.items():
        if future.done():
            lookup.answer(((), family), future)
        future.cancel()
    assert lookup.is_complete == is_complete

"""One of several servers: in turns, each with its share of the time, or raced."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import aioconnect
from aioconnect import (
    Address,
    AttemptStarted,
    Connector,
    RetryScheduled,
    SRVRecord,
    Target,
    parse_target,
    testing,
)
from aioconnect._calls.arguments import endpoint_from_host
from aioconnect._calls.call_record import CallRecord
from aioconnect._calls.lookup_queue import LookupQueue
from aioconnect._calls.multi_host_lookup import MultiHostLookup
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.happy_eyeballs import HappyEyeballs
from aioconnect._sansio.retry_schedule import RetrySchedule
from aioconnect.testing import (
    BlackHole,
    Lookup,
    Recorder,
    ScriptedResolver,
    Server,
    StaticResolver,
    UnixServer,
    echoing,
    flaky,
    leak_check,
    listening,
    refusing,
    unused_port,
)

V6, V4 = socket.AF_INET6, socket.AF_INET


def looking_up(options: Connector, endpoints: list[Endpoint]) -> MultiHostLookup:
    """Return the look-ups of a call to *endpoints*."""
    loop = asyncio.get_running_loop()
    schedule = RetrySchedule(endpoints, started=0.0, timeout=None, delays=())
    record = CallRecord(loop, options, endpoints, schedule)
    return MultiHostLookup(loop, record, endpoints)


def tried(recorder: Recorder) -> list[Address]:
    return [event.address for event in recorder.of(AttemptStarted)]


async def test_everything_that_is_a_target(
    listener: Server, unix_listener: UnixServer
) -> None:
    """Texts, pairs, and values."""
    targets: list[Any] = [
        str(listener.address),
        (listener.host, listener.port),
        (listener.host, str(listener.port)),
        ("localhost", listener.port),
        [listener.host, listener.port],
        parse_target(str(listener.address)),
        Target("localhost", listener.port),
        listener.address,
    ]
    for race in (False, True):
        for target in targets:
            sock = await aioconnect.connect_any([target], race=race, family=V4)
            with sock:
                assert sock.getpeername() == listener.sockaddr
        for target in (str(unix_listener.address), unix_listener.address):
            sock = await aioconnect.connect_any([target], race=race)
            with sock:
                assert sock.getpeername() == unix_listener.path
    with await aioconnect.connect_any(iter(targets)):
        pass


@pytest.mark.parametrize(
    ("targets", "kind", "says"),
    [
        ([], ValueError, "targets is empty"),
        ("db1:5432", TypeError, "targets must be a list"),
        (5432, TypeError, "targets must be a list"),
        (["db1"], ValueError, "character 4: a port is missing"),
        ([("db1", 65536)], ValueError, "port must be between"),
        ([("", 80)], ValueError, "host is empty"),
        ([("db1",)], TypeError, "a target must be"),
        ([5432], TypeError, "a target must be"),
        ([None], TypeError, "a target must be"),
        (["srv:_x._tcp.test"], ValueError, "AiodnsResolver"),
    ],
)
async def test_what_is_no_target(
    targets: Any, kind: type[Exception], says: str
) -> None:
    """It is said at once, also behind a good one."""
    for race in (False, True):
        with pytest.raises(kind, match=says):
            await aioconnect.connect_any(targets, race=race)
    if isinstance(targets, list) and targets:
        with pytest.raises(kind, match=says):
            await aioconnect.connect_any(["127.0.0.1:1", *targets])


async def test_race_is_yes_or_no(listener: Server) -> None:
    race: Any = "no"
    with pytest.raises(TypeError, match="race must be True or False"):
        await aioconnect.connect_any([listener.address], race=race)


async def test_in_order(listener: Server) -> None:
    """The first that is connected ends it; what comes after it is not looked at."""
    recorder = Recorder()
    with refusing() as refused, listening() as later:
        sock = await aioconnect.connect_any(
            [refused.address, "no.test:80", listener.address, later.address],
            resolver=StaticResolver({}),
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == listener.sockaddr
    assert tried(recorder) == [refused.address, listener.address]


async def test_the_error_has_them_all() -> None:
    """Every target's attempts, and the names of those that were looked up."""
    resolver = StaticResolver({"two.test": ["127.0.0.2", "127.0.0.3"]})
    with refusing() as refused, refusing("::1") as six:
        targets: list[Any] = [
            (refused.host, refused.port),
            ("two.test", refused.port),
            ("no.test", 80),
            str(six.address),
        ]
        for race in (False, True):
            with pytest.raises(aioconnect.ConnectRefusedError) as caught:
                await aioconnect.connect_any(targets, race=race, resolver=resolver)
            error = caught.value
            assert (error.host, error.port) == (None, None)
            hosts = {one.address.sockaddr[0] for one in error.attempts if one.address}
            assert hosts == {"127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"}
            assert [one.host for one in error.attempts if not one.address] == [
                "no.test",
                "no.test",
            ]
            text = str(error)
            assert text.startswith(
                f"cannot connect to any of 127.0.0.1:{refused.port},"
                f" two.test:{refused.port}, no.test:80, [::1]:{six.port}: "
            )
            assert "no.test: name or service not known" in text.lower()
            assert error.attempt_count == 6


async def test_a_round_is_all_of_them() -> None:
    """Names are asked again, and the dead first one is no reason to wait twice."""
    recorder = Recorder()
    resolver = StaticResolver({"name": ["127.0.0.1"]})
    with refusing() as refused, flaky(["refuse", "refuse", "accept"]) as server:
        sock = await aioconnect.connect_any(
            [refused.address, ("name", server.port)],
            resolver=resolver,
            prepare=[_only(server)],
            retry=(0, 0.001, 60),
            observer=recorder,
            timeout=30,
        )
        sock.close()
    assert tried(recorder) == [refused.address, server.address] * 3
    assert [event.delay for event in recorder.of(RetryScheduled)] == [0, 0.001]
    assert len(resolver.calls) == 6


def _only(server: Any) -> Any:
    def prepare(sock: socket.socket, address: Address) -> None:
        if address == server.address:
            server(sock, address)

    return prepare


async def test_shares_of_the_time(black_hole: BlackHole, listener: Server) -> None:
    """One dead host does not starve the rest: each has its share of what is left."""
    with testing.black_hole("127.0.0.2") as other:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        recorder = Recorder()
        targets = [black_hole.address, other.address, listener.address]
        sock = await aioconnect.connect_any(targets, timeout=1.5, observer=recorder)
        with sock:
            assert sock.getpeername() == listener.sockaddr
        one, two, three = (event.at - begun for event in recorder.of(AttemptStarted))
    # A third of the time, and half of what is left; uvloop's clock counts in ms.
    assert one < two < three
    assert two - one >= 0.49
    assert three - two >= (1.5 - two) / 2 - 0.01


async def test_shares_that_were_not_used(black_hole: BlackHole) -> None:
    """What fails early leaves its time to the others."""
    loop = asyncio.get_running_loop()
    with refusing() as refused:
        begun = loop.time()
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect_any(
                [refused.address, black_hole.address], timeout=1
            )
    _, silent = caught.value.attempts
    assert silent.elapsed >= 0.9 * (begun + 1 - silent.started)
    assert loop.time() - begun >= 0.99


async def test_a_share_for_a_name_that_hangs(listener: Server) -> None:
    resolver = ScriptedResolver({"hangs": Lookup(never=True)})
    sock = await aioconnect.connect_any(
        [("hangs", 1), listener.address], timeout=1.5, resolver=resolver
    )
    sock.close()


async def test_silent_targets_and_a_good_one(
    black_hole: BlackHole, listener: Server
) -> None:
    """Six are live at once; each that is silent costs its delay, timeout or not."""
    with contextlib.ExitStack() as stack:
        silent = [
            stack.enter_context(testing.black_hole(f"127.0.0.{n}")) for n in range(2, 7)
        ]
        targets = [black_hole.address, *(hole.address for hole in silent)]
        for timeout in (None, 60):
            sock = await aioconnect.connect_any(
                [*targets, listener.address],
                race=True,
                happy_eyeballs_delay=0.01,
                timeout=timeout,
            )
            with sock:
                assert sock.getpeername() == listener.sockaddr


async def test_a_name_that_answers_late_has_its_share(
    black_hole: BlackHole, listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time: the one that is live makes room when it has to."""
    monkeypatch.setattr("aioconnect._sansio.deadline.LEAST_SHARE", 0.1)
    resolver = ScriptedResolver({"late": Lookup(["127.0.0.1"], delay=0.1)})
    sock = await aioconnect.connect_any(
        [black_hole.address, ("late", listener.port)],
        race=True,
        happy_eyeballs_delay=None,
        resolver=resolver,
        timeout=2,
    )
    sock.close()


async def test_a_dead_target_and_the_next_round(black_hole: BlackHole) -> None:
    """The last one leaves some of the time to the rounds that follow."""
    recorder = Recorder()
    with unused_port() as held:
        connecting = asyncio.ensure_future(
            aioconnect.connect_any(
                [held.address, black_hole.address],
                timeout=2,
                retry=(0, 0, 0),
                observer=recorder,
            )
        )
        while not recorder.of(aioconnect.AttemptFailed):
            await asyncio.sleep(0)
        held.listen()
        (await connecting).close()


async def test_many_names_are_raced_in_time() -> None:
    """The deadline is kept, and the loop runs, whoever answers."""
    names = {f"n{n}": ["::1", "127.0.0.1"] for n in range(200)}
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect_any(
            [(name, refused.port) for name in names],
            race=True,
            resolver=StaticResolver(names),
            timeout=30,
        )
    assert caught.value.attempt_count == 2
    assert len(str(caught.value)) < 1000
    assert "and 184 more: " in str(caught.value)


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
    """Look-ups of *count* names, which nobody answers."""

    def __init__(self, count: int) -> None:
        self.has_more = True
        self.count = count
        self.begun: list[int] = []

    def upcoming(self) -> list[Any]:
        self.has_more = False
        return [(((n,), V4), None) for n in range(self.count)]

    def ask(self, question: Any) -> Any:
        self.begun.append(question[0][0])
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
        assert len(names.begun) == 64
        asking.take(loop.time() + patience)
        await asking.ask()
        assert names.begun == [*range(min(2 * 64, count))]
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


async def test_many_that_are_nowhere() -> None:
    """The race ends when the last is looked at, though nobody was asked."""
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect_any([("::1", 1)] * 70, race=True, family=V4)
    assert caught.value.attempt_count == 70


@pytest.mark.parametrize("race", [False, True])
@pytest.mark.parametrize("host", ["a b.test", "x.test"])
async def test_the_time_is_up_amid_the_records(
    race: bool, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all of a service's hosts are made then, be they names or none."""
    records = [SRVRecord(0, 0, 1, host)] * 640
    made = 0

    def slow(*args: Any) -> Endpoint:
        nonlocal made
        made += 1
        if made == 65:
            time.sleep(0.5)
        return endpoint_from_host(*args)

    monkeypatch.setattr("aioconnect._calls.service_lookup.endpoint_from_host", slow)

    class Silent(Services):
        async def __call__(self, host: str, port: int, **asked: Any) -> Any:
            await asyncio.Event().wait()

    connector = Connector(resolver=Silent(records, {}), timeout=0.4)
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await connector.connect_any(["srv:_x._tcp.test"], race=race)
    assert made <= 2 * 64
    if not race or " " in host:
        assert "before its hosts could be tried" in str(caught.value)


async def test_a_service_that_hangs_makes_room(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a name does, and the error of the call has it."""
    monkeypatch.setattr("aioconnect._calls.lookup_queue._PATIENCE", 0.05)

    class Hanging(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            await asyncio.Event().wait()
            raise AssertionError

    with refusing() as refused, pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect_any(
            [*(f"srv:_x._tcp.n{n}.test" for n in range(64)), ("a.test", refused.port)],
            race=True,
            resolver=Hanging(NAMES),
            timeout=2,
        )
    first = caught.value.attempts[1]
    assert (first.host, first.phase) == ("_x._tcp.n0.test", "resolve")
    assert "given up for the next name" in str(first)


@pytest.mark.parametrize("race", [False, True])
async def test_the_time_is_up_before_a_name_is_known(race: bool) -> None:
    """The error has what was still being looked up, of a service's many names too."""

    class Silent(Services):
        async def __call__(self, host: str, port: int, **asked: Any) -> Any:
            await asyncio.Event().wait()

    records = [SRVRecord(1, 1, 1, f"n{n}.test") for n in range(200)]
    for targets in (["srv:_x._tcp.test"], [(f"n{n}.test", 1) for n in range(200)]):
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect_any(
                targets, race=race, resolver=Silent(records, {}), timeout=0.5
            )
        assert "test: the resolver has not answered yet" in str(caught.value)
        if race:
            assert caught.value.attempt_count >= 64  # with those that made room


async def test_the_time_is_up_when_a_service_answers() -> None:
    """What it found is nowhere tried, and that is said."""

    class Slow(Services):
        def services(self, service: str) -> Any:  # and it holds the loop
            time.sleep(0.3)
            return self.records

    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect_any(
            ["srv:_x._tcp.test"],
            race=True,
            resolver=Slow([SRVRecord(1, 1, 1, "a.test")], NAMES),
            timeout=0.2,
        )
    assert "before its hosts could be tried" in str(caught.value)


async def test_looking_at_the_targets_takes_time() -> None:
    """Which is the call's."""

    def targets() -> Iterator[tuple[str, int]]:
        time.sleep(0.3)
        yield "hangs", 1

    resolver = ScriptedResolver({"hangs": Lookup(never=True)})
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect_any(targets(), timeout=0.1, resolver=resolver)
    assert caught.value.elapsed >= 0.29


async def test_an_address_may_be_missing_until_all_were_asked() -> None:
    """A name that was not asked for yet may have one."""
    options = aioconnect.Connector(resolver=StaticResolver(NAMES))
    places = [endpoint_from_host(options, host, 1) for host in ("a.test", "127.0.0.1")]
    several = looking_up(options, places)
    assert not several.is_complete
    questions = [question for question, known in several.upcoming() if known is None]
    assert len(questions) == 2
    assert not several.has_more
    for question in questions:
        assert not several.is_complete
        lookup = several.ask(question)
        await lookup
        several.answer(question, lookup)
    assert several.is_complete


async def test_places_are_looked_at_some_at_a_time() -> None:
    """So that the loop runs in between: a target, or a service's host, like another."""
    options = aioconnect.Connector(resolver=Services([], {}))
    places = [endpoint_from_host(options, f"n{n}.test", 1) for n in range(100)]
    several = looking_up(options, places)
    found: list[Any] = []
    while several.has_more:
        some = several.upcoming()
        assert len(some) <= 2 * 64
        found += some
    assert [turn for (turn, _), _ in found[::2]] == [(n,) for n in range(100)]


async def test_the_loop_runs_while_targets_are_checked() -> None:
    ticks = 0
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        handles[0] = loop.call_soon(tick)

    handles = [loop.call_soon(tick)]
    with pytest.raises(ValueError, match="a port is missing"):
        await aioconnect.connect_any([*(f"n{n}.test:1" for n in range(1000)), "n"])
    handles[0].cancel()
    assert ticks > 10


async def test_what_is_known_waits_for_nobody(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many names are to be asked for before."""
    monkeypatch.setattr("aioconnect._calls.lookup_queue._PATIENCE", 1e6)
    resolver = ScriptedResolver({f"n{n}": Lookup(never=True) for n in range(300)})
    sock = await aioconnect.connect_any(
        [*((f"n{n}", 1) for n in range(300)), listener.address],
        race=True,
        resolver=resolver,
    )
    sock.close()
    await asyncio.sleep(0)
    assert not resolver.pending


async def test_the_loop_runs_between_many_turns() -> None:
    ticks = 0
    loop = asyncio.get_running_loop()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        handles[0] = loop.call_soon(tick)

    handles = [loop.call_soon(tick)]
    with refusing() as refused, pytest.raises(aioconnect.ConnectRefusedError):
        await aioconnect.connect_any([refused.address] * 200)
    handles[0].cancel()
    assert ticks > 10


async def test_one_future_for_both_families(listener: Server) -> None:
    """A resolver may give the same one twice, and a service be a target twice."""
    loop = asyncio.get_running_loop()

    class Sharing(StaticResolver):
        def __init__(self) -> None:
            super().__init__({})
            self.shared = loop.create_future()

        def services(self, service: str) -> Any:
            return self.shared

    def resolver(host: str, port: int, **_: int) -> Any:
        return both

    for addresses in ([listener.address], []):
        both = loop.create_future()
        loop.call_soon(both.set_result, addresses)
        connecting = aioconnect.connect("one", 1, resolver=resolver, timeout=30)
        if addresses:
            (await connecting).close()
        else:
            with pytest.raises(aioconnect.ResolveError):
                await connecting
    for race in (False, True):
        sharing = Sharing()
        records = [SRVRecord(1, 0, listener.port, "127.0.0.1")]
        loop.call_soon(sharing.shared.set_result, records)
        sock = await aioconnect.connect_any(
            ["srv:_x._tcp.test"] * 2, race=race, resolver=sharing, timeout=30
        )
        sock.close()
        # A future that is no task has ended as soon as it is cancelled.
        with pytest.raises(aioconnect.ConnectTimeoutError):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=Sharing(), timeout=0.1
            )


async def test_bind_fails_in_a_race(listener: Server) -> None:
    """A local name without an address is no attempt at any of the targets."""
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect_any(
            [listener.address, listener.address],
            race=True,
            local_addr=("no-such-name.invalid", 0),
        )
    assert {(one.address, one.phase) for one in caught.value.attempts} == {
        (None, "bind")
    }


async def test_raced(black_hole: BlackHole, listener: Server) -> None:
    """A silent one is joined by the next after the delay, and everything is closed."""
    recorder = Recorder()
    async with leak_check():
        sock = await aioconnect.connect_any(
            [black_hole.address, listener.address],
            race=True,
            happy_eyeballs_delay=0.05,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == listener.sockaddr
    one, two = recorder.of(AttemptStarted)
    assert two.at - one.at >= 0.04
    assert not recorder.of(aioconnect.AttemptFailed)


@pytest.mark.parametrize("race", [False, True])
async def test_first_is_there(listener: Server, race: bool) -> None:
    """Nobody else is asked, if the kernel connects the first at once."""
    with refusing() as port:
        sock = await aioconnect.connect_any([listener.address, port.address], race=race)
    assert sock.getpeername() == listener.sockaddr
    sock.close()


@pytest.mark.parametrize("race", [False, True])
async def test_first_is_begun_once(race: bool) -> None:
    """The first attempt, begun before there is a call, is one of the call's."""
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
    """What was begun is closed, though the time was up before it had its turn."""
    with refusing() as port:
        targets = [black_hole.address, port.address]
        with pytest.raises(aioconnect.ConnectError):
            await aioconnect.connect_any(targets, race=race, timeout=1e-9)


async def test_raced_targets_take_turns() -> None:
    """The first address of each, then the second of each; one that is two's, once."""
    recorder = Recorder()
    with refusing() as refused:
        port = refused.port
        resolver = StaticResolver(
            {"a": ["127.1.0.1", "127.1.0.2", "127.1.0.3"], "b": ["127.2.0.1"]}
        )
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect_any(
                [("a", port), refused.address, ("b", port), f"127.1.0.2:{port}"],
                race=True,
                resolver=resolver,
                observer=recorder,
            )
    hosts = [address.sockaddr[0] for address in tried(recorder)]
    # What is known in numbers does not wait for who has to be asked.
    assert sorted(hosts) == sorted(
        ["127.0.0.1", "127.1.0.1", "127.1.0.2", "127.1.0.3", "127.2.0.1"]
    )
    assert hosts[-1] == "127.1.0.3"
    assert caught.value.attempt_count == 5


async def test_a_name_that_hangs_in_a_race(listener: Server) -> None:
    """It keeps nobody waiting."""
    resolver = ScriptedResolver({"hangs": Lookup(never=True)})
    async with leak_check():
        sock = await aioconnect.connect_any(
            [("hangs", 1), listener.address], race=True, resolver=resolver
        )
        sock.close()


async def test_the_time_of_a_race(black_hole: BlackHole) -> None:
    """The error has what was tried, and the name that did not answer."""
    resolver = ScriptedResolver({"hangs": Lookup(never=True)})
    with pytest.raises(aioconnect.ConnectTimeoutError, match="any of") as caught:
        await aioconnect.connect_any(
            [("hangs", 1), black_hole.address],
            race=True,
            resolver=resolver,
            timeout=0.5,
        )
    assert {one.host or one.address for one in caught.value.attempts} == {
        "hangs",
        black_hole.address,
    }
    assert "hangs: the resolver has not answered yet" in str(caught.value)


async def test_guarded(unix_listener: UnixServer, listener: Server) -> None:
    """What *allow* refuses, is refused here too, and the rest is tried."""

    def but_not(ip: object, port: int) -> bool:
        return port == listener.port

    for race in (False, True):
        with refusing() as refused:
            sock = await aioconnect.connect_any(
                [refused.address, unix_listener.address, listener.address],
                race=race,
                allow=but_not,
            )
        with sock:
            assert sock.getpeername() == listener.sockaddr
        with pytest.raises(aioconnect.AddressBlockedError):
            await aioconnect.connect_any(
                [listener.address, unix_listener.address],
                race=race,
                allow=aioconnect.only_public,
            )


async def test_an_address_of_another_family(listener: Server) -> None:
    """In numbers, it has failed; the others are tried."""
    for race in (False, True):
        sock = await aioconnect.connect_any(
            [("::1", 1), (listener.host, listener.port)], race=race, family=V4
        )
        sock.close()
        with pytest.raises(aioconnect.ResolveError) as caught:
            await aioconnect.connect_any([("::1", 1), ("::2", 1)], race=race, family=V4)
        assert [one.host for one in caught.value.attempts] == ["::1", "::2"]


async def test_no_time_at_all(listener: Server) -> None:
    for race in (False, True):
        with pytest.raises(aioconnect.ConnectTimeoutError, match="nothing was tried"):
            await aioconnect.connect_any([listener.address], race=race, timeout=0)


async def test_ready_one_after_the_other() -> None:
    """It has to pass at each."""

    async def is_good(sock: socket.socket) -> bool:
        return bool(sock.getpeername() == good.sockaddr)

    with listening() as first, listening() as second, echoing() as good:
        for race in (False, True):
            sock = await aioconnect.connect_any(
                [first.address, second.address, good.address], race=race, ready=is_good
            )
            sock.close()


class Services(StaticResolver):
    """A resolver that knows services, too."""

    def __init__(
        self, records: Sequence[SRVRecord] | Exception, names: dict[str, list[str]]
    ) -> None:
        super().__init__(names)
        self.records = records
        self.asked: list[str] = []

    async def services(self, service: str) -> Sequence[SRVRecord]:
        self.asked.append(service)
        if isinstance(self.records, Exception):
            raise self.records
        return self.records


NAMES = {"a.test": ["127.0.0.1"], "b.test": ["127.0.0.2"]}


async def test_services(listener: Server) -> None:
    """A service stands for its hosts and ports, the lowest priority first."""
    recorder = Recorder()
    with refusing() as refused:
        records = [
            SRVRecord(20, 0, listener.port, "a.test."),
            SRVRecord(10, 0, refused.port, "b.test."),
            SRVRecord(5, 0, refused.port, "127.0.0.1"),
        ]
        resolver = Services(records, NAMES)
        for race in (False, True):
            sock = await aioconnect.connect_any(
                [refused.address, "srv:_x._tcp.test"],
                race=race,
                resolver=resolver,
                observer=recorder,
            )
            with sock:
                assert sock.getpeername() == listener.sockaddr
            ports = [str(one) for one in tried(recorder)]
            assert ports == [
                f"127.0.0.1:{refused.port}",
                *([] if race else [f"127.0.0.1:{refused.port}"]),
                f"127.0.0.2:{refused.port}",
                f"127.0.0.1:{listener.port}",
            ]
            recorder.clear()
    assert resolver.asked == ["_x._tcp.test"] * 2


async def test_services_are_asked_for_in_each_round() -> None:
    with refusing() as refused:
        resolver = Services([SRVRecord(1, 1, refused.port, "a.test")], NAMES)
        for race in (False, True):
            resolver.asked.clear()
            with pytest.raises(aioconnect.ConnectRefusedError) as caught:
                await aioconnect.connect_any(
                    ["srv:_x._tcp.test"], race=race, resolver=resolver, retry=(0, 0)
                )
            assert len(resolver.asked) == 3
            assert "to srv:_x._tcp.test: 127.0.0.1:" in str(caught.value)


NOT_THERE = socket.gaierror(socket.EAI_NONAME, "no such service")


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        (NOT_THERE, aioconnect.ResolveError),
        ([], aioconnect.ResolveError),
        ([SRVRecord(1, 1, 1, ".")], aioconnect.ResolveError),
        (OSError(errno.EMFILE, "no descriptor"), aioconnect.ConnectError),
        (ZeroDivisionError(), ZeroDivisionError),
        ([("a.test", 80)], TypeError),
    ],
)
async def test_services_that_are_not_there(
    records: Any, kind: type[Exception], listener: Server
) -> None:
    """An attempt that failed, of the service; a bug comes through as itself."""
    resolver = Services(records, NAMES)
    for race in (False, True):
        with pytest.raises(kind) as caught:
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=resolver
            )
        if isinstance(caught.value, aioconnect.ConnectError):
            (attempt,) = caught.value.attempts
            assert (attempt.host, attempt.phase) == ("_x._tcp.test", "resolve")
            sock = await aioconnect.connect_any(
                ["srv:_x._tcp.test", listener.address], race=race, resolver=resolver
            )
            sock.close()


class Changing(Services):
    """A resolver whose services change from one look-up to the next."""

    def __init__(self, *answers: Sequence[SRVRecord] | Exception) -> None:
        super().__init__([], NAMES)
        self.answers = list(answers)

    async def services(self, service: str) -> Sequence[SRVRecord]:
        self.records = self.answers.pop(0)
        return await super().services(service)


async def test_a_service_that_is_gone_in_the_next_round() -> None:
    """What it was in the round before is forgotten, with the turns that it had."""
    with refusing() as refused:
        two = [SRVRecord(n, 0, refused.port, "a.test") for n in (1, 2)]
        service: Any = "srv:_x._tcp.test"
        for targets in ([service], [refused.address, service]):
            with pytest.raises(aioconnect.ConnectError) as caught:
                await aioconnect.connect_any(
                    targets, resolver=Changing(two, NOT_THERE), retry=(0,)
                )
            last = [one for one in caught.value.attempts if one.round == 2]
            assert last[-1].host == "_x._tcp.test"
            assert len(last) == len(targets)


async def test_a_record_whose_host_is_no_name(listener: Server) -> None:
    """What a name server says is no argument of the caller's: it is left out."""
    bad = [SRVRecord(1, 0, listener.port, host) for host in ("a b.test", "x" * 300)]
    good = SRVRecord(2, 0, listener.port, "a.test")
    for race in (False, True):
        sock = await aioconnect.connect_any(
            ["srv:_x._tcp.test"], race=race, resolver=Services([*bad, good], NAMES)
        )
        sock.close()
        with pytest.raises(aioconnect.ResolveError, match="nowhere available"):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=Services(bad, NAMES)
            )


@pytest.mark.parametrize(
    "records",
    [
        None,
        [SRVRecord(0, -5, 80, "a.test")],
        [SRVRecord(0, 0, 65536, "a.test")],
        [SRVRecord("0", 0, 80, "a.test")],  # type: ignore[arg-type]  # that is the test
        [SRVRecord(0, 0, 80, None)],  # type: ignore[arg-type]  # the same
    ],
)
async def test_records_that_cannot_be(records: Any) -> None:
    """A bug in a resolver says that it is its own."""
    for race in (False, True):
        with pytest.raises((ValueError, TypeError), match=r"services\(\)"):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=Services(records, NAMES)
            )


async def test_services_at_once(listener: Server) -> None:
    """A resolver that is no coroutine function is one, too."""

    class Plain(StaticResolver):
        def services(self, service: str) -> Sequence[SRVRecord]:
            if service == "_x._tcp.test":
                return [SRVRecord(1, 0, listener.port, "127.0.0.1")]
            raise NOT_THERE

    for race in (False, True):
        for targets in (["srv:_y._tcp.test", "srv:_x._tcp.test"], ["srv:_x._tcp.test"]):
            sock = await aioconnect.connect_any(targets, race=race, resolver=Plain({}))
            sock.close()


async def test_events_of_services(listener: Server) -> None:
    """The observer is told of their look-ups, too."""
    records = [SRVRecord(1, 0, listener.port, "127.0.0.1")]
    for race in (False, True):
        recorder = Recorder()
        sock = await aioconnect.connect_any(
            ["srv:_x._tcp.test"],
            race=race,
            resolver=Services(records, {}),
            observer=recorder,
        )
        sock.close()
        recorder.assert_kinds("ResolveStarted", "Resolved", AttemptStarted, "Connected")
        recorder.clear()
        with pytest.raises(aioconnect.ResolveError):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"],
                race=race,
                resolver=Services(NOT_THERE, {}),
                observer=recorder,
            )
        recorder.assert_in_order("ResolveStarted", "ResolveFailed", "AttemptFailed")
        event = recorder.only(aioconnect.ResolveFailed)
        assert (event.host, event.port, event.elapsed >= 0) == ("_x._tcp.test", 0, True)


async def test_a_service_that_hangs(listener: Server) -> None:
    """It has its share of the time, and in a race keeps nobody waiting."""

    class Hanging(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            await asyncio.Event().wait()
            raise AssertionError

    hanging = Hanging({})
    targets: list[Any] = ["srv:_x._tcp.test", listener.address]
    async with leak_check():
        for race in (False, True):
            sock = await aioconnect.connect_any(
                targets, race=race, resolver=hanging, timeout=1.5
            )
            sock.close()
            with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
                await aioconnect.connect_any(
                    targets[:1], race=race, resolver=hanging, timeout=0.5
                )
            (attempt,) = caught.value.attempts
            assert attempt.host == "_x._tcp.test"


async def test_a_service_that_was_given_up(listener: Server) -> None:
    """A resolver that cancels its own look-up is one that has failed."""

    class GivingUp(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            raise asyncio.CancelledError

    for race in (False, True):
        with pytest.raises(aioconnect.ConnectError, match="gave up"):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=GivingUp({})
            )


async def test_a_service_of_a_race_that_is_cancelled() -> None:
    """Nobody hears of the resolver's error, and nothing is left to the collector."""

    class Failing(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            await asyncio.sleep(0)
            raise OSError(errno.EIO, "no answer")

    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))

    def alive() -> list[int]:
        return [id(one) for one in gc.get_objects() if type(one) is MultiHostLookup]

    gc.collect()
    before = alive()  # those that the errors of other tests hold
    gc.disable()
    try:
        for iterations in range(8):
            call = asyncio.ensure_future(
                aioconnect.connect_any(
                    ["srv:_x._tcp.test"], race=True, resolver=Failing({})
                )
            )
            for _ in range(iterations):
                await asyncio.sleep(0)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError, aioconnect.ConnectError):
                await call
            del call
            await asyncio.sleep(0)
            assert alive() == before
    finally:
        gc.enable()
    gc.collect()
    assert not reported

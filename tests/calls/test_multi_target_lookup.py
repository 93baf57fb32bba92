"""One of several servers: in turns, each with its share of the time, or raced."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from calls.targets import NAMES, V4, Services, tried
from loop_ticks import LoopTicks

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
from aioconnect._calls.multi_target_lookup import MultiTargetLookup
from aioconnect._sansio.endpoints import Endpoint
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


def looking_up(options: Connector, endpoints: list[Endpoint]) -> MultiTargetLookup:
    """Return the look-ups of a call to *endpoints*."""
    loop = asyncio.get_running_loop()
    schedule = RetrySchedule(endpoints, started=0.0, timeout=None, delays=())
    record = CallRecord(loop, options, endpoints, schedule)
    return MultiTargetLookup(loop, record, endpoints)


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
    """The first target that connects ends the call; later targets are not examined."""
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
            unknown = [one.host for one in error.attempts if not one.address]
            assert unknown == ["no.test"]
            text = str(error)
            assert text.startswith(
                f"cannot connect to any of 127.0.0.1:{refused.port},"
                f" two.test:{refused.port}, no.test:80, [::1]:{six.port}: "
            )
            assert "no.test: name or service not known" in text.lower()
            assert error.attempt_count == 5


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
    assert len(resolver.calls) == 3


def _only(server: Any) -> Any:
    def prepare(sock: socket.socket, address: Address) -> None:
        if address == server.address:
            server(sock, address)

    return prepare


async def test_another_task_that_blocks_is_in_no_attempt(refused_port: int) -> None:
    """The loop runs between targets; what it runs there is not counted as theirs."""
    asyncio.get_running_loop().call_soon(time.sleep, 1.0)
    targets = [(f"127.0.0.{number}", refused_port) for number in range(1, 31)]
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect_any(targets)
    blocked, first = 0, caught.value.attempts[0]
    for attempt in caught.value.attempts:
        blocked += attempt.started - first.started >= 1.0
        assert attempt.elapsed < 1.0
    assert 0 < blocked < 30


async def test_shares_of_the_time(black_hole: BlackHole, listener: Server) -> None:
    """One dead host does not starve the rest: each has its share of what is left."""
    with testing.black_hole("127.0.0.2") as other:
        loop = asyncio.get_running_loop()
        started = loop.time()
        recorder = Recorder()
        targets = [black_hole.address, other.address, listener.address]
        sock = await aioconnect.connect_any(targets, timeout=1.5, observer=recorder)
        with sock:
            assert sock.getpeername() == listener.sockaddr
        one, two, three = (event.at - started for event in recorder.of(AttemptStarted))
    # A third of the time, and half of what is left; uvloop's clock counts in ms.
    assert one < two < three
    assert two - one >= 0.49
    assert three - two >= (1.5 - two) / 2 - 0.01


async def test_shares_that_were_not_used(black_hole: BlackHole) -> None:
    """What fails early leaves its time to the others."""
    loop = asyncio.get_running_loop()
    with refusing() as refused:
        started = loop.time()
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect_any(
                [refused.address, black_hole.address], timeout=1
            )
    _, silent = caught.value.attempts
    assert silent.elapsed >= 0.9 * (started + 1 - silent.started)
    assert loop.time() - started >= 0.99


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
    """With one attempt at a time, the live one makes room when its time is up."""
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
    """The deadline is kept, and the loop runs, with any resolver."""
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


async def test_many_that_are_nowhere() -> None:
    """The race ends when the last target was examined, without a look-up."""
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect_any([("::1", 1)] * 70, race=True, family=V4)
    assert caught.value.attempt_count == 70


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
        assert "test: the resolver did not answer in time" in str(caught.value)
        if race:
            assert caught.value.attempt_count >= 64  # with those that made room


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
    endpoints = [endpoint_from_host(options, host, 1) for host in ("a.test", "b.test")]
    several = looking_up(options, endpoints)
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


async def test_endpoints_are_examined_some_at_a_time() -> None:
    """The loop runs in between, for targets and for the hosts of a service."""
    options = aioconnect.Connector(resolver=Services([], {}))
    endpoints = [endpoint_from_host(options, f"n{n}.test", 1) for n in range(100)]
    several = looking_up(options, endpoints)
    found: list[Any] = []
    while several.has_more:
        some = several.upcoming()
        assert len(some) <= 64
        found += some
    assert [turn for (turn, _), _ in found] == [(n,) for n in range(100)]


async def test_the_loop_runs_while_targets_are_checked() -> None:
    with LoopTicks() as ticks, pytest.raises(ValueError, match="a port is missing"):
        await aioconnect.connect_any([*(f"n{n}.test:1" for n in range(1000)), "n"])
    assert ticks.count > 10


async def test_what_is_known_waits_for_nobody(
    listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many names come before it."""
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
    with (
        refusing() as refused,
        LoopTicks() as ticks,
        pytest.raises(aioconnect.ConnectRefusedError),
    ):
        await aioconnect.connect_any([refused.address] * 200)
    assert ticks.count > 10


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
    """A local name without an address counts as no attempt at a target."""
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
            happy_eyeballs_delay=0.5,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == listener.sockaddr
    one, two = recorder.of(AttemptStarted)
    # A busy machine can tell of the first one late.
    assert two.at - one.at >= 0.2
    assert not recorder.of(aioconnect.AttemptFailed)


async def test_raced_targets_take_turns() -> None:
    """The first address of each, then the second of each; a shared address once."""
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
    """The other targets do not wait for it."""
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
    assert "hangs: the resolver did not answer in time" in str(caught.value)


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

"""A service's SRV records: looked up, checked, and tried in their order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import time
from collections.abc import Sequence
from typing import Any

import pytest
from calls.targets import NAMES, Services, tried

import aioconnect
from aioconnect import (
    AttemptStarted,
    Connector,
    SRVRecord,
)
from aioconnect._calls.arguments import endpoint_from_host
from aioconnect._calls.multi_target_lookup import MultiTargetLookup
from aioconnect._sansio.endpoints import Endpoint
from aioconnect.testing import (
    Recorder,
    Server,
    StaticResolver,
    leak_check,
    refusing,
)


@pytest.mark.parametrize("race", [False, True])
@pytest.mark.parametrize("host", ["a b.test", "x.test"])
async def test_the_time_is_up_amid_the_records(
    race: bool, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then not every host of a service becomes an endpoint, valid name or not."""
    records = [SRVRecord(0, 0, 1, host)] * 640
    converted = 0

    def slow(*args: Any) -> Endpoint:
        nonlocal converted
        converted += 1
        if converted == 65:
            time.sleep(0.5)
        return endpoint_from_host(*args)

    monkeypatch.setattr("aioconnect._calls.service_lookup.endpoint_from_host", slow)

    class Silent(Services):
        async def __call__(self, host: str, port: int, **asked: Any) -> Any:
            await asyncio.Event().wait()

    connector = Connector(resolver=Silent(records, {}), timeout=0.4)
    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await connector.connect_any(["srv:_x._tcp.test"], race=race)
    assert converted <= 2 * 64
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
    """The caller did not give the name, so the record is skipped."""
    bad = [SRVRecord(1, 0, listener.port, host) for host in ("a b.test", "x" * 300)]
    good = SRVRecord(2, 0, listener.port, "a.test")
    for race in (False, True):
        sock = await aioconnect.connect_any(
            ["srv:_x._tcp.test"], race=race, resolver=Services([*bad, good], NAMES)
        )
        sock.close()
        with pytest.raises(
            aioconnect.ResolveError, match="not available at this domain"
        ):
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
    """A resolver may be a plain function."""

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
    """The observer is called with their look-ups too."""
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
    """It has its share of the time, and in a race nothing waits for it."""

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
    """A look-up that the resolver itself cancels has failed."""

    class GivingUp(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            raise asyncio.CancelledError

    for race in (False, True):
        with pytest.raises(aioconnect.ConnectError, match="gave up"):
            await aioconnect.connect_any(
                ["srv:_x._tcp.test"], race=race, resolver=GivingUp({})
            )


def lookups_alive() -> list[MultiTargetLookup]:
    """Return those that are not collected: an exception that a test keeps has some."""
    return [one for one in gc.get_objects() if isinstance(one, MultiTargetLookup)]


async def test_a_service_of_a_race_that_is_cancelled() -> None:
    """Nobody hears of the resolver's error, and nothing is left to the collector."""

    class Failing(StaticResolver):
        async def services(self, service: str) -> Sequence[SRVRecord]:
            await asyncio.sleep(0)
            raise OSError(errno.EIO, "no answer")

    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    gc.collect()
    gc.disable()
    before = len(lookups_alive())
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
            assert len(lookups_alive()) == before
    finally:
        gc.enable()
    gc.collect()
    assert not reported

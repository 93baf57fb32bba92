"""The look-ups of a host: what is asked, and what becomes of each answer."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from calls.resolvers import V4, V6, Answering

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    Lookup,
    Recorder,
    ScriptedResolver,
    black_hole,
    leak_check,
    listening,
    on_one_port,
    refusing,
)

ANY = socket.AF_UNSPEC


@pytest.mark.parametrize("others", [0, 1])
async def test_deadline_of_a_look_up(others: int) -> None:
    """A look-up that hangs is in the error only if nothing was found."""
    four = Lookup(["127.0.0.1"]) if others else Lookup(never=True)
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): four},
    )
    with refusing() as refused, pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect("name", refused.port, resolver=resolver, timeout=1)
    phases = [attempt.phase for attempt in caught.value.attempts]
    assert phases == (["connect"] if others else ["resolve"] * 3)
    await asyncio.sleep(0)
    assert resolver.pending == 0


def families(resolver: ScriptedResolver) -> list[int]:
    return [call.family for call in resolver.calls]


async def test_one_question() -> None:
    """The answer for both families has its own order, and nothing else is asked."""
    recorder = Recorder()
    both = Lookup(["127.0.0.1", "::1"])
    resolver = ScriptedResolver({("name", ANY): both})
    with on_one_port(refusing, lambda port: listening("::1", port=port)) as (_, server):
        (
            await aioconnect.connect(
                "name", server.port, resolver=resolver, observer=recorder
            )
        ).close()
    assert families(resolver) == [ANY]
    first, second = recorder.of(aioconnect.AttemptStarted)
    assert (first.address.family, second.address.family) == (V4, V6)
    started, resolved = recorder.events[:2]
    assert isinstance(started, aioconnect.ResolveStarted)
    assert isinstance(resolved, aioconnect.Resolved)
    assert (started.host, started.family, resolved.family) == ("name", ANY, ANY)
    assert resolved.addresses == (first.address, second.address)


@pytest.mark.parametrize(
    ("delay", "asked"), [(None, [ANY]), (60, [ANY]), (0.01, [ANY, V6, V4])]
)
async def test_a_late_answer(delay: float | None, asked: list[int]) -> None:
    """The families are asked for apart after the Resolution Delay, or never."""
    resolver = ScriptedResolver({"name": Lookup(["127.0.0.1"], delay=0.2)})
    with listening() as server:
        async with leak_check():
            sock = await aioconnect.connect(
                "name", server.port, resolver=resolver, resolution_delay=delay
            )
            sock.close()
    assert families(resolver) == asked


async def test_all_at_once() -> None:
    """With a Resolution Delay of 0.  In one turn the whole answer counts."""
    resolver = ScriptedResolver(
        {("name", ANY): Lookup(["127.0.0.1"]), "name": Lookup(["::1"])}
    )
    recorder = Recorder()
    with listening() as server:
        sock = await aioconnect.connect(
            "name",
            server.port,
            resolver=resolver,
            resolution_delay=0,
            observer=recorder,
        )
        sock.close()
    assert families(resolver) == [ANY, V6, V4]
    assert recorder.only(aioconnect.AttemptStarted).address == server.address
    assert recorder.only(aioconnect.Resolved).family == ANY


@pytest.mark.parametrize("lacks", ["next", "everything"])
async def test_a_late_answer_drops(lacks: str) -> None:
    """What it lacks is not tried any more; what is under way goes on."""
    recorder = Recorder()
    with black_hole() as hole, refusing("127.0.0.2") as refused, listening() as server:
        found: dict[int, list[Address]] = {
            V6: [],
            V4: [hole.address, refused.address],
            ANY: [server.address] if lacks == "everything" else [hole.address],
        }

        async def resolver(
            host: str, port: int, *, family: int, **_: int
        ) -> list[Address]:
            if family == ANY:
                while not recorder.of(aioconnect.AttemptStarted):
                    await asyncio.sleep(0.001)
            return found[family]

        connecting = asyncio.ensure_future(
            aioconnect.connect(
                "name",
                1,
                resolver=resolver,
                resolution_delay=0.01,
                happy_eyeballs_delay=0.1,
                observer=recorder,
            )
        )
        while len(recorder.of(aioconnect.Resolved)) < 2:
            await asyncio.sleep(0.001)
        if lacks == "next":
            await asyncio.sleep(0.2)  # in which the next one would be tried
            hole.open()
        (await connecting).close()
    tried = [event.address for event in recorder.of(aioconnect.AttemptStarted)]
    expected = [hole.address, server.address]
    assert tried == (expected if lacks == "everything" else expected[:1])


@pytest.mark.parametrize("family", [V6, V4])
async def test_a_failure_that_may_be_one_familys_alone(family: int) -> None:
    """Glibc fails for both where A's server does: the other family is asked apart."""
    host = "::1" if family == V6 else "127.0.0.1"
    again = Lookup(error=socket.EAI_AGAIN)
    resolver = ScriptedResolver({"name": again, ("name", family): Lookup([host])})
    with listening(host) as server:
        sock = await aioconnect.connect(
            "name", server.port, resolver=resolver, resolution_delay=60
        )
        with sock:
            assert sock.family == family
    assert families(resolver) == [ANY, V6, V4]


async def test_a_failure_is_final_where_nothing_is_asked_apart() -> None:
    resolver = ScriptedResolver({"name": Lookup(error=socket.EAI_AGAIN)})
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 1, resolver=resolver, resolution_delay=None)
    assert caught.value.errno == socket.EAI_AGAIN
    assert families(resolver) == [ANY]


async def test_no_such_name_is_the_end() -> None:
    """Whoever is still being asked: the one attempt in the history is that answer."""
    resolver = ScriptedResolver(
        {
            ("name", ANY): Lookup(error=socket.EAI_NONAME, delay=0.1),
            "name": Lookup(never=True),
        }
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 1, resolver=resolver, resolution_delay=0)
    assert caught.value.errno == socket.EAI_NONAME
    assert caught.value.attempt_count == 1
    assert {call.family for call in resolver.cancelled} == {V6, V4}


@pytest.mark.parametrize("code", [socket.EAI_FAIL, socket.EAI_MEMORY])
async def test_a_late_failure_is_the_end(code: int) -> None:
    """Other failures for both families end a round, too, and are no timeout."""
    resolver = ScriptedResolver(
        {
            ("name", ANY): Lookup(error=code, delay=0.1),
            "name": Lookup(never=True),
        }
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect(
            "name",
            1,
            resolver=resolver,
            resolution_delay=0,
            retry=(0,),
            retry_on=lambda _: True,
        )
    assert caught.value.errno == code
    assert (caught.value.rounds, caught.value.attempt_count) == (2, 2)


async def test_a_failure_for_now_in_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts at once where no thread is free for the families."""
    monkeypatch.setattr("aioconnect._calls.host_lookup.is_crowded", lambda: True)
    asked: list[int] = []

    def failing(host: object, port: object, family: int, *_: object) -> Any:
        asked.append(family)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name.test", 1, resolution_delay=60)
    assert caught.value.errno == socket.EAI_AGAIN
    assert asked == [ANY]


async def test_flags_of_the_questions() -> None:
    """AI_V4MAPPED is for IPv6 alone: those who ask apart want IPv6 addresses."""
    mapped = int(socket.AI_V4MAPPED | socket.AI_ALL)
    resolver = ScriptedResolver({"name": Lookup(error=socket.EAI_AGAIN)})
    for family in (ANY, V6):
        with pytest.raises(aioconnect.ResolveError):
            await aioconnect.connect(
                "name", 1, resolver=resolver, flags=mapped, family=family
            )
    asked = [(call.family, call.flags) for call in resolver.calls]
    assert asked == [(ANY, mapped), (V6, 0), (V4, 0), (V6, mapped)]


async def test_late_answer_wins() -> None:
    """A whole answer that comes after the race has begun joins it."""
    resolver = ScriptedResolver(
        {
            ("name", V6): Lookup(["::1"], delay=0.2),
            ("name", V4): Lookup(["127.0.0.1"]),
        }
    )
    with on_one_port(black_hole, lambda port: listening("::1", port=port)) as (
        hole,
        server,
    ):
        sock = await aioconnect.connect(
            "name", hole.port, resolver=resolver, resolution_delay=0.01, timeout=60
        )
        with sock:
            assert sock.getpeername()[:2] == server.sockaddr[:2]


async def test_look_up_ends_with_the_race() -> None:
    """The race does not wait for an answer that is no longer needed."""
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): Lookup(["127.0.0.1"])}
    )
    with listening() as server:
        async with leak_check():
            (await aioconnect.connect("name", server.port, resolver=resolver)).close()
    cancelled = [call.family for call in resolver.cancelled]
    assert cancelled == [ANY, V6]


@pytest.mark.parametrize(
    ("errors", "expected", "attempts"),
    [
        ((socket.EAI_NONAME, socket.EAI_NONAME), socket.EAI_NONAME, 1),
        ((socket.EAI_NODATA, socket.EAI_AGAIN), socket.EAI_AGAIN, 3),
        ((socket.EAI_AGAIN, socket.EAI_NODATA), socket.EAI_AGAIN, 3),
        ((None, None), socket.EAI_NONAME, 1),
    ],
)
async def test_no_address(
    errors: tuple[int | None, ...], expected: int, attempts: int
) -> None:
    """The error is one of the resolver's, and a temporary error comes first.

    The families are asked for apart only after a temporary error.
    """
    six, four = errors
    resolver = ScriptedResolver(
        {("name", V6): Lookup(error=six), ("name", V4): Lookup(error=four)}
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver, resolution_delay=60)
    assert caught.value.errno == expected
    assert caught.value.attempt_count == attempts == len(resolver.calls)


@pytest.mark.parametrize("family", [V6, V4])
async def test_no_address_of_the_family(family: int) -> None:
    resolver = ScriptedResolver({"name": Lookup()})
    with pytest.raises(aioconnect.ResolveError, match=r"IPv[46]") as caught:
        await aioconnect.connect("name", 80, resolver=resolver, family=family)
    assert caught.value.attempt_count == 1


@pytest.mark.parametrize("bad", [None, ["127.0.0.1"], [("127.0.0.1", 80)], 7])
async def test_resolver_that_gives_no_addresses(bad: object) -> None:
    """A resolver's bug is named, and comes through as itself."""

    async def resolver(host: str, port: int, **_: int) -> Any:
        return bad

    with pytest.raises(TypeError, match="resolver"):
        await aioconnect.connect("name", 80, resolver=resolver)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), UnicodeError("a bug")])
async def test_resolver_that_raises(error: Exception) -> None:
    resolver = ScriptedResolver({"name": Lookup(error=error)})
    with pytest.raises(type(error), match="a bug"):
        await aioconnect.connect("name", 80, resolver=resolver, retry=(0.01,) * 5)


async def test_resolver_that_gives_up() -> None:
    """A resolver whose own task was cancelled does not cancel the caller."""

    async def resolver(host: str, port: int, **_: int) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == errno.ECANCELED


async def test_numbers_ask_nobody() -> None:
    """An address in numbers, of any spelling, never reaches the resolver."""
    resolver = Answering()
    with refusing("::1") as refused:
        for host in ("::1", "::1%lo", "0:0::1"):
            with pytest.raises(aioconnect.ConnectRefusedError):
                await aioconnect.connect(host, refused.port, resolver=resolver)
        with pytest.raises(aioconnect.ResolveError):
            await aioconnect.connect("::1", 80, resolver=resolver, family=V4)
    assert not resolver.asked


async def test_addresses_of_another_family() -> None:
    """What a resolver gives besides what was asked for is left out."""

    async def both(host: str, port: int, **_: int) -> list[Address]:
        return [Address(V6, ("::1", port)), Address(V4, ("127.0.0.1", port))]

    with on_one_port(listening, lambda port: listening("::1", port=port)) as (
        server,
        _,
    ):
        for family in (V4, V6):
            sock = await aioconnect.connect(
                "name", server.port, resolver=both, family=family
            )
            with sock:
                assert sock.family == family


async def test_errors_of_a_resolvers_own_kind() -> None:
    """They are the cause, as they are."""

    class DoHError(OSError):
        def __init__(self, url: str, status: int) -> None:
            super().__init__(errno.ECONNREFUSED, f"{url}: {status}")

    refused = DoHError("https://dns.invalid", 503)
    resolver = ScriptedResolver({"name": Lookup(error=refused)})
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == errno.ECONNREFUSED
    assert {one.error for one in caught.value.attempts} == {refused}


async def test_each_look_up_has_its_own_time() -> None:
    resolver = ScriptedResolver(
        {
            ("name", ANY): Lookup(error=socket.EAI_AGAIN),
            ("name", V6): Lookup(error=socket.EAI_NONAME),
            ("name", V4): Lookup(error=socket.EAI_NONAME, delay=1.0),
        }
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    _, six, four = caught.value.attempts
    assert six.elapsed < four.elapsed
    assert four.elapsed >= 0.99


async def test_one_address_in_two_spellings() -> None:
    """It is tried once."""
    with refusing("::1") as refused:
        spelt = [Address(V6, (host, refused.port)) for host in ("::1", "0:0::1")]
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect("name", 1, resolver=Answering(*spelt))
    assert caught.value.attempt_count == 1


async def test_no_host_has_a_name() -> None:
    """In the error and the events, None is what it means."""
    recorder = Recorder()
    with refusing() as refused, pytest.raises(OSError, match="this machine") as caught:
        await aioconnect.open_connection(None, refused.port, observer=recorder)
    assert "None" not in str(caught.value)
    assert {event.host for event in recorder.of(aioconnect.Resolved)} == {"localhost"}

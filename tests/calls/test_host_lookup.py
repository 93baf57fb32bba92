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
    assert phases == (["connect"] if others else ["resolve", "resolve"])
    await asyncio.sleep(0)
    assert resolver.pending == 0


async def test_late_answer_wins() -> None:
    """An AAAA answer that comes after the race has begun joins it."""
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
    assert [call.family for call in resolver.cancelled] == [V6]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((socket.EAI_NONAME, socket.EAI_NONAME), socket.EAI_NONAME),
        ((socket.EAI_NODATA, socket.EAI_AGAIN), socket.EAI_AGAIN),
        ((socket.EAI_AGAIN, socket.EAI_NODATA), socket.EAI_AGAIN),
        ((None, None), socket.EAI_NONAME),
    ],
)
async def test_no_address(errors: tuple[int | None, ...], expected: int) -> None:
    """The error is one of the resolver's, and a temporary error comes first."""
    six, four = errors
    resolver = ScriptedResolver(
        {("name", V6): Lookup(error=six), ("name", V4): Lookup(error=four)}
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    assert caught.value.errno == expected
    assert caught.value.attempt_count == 2


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
            ("name", V6): Lookup(error=socket.EAI_NONAME),
            ("name", V4): Lookup(error=socket.EAI_NONAME, delay=1.0),
        }
    )
    with pytest.raises(aioconnect.ResolveError) as caught:
        await aioconnect.connect("name", 80, resolver=resolver)
    six, four = caught.value.attempts
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

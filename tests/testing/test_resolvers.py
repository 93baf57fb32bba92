"""Resolvers answer from a table, or follow a script."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from aioconnect._sansio.addresses import Address
from aioconnect.testing import (
    Lookup,
    ResolverCall,
    ScriptedResolver,
    StaticResolver,
    leak_check,
)

V4 = Address(socket.AF_INET, ("192.0.2.1", 80))
V6 = Address(socket.AF_INET6, ("::1", 80, 0, 0))


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (socket.AF_UNSPEC, [V4, V6]),
        (socket.AF_INET, [V4]),
        (socket.AF_INET6, [V6]),
    ],
)
async def test_static_resolver(family: int, expected: list[Address]) -> None:
    resolver = StaticResolver({"Name.test": ["192.0.2.1", "::1"], "empty": []})
    found = await resolver("name.TEST", 80, family=family, proto=0, flags=0)
    assert found == expected
    assert await resolver("empty", 80, family=family) == []
    assert resolver.calls[0] == ResolverCall("name.TEST", 80, family, 0, 0)


async def test_static_resolver_keeps_proto_and_scope() -> None:
    resolver = StaticResolver({"a": ["fe80::1%3"]})
    (address,) = await resolver("a", 1, proto=262)
    assert address == Address(socket.AF_INET6, ("fe80::1", 1, 0, 3), 262)


async def test_static_resolver_without_the_name() -> None:
    with pytest.raises(socket.gaierror) as caught:
        await StaticResolver({})("nowhere.test", 80)
    assert caught.value.errno == socket.EAI_NONAME
    assert caught.value.strerror == "Name or service not known"


def test_a_bad_answer_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="'localhost' is not an address"):
        StaticResolver({"a": ["localhost"]})
    with pytest.raises(TypeError, match="must be a list"):
        StaticResolver({"a": "::1"})
    with pytest.raises(ValueError, match="not an address"):
        Lookup(["localhost"])
    with pytest.raises(ValueError, match="delay"):
        Lookup(["::1"], delay=float("nan"))
    with pytest.raises(ValueError, match="no look-up"):
        ScriptedResolver({"a": []})
    with pytest.raises(TypeError, match=r"script: '::1' is not a Lookup"):
        ScriptedResolver({"a": ["::1"]})  # type: ignore[list-item]  # that is the test


async def test_an_error_of_any_number_is_raised() -> None:
    resolver = ScriptedResolver({"a": Lookup(error=-99)})
    with pytest.raises(socket.gaierror) as caught:
        await resolver("a", 80)
    assert caught.value.errno == -99


AGAIN, NONE = Lookup(error=socket.EAI_AGAIN), Lookup(error=socket.EAI_NONAME)


@pytest.mark.parametrize(
    ("six", "four", "expected"),
    [
        (Lookup(["::1"]), Lookup(["192.0.2.1"], delay=0.01), [V6, V4]),
        (AGAIN, Lookup(["192.0.2.1"]), [V4]),
        (Lookup(["::1"]), NONE, [V6]),
        (Lookup(), Lookup(), []),
        (AGAIN, NONE, socket.EAI_AGAIN),
        (NONE, AGAIN, socket.EAI_AGAIN),
        (NONE, Lookup(), socket.EAI_NONAME),
    ],
)
async def test_a_whole_answer_is_made_of_both_families(
    six: Lookup, four: Lookup, expected: list[Address] | int
) -> None:
    """It fails if there is no address, for now if one of them fails for now."""
    resolver = ScriptedResolver(
        {("a", socket.AF_INET6): six, ("a", socket.AF_INET): four}
    )
    if isinstance(expected, list):
        assert await resolver("a", 80) == expected
    else:
        with pytest.raises(socket.gaierror) as caught:
            await resolver("a", 80)
        assert caught.value.errno == expected
    assert [call.family for call in resolver.calls] == [socket.AF_UNSPEC]


@pytest.mark.parametrize("key", ["a", ("a", socket.AF_INET)])
async def test_each_family_counts_its_own_calls(key: Any) -> None:
    """So a round takes one step, whether its families are asked for apart or not."""
    first, second = "192.0.2.1", "192.0.2.2"
    resolver = ScriptedResolver({key: [Lookup([first]), Lookup([second])]})
    found = [
        await resolver("a", 80, family=family)
        for family in (0, socket.AF_INET, 0, socket.AF_INET)
    ]
    hosts = [address.sockaddr[0] for addresses in found for address in addresses]
    assert hosts == [first, first, second, second]


async def test_a_whole_answer_of_its_own() -> None:
    """A script for AF_UNSPEC is that of no family; without it, both have to end."""
    apart: dict[tuple[str, int] | str, Lookup | Sequence[Lookup]] = {
        ("a", socket.AF_INET6): Lookup(never=True),
        ("a", socket.AF_INET): Lookup(["192.0.2.1"]),
    }
    whole = [Lookup(["::1"]), AGAIN]
    resolver = ScriptedResolver(apart | {("a", socket.AF_UNSPEC): whole})
    assert await resolver("a", 80) == [V6]
    with pytest.raises(socket.gaierror, match="Temporary"):
        await resolver("a", 80)
    assert await resolver("a", 80, family=socket.AF_INET) == [V4]
    task = asyncio.create_task(ScriptedResolver(apart)("a", 80))
    _, pending = await asyncio.wait([task], timeout=0.01)
    assert pending
    task.cancel()


async def test_scripted_resolver_by_name_and_family() -> None:
    error = ConnectionError("mine")
    resolver = ScriptedResolver(
        {
            ("a", socket.AF_INET): Lookup(["192.0.2.1", "::1"], delay=0.02),
            ("a", socket.AF_INET6): Lookup(error=socket.EAI_AGAIN),
            "b": [Lookup(error=error), Lookup(["::1"]), Lookup()],
        }
    )
    loop = asyncio.get_running_loop()
    async with leak_check():
        begun = loop.time()
        assert await resolver("a", 80, family=socket.AF_INET) == [V4]
        # A loop's timer may be early by the resolution of its clock.
        assert loop.time() - begun >= 0.018
        with pytest.raises(socket.gaierror) as caught:
            await resolver("A", 80, family=socket.AF_INET6)
        assert caught.value.errno == socket.EAI_AGAIN
        with pytest.raises(ConnectionError, match="mine"):
            await resolver("b", 80, family=socket.AF_INET6)
        assert await resolver("b", 80, family=socket.AF_INET6) == [V6]
        assert await resolver("b", 80, family=socket.AF_INET6) == []
        assert await resolver("b", 80, family=socket.AF_INET6) == []
        with pytest.raises(socket.gaierror):
            await resolver("c", 80)
    assert len(resolver.calls) == 7


@pytest.mark.parametrize("lookup", [Lookup(never=True), Lookup(delay=3600)])
async def test_a_lookup_that_is_cancelled_leaves_nothing(lookup: Lookup) -> None:
    resolver = ScriptedResolver({"a": lookup})
    async with leak_check():
        task = asyncio.ensure_future(resolver("a", 80))
        await asyncio.sleep(0)
        assert resolver.pending == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert resolver.pending == 0
    assert resolver.cancelled == resolver.calls

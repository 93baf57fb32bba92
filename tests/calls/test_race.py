"""The race on real sockets: who wins, what the losers leave, and which events come."""

from __future__ import annotations

import asyncio
import socket
import time
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
    flaky,
    leak_check,
    listening,
    refusing,
)


async def test_silent_first() -> None:
    """The second address is tried after the Connection Attempt Delay, and wins."""
    recorder = Recorder()
    with black_hole("::1") as hole, listening() as server:
        resolver = Answering(hole.address, server.address)
        async with leak_check():
            options: Any = {"resolver": resolver, "happy_eyeballs_delay": 0.05}
            sock = await aioconnect.connect("two", 1, observer=recorder, **options)
            with sock:
                assert sock.getpeername() == server.sockaddr
    assert resolver.asked == [socket.AF_UNSPEC]
    first, second = recorder.of(aioconnect.AttemptStarted)
    assert (first.address, second.address) == (hole.address, server.address)
    # uvloop's clock counts milliseconds.
    assert second.at - first.at > 0.04
    recorder.assert_none(aioconnect.AttemptFailed)


async def test_the_delay_ends_no_attempt() -> None:
    """RFC 8305, 5: the first may still win when the second has been started."""
    with flaky(["hang", "accept"], host="::1") as server, black_hole() as hole:
        recorder = Recorder()

        def answer_when_both_are_tried(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptStarted)) == 2:
                server.advance()

        server.advance()
        sock = await aioconnect.connect(
            "two",
            1,
            resolver=Answering(server.address, hole.address),
            happy_eyeballs_delay=0.05,
            observer=answer_when_both_are_tried,
            timeout=60,
        )
        with sock:
            assert sock.getpeername()[:2] == server.sockaddr[:2]
        recorder.assert_none(aioconnect.AttemptFailed)


async def test_a_failure_starts_the_next_at_once() -> None:
    """Nothing waits for the delay when there is nothing else to wait for."""
    recorder = Recorder()
    with refusing("::1") as refused, listening() as server:
        resolver = Answering(refused.address, server.address)
        with await aioconnect.connect(
            "two", 1, resolver=resolver, happy_eyeballs_delay=60, observer=recorder
        ):
            pass
    failed = recorder.only(aioconnect.AttemptFailed)
    _, second = recorder.of(aioconnect.AttemptStarted)
    assert failed.attempt.address == refused.address
    assert second.at - failed.at < 30


async def test_all_refuse() -> None:
    """Each address is tried once, and the one error names them all."""
    with refusing() as four, refusing("::1") as six, refusing("127.0.0.2") as two:
        addresses = (four.address, six.address, two.address)
        recorder = Recorder()
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect(
                "three", 1, resolver=Answering(*addresses), observer=recorder
            )
    tried = [attempt.address for attempt in caught.value.attempts]
    assert sorted(map(str, tried)) == sorted(map(str, addresses))
    assert all(str(address) in str(caught.value) for address in addresses)
    assert len(recorder.of(aioconnect.AttemptStarted)) == 3
    recorder.assert_in_order("AttemptFailed", "GaveUp")


async def test_one_at_a_time() -> None:
    """Without a delay the next address waits for the one before to fail."""
    recorder = Recorder()
    with (
        black_hole("::1") as hole,
        listening() as server,
        await aioconnect.connect(
            "two",
            1,
            resolver=Answering(hole.address, server.address),
            happy_eyeballs_delay=None,
            attempt_timeout=0.1,
            observer=recorder,
        ),
    ):
        pass
    recorder.assert_in_order("AttemptStarted", "AttemptFailed", "AttemptStarted")
    failed = recorder.only(aioconnect.AttemptFailed).attempt
    assert failed.address == hole.address
    assert isinstance(failed.error, TimeoutError)


async def test_deadline_of_a_race() -> None:
    """K6: the error of a call whose time was up has what was under way in it."""
    with black_hole("::1") as six, black_hole() as four, refusing() as refused:
        addresses = (six.address, refused.address, four.address)
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "three",
                1,
                resolver=Answering(*addresses),
                happy_eyeballs_delay=0.01,
                timeout=1,
            )
    error = caught.value
    assert {attempt.address for attempt in error.attempts} == set(addresses)
    assert error.elapsed >= 0.99  # uvloop's clock counts milliseconds


async def test_one_family_keeps_its_order() -> None:
    """A resolver has put it in order, or means to have it so."""
    recorder = Recorder()
    hosts = ["127.0.0.9", "127.0.0.1", "127.0.0.5"]
    with refusing() as refused:
        addresses = [Address(V4, (host, refused.port)) for host in hosts]
        resolver = Answering(*addresses)
        with pytest.raises(aioconnect.ConnectRefusedError):
            await aioconnect.connect("three", 1, resolver=resolver, observer=recorder)
    tried = [event.address for event in recorder.of(aioconnect.AttemptStarted)]
    assert tried == addresses


async def test_time_for_the_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt's time begins with the attempt, not with a local name's look-up."""
    loop = asyncio.get_running_loop()

    async def slow(*_: object) -> list[Address]:
        await asyncio.sleep(0.2)
        return [Address(V4, ("127.0.0.1", 0))]

    monkeypatch.setattr("aioconnect._calls.first_addresses.first_addresses", slow)
    options: Any = {"local_addr": ("name", 0), "attempt_timeout": 0.1}
    with black_hole() as hole:
        started = loop.time()
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(hole.host, hole.port, **options)
    (attempt,) = caught.value.attempts
    assert attempt.started - started > 0.15
    assert attempt.elapsed > 0.05


async def test_the_time_is_up_before_an_address_is_tried() -> None:
    """Looked up is not "nothing was tried": the error has what was known, and not."""
    resolver = ScriptedResolver(
        {("name", V6): Lookup(never=True), ("name", V4): Lookup(["127.0.0.1"])}
    )

    def late(event: aioconnect.Event) -> None:
        """Hold up the loop until the time is up, when there is an address."""
        if isinstance(event, aioconnect.Resolved):
            time.sleep(0.3)

    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "name", 1, resolver=resolver, timeout=0.2, observer=late
        )
    assert [attempt.phase for attempt in caught.value.attempts] == ["resolve"] * 3
    assert "the time ran out before its addresses could be tried" in str(caught.value)
    assert "the resolver did not answer in time" in str(caught.value)

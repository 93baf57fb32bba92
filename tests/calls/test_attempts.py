"""The attempts of a race: six at most, each closed or handed over."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import time
from contextlib import ExitStack
from typing import Any

import pytest
from calls.resolvers import V4, Answering
from loop_ticks import LoopTicks

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    Recorder,
    black_hole,
    flaky,
    leak_check,
    listening,
    refusing,
)


async def test_time_that_the_observer_takes() -> None:
    """What is under way at the deadline is in the error, however late it is seen."""

    def slow(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.AttemptStarted):
            time.sleep(0.7)

    with black_hole("::1") as six, black_hole() as four:
        addresses = (six.address, four.address)
        options: Any = {"resolver": Answering(*addresses), "observer": slow}
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "two", 1, happy_eyeballs_delay=0.01, timeout=1.2, **options
            )
    assert {one.address for one in caught.value.attempts} == set(addresses)


async def test_the_loop_runs_in_between() -> None:
    """While many addresses fail at once, other tasks run."""
    with refusing() as refused, LoopTicks() as ticks:
        addresses = [Address(V4, (f"127.1.0.{n}", refused.port)) for n in range(1, 101)]
        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect("many", 1, resolver=Answering(*addresses))
    assert caught.value.attempt_count == 100
    assert ticks.count > 4


async def test_no_task_for_an_attempt() -> None:
    """The only tasks of a race are the look-ups."""
    seen: list[int] = []
    with black_hole("::1") as hole, refusing() as refused, listening() as server:
        addresses = (hole.address, refused.address, server.address)
        before = len(asyncio.all_tasks())
        with await aioconnect.connect(
            "three",
            1,
            resolver=Answering(*addresses),
            happy_eyeballs_delay=0.01,
            observer=lambda _: seen.append(len(asyncio.all_tasks())),
        ):
            pass
    assert max(seen) <= before + 2
    assert seen[-1] == before


async def test_the_seventh_address() -> None:
    """Six are live at most: for each further one the oldest is given up, and says so.

    Without a timeout, too: each of the silent ones costs its delay, however many.
    """
    recorder = Recorder()
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(9)]
        server = stack.enter_context(listening())
        addresses = [hole.address for hole in holes]
        sock = await aioconnect.connect(
            "ten",
            1,
            resolver=Answering(*addresses, server.address),
            happy_eyeballs_delay=0.05,
            observer=recorder,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    started = recorder.of(aioconnect.AttemptStarted)
    assert [event.address for event in started] == [*addresses, server.address]
    failed = [event.attempt for event in recorder.of(aioconnect.AttemptFailed)]
    # The tenth connects at once, so no attempt has to make room for it.
    assert [attempt.address for attempt in failed] == addresses[:3]
    for attempt in failed:
        assert "no answer yet, given up for the next address" in str(attempt)
        assert isinstance(attempt.error, TimeoutError)
        assert aioconnect.is_transient(attempt.error)
    live = 0
    for event in recorder.events:
        live += isinstance(event, aioconnect.AttemptStarted)
        live -= isinstance(event, aioconnect.AttemptFailed)
        assert live <= 7  # the event comes before the oldest is given up
    # uvloop's clock counts milliseconds.
    delays = [two.at - one.at for one, two in itertools.pairwise(started)]
    assert min(delays) > 0.04


async def test_an_address_that_was_given_up_is_no_end_of_the_time() -> None:
    """Without a timeout no call is out of time, whatever attempts were given up."""
    with ExitStack() as servers:
        holes = [servers.enter_context(black_hole()) for _ in range(7)]

        def observe(event: aioconnect.Event) -> None:
            if isinstance(event, aioconnect.AttemptFailed):
                servers.close()  # from now on they refuse

        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.connect(
                "seven",
                1,
                resolver=Answering(*(hole.address for hole in holes)),
                happy_eyeballs_delay=0.01,
                observer=observe,
            )
    assert "within" not in str(caught.value)
    oldest, *others = [one.error for one in caught.value.attempts]
    assert isinstance(oldest, TimeoutError)
    assert [type(error) for error in others] == [ConnectionRefusedError] * 6


async def test_the_last_six_keep_their_time() -> None:
    """Nobody waits for them: what ends them is the time of the call."""
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(8)]
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.connect(
                "eight",
                1,
                resolver=Answering(*(hole.address for hole in holes)),
                happy_eyeballs_delay=0.01,
                timeout=1,
            )
    elapsed = [attempt.elapsed for attempt in caught.value.attempts]
    assert len(elapsed) == 8
    texts = [str(attempt.error) for attempt in caught.value.attempts]
    assert ["given up" in text for text in texts] == [True] * 2 + [False] * 6
    assert caught.value.elapsed >= 0.99


async def test_an_address_that_was_given_up_is_tried_again() -> None:
    """A retry policy takes it for a timeout, whatever became of the others."""

    def forbid(sock: socket.socket, address: Address) -> None:
        if address != found[0] and len(recorder.of(aioconnect.AttemptStarted)) > 7:
            raise PermissionError(errno.EPERM, "not this one")

    recorder = Recorder()
    with ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(7)]
        found = [hole.address for hole in holes]
        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.connect(
                "seven",
                1,
                resolver=Answering(*found),
                happy_eyeballs_delay=0.01,
                prepare=[forbid],
                # The first alone, which was given up, is a reason to go on.
                retry_on=lambda error: "given up" in str(error),
                retry=(0,),
                attempt_timeout=1,
                observer=recorder,
            )
    first = [one for one in caught.value.attempts if one.round == 1]
    assert caught.value.rounds == 2
    assert ["given up" in str(one) for one in first] == [True] + [False] * 6


async def test_the_oldest_has_just_connected() -> None:
    """It is not given up: it has won, even if no event has come yet."""
    recorder = Recorder()
    socks: list[socket.socket] = []
    with flaky(["hang", "accept"]) as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(6)]

        def hold_the_loop(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptStarted)) == 6:
                server.advance()
                _wait_for_the_peer_of(socks[0])

        server.advance()
        sock = await aioconnect.connect(
            "seven",
            1,
            resolver=Answering(server.address, *(hole.address for hole in holes)),
            happy_eyeballs_delay=0.01,
            prepare=[lambda sock, _: socks.append(sock)],
            observer=hold_the_loop,
            timeout=60,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    # The seventh has started, and leaves nothing.
    assert len(recorder.of(aioconnect.AttemptStarted)) == 7
    recorder.assert_none(aioconnect.AttemptFailed)


@pytest.mark.parametrize("by", ["allow", "prepare"])
async def test_nobody_is_given_up_for_an_address_that_cannot_be_dialled(
    by: str,
) -> None:
    """The oldest may still win, however many such addresses are due."""
    recorder = Recorder()
    with flaky(["hang", "accept"]) as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(5)]
        bad = [Address(V4, (f"127.0.0.{n}", server.port)) for n in range(200, 220)]

        def answer_when_all_have_failed(event: aioconnect.Event) -> None:
            recorder(event)
            if len(recorder.of(aioconnect.AttemptFailed)) == len(bad):
                server.advance()

        def forbid(sock: socket.socket, address: Address) -> None:
            if address in bad:
                raise PermissionError(errno.EPERM, "not this one")

        how: dict[str, Any] = {
            "allow": lambda ip, _: int(ip) & 255 < 200,
            "prepare": [forbid],
        }
        server.advance()
        found = [server.address, *(hole.address for hole in holes), *bad]
        sock = await aioconnect.connect(
            "many",
            1,
            resolver=Answering(*found),
            happy_eyeballs_delay=0.01,
            observer=answer_when_all_have_failed,
            timeout=60,
            **{by: how[by]},
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    failed = [event.attempt for event in recorder.of(aioconnect.AttemptFailed)]
    assert [attempt.address for attempt in failed] == bad


def _wait_for_the_peer_of(sock: socket.socket) -> None:
    for _ in range(3000):
        try:
            sock.getpeername()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError("it was never connected")


async def test_one_that_proves_itself_is_not_given_up() -> None:
    """Connected is connected, however many wait for their turn."""
    recorder = Recorder()

    async def ready(sock: socket.socket) -> None:
        await all_have_started.wait()

    def note(event: aioconnect.Event) -> None:
        recorder(event)
        if len(recorder.of(aioconnect.AttemptStarted)) == 9:
            all_have_started.set()

    all_have_started = asyncio.Event()
    with listening() as server, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(8)]
        found = [hole.address for hole in holes]
        sock = await aioconnect.connect(
            "nine",
            1,
            resolver=Answering(server.address, *found),
            happy_eyeballs_delay=0.01,
            ready=ready,
            observer=note,
            timeout=60,
        )
        with sock:
            assert sock.getpeername() == server.sockaddr
    failed = [one.attempt for one in recorder.of(aioconnect.AttemptFailed)]
    # Room was made for the seventh and the eighth of nine, if the ninth was in time.
    assert [one.address for one in failed][:2] == found[:2]


async def test_a_seventh_that_connects_makes_the_oldest_go() -> None:
    """While it has to prove itself, it is one more, and the others go on."""
    recorder = Recorder()

    async def stalls(sock: socket.socket) -> None:
        if sock.getpeername() == stalling.sockaddr:
            await asyncio.Event().wait()

    with listening() as stalling, listening() as good, ExitStack() as stack:
        holes = [stack.enter_context(black_hole()) for _ in range(6)]
        found = [hole.address for hole in holes]
        with await aioconnect.connect(
            "eight",
            1,
            resolver=Answering(*found, stalling.address, good.address),
            happy_eyeballs_delay=0.01,
            ready=stalls,
            observer=recorder,
            timeout=20,
        ) as sock:
            assert sock.getpeername() == good.sockaddr
    failed = [one.attempt for one in recorder.of(aioconnect.AttemptFailed)]
    assert [one.address for one in failed][:1] == found[:1]
    assert all("given up for the next address" in str(one) for one in failed)


async def test_a_connected_one_waits_for_no_watcher() -> None:
    """A connected socket is always writable, and would keep the loop busy."""
    watched: list[str] = []
    hole_has_started = asyncio.Event()

    async def ready(sock: socket.socket) -> None:
        await hole_has_started.wait()
        await asyncio.sleep(0)
        watched.extend(leak for leak in check.leaks() if leak.startswith("watcher"))

    def note(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.AttemptStarted) and event.address != first:
            hole_has_started.set()

    with listening() as server, black_hole() as hole:
        first = server.address
        async with leak_check() as check:
            with await aioconnect.connect(
                "two",
                1,
                resolver=Answering(first, hole.address),
                ready=ready,
                happy_eyeballs_delay=0.01,
                observer=note,
            ) as sock:
                assert sock.getpeername() == server.sockaddr
    assert len(watched) == 1, "only the one that is still silent"

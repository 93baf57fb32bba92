"""The time of a call, and its shares."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from typing import Any

import pytest

import aioconnect
from aioconnect import Address, AttemptStarted, Connector, RetryScheduled
from aioconnect._calls.rounds import Rounds
from aioconnect._io.sockets import system_error
from aioconnect._sansio.endpoints import Endpoint
from aioconnect._sansio.errors import AttemptDisplaced, AttemptError
from aioconnect.testing import BlackHole, Recorder, Server, flaky

PLACE = [Endpoint("name", 80)]


@pytest.mark.parametrize(
    ("timeout", "waiting", "share"),
    [
        (12.0, 0, 12.0),  # nobody else waits
        (12.0, 1, 6.0),
        (12.0, 2, 4.0),
        (12.0, 11, 2.0),  # at least two seconds
        (3.0, 2, 2.0),
        (1.0, 2, 1.0),  # if there are as many
        (None, 2, None),
    ],
)
async def test_shares_of_addresses(
    timeout: float | None, waiting: int, share: float | None
) -> None:
    """One address at a time has its share of what is left, at least 2 s."""
    loop = asyncio.get_running_loop()
    alone = Connector(timeout=timeout, happy_eyeballs_delay=None)
    rounds = Rounds(loop, alone, PLACE)
    start = 0.0 if rounds.deadline is None else rounds.deadline - (timeout or 0)
    limit = rounds.limit(start, waiting)
    assert limit == (None if share is None else pytest.approx(start + share))
    if timeout is not None and share == timeout:
        assert limit == rounds.deadline, "else it would be tried once more"


async def test_no_share_where_there_is_a_race() -> None:
    """The others are begun beside it, or an option bounds it."""
    loop = asyncio.get_running_loop()
    rounds = Rounds(loop, Connector(timeout=12), PLACE)
    assert rounds.limit(loop.time(), 3) == rounds.deadline
    assert rounds.limit(loop.time(), 5) == rounds.deadline
    assert rounds.limit(loop.time(), 99) == rounds.deadline, "they make room"
    bounded = Connector(timeout=12, attempt_timeout=1, happy_eyeballs_delay=None)
    rounds = Rounds(loop, bounded, PLACE)
    now = loop.time()
    assert rounds.limit(now, 3) == now + 1


async def test_the_next_round_has_its_share() -> None:
    """If there will be one, the last turn leaves some of the time to it."""
    loop = asyncio.get_running_loop()
    again = Connector(timeout=60, retry=(1,))
    rounds = Rounds(loop, again, PLACE * 2, turns=2)
    await rounds.next()
    await rounds.next()
    assert rounds.deadline is not None
    assert rounds.until is not None
    assert rounds.until - loop.time() == pytest.approx(30, abs=2)


async def test_shares_of_turns() -> None:
    """Each has its share of what is left, and the last one all of it."""
    loop = asyncio.get_running_loop()
    rounds = Rounds(loop, Connector(timeout=60), PLACE * 3, turns=3)
    assert rounds.deadline is not None
    for waiting in (2, 1):
        await rounds.next()
        left = rounds.deadline - loop.time()
        assert rounds.until is not None
        assert rounds.until - loop.time() == pytest.approx(left / (waiting + 1), abs=1)
    await rounds.next()
    assert rounds.until == rounds.deadline
    assert (rounds.number, rounds.turn) == (1, 2)


async def test_a_silent_address_leaves_time(
    black_hole: BlackHole, listener: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, with a time for the call: the second has its share."""
    monkeypatch.setattr("aioconnect._calls.rounds._LEAST_SHARE", 0.2)
    found = [black_hole.address, listener.address]

    def resolver(host: str, port: int, *, family: int, **_: int) -> list[Address]:
        return found if family == socket.AF_INET else []

    recorder = Recorder()
    options: Any = {"resolver": resolver, "observer": recorder}
    deadline = asyncio.get_running_loop().time() + 2
    sock = await aioconnect.connect(
        "two", 1, happy_eyeballs_delay=None, timeout=2, **options
    )
    with sock:
        assert sock.getpeername() == listener.sockaddr
    one, two = recorder.of(AttemptStarted)
    assert two.at - one.at >= (deadline - one.at) / 2 - 0.01


async def test_a_round_is_cut_at_the_deadline() -> None:
    """Not before: what it would need is not asked."""
    with (
        flaky(["refuse", "hang"]) as server,
        pytest.raises(aioconnect.ConnectTimeoutError) as caught,
    ):
        await aioconnect.connect(
            server.host,
            server.port,
            timeout=0.5,
            attempt_timeout=60,
            retry=(0, 0, 0),
            prepare=[server],
        )
    last = caught.value.attempts[-1]
    assert caught.value.rounds == 2
    assert last.elapsed < 60
    assert caught.value.elapsed >= 0.49


async def test_the_loop_was_late(refused_port: int) -> None:
    """A round that there is no time for is not counted, and the last one the cause."""

    def blocks(event: aioconnect.Event) -> None:
        if isinstance(event, RetryScheduled):
            time.sleep(0.3)

    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect(
            "127.0.0.1", refused_port, timeout=0.2, retry=(0, 0), observer=blocks
        )
    assert caught.value.rounds == 1
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_a_verdict_stands(listener: Server) -> None:
    """Who is cancelled when a policy has given up gets no other round for it."""
    loop = asyncio.get_running_loop()
    rounds = Rounds(loop, Connector(), PLACE)
    await rounds.next()
    refused = AttemptError("connect", system_error(errno.ECONNREFUSED))
    rounds.failed(listener.address, refused, loop.time(), None)
    ending = rounds.next()
    ending.send(None)  # to where others run
    with pytest.raises(asyncio.CancelledError):
        ending.throw(asyncio.CancelledError)
    rounds.resume()
    with pytest.raises(aioconnect.ConnectRefusedError):
        await rounds.next()


async def test_what_is_no_answer(listener: Server) -> None:
    """Attempts that were given up say nothing about how long one takes."""
    loop = asyncio.get_running_loop()
    recorder = Recorder()
    options = Connector(timeout=60, retry=(3600,), observer=recorder)
    rounds = Rounds(loop, options, PLACE, started=loop.time() - 20)
    rounds.begin()
    displaced = AttemptDisplaced("connect", system_error(errno.ETIMEDOUT))
    rounds.failed(listener.address, displaced, rounds.started, None)
    ending = rounds.next()
    ending.send(None)
    ending.close()
    (scheduled,) = recorder.of(RetryScheduled)
    assert scheduled.delay == pytest.approx(40 - 0.05, abs=1)


async def test_time_anew_for_what_was_lost(listener: Server) -> None:
    """A sibling whose time was up when another won says nothing about the next turn."""
    loop = asyncio.get_running_loop()
    rounds = Rounds(loop, Connector(timeout=60, retry=(0,)), PLACE)
    await rounds.next()
    rounds.expire()
    rounds.lost(listener.address, loop.time(), "it has not lasted")
    await rounds.next()
    assert rounds.number == 2

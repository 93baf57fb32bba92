"""Judge the observed result of a call by the model: the invariants of the machine.

A connected socket is tried out here, and closed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fault_suite.model import (
    CONNECTED,
    Bug,
    Met,
    allowed,
    check_attempts,
    check_error,
    is_spared,
)
from fault_suite.world import PATIENCE, Seen, World

from aioconnect import (
    Address,
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Connected,
    ConnectError,
    GaveUp,
    Resolved,
    ResolveFailed,
    ResolveStarted,
    RetryScheduled,
)

__all__ = ["close", "echoes", "what_came"]

_PING = b"ping"

# The peer's answer to a ping, by the word that the attempt met.  Silence cannot be
# checked.
_ANSWERS = {"accept_close": b"", "accept": _PING, "unix": _PING, "trusted": _PING}


async def what_came(world: World, seen: Seen) -> str:
    """Check that the contract allows what was *seen*; return it as a phrase."""
    assert not seen.is_late, f"not ended in time: {world.program}"
    if seen.made is not None:
        await check_connected(world, seen)
        return "connected"
    if isinstance(seen.error, asyncio.CancelledError):
        assert seen.is_cancelled
        world.recorder.assert_none(Connected, GaveUp)
        return "cancelled, nothing left"
    assert not seen.is_cancelled, "a cancellation was swallowed"
    if isinstance(seen.error, Bug):
        assert world.has_bug or has_bug_in_resolver(world)
        return "the exception of a hook, an observer or a resolver, as itself"
    assert not world.has_bug
    if not isinstance(seen.error, ConnectError):
        raise AssertionError("neither connected nor the one error") from seen.error
    check_error(world.program, seen.error, world.history())
    assert 0 <= seen.error.elapsed <= seen.ended - seen.started
    assert (seen.error.host, seen.error.port) == world.target()
    if world.program.observer is not None:
        assert world.recorder.only(GaveUp).error is seen.error
        check_events(world, seen.error.rounds)
        assert failed(world) == list(seen.error.attempts)
    return "one error"


def has_bug_in_resolver(world: World) -> bool:
    lookups = world.program.lookups.values()
    return any(isinstance(step.error, Bug) for steps in lookups for step in steps)


def failed(world: World) -> list[Attempt]:
    return [event.attempt for event in world.recorder.of(AttemptFailed)]


async def check_connected(world: World, seen: Seen) -> None:
    """Check that the peer is one of those named, and that bytes arrive."""
    assert not seen.is_cancelled, "a cancellation was swallowed"
    assert not world.has_bug
    peers = peers_of(world, seen.made)
    fates = [allowed(world.program, at.family, met) for at, met in peers.items()]
    assert any(CONNECTED in fate for fate in fates), peers
    if world.program.observer is not None:
        event = world.recorder.only(Connected)
        assert event.address in peers
        check_events(world, event.round)
        history = failed(world)
        check_attempts(world.program, history, world.history(), event.round, False)
    if len(peers) == 1:
        await try_out(seen.made, *(met.word for met in peers.values()))


def peers_of(world: World, made: Any) -> dict[Address, Met]:
    """Return the possible peers, and what the last attempt at each met."""
    last = {address: met[-1] for address, met in world.history().items()}
    peer = peer_name(made)
    if peer is None:
        # It has since reset the connection, as its word says.
        found = {address: met for address, met in last.items() if met.word == "reset"}
    else:
        found = {
            address: met for address, met in last.items() if address.sockaddr == peer
        }
    assert found, f"{peer} is none of {world.addresses}"
    return found


def peer_name(made: Any) -> object:
    """Return the name of the peer, or None if it has gone."""
    if not isinstance(made, socket.socket):
        writer = made[1]
        # A closed transport of uvloop gives no information.
        return None if writer.is_closing() else writer.get_extra_info("peername")
    assert made.gettimeout() == 0
    assert not made.get_inheritable()
    try:
        return made.getpeername()
    except OSError as exc:
        assert exc.errno == errno.ENOTCONN
        return None


async def try_out(made: Any, word: str) -> None:
    """Check that a peer which met *word* answers a ping as the word says."""
    if word not in _ANSWERS:
        return
    async with asyncio.timeout(PATIENCE):
        if isinstance(made, socket.socket):
            assert await answer(made) == _ANSWERS[word]
            return
        reader, writer = made
        writer.write(_PING)
        assert await reader.read(len(_PING)) == _ANSWERS[word]


async def answer(sock: socket.socket) -> bytes:
    """Return the answer of the peer of *sock* to a ping."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _PING)
    return await loop.sock_recv(sock, len(_PING))


async def echoes(sock: socket.socket) -> None:
    """Check that bytes travel through *sock* and back."""
    async with asyncio.timeout(PATIENCE):
        assert await answer(sock) == _PING


async def close(made: Any) -> None:
    """Close the result of a call, if there is one."""
    if made is None:
        return
    if isinstance(made, socket.socket):
        made.close()
        return
    made[1].close()
    with suppress(OSError):
        await made[1].wait_closed()


def check_events(world: World, rounds: int) -> None:
    """Check that the events tell the story of this number of rounds, in order."""
    recorder, program = world.recorder, world.program
    moments = [event.at for event in recorder.events]
    assert moments == sorted(moments)
    last = recorder.events[-1]
    assert type(last) in (Connected, GaveUp)
    scheduled = [(event.round, event.delay) for event in recorder.of(RetryScheduled)]
    whole = list(enumerate(program.delays[: len(scheduled)], 1))
    if scheduled != whole:  # the last one was shortened
        assert program.timeout is not None
        assert scheduled[:-1] == whole[:-1]
        assert scheduled[-1][1] < whole[-1][1]
    # A late loop may have left no time for the next round.
    is_over = isinstance(last, GaveUp) and isinstance(last.error, TimeoutError)
    assert rounds - 1 <= len(scheduled) <= rounds - 1 + is_over
    started = [(event.round, event.address) for event in recorder.of(AttemptStarted)]
    assert len(started) == len(set(started))
    for attempt in failed(world):
        if attempt.address is not None and not is_spared(attempt):
            assert (attempt.round, attempt.address) in started
    if program.is_announced:
        met = {address: len(of) for address, of in world.met.items()}
        assert Counter(address for _, address in started) == met
    check_whole_answers(world)


def check_whole_answers(world: World) -> None:
    """Check that nothing starts that the whole answer lacks, once that has come."""
    addresses: Sequence[Address] | None = None
    for event in world.recorder.events:
        if isinstance(event, AttemptStarted):
            assert addresses is None or event.address in addresses
        elif isinstance(event, ResolveStarted | Resolved | ResolveFailed):
            if event.family != world.program.family:
                continue
            addresses = event.addresses if isinstance(event, Resolved) else None

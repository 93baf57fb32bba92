"""No connect or cancellation touches a descriptor that other code has opened since.

Strangers open and close descriptors at random beside the connects.  A watcher that
outlived its socket, or a second close, would hit one of them: the stranger would be
woken wrongly or never, or lose its descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import socket
import struct
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from conftest import LOOPS
from thrown import Thrown

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    BlackHole,
    EchoServer,
    FullBacklog,
    RefusingPort,
    Server,
    black_hole,
    echoing,
    full_backlog,
    listening,
    refusing,
)

# The number for all loops together, in each version of Python.
ROUNDS = 50_000

# The number of pairs that run at the same time, on one loop.
CROWD = 12

# In seconds, for all: a watcher that is never called would wait for ever.
PATIENCE = 100.0

RESET = struct.pack("ii", 1, 0)


def identity(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randint(1, 64))


def watched(
    watch: Callable[..., Any],
    unwatch: Callable[[Any], Any],
    fd: Any,
    act: Callable[[], object],
) -> asyncio.Future[None]:
    """Watch *fd*; return a future that ends when *act* was called on its readiness."""
    acted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ready() -> None:
        unwatch(fd)
        try:
            act()
        except BaseException as exc:  # the caller raises it
            acted.set_exception(exc)
        else:
            acted.set_result(None)

    watch(fd, ready)
    return acted


async def pair(chance: random.Random) -> None:
    """Send and receive through a pair of sockets, both of which are watched."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        await through(one, one.send, other, other.recv, identity(chance))


async def pipe(chance: random.Random) -> None:
    """Send and receive through a pipe, both ends of which are watched."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    with open(reading, "rb", 0) as end, open(writing, "wb", 0) as start:
        await through(start, start.write, end, end.read, identity(chance))


async def through(
    start: Any,
    send: Callable[[bytes], object],
    end: Any,
    receive: Callable[[int], bytes | None],
    mine: bytes,
) -> None:
    """Check that exactly the data sent at the *start* arrives at the *end*."""
    loop = asyncio.get_running_loop()

    def check() -> None:
        assert receive(100) == mine

    got = watched(loop.add_reader, loop.remove_reader, end, check)
    await asyncio.sleep(0)
    await watched(loop.add_writer, loop.remove_writer, start, partial(send, mine))
    await got


async def file(chance: random.Random) -> None:
    """Write a file, and read from it what was written."""
    mine = identity(chance)
    with tempfile.TemporaryFile(buffering=0) as stream:
        stream.write(mine)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        stream.seek(0)
        assert stream.read() == mine


async def streams(chance: random.Random) -> None:
    """Send and receive through asyncio's streams over a pair of sockets."""
    mine, answer = identity(chance), identity(chance)
    one, other = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=one)
    peer_reader, peer_writer = await asyncio.open_connection(sock=other)
    writer.write(mine)
    peer_writer.write(answer)
    assert await peer_reader.readexactly(len(mine)) == mine
    assert await reader.readexactly(len(answer)) == answer
    for each in (writer, peer_writer):
        each.close()
    for each in (writer, peer_writer):
        await each.wait_closed()


STRANGERS = (pair, pipe, file, streams)


def stranger_of(chance: random.Random) -> Coroutine[Any, Any, None]:
    """Return a stranger whose random draws do not depend on their time."""
    return chance.choice(STRANGERS)(random.Random(chance.getrandbits(32)))


class Places:
    """The endpoints of the connects."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.hole: BlackHole = stack.enter_context(black_hole())
        self.full: FullBacklog = stack.enter_context(full_backlog())
        self.server: Server = stack.enter_context(listening())
        self.echo: EchoServer = stack.enter_context(echoing())
        self.refused: RefusingPort = stack.enter_context(refusing())


async def cancelled(start: Coroutine[Any, Any, Any], chance: random.Random) -> None:
    """Cancel a connect that never ends, after a few iterations of the loop."""
    task = asyncio.create_task(start)
    for _ in range(chance.randrange(5)):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def pending(places: Places, chance: random.Random) -> None:
    await cancelled(aioconnect.connect_address(places.hole.address), chance)


async def waiting(places: Places, chance: random.Random) -> None:
    await cancelled(aioconnect.connect_address(places.full.address), chance)


async def given(places: Places, chance: random.Random) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        await cancelled(aioconnect.connect_sock(sock, places.hole.sockaddr), chance)


async def copied(places: Places, chance: random.Random) -> None:
    """Cancel a connect, while the copy of its socket is used or closed.

    A watcher that outlives a close lives as long as the copy does (epoll(7), Q6).  It
    then watches the old number, which is a stranger's by then.
    """
    copies: list[socket.socket] = []

    def copy(sock: socket.socket, address: Address) -> None:
        copies.append(sock.dup())

    start = aioconnect.connect_address(places.hole.address, prepare=[copy])
    task = asyncio.create_task(start)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stranger = asyncio.create_task(stranger_of(chance))
    with copies[0] as sock:
        await asyncio.sleep(0)
        sock.shutdown(socket.SHUT_RDWR)
        await stranger


async def expired(places: Places, chance: random.Random) -> None:
    limit = chance.random() / 1000
    with pytest.raises(TimeoutError):
        await aioconnect.connect_address(places.hole.address, timeout=limit)


async def refused(places: Places, chance: random.Random) -> None:
    with pytest.raises(ConnectionRefusedError):
        await aioconnect.connect_address(places.refused.address)


async def connected(places: Places, chance: random.Random) -> None:
    """Exchange bytes with the peer of a connected socket."""
    mine = identity(chance)
    with await aioconnect.connect_address(places.server.address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with places.server.accept() as peer:
            assert peer.getpeername() == sock.getsockname()
            peer.send(mine)
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == mine


async def adopted(places: Places, chance: random.Random) -> None:
    """Exchange bytes through streams, or cancel while the streams are made."""
    start = aioconnect.open_connection(places.echo.host, places.echo.port)
    task = asyncio.create_task(start)
    await asyncio.sleep(0)
    if chance.random() < 0.5:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        reader, writer = await task
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.write(mine := identity(chance))
        assert await reader.readexactly(len(mine)) == mine
        writer.transport.abort()


OURS = (
    pending,
    pending,
    waiting,
    given,
    copied,
    expired,
    refused,
    connected,
    adopted,
)


async def crowd(seed: int, places: Places, rounds: int) -> None:
    """Run many rounds, each with one connect beside one stranger."""

    async def go(chance: random.Random) -> None:
        for _ in range(rounds // CROWD):
            stranger = asyncio.create_task(stranger_of(chance))
            await chance.choice(OURS)(places, chance)
            await stranger

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for number in range(CROWD):
            group.create_task(go(random.Random(seed + number)))


@pytest.mark.soak
@pytest.mark.timeout(PATIENCE + 60)
async def test_every_byte_arrives_where_it_belongs(thrown: Thrown) -> None:
    """A connect that has ended touches, watches or closes no descriptor of others."""
    rounds = ROUNDS // len(LOOPS) + CROWD
    seed = secrets.randbits(32)
    print(f"seed: {seed}")  # pytest shows it if the test fails
    asyncio.get_running_loop().set_debug(
        False
    )  # it takes five times as long in debug mode
    with contextlib.ExitStack() as stack:
        await crowd(seed, Places(stack), rounds)
    thrown("descriptors", "every byte where it belongs", rounds // CROWD * CROWD)

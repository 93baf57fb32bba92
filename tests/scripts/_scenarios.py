"""The scripted connects of `injected.py`, and how each ends without a fault.

Their servers run in the same thread, so that their system calls can be told from those
of the connect: the calls before the connect and after it are not hit.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import aioconnect
from aioconnect import outcome, testing
from aioconnect._loops import subclass
from aioconnect.contrib import proxy

__all__ = ["SCENARIOS", "Made", "Play"]

# SO_LINGER on, 0 seconds: close(2) resets.
RESET = b"\x01\0\0\0\0\0\0\0"

Made: TypeAlias = "socket.socket | tuple[asyncio.StreamReader, asyncio.StreamWriter]"


class Play(NamedTuple):
    """A connect, who is at its other end, and how it ends without a fault.

    Where it has *others*, one of which refuses, the fault is an attempt among theirs.
    """

    connect: Callable[[], Awaitable[Made]]
    peer: Callable[[], socket.socket] | None
    ends: int = 0
    others: bool = False


def listening(stack: ExitStack) -> Play:
    server = stack.enter_context(testing.listening())
    return Play(lambda: aioconnect.connect(server.host, server.port), server.accept)


def refusing(stack: ExitStack) -> Play:
    port = stack.enter_context(testing.refusing())
    return Play(
        lambda: aioconnect.connect(port.host, port.port), None, errno.ECONNREFUSED
    )


def unix(stack: ExitStack) -> Play:
    server = stack.enter_context(testing.unix_listening())
    return Play(lambda: aioconnect.connect_unix(server.path), server.accept)


def name(stack: ExitStack) -> Play:
    server = stack.enter_context(testing.listening())
    connector = aioconnect.Connector(family=socket.AF_INET)
    return Play(lambda: connector.connect("localhost", server.port), server.accept)


def streams(stack: ExitStack) -> Play:
    server = stack.enter_context(testing.listening())
    return Play(
        lambda: aioconnect.open_connection(server.host, server.port), server.accept
    )


def retry(stack: ExitStack) -> Play:
    """Connect to a server that listens when the second attempt comes."""
    held = stack.enter_context(testing.unused_port())
    server = testing.Server(stack.enter_context(held.bound_too()))
    attempts: list[object] = []

    def hook(sock: socket.socket, address: aioconnect.Address) -> None:
        attempts.append(None)
        if len(attempts) == 2:
            server.sock.listen()

    connector = aioconnect.Connector(retry=(0, 0), prepare=[hook])
    return Play(lambda: connector.connect(held.host, held.port), server.accept)


def full(stack: ExitStack) -> Play:
    """Connect to a Unix listener whose backlog has room a moment later."""
    backlog = stack.enter_context(testing.full_backlog())
    return Play(
        lambda: meanwhile(aioconnect.connect_unix(backlog.path), backlog.free_slot),
        backlog.accept,
    )


def hole(stack: ExitStack) -> Play:
    """Connect to where no answer comes, until the time is up."""
    port = stack.enter_context(testing.black_hole())
    connector = aioconnect.Connector(timeout=0.03)
    return Play(lambda: connector.connect(port.host, port.port), None, errno.ETIMEDOUT)


def late(stack: ExitStack, told_by: outcome.Outcome = outcome.default) -> Play:
    """Connect to a server whose answer comes a moment later."""
    connect, peer = meeting(stack, told_by)
    return Play(connect, lambda: peer)


def late_by_so_error(stack: ExitStack) -> Play:
    return late(stack, outcome.so_error)


def late_by_peername(stack: ExitStack) -> Play:
    return late(stack, outcome.peername_read)


def late_reset(stack: ExitStack) -> Play:
    """Connect to a server that resets before the late answer is seen."""
    connect, _ = meeting(stack, outcome.default, is_reset=True)
    return Play(connect, None, errno.ECONNRESET)


def meeting(
    stack: ExitStack, told_by: outcome.Outcome, is_reset: bool = False
) -> tuple[Callable[[], Awaitable[Made]], socket.socket]:
    """Return what connects to a port that is silent, and who answers from there.

    The answer is a connect that meets ours (RFC 9293, simultaneous open): a SYN
    that was dropped would be sent again only after a second.
    """
    silent = stack.enter_context(ExitStack())
    port = silent.enter_context(testing.black_hole())
    peer = stack.enter_context(socket.socket())
    socks: list[socket.socket] = []
    connector = aioconnect.Connector(
        prepare=[lambda sock, _: socks.append(sock)], outcome=told_by
    )

    def answer() -> None:
        silent.close()
        peer.bind(port.sockaddr)
        for _ in range(2):  # the fault may hit one
            peer.connect_ex(name_of(socks[-1]))
        if is_reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            peer.close()

    return lambda: meanwhile(connector.connect(port.host, port.port), answer), peer


def name_of(sock: socket.socket) -> Any:
    """Return the name of *sock*, also when the fault hits that question."""
    try:
        return sock.getsockname()
    except OSError:
        return sock.getsockname()


async def meanwhile(connecting: Awaitable[Made], do: Callable[[], None]) -> Made:
    """Wait for *connecting*; *do* something once it waits itself."""
    task = asyncio.ensure_future(connecting)
    for _ in range(3):
        await asyncio.sleep(0)
    if not task.done():
        do()
    return await task


def ready(stack: ExitStack) -> Play:
    """Connect to a server that speaks first, and wait until it has."""
    server = stack.enter_context(testing.listening())
    spoken: list[socket.socket] = []

    async def says_hello(sock: socket.socket) -> bool:
        spoken.append(server.accept())
        spoken[-1].sendall(b"hello")
        stack.callback(spoken[-1].close)
        return await asyncio.get_running_loop().sock_recv(sock, 5) == b"hello"

    connector = aioconnect.Connector(ready=says_hello)
    return Play(lambda: connector.connect(server.host, server.port), lambda: spoken[-1])


def any_of(stack: ExitStack) -> Play:
    """Connect to the second of two, in turns."""
    server = stack.enter_context(testing.listening())
    port = stack.enter_context(testing.refusing())
    targets = [port.address, server.address]
    return Play(lambda: aioconnect.connect_any(targets), server.accept, others=True)


def raced(stack: ExitStack) -> Play:
    """Connect to the second of two, beside each other."""
    server = stack.enter_context(testing.listening())
    port = stack.enter_context(testing.refusing())
    targets = [port.address, server.address]
    return Play(
        lambda: aioconnect.connect_any(targets, race=True), server.accept, others=True
    )


def raced_to_be_ready(stack: ExitStack) -> Play:
    """Connect to two beside each other: the first is not ready, the second is."""
    connector, targets, accept = two_to_be_ready(stack)
    return Play(lambda: connector.connect_any(targets, race=True), accept, others=True)


def streams_to_be_ready(stack: ExitStack) -> Play:
    """Make streams of two connections: the first is not ready, the second is."""
    connector, targets, accept = two_to_be_ready(stack)

    async def resolver(*_: Any, **__: Any) -> list[aioconnect.Address]:
        return targets

    connector = replace(connector, resolver=resolver)
    return Play(lambda: connector.open_connection("name", 80), accept, others=True)


def two_to_be_ready(
    stack: ExitStack,
) -> tuple[aioconnect.Connector, list[aioconnect.Address], Callable[[], socket.socket]]:
    """Return how to connect, to which two, and what accepts from the second.

    The first is refused when the second is ready, or would have been.
    """
    first = stack.enter_context(testing.listening())
    second = stack.enter_context(testing.listening())
    dialled: dict[int, aioconnect.Address] = {}

    def note(sock: socket.socket, address: aioconnect.Address) -> None:
        dialled[sock.fileno()] = address

    async def is_second(*made: Any) -> None:
        # No system call here: the fault would hit it.
        sock = made[0]
        if not isinstance(sock, socket.socket):
            sock = made[1].get_extra_info("socket")
        if dialled[sock.fileno()] == first.address:
            await asyncio.sleep(0.03)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "not ready")

    connector = aioconnect.Connector(
        prepare=[note], ready=is_second, happy_eyeballs_delay=0.01
    )
    return connector, [first.address, second.address], second.accept


def over_loop(stack: ExitStack) -> Play:
    """Connect by asyncio's own function, over a loop of a factory."""
    server = stack.enter_context(testing.listening())
    return Play(lambda: on_our_loop(server.host, server.port), server.accept)


async def on_our_loop(host: str, port: int) -> Made:
    loop = asyncio.get_running_loop()
    kind = type(loop)
    subclass.convert_loop(loop, aioconnect.Connector())
    try:
        return await asyncio.open_connection(host, port)
    finally:
        loop.__class__ = kind


def proxied(stack: ExitStack) -> Play:
    """Connect through a proxy that answers as soon as it is asked."""
    server = stack.enter_context(testing.listening())
    met: list[socket.socket] = []

    async def connect() -> Made:
        url = f"http://{server.host}:{server.port}"
        task = asyncio.ensure_future(proxy.connect("192.0.2.1", 80, proxy=url))
        while not task.done():
            await asyncio.sleep(0)
            if not met and is_readable(server.sock):
                met.append(server.accept())
                stack.callback(met[0].close)
            elif met and is_readable(met[0]):
                met[0].recv(1 << 16)
                met[0].sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                break
        return await task

    return Play(connect, lambda: met[0])


def is_readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


SCENARIOS: dict[str, Callable[[ExitStack], Play]] = {
    scenario.__name__: scenario
    for scenario in (
        listening,
        refusing,
        unix,
        name,
        streams,
        retry,
        full,
        hole,
        late,
        late_by_so_error,
        late_by_peername,
        late_reset,
        ready,
        any_of,
        raced,
        raced_to_be_ready,
        streams_to_be_ready,
        over_loop,
        proxied,
    )
}

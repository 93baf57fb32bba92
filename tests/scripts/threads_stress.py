"""Connect from many threads, each with its own loop, with connectors that all share.

Run ``threads_stress.py [--operations N] [--threads N] [--loop asyncio|uvloop]``, on a
Python with or without the GIL.  The operations succeed, are refused, find no name,
expire or are cancelled.  Each one has to end as its kind must.  At the end, nothing may
be left: no descriptor, thread, task, timer, watcher or look-up.  The script prints one
line: the time, and how often each outcome came.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aioconnect
from aioconnect import Address, Connector, History, system_resolver
from aioconnect._io.getaddrinfo import _pool
from aioconnect.testing import (
    TLSEchoServer,
    black_hole,
    echoing,
    leak_check,
    refusing,
    tls_echoing,
)
from aioconnect.testing._open_resources import Resource, open_resources

# In seconds: how long a call may take on a busy machine, and how long one takes that
# has to expire.
GENEROUS, SHORT = 120.0, 0.01

# How many operations run at the same time in each loop.
AT_ONCE = 16

RESET = b"\x01\0\0\0\0\0\0\0"

Loop = asyncio.AbstractEventLoop


@dataclass(frozen=True)
class Peers:
    """What there is to connect to.  The hole is silent on all of 127.0.0.0/8."""

    port: int
    refused: int
    silent: int
    path: str
    tls: TLSEchoServer


def some_host(number: int) -> str:
    """Return one of many addresses of this machine, so that memories of them fill."""
    return f"127.1.{number // 250 % 250}.{number % 250 + 1}"


def resolve(
    host: str, port: int, *, family: int, proto: int, flags: int
) -> Sequence[Address] | Awaitable[Sequence[Address]]:
    """Know one name, whose first address refuses, and ask the system for all others."""
    if host != "known.test":
        return system_resolver(host, port, family=family, proto=proto, flags=flags)
    if family == socket.AF_INET6:
        return ()
    hosts = "127.0.0.2", "127.0.0.1"
    return [Address(socket.AF_INET, (each, port), proto) for each in hosts]


def pinned(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a getaddrinfo that knows names without DNS, all with only IPv4."""

    def getaddrinfo(host: str, port: int, family: int, *more: Any) -> Any:
        if host == "unknown.pinned":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NODATA, "no IPv6")
        return real("127.0.0.1", port, family, *more)

    return getaddrinfo


async def served(sock: socket.socket) -> str:
    """Check that *sock* is connected to the server, and reset it."""
    loop = asyncio.get_running_loop()
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await loop.sock_sendall(sock, b"?")
        assert await loop.sock_recv(sock, 2) == b"?"
    return "connected"


async def number(at: Peers, by: Connector, turn: int) -> str:
    return await served(await by.connect("127.0.0.1", at.port))


async def known_name(at: Peers, by: Connector, turn: int) -> str:
    return await served(await by.connect("known.test", at.port))


async def localhost(at: Peers, by: Connector, turn: int) -> str:
    return await served(await by.connect("localhost", at.port))


async def threads_name(at: Peers, by: Connector, turn: int) -> str:
    """Connect to a name that a resolver thread looks up, often for several loops."""
    return await served(await by.connect(f"{turn % 50}.pinned", at.port))


async def unix(at: Peers, by: Connector, turn: int) -> str:
    return await served(await by.connect_unix(at.path))


async def streams(at: Peers, by: Connector, turn: int) -> str:
    host = ("127.0.0.1", "known.test", "streams.pinned")[turn % 3]
    reader, writer = await by.open_connection(host, at.port)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.write(b"?")
    assert await reader.readexactly(1) == b"?"
    writer.close()
    await writer.wait_closed()
    return "connected"


async def tls(at: Peers, by: Connector, turn: int) -> str:
    """Open streams over TLS; all loops share the context."""
    host = ("127.0.0.1", "known.test", "tls.pinned")[turn % 3]
    context, name = at.tls.client_context, "localhost"
    reader, writer = await by.open_connection(
        host, at.tls.port, ssl=context, server_hostname=name
    )
    writer.write(b"?")
    assert await reader.readexactly(1) == b"?"
    writer.transport.abort()
    await writer.wait_closed()
    return "connected"


async def refused(at: Peers, by: Connector, turn: int) -> str:
    try:
        await by.connect(some_host(turn), at.refused)
    except aioconnect.ConnectRefusedError:
        return "refused"
    raise AssertionError("connected to a port that refuses")


async def unknown_name(at: Peers, by: Connector, turn: int) -> str:
    try:
        await by.connect("unknown.pinned", at.port)
    except aioconnect.ResolveError:
        return "unknown"
    raise AssertionError("connected to a name that nobody knows")


async def expired(at: Peers, by: Connector, turn: int) -> str:
    try:
        await aioconnect.connect(
            some_host(turn), at.silent, timeout=SHORT, history=by.history
        )
    except aioconnect.ConnectTimeoutError:
        return "expired"
    raise AssertionError("connected to a port that is silent")


async def cancelled_silent(at: Peers, by: Connector, turn: int) -> str:
    task = asyncio.create_task(by.connect(some_host(turn), at.silent))
    ended = await cancelled_after(task, turn % 7)
    assert ended == "cancelled", ended
    return ended


async def cancelled_any(at: Peers, by: Connector, turn: int) -> str:
    """Cancel a connect that may win: in a look-up, in the connect or after it."""
    host = ("127.0.0.1", "known.test", f"{turn % 50}.pinned")[turn % 3]
    task = asyncio.create_task(by.connect(host, at.port))
    return await cancelled_after(task, turn % 7)


async def cancelled_after(task: asyncio.Task[socket.socket], iterations: int) -> str:
    for _ in range(iterations):
        await asyncio.sleep(0)
    task.cancel()
    try:
        sock = await task
    except asyncio.CancelledError:
        return "cancelled"
    return await served(sock)


OPERATIONS = (
    number,
    refused,
    known_name,
    cancelled_silent,
    threads_name,
    streams,
    tls,
    unknown_name,
    localhost,
    cancelled_any,
    unix,
    expired,
)


def opened(loop: Loop) -> set[Resource]:
    """Return the tasks, timers and watchers of *loop*, and no other thread's things."""
    kinds = ("task", "timer", "watcher")
    return {resource for resource in open_resources(loop) if resource.kind in kinds}


async def run_turns(
    at: Peers, connectors: tuple[Connector, ...], turns: range, start: threading.Barrier
) -> Counter[str]:
    """Run the operations of one thread, some at a time, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    waiting: Iterator[int] = iter(turns)

    async def take_turns() -> None:
        for turn in waiting:
            # Each connector meets each operation.
            rest, which = divmod(turn, len(OPERATIONS))
            operation = OPERATIONS[which]
            by = connectors[rest % len(connectors)]
            async with asyncio.timeout(GENEROUS):
                outcomes[await operation(at, by, turn)] += 1

    loop = asyncio.get_running_loop()
    before = opened(loop)
    start.wait(GENEROUS)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(take_turns())
    for _ in range(10):  # what was closed or cancelled in the last turns goes
        await asyncio.sleep(0)
    assert not (new := opened(loop) - before), list(map(str, new))
    return outcomes


def run_threads(
    at: Peers, operations: int, threads: int, factory: Callable[[], Loop]
) -> Counter[str]:
    """Run *operations* in all, in as many *threads*, and add up the outcomes."""
    plain = Connector(resolver=resolve, timeout=GENEROUS)
    connectors = (plain, replace(plain, history=History()))
    start = threading.Barrier(threads)
    bounds = [operations * each // threads for each in range(threads + 1)]

    def run(each: int) -> Counter[str]:
        turns = range(bounds[each], bounds[each + 1])
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(run_turns(at, connectors, turns, start))

    with ThreadPoolExecutor(threads) as executor:
        return sum(executor.map(run, range(threads)), Counter())


def assert_no_lookups() -> None:
    """Check that the resolver's threads are idle soon, and know no query."""
    until = time.monotonic() + GENEROUS
    while _pool._lookups or len(_pool._idle) < len(_pool._workers):
        assert time.monotonic() < until, (_pool._lookups, _pool._workers)
        time.sleep(0.001)
    assert not _pool._queued
    assert not _pool._starting


def has_gil() -> bool:
    """Tell whether the interpreter's lock is on; it always is before Python 3.13."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def loop_factory(name: str) -> Callable[[], Loop]:
    """Return what makes loops of that *name*."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    factory: Callable[[], Loop] = uvloop.new_event_loop
    return factory


def main(arguments: argparse.Namespace) -> None:
    """Run the operations between servers of this package, and print the figures."""
    factory = loop_factory(arguments.loop)
    socket.getaddrinfo = pinned(socket.getaddrinfo)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.enter_context(leak_check(patience=GENEROUS))
        path = Path(stack.enter_context(tempfile.TemporaryDirectory()), "server")
        server = stack.enter_context(echoing(backlog=4096))
        stack.enter_context(echoing(path=str(path), backlog=4096))
        peers = Peers(
            server.port,
            stack.enter_context(refusing("0.0.0.0")).port,
            stack.enter_context(black_hole("0.0.0.0")).port,
            str(path),
            stack.enter_context(tls_echoing()),
        )
        outcomes = run_threads(peers, arguments.operations, arguments.threads, factory)
    assert_no_lookups()
    took = time.monotonic() - began
    assert outcomes.total() == arguments.operations
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(
        f"{arguments.operations} operations in {arguments.threads} threads,"
        f" {arguments.loop}, {'with' if has_gil() else 'without'} the GIL:"
        f" {took:.1f} s, {counts}; nothing left"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    main(parser.parse_args())

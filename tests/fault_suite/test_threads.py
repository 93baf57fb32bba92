"""A resolver thread that cannot be made harms no later call, whatever the exception.

Whatever becomes of the call itself, the next one resolves, and nothing is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partialmethod
from typing import Any

import pytest
from fault_suite.entry_points import discard, first_turn
from http_pairs import PAIRS
from proxies import proxying

import aioconnect
from aioconnect import Address, Backoff, Connector
from aioconnect._io.getaddrinfo import _pool
from aioconnect._io.getaddrinfo_pool import THREAD_NAMES
from aioconnect._loops.subclass import convert_loop
from aioconnect.contrib import proxy
from aioconnect.contrib.anyio import Connectable
from aioconnect.testing import EchoServer, echoing, refusing

# In seconds, for calls that have to end, and for calls that must not.
GENEROUS, SHORT = 60.0, 0.5

Call = Callable[["Peers", float], Awaitable[Any]]


@dataclass
class Peers:
    """The endpoints to connect to: a server, a proxy, and a port that refuses."""

    server: EchoServer
    proxy: str
    refused: int


def pinned(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a getaddrinfo that knows the tests' own names, which have only IPv4."""

    def getaddrinfo(host: str, port: int, family: int, *more: Any) -> Any:
        if not host.endswith(".pinned"):
            return real(host, port, family, *more)
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NODATA, "no IPv6")
        return real("127.0.0.1", port, family, *more)

    return getaddrinfo


@contextlib.contextmanager
def changed_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give the running loop, which is a factory's loop in this block."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    convert_loop(loop, Connector(timeout=GENEROUS))
    try:
        yield loop
    finally:
        loop.__class__ = kind


async def by_the_loop(peers: Peers, timeout: float) -> Any:
    """Connect with a factory's loop, as other code would."""
    with changed_loop() as loop:
        port = peers.server.port
        return await loop.create_connection(asyncio.Protocol, "a.pinned", port)


async def by_sock_connect(peers: Peers, timeout: float) -> Any:
    """Connect the caller's socket to a name."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        with changed_loop() as loop:
            await loop.sock_connect(sock, ("a.pinned", peers.server.port))
    except BaseException:
        sock.close()
        raise
    return sock


async def addresses(host: str, port: int) -> list[Address]:
    """Return the addresses of *host* from the system's resolver."""
    return list(await aioconnect.system_resolver(host, port))


def several(peers: Peers) -> list[tuple[str, int | str]]:
    """Return two targets, of which the first one refuses."""
    return [("a.pinned", peers.refused), ("b.pinned", peers.server.port)]


CALLS: dict[str, Call] = {
    "system_resolver": lambda at, _: addresses("a.pinned", at.server.port),
    "connect": lambda at, t: aioconnect.connect("a.pinned", at.server.port, timeout=t),
    "connect: retry": lambda at, t: aioconnect.connect(
        "a.pinned", at.server.port, timeout=t, retry=Backoff(initial=0.001)
    ),
    "connect: local_addr": lambda at, t: aioconnect.connect(
        "127.0.0.1", at.server.port, timeout=t, local_addr=("l.pinned", 0)
    ),
    "open_connection": lambda at, t: aioconnect.open_connection(
        "a.pinned", at.server.port, timeout=t
    ),
    "create_connection": lambda at, t: aioconnect.create_connection(
        asyncio.Protocol, "a.pinned", at.server.port, timeout=t
    ),
    "connect_any": lambda at, t: aioconnect.connect_any(several(at), timeout=t),
    "connect_any: raced": lambda at, t: aioconnect.connect_any(
        several(at), timeout=t, race=True
    ),
    "wait_until_up": lambda at, t: aioconnect.wait_until_up(
        "a.pinned", at.server.port, timeout=t
    ),
    "wait_until_down": lambda at, t: aioconnect.wait_until_down(
        "a.pinned", at.refused, timeout=t, retry=Backoff(initial=0.001)
    ),
    "reconnecting": lambda at, t: first_turn(
        aioconnect.reconnecting("a.pinned", at.server.port, timeout=t)
    ),
    "proxy.connect": lambda at, t: proxy.connect(
        "a.pinned", at.server.port, proxy=at.proxy, timeout=t
    ),
    "proxy.connect: its name": lambda at, t: proxy.connect(
        "127.0.0.1",
        at.server.port,
        proxy=at.proxy.replace("127.0.0.1", "p.pinned"),
        timeout=t,
    ),
    "loop.create_connection": by_the_loop,
    "loop.sock_connect": by_sock_connect,
    "anyio": lambda at, t: Connectable(
        ("a.pinned", at.server.port), Connector(timeout=t)
    ).connect(),
    "httpcore": lambda at, t: (
        PAIRS["httpx"].backend().connect_tcp("a.pinned", at.server.port, timeout=t)
    ),
    "httpcore2": lambda at, t: (
        PAIRS["httpx2"].backend().connect_tcp("a.pinned", at.server.port, timeout=t)
    ),
}


@dataclass
class Refusal:
    """A patch that raises *error* at call *number* of *method*, before or after it."""

    method: str
    error: Exception
    number: int
    is_made: bool = False
    calls: int = 0
    real: Callable[..., None] = field(init=False)

    def __post_init__(self) -> None:
        self.real = getattr(threading.Thread, self.method)

    def __call__(self, thread: threading.Thread, *args: Any, **named: Any) -> None:
        # Before it is made, only the arguments have the name of a thread.
        name = named.get("name") or getattr(thread, "_name", "")
        if not str(name).startswith(THREAD_NAMES):
            self.real(thread, *args, **named)
            return
        self.calls += 1
        if self.calls != self.number or self.is_made:
            self.real(thread, *args, **named)
        if self.calls == self.number:
            raise self.error


REFUSALS = {
    "constructor": ("__init__", False),
    "start": ("start", False),
    "start, started": ("start", True),
}

ERRORS = [
    RuntimeError("can't start new thread"),
    MemoryError(),
    OSError(errno.EAGAIN, "Resource temporarily unavailable"),
    RecursionError("too deep"),
    ValueError("a hook of the user's own"),
]


@pytest.fixture
async def peers(
    nothing_pending: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Peers]:
    """Give peers and their names; a resolver thread ends after its answer."""
    monkeypatch.setattr(socket, "getaddrinfo", pinned(socket.getaddrinfo))
    monkeypatch.setattr(_pool, "_idle_timeout", 0.0)
    with (
        echoing() as server,
        proxying("socks5") as through,
        refusing() as refused,
    ):
        yield Peers(server, through.url(), refused.port)
        await nobody_is_left()


def resolver_threads() -> list[threading.Thread]:
    """Return those that live: one whose start was interrupted may not be known yet."""
    names = ((one, one.name) for one in threading.enumerate())
    return [one for one, name in names if name.startswith(THREAD_NAMES)]


async def nobody_is_left() -> None:
    """Wait until no resolver thread is alive; no question is left then."""
    lookups = _pool
    while lookups._workers or lookups._lookups or resolver_threads():
        await asyncio.sleep(0.001)
    assert not lookups._queued
    assert not lookups._idle


async def outcome(call: Call, peers: Peers, timeout: float) -> BaseException | None:
    """Return what *call* raised, or None if it succeeded."""
    try:
        made = await call(peers, timeout)
    except Exception as exc:
        return exc.with_traceback(None)
    await discard(made)
    return None


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("name", CALLS)
async def test_each_exception_at_each_call(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, name: str, refusal: str
) -> None:
    """The call succeeds, lacks a thread, or raises the very exception."""
    call = CALLS[name]
    method, is_made = REFUSALS[refusal]
    await nobody_is_left()
    for error in ERRORS:
        for number in itertools.count(1):
            refuse = Refusal(method, error, number, is_made)
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, method, partialmethod(refuse))
                raised = await outcome(call, peers, GENEROUS)
            await nobody_is_left()
            if refuse.calls < number:
                assert number > 1, "no thread was asked for: the test proves nothing"
                break
            check(raised, error)
            assert await outcome(call, peers, GENEROUS) is None
            await nobody_is_left()


def check(raised: BaseException | None, error: Exception) -> None:
    """Check that *raised* may result from *error* where a thread is made."""
    if raised is None or raised is error:
        return
    assert isinstance(error, RuntimeError | OSError), repr(raised)
    assert not isinstance(error, RecursionError), repr(raised)
    assert "no resolver thread" in str(raised)


class Bounded:
    """A patch that starts threads while fewer than *most* resolver threads live."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.real = threading.Thread.start
        self.refused = 0

    def __call__(self, thread: threading.Thread) -> None:
        is_one = thread.name.startswith(THREAD_NAMES)
        names = [one.name for one in threading.enumerate()]
        live = [name for name in names if name.startswith(THREAD_NAMES)]
        if is_one and len(live) >= self.most:
            self.refused += 1
            raise RuntimeError("can't start new thread")
        self.real(thread)


@pytest.mark.parametrize("most", [0, 1, 2])
@pytest.mark.parametrize("name", CALLS)
async def test_refusal_beyond_some_threads(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    """One thread is enough for every call; without any, the error says why."""
    call = CALLS[name]
    await nobody_is_left()
    bounded = Bounded(most)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", partialmethod(bounded))
        raised = await outcome(call, peers, GENEROUS if most else SHORT)
    if most:
        assert raised is None
    else:
        assert bounded.refused
        assert "no resolver thread: can't start new thread" in str(raised)
    assert await outcome(call, peers, GENEROUS) is None


def to_hung(peers: Peers, timeout: float) -> Awaitable[Any]:
    """Connect to a name whose look-up hangs."""
    return aioconnect.connect("hung0.pinned", peers.refused, timeout=timeout)


async def test_all_threads_hang(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout then says how many threads hang, and that names wait for one."""
    go_on = threading.Event()
    answering = socket.getaddrinfo

    def hanging(host: str, *more: Any) -> Any:
        if host.startswith("hung"):
            go_on.wait(GENEROUS)
        return answering(host, *more)

    # The others have no timeout of their own here.
    timed = [
        call
        for name, call in CALLS.items()
        if name != "system_resolver" and not name.startswith("loop.")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(_pool, "_limit", 2)
    hung = [
        asyncio.create_task(addresses(f"hung{number}.pinned", peers.refused))
        for number in range(2)
    ]
    try:
        while len(_pool._workers) < 2:
            await asyncio.sleep(0.001)
        calls = (outcome(call, peers, SHORT) for call in timed)
        for raised in await asyncio.gather(*calls):
            assert "2 look-ups hang, and no thread is free" in str(raised)
        # A call that waits for a hanging look-up does not wait for a thread.
        raised = await outcome(to_hung, peers, SHORT)
        assert "the resolver did not answer in time (" in str(raised)
    finally:
        go_on.set()
        await asyncio.gather(*hung)
    for call in CALLS.values():
        assert await outcome(call, peers, GENEROUS) is None

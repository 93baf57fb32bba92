"""Build the servers of one program of the machine, run it, and report what was seen.

Only this module opens anything.  The caller of `run` checks what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import socket
import ssl
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from fault_suite.model import Bug, Endpoint, Met, Program

from aioconnect import Address, Connector, Event, outcome, testing
from aioconnect._loops.subclass import convert_loop
from aioconnect.testing import Recorder, ScriptedResolver

__all__ = ["Names", "Seen", "World", "building", "run"]

# The iterations of the loop that a call may take to end, after it is due.
TICKS = 20

# How far the loops' clocks may differ, from one timer to the next.
GRACE = 0.02

# Longer than any call here that ends by itself.
PATIENCE = 30.0

_ANY_HOST: dict[int, str] = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Names:
    """Resolve each world's own name to its addresses, which have their own ports.

    A round begins with the look-up of the call's own family.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Program, dict[str, Address]]] = {}
        self._rounds: Counter[str] = Counter()
        self._numbers = itertools.count()

    def add(self, program: Program, addresses: dict[str, Address]) -> str:
        """Return a new name whose look-ups are those of *program*."""
        name = f"n{next(self._numbers)}.test"
        self._known[name] = (program, addresses)
        return name

    async def __call__(
        self, host: str, port: int, *, family: int, proto: int = 0, flags: int = 0
    ) -> list[Address]:
        """Return the addresses of *host*, as Connector's ``resolver``."""
        program, addresses = self._known[host]
        self._rounds[host] += family == program.family
        lookup = program.lookup(family, self._rounds[host])
        scripted = ScriptedResolver({(host, family): lookup})
        found = await scripted(host, port, family=family, proto=proto, flags=flags)
        return [addresses[str(address.sockaddr[0])] for address in found]


@dataclass
class World:
    """The servers of one program, and what its hooks and its observer saw."""

    program: Program
    names: Names
    addresses: dict[str, Address] = field(default_factory=dict)
    hooks: list[Any] = field(default_factory=list)
    sockets: list[socket.socket] = field(default_factory=list)
    met: dict[Address, list[Met]] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    recorder: Recorder = field(default_factory=Recorder)
    name: str = ""
    calls: int = 0
    has_bug: bool = False

    def announce(self, sock: socket.socket, address: Address) -> None:
        """Note what the attempt meets; this is the last hook."""
        endpoint = self.endpoint(address)
        self.sockets.append(sock)
        met = self.met.setdefault(address, [])
        self.calls += 1
        fault = (self.program.faults or {}).get(self.calls)
        met.append(Met(endpoint.words[min(len(met), len(endpoint.words) - 1)], fault))
        if fault is Bug:
            self.has_bug = True
            raise Bug("a hook")
        if fault is not None:
            raise OSError(errno.EPERM, "a hook does not allow it")

    def observe(self, event: Event) -> None:
        """Keep *event*, and fail at the event that the program names."""
        self.recorder(event)
        if len(self.recorder.events) == self.program.observer:
            self.has_bug = True
            raise Bug("an observer")

    def history(self) -> dict[Address, list[Met]]:
        """Return what the attempts met, in order, for each address."""
        if self.program.is_announced:
            return self.met
        words = {a: self.endpoint(a).words[0] for a in self.addresses.values()}
        return {address: [Met(word, None)] * 99 for address, word in words.items()}

    def endpoint(self, address: Address) -> Endpoint:
        """Return the endpoint with this *address*."""
        host = next(h for h, known in self.addresses.items() if known == address)
        return next(
            endpoint for endpoint in self.program.endpoints if endpoint.host == host
        )

    def target(self) -> tuple[str | None, int | None]:
        """Return the host and the port of the call, if it has one target."""
        address = self.addresses[self.program.endpoints[0].host]
        if len(self.addresses) > 1 and not self.name:
            return None, None
        if self.name:
            return self.name, 80
        if isinstance(address.sockaddr, tuple):
            return str(address.sockaddr[0]), address.sockaddr[1]
        return str(address), None

    def connector(self) -> Connector:
        """Return the program's options."""
        program = self.program
        local = [(_ANY_HOST[family], 0) for family in program.local_families or ()]
        return Connector(
            timeout=program.timeout,
            attempt_timeout=program.attempt_timeout,
            retry=program.delays,
            retry_on=program.retry_on,
            family=program.family,
            interleave=program.interleave,
            happy_eyeballs_delay=program.happy_eyeballs_delay,
            outcome=getattr(outcome, program.outcome),
            local_addr=local or None,
            resolver=self.names,
            prepare=[*self.hooks, self.announce] if program.is_announced else (),
            observer=None if program.observer is None else self.observe,
            ready=pinged if program.is_ready else None,
        )

    async def connect(self) -> Any:
        """Make the call."""
        connector, program = self.connector(), self.program
        address = self.addresses[program.endpoints[0].host]
        tls: Any = {}
        if program.tls:
            tls = {"ssl": self.context, "server_hostname": "localhost"}
        if program.is_over_loop:
            turn(asyncio.get_running_loop(), connector)
        if program.is_unix:
            path = str(address.sockaddr)
            if program.is_over_loop:
                return await asyncio.open_unix_connection(path)
            if program.streams:
                return await connector.open_unix_connection(path)
            return await connector.connect_unix(path)
        if program.is_resolved:
            return await connector.connect_address(address)
        if program.is_any:
            return await connector.connect_any(
                self.addresses.values(), race=program.races
            )
        host, port = self.target()
        assert host is not None
        assert port is not None
        if program.is_over_loop:
            return await asyncio.open_connection(host, port, **tls)
        if program.streams:
            return await connector.open_connection(host, port, **tls)
        return await connector.connect(host, port)


def turn(loop: asyncio.AbstractEventLoop, connector: Connector) -> None:
    """Make the next call over *loop* use *connector* alone."""
    kind = type(loop)
    if kind.__name__.startswith("Connecting"):
        loop.__class__ = kind.__bases__[-1]  # the loop as it was before
    convert_loop(loop, connector)


async def pinged(*made: Any) -> bool:
    """Send a ping to the peer of a socket or of streams; return whether it answers."""
    if isinstance(made[0], socket.socket):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(made[0], b"ping")
        answer = await loop.sock_recv(made[0], 4)
    else:
        reader, writer = made
        writer.write(b"ping")
        answer = await reader.read(4)
    if not answer:
        raise EOFError
    return answer == b"ping"


@contextlib.contextmanager
def building(program: Program, names: Names) -> Generator[World]:
    """Yield the world of *program*, with its servers running."""
    world = World(program, names)
    with ExitStack() as stack:
        if program.tls:
            world.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for endpoint in program.endpoints:
            world.addresses[endpoint.host] = opened(endpoint, world, stack)
        if program.lookups:
            world.name = names.add(program, world.addresses)
        yield world


def opened(endpoint: Endpoint, world: World, stack: ExitStack) -> Address:
    """Open the server of *endpoint*, and return its address."""
    match endpoint.words[0]:
        case "trusted" | "expired" as word:
            server = stack.enter_context(
                testing.tls_echoing(endpoint.host, expired=word == "expired")
            )
            assert world.context is not None
            server.ca.configure_trust(world.context)
            return server.address
        case "full" | "stale" | "missing" | "unix" as word:
            full = stack.enter_context(testing.full_backlog())
            if word == "stale":
                full.close_listener()
            if word == "unix":
                stack.enter_context(testing.echoing(path=f"{full.path}.unix"))
            suffix = f".{word}" if word in ("unix", "missing") else ""
            return Address(socket.AF_UNIX, f"{full.path}{suffix}")
        case _:
            flaky = stack.enter_context(testing.flaky(endpoint.words, endpoint.host))  # type: ignore[arg-type]  # words, all of them
            world.hooks.append(flaky)
            return flaky.address


@dataclass
class Seen:
    """The result of a call: its value or its error, when, and whether in time."""

    made: Any
    error: BaseException | None
    is_cancelled: bool
    is_late: bool
    started: float
    ended: float


async def run(world: World) -> Seen:
    """Make the call of *world*, cancel it when the program says, and wait for it."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    task = loop.create_task(world.connect())
    asked = is_late = False
    await asyncio.sleep(0)  # now the loop's own clock runs
    if world.program.cancel is not None:
        if world.program.wait:
            await asyncio.wait([task], timeout=world.program.wait)
        await let_run(task, world.program.cancel)
        asked = task.cancel()
    if world.program.timeout is not None and not asked:
        # The loop reaches this moment when it reaches the end of the call.
        await asyncio.wait([task], timeout=world.program.timeout + GRACE)
    if world.program.timeout is not None or asked:
        await let_run(task, TICKS)
        is_late = not task.done()
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.done(), f"it does not end: {task}"
    ended = loop.time()
    if task.cancelled():
        return Seen(None, asyncio.CancelledError(), asked, is_late, started, ended)
    if error := task.exception():
        return Seen(None, error, asked, is_late, started, ended)
    return Seen(task.result(), None, asked, is_late, started, ended)


async def let_run(task: asyncio.Task[Any], iterations: int) -> None:
    """Wait for this number of iterations of the loop, or for *task*."""
    for _ in range(iterations):
        if task.done():
            return
        await asyncio.sleep(0)

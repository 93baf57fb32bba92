"""Connect for a long time, in every way at once, and look whether anything grows.

``python benchmarks/soak.py --minutes 60``.  Connects that succeed, are refused,
run out of time, come back after a refusal and are cancelled at random are mixed by
a seeded draw, second after second.  After each second everything has ended, and
what is left is counted; at the end it is drawn, and the exit status is 1 if the
memory, the descriptors, the threads or the tasks are more than at the beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import random
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import uvloop

import aioconnect
from aioconnect import Address, testing

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

# So many connects are under way at once.
WORKERS = 20

# Caches fill and allocators settle in the first half minute, of which a tenth is left
# out.  What may come until the end, in bytes: a leak of a hundred bytes for each
# operation would be more within a minute.
SETTLED = 0.1
NOISE = 8 * 1024 * 1024

PAYLOAD = b"every byte arrives where it should"


@dataclass(slots=True)
class Sample:
    """What there is after one second, with nothing under way."""

    at: float
    resident: int
    descriptors: int
    threads: int
    tasks: int
    latency: float


class Soak:
    """The servers, what has been done with them, and what was counted."""

    def __init__(self, draw: random.Random, stack: ExitStack) -> None:
        self.draw = draw
        self.counts: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.samples: list[Sample] = []
        self.logged: Counter[str] = Counter()
        enter = stack.enter_context
        self.echo = enter(testing.echoing())
        self.tls = enter(testing.tls_echoing())
        self.refused = enter(testing.refusing())
        self.hole = enter(testing.black_hole())
        self.full = enter(testing.full_backlog())
        self.unix = enter(testing.unix_listening())

    async def connected(self) -> None:
        """Connect, and have bytes echoed over the plain socket."""
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        sock = await aioconnect.connect(self.echo.host, self.echo.port, timeout=30)
        self.latencies.append(time.perf_counter() - started)
        with sock:
            await loop.sock_sendall(sock, PAYLOAD)
            got = b""
            while len(got) < len(PAYLOAD):
                got += await loop.sock_recv(sock, 100)
            assert got == PAYLOAD
            reset_on_close(sock)

    async def streams(self) -> None:
        """Open streams, to the numeric host or by its name."""
        host = self.draw.choice([self.echo.host, "localhost"])
        await self._echoed(aioconnect.open_connection(host, self.echo.port, timeout=30))

    async def over_tls(self) -> None:
        """Open streams over TLS."""
        await self._echoed(
            aioconnect.open_connection(
                self.tls.host,
                self.tls.port,
                ssl=self.tls.client_context,
                server_hostname="localhost",
                timeout=30,
            )
        )

    async def _echoed(self, opening: Awaitable[Streams]) -> None:
        reader, writer = await opening
        try:
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
        finally:
            writer.transport.abort()

    async def by_path(self) -> None:
        """Connect to a Unix socket."""
        with await aioconnect.connect_unix(self.unix.path, timeout=30):
            self.unix.accept().close()

    async def refusals(self) -> None:
        """Be refused, a few times."""
        retry = (0.001,) * self.draw.randrange(4)
        await aioconnect.connect(self.refused.host, self.refused.port, retry=retry)

    async def late(self) -> None:
        """Come back until the server is there."""
        with testing.unused_port() as held:
            timer = asyncio.get_running_loop().call_later(0.02, held.listen)
            try:
                retry = aioconnect.Backoff(initial=0.005, maximum=0.02)
                to = (held.host, held.port)
                (await aioconnect.connect(*to, retry=retry, timeout=30)).close()
            finally:
                timer.cancel()

    async def silence(self) -> None:
        """Wait for a SYN that nobody answers, and for a slot that nobody frees."""
        seconds = self.draw.uniform(0.0, 0.05)
        if self.draw.random() < 0.5:
            await aioconnect.connect(self.hole.host, self.hole.port, timeout=seconds)
        await aioconnect.connect_unix(self.full.path, timeout=seconds)

    async def raced(self) -> None:
        """Race a silent address, one that refuses and, half of the time, a good one."""
        addresses = [self.hole.address, self.refused.address]
        if self.draw.random() < 0.5:
            addresses.append(self.echo.address)
        self.draw.shuffle(addresses)
        delay = self.draw.choice([None, 0.01])

        async def resolver(
            host: str,  # noqa: ARG001  # a resolver's arguments have their names
            port: int,  # noqa: ARG001  # the same
            **asked: int,
        ) -> list[Address]:
            await asyncio.sleep(self.draw.choice([0.0, 0.001]))
            if asked["family"] == socket.AF_UNSPEC:  # now and then it fails for now
                if self.draw.random() < 0.2:
                    raise socket.gaierror(socket.EAI_AGAIN, "not now")
                return addresses
            return [one for one in addresses if one.family == asked["family"]]

        sock = await aioconnect.connect(
            "three", 1, resolver=resolver, happy_eyeballs_delay=delay, timeout=0.05
        )
        with sock:
            reset_on_close(sock)

    async def any_of(self) -> None:
        """Connect to the one of several that answers a ping, in turns or raced."""
        targets = [self.hole.address, self.refused.address, self.unix.address]
        self.draw.shuffle(targets)
        targets.insert(self.draw.randrange(4), self.echo.address)
        connector = aioconnect.Connector(timeout=0.2, ready=answers)
        race = self.draw.random() < 0.5
        with await connector.connect_any(targets, race=race) as sock:
            reset_on_close(sock)

    async def waited(self) -> None:
        """Wait for what is up, and for what is down."""
        if self.draw.random() < 0.5:
            to = self.echo.host, self.echo.port
            await aioconnect.wait_until_up(*to, settle=0.001, timeout=30)
        else:
            to = self.refused.host, self.refused.port
            await aioconnect.wait_until_down(*to, timeout=30)

    async def stayed(self) -> None:
        """Come back, again and again, to a server that is well."""
        turns = self.draw.randrange(1, 4)
        connections = aioconnect.reconnecting(
            self.echo.host, self.echo.port, retry=(0.001,) * 3, timeout=30
        )
        async for reader, writer in connections:
            writer.write(PAYLOAD)
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            writer.transport.abort()
            turns -= 1
            if not turns:
                break

    async def cancelled(self) -> None:
        """Cancel any of the others, after a random number of iterations."""
        other = self.draw.choice([one for one in self.ways() if one != self.cancelled])
        task = asyncio.ensure_future(other())
        for _ in range(self.draw.randrange(12)):
            await asyncio.sleep(0)
        task.cancel()
        await task

    def ways(self) -> list[Callable[[], Awaitable[None]]]:
        """Return what there is to do."""
        plain = [self.connected, self.streams, self.over_tls, self.by_path]
        rest = [self.refusals, self.late, self.silence, self.raced, self.cancelled]
        return [*plain, *rest, self.any_of, self.waited, self.stayed]

    async def work(self, until: float) -> None:
        """Do one thing after the other *until* the clock says so."""
        while time.monotonic() < until:
            way = self.draw.choice(self.ways())
            try:
                await way()
            except aioconnect.ConnectError:
                came = "one error"
            except asyncio.CancelledError:
                came = "cancelled"
            else:
                came = "connected"
            self.counts[came] += 1

    async def second(self, started: float) -> None:
        """Work for a second, wait until all of it has ended, and count."""
        until = time.monotonic() + 1.0
        await asyncio.gather(*(self.work(until) for _ in range(WORKERS)))
        await self._at_rest()
        latency = statistics.median(self.latencies or [0.0])
        self.latencies.clear()
        gc.collect()
        self.samples.append(sample(time.monotonic() - started, latency))

    async def _at_rest(self) -> None:
        """Wait until the servers, in threads of theirs, have seen the ends."""
        with contextlib.suppress(TimeoutError):  # connected, and then cancelled
            while True:
                self.unix.accept(timeout=0).close()
        for _ in range(200):
            await asyncio.sleep(0.005)
            if not self.samples or descriptors() <= self.samples[0].descriptors:
                return


async def answers(sock: socket.socket) -> bool:
    """Tell whether the peer echoes, or ends."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"?")
    return await loop.sock_recv(sock, 1) == b"?"


def reset_on_close(sock: socket.socket) -> None:
    """Close with a reset, so that no port lingers."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def descriptors() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    """Return how many threads there are, without those of pools that fill slowly."""
    pools = ("asyncio_", "aioconnect-resolver-")
    return sum(not one.name.startswith(pools) for one in threading.enumerate())


def sample(at: float, latency: float) -> Sample:
    """Count what there is now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        at,
        pages * os.sysconf("SC_PAGE_SIZE"),
        descriptors(),
        threads(),
        len(asyncio.all_tasks()),
        latency,
    )


def growth(samples: list[Sample], what: str) -> float:
    """Return by how much the median of the last third is above the first's."""
    settled = samples[int(len(samples) * SETTLED) :]
    values: list[float] = [getattr(one, what) for one in settled]
    third = max(len(values) // 3, 1)
    return statistics.median(values[-third:]) - statistics.median(values[:third])


def drawn(values: list[float], width: int = 60) -> str:
    """Return *values* as one line of bars, each for the mean of its share."""
    size = max(len(values) / width, 1.0)
    edges = [round(n * size) for n in range(int(len(values) / size) + 1)]
    pairs = itertools.pairwise(edges)
    shares = [statistics.fmean(values[one:two]) for one, two in pairs]
    top = max(shares) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[min(int(share / top * 8), 7)] for share in shares)


def report(loop: str, soak: Soak) -> list[str]:
    """Draw what was counted on *loop*; return what grew."""
    counts = ", ".join(f"{what} {n:,}" for what, n in soak.counts.most_common())
    print(f"{loop}: {soak.counts.total():,} in {len(soak.samples)} rounds: {counts}")
    for message, count in soak.logged.items():
        print(f"  the loop logged {count:,} times: {message}")
    units = {"resident": (2**20, "MiB"), "latency": (1e-3, "ms")}
    grown: list[str] = []
    for what in ("resident", "descriptors", "threads", "tasks", "latency"):
        size, unit = units.get(what, (1, ""))
        values = [getattr(one, what) / size for one in soak.samples]
        more = growth(soak.samples, what)
        text = f"{statistics.median(values):8.2f} {unit:3} {more / size:+8.3f}"
        print(f"  {what:12}{drawn(values)} {text}")
        # How long a connect takes is the machine's, too, and is drawn only.
        if more > (NOISE if what == "resident" else 0) and what != "latency":
            grown.append(f"{what} on {loop}: {more:+}")
    return grown


async def run(soak: Soak, seconds: float) -> None:
    """Soak for *seconds*."""
    # What a loop reports of itself, such as a handshake that was aborted under it.
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: soak.logged.update([context["message"]])
    )
    started = time.monotonic()
    while time.monotonic() < started + seconds:
        await soak.second(started)


def main() -> int:
    """Soak on each loop for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--loop", choices=LOOPS, action="append", dest="loops")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    given = parser.parse_args()
    loops: list[str] = given.loops or list(LOOPS)
    print(f"seed {given.seed}, Python {sys.version.split()[0]}, {WORKERS} at a time")
    grown: list[str] = []
    everything = {}
    for name in loops:
        with ExitStack() as stack:
            soak = Soak(random.Random(given.seed), stack)
            with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
                runner.run(run(soak, given.minutes * 60 / len(loops)))
        grown += report(name, soak)
        samples = [asdict(one) for one in soak.samples]
        everything[name] = {"counts": dict(soak.counts), "samples": samples}
    if given.json:
        given.json.write_text(json.dumps(everything))
    print(*grown or ["nothing grew"], sep="\n")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

"""Race two hosts at every pair of distances, in both family orders, on real packets.

The script prints how many races were in time, and how many were late only because the
machine was.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from _loops import run
from _punctual import DECISIVE, beating, is_punctual, take_precedence
from _reflector import HOSTS, LOCAL, Distance, Reflector, reflecting
from _sorted import SortingResolver

import aioconnect
from aioconnect import Address
from aioconnect.testing import Recorder, Server, listening

PORT = 7000

# "One recommended value for a default delay is 250 milliseconds" (RFC 8305,
# section 5, of the Connection Attempt Delay).
ATTEMPT_DELAY = 0.25

# The last of those that answer has connected after 748 ms.
TIMEOUT = 0.9

# Milliseconds, one way; None: nothing arrives.
IPV6_DELAYS = (0, 5, 50, 100, 200, 249, None)
IPV4_DELAYS = (0, 5, 50, None)

# The races overlap, but they do not begin together.
STAGGER = 0.053


@dataclass(frozen=True, slots=True)
class Host:
    """A host of one race, and its one-way delay in milliseconds."""

    name: str
    delay: int | None

    @property
    def address(self) -> Address:
        family = socket.AF_INET6 if ":" in self.name else socket.AF_INET
        return Address(family, (self.name, PORT))

    @property
    def distance(self) -> Distance:
        return Distance(None if self.delay is None else self.delay / 1000)

    @property
    def round_trip(self) -> float:
        return math.inf if self.delay is None else 2 * self.delay / 1000


def expected(hosts: Sequence[Host]) -> dict[Host, float]:
    """Return when each host that is tried would connect, after the first attempt."""
    first, second = hosts
    ends = {first: first.round_trip}
    if first.round_trip > ATTEMPT_DELAY:
        ends[second] = ATTEMPT_DELAY + second.round_trip
    return ends


class Grid:
    """The races; *connected* counts them by the host that won."""

    def __init__(self, reflector: Reflector) -> None:
        self.reflector = reflector
        self.connected: Counter[str] = Counter()
        self.begun = time.monotonic()

    async def race(self, hosts: Sequence[Host]) -> float:
        """Race *hosts*, in the order of RFC 6724; return by how much it was late."""
        for host in hosts:
            self.reflector.distances[host.name] = host.distance
            self.reflector.syns[host.name] = 0
        ends = expected(hosts)
        winner = min(ends, key=ends.__getitem__)
        recorder = Recorder()
        begun = time.monotonic()
        peer = await self.connect([host.name for host in hosts], recorder)
        late = time.monotonic() - begun - min(ends[winner], TIMEOUT)

        assert peer == (winner.name if math.isfinite(ends[winner]) else None)
        started = recorder.of(aioconnect.AttemptStarted)
        assert [event.address for event in started] == [host.address for host in ends]
        syns = {host: self.reflector.syns[host.name] for host in hosts}
        assert syns == {host: int(host in ends) for host in hosts}
        if len(started) == 2:
            late = max(late, abs(started[1].at - started[0].at - ATTEMPT_DELAY))
        return late

    async def connect(self, names: Sequence[str], recorder: Recorder) -> str | None:
        """Return the host that a socket is connected to, or None: nobody answers."""
        # Not in the order of the attempts.
        resolver = SortingResolver(sorted(names))
        try:
            sock = await aioconnect.connect(
                "two", PORT, resolver=resolver, timeout=TIMEOUT, observer=recorder
            )
        except aioconnect.ConnectTimeoutError as exc:
            tried = {attempt.address for attempt in exc.attempts}
            started = recorder.of(aioconnect.AttemptStarted)
            assert tried == {event.address for event in started}
            return None
        with sock:
            peer: str = sock.getpeername()[0]
        recorder.assert_none(aioconnect.AttemptFailed)
        self.connected[peer] += 1
        return peer


def all_races() -> list[tuple[Host, Host]]:
    """Return the hosts of each race, in the order in which they are tried."""
    races = []
    delays = itertools.product(IPV6_DELAYS, IPV4_DELAYS)
    for number, (six, four) in enumerate(delays, 1):
        ipv4 = HOSTS["IPv4"].format
        races.append(
            (Host(HOSTS["IPv6"].format(number), six), Host(ipv4(number), four))
        )
        other = number + 100
        races.append((Host(ipv4(other), four), Host(HOSTS["6to4"].format(other), six)))
    return races


async def run_all(grid: Grid) -> list[bool]:
    """Run every race; return which of them were in time."""
    stalls = grid.reflector.stalls

    async def after(pause: float, hosts: Sequence[Host]) -> bool:
        await asyncio.sleep(pause)
        try:
            return await is_punctual(lambda: grid.race(hosts), stalls)
        except AssertionError as exc:
            exc.add_note(f"the hosts, in the order of RFC 6724: {hosts}")
            raise

    async with beating(stalls):
        races = (after(n * STAGGER, hosts) for n, hosts in enumerate(all_races()))
        return await asyncio.gather(*races)


async def check_connections(servers: Iterable[Server], grid: Grid) -> None:
    """Check that the winners connected, each once, and nobody else."""
    accepted: Counter[str] = Counter()
    # What a winner sent last is still on its way.
    deadline = time.monotonic() + 5
    while not accepted >= grid.connected and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        accepted.update(peer for server in servers for peer in peers_of(server))
    if grid.reflector.stalls.since(grid.begun) < DECISIVE:
        assert accepted == grid.connected, f"{accepted - grid.connected} too many"
    else:  # two hosts may have connected while the machine stalled
        assert accepted >= grid.connected, f"without {grid.connected - accepted}"


def peers_of(server: Server) -> Iterator[str]:
    """Accept who has connected to *server*; give their hosts."""
    with contextlib.suppress(TimeoutError):
        while True:
            with server.accept(timeout=0) as sock:
                yield sock.getpeername()[0]


async def main() -> None:
    with contextlib.ExitStack() as stack:
        grid = Grid(stack.enter_context(reflecting()))
        servers = [
            stack.enter_context(listening(host, port=PORT, backlog=500))
            for host in LOCAL.values()
        ]
        in_time = await run_all(grid)
        await check_connections(servers, grid)
    print(
        json.dumps(
            {"in time": sum(in_time), "late, as the machine was": in_time.count(False)}
        )
    )


take_precedence()
run(main())

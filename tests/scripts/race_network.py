"""Race hosts that lose, duplicate, refuse or forbid packets; count the SYNs to each."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from _loops import run
from _punctual import DECISIVE, beating, is_punctual, take_precedence
from _reflector import HOSTS, LOCAL, Distance, Reflector, ip, reflecting
from _sorted import SortingResolver

import aioconnect
from aioconnect import AttemptFailed
from aioconnect.testing import Recorder, Server, leak_check, listening

# Where all hosts listen, or only those of IPv6, or none.
PORT, IPV6_PORT, REFUSING = 7000, 7001, 7002

ATTEMPT_DELAY = 0.25

# Of the processor, for a race whose first host is silent: half a dozen iterations of
# a loop in debug mode.  One that spins takes a quarter of a second.
OWN_TIME = 0.05

SILENT = Distance(delay=None)

# In the order of RFC 6724, with the families taking turns.
SIX, FOUR, THIRD = (HOSTS[kind].format(1) for kind in ("IPv6", "IPv4", "6to4"))


class Network:
    """The hosts, and what a connect to them came to."""

    def __init__(self, reflector: Reflector, servers: Sequence[Server]) -> None:
        self.reflector = reflector
        self.servers = servers
        self.recorder = Recorder()

    def place(self, distances: dict[str, Distance]) -> None:
        """Put the hosts where they are from now on, and forget what was sent."""
        self.reflector.distances = distances
        self.reflector.syns.clear()
        self.recorder.clear()

    async def connect(
        self, hosts: Sequence[str], port: int = PORT, **options: Any
    ) -> str:
        """Return the host among *hosts* that a socket is connected to."""
        resolver = SortingResolver(hosts)
        sock = await aioconnect.connect(
            "name", port, resolver=resolver, observer=self.recorder, **options
        )
        with sock:
            host: str = sock.getpeername()[0]
        return host

    async def error(
        self, hosts: Sequence[str], port: int = PORT, **options: Any
    ) -> aioconnect.ConnectError:
        """Return the error that a connect to *hosts* must come to."""
        try:
            connected = await self.connect(hosts, port, **options)
        except aioconnect.ConnectError as exc:
            return exc
        raise AssertionError(f"connected to {connected}")

    def accepted(self, count: int = 0) -> list[str]:
        """Return the hosts from which somebody has connected to a server.

        At least *count* are waited for: the last packet may be on its way.
        """
        hosts: list[str] = []
        deadline = time.monotonic() + 5
        while True:
            for server in self.servers:
                with contextlib.suppress(TimeoutError):
                    while True:
                        with server.accept(timeout=0.05) as sock:
                            hosts.append(sock.getpeername()[0])
            if len(hosts) >= count or time.monotonic() > deadline:
                return hosts


async def silent_first(network: Network) -> float:
    """Wait for a silent host: as long as the delay, and no longer."""
    network.place({SIX: SILENT})
    begun = time.monotonic()
    assert await network.connect([SIX, FOUR]) == FOUR
    late = time.monotonic() - begun - ATTEMPT_DELAY
    assert network.reflector.syns == {SIX: 1, FOUR: 1}, network.reflector
    return late


async def hurried(network: Network) -> float:
    """Refuse at the second host: the third does not wait for the delay again."""
    network.place({SIX: SILENT})
    begun = time.monotonic()
    assert await network.connect([THIRD, FOUR, SIX], IPV6_PORT) == THIRD
    late = time.monotonic() - begun - ATTEMPT_DELAY
    assert network.reflector.syns == dict.fromkeys([SIX, FOUR, THIRD], 1)
    failed = network.recorder.only(AttemptFailed).attempt
    assert isinstance(failed.error, ConnectionRefusedError), failed
    return late


async def one_lost(network: Network) -> float:
    """Lose the first SYN to one: the other wins before there is a second."""
    network.place({SIX: Distance(lost=1)})
    begun = time.monotonic()
    assert await network.connect([SIX, FOUR]) == FOUR
    late = time.monotonic() - begun - ATTEMPT_DELAY
    assert network.reflector.syns == {SIX: 1, FOUR: 1}, network.reflector
    return late


async def check_first_lost(network: Network) -> None:
    """Lose the first SYN to both: the kernel's second one to the first host wins.

    "Starting a new connection attempt does not affect previous attempts" (RFC 8305,
    section 5): the first is alive when its second SYN is due, after a second.
    """
    network.place({host: Distance(lost=1) for host in (SIX, FOUR)})
    assert await network.connect([SIX, FOUR]) == SIX
    syns = network.reflector.syns
    # That of the other is due a quarter of a second later.
    assert (syns[SIX], syns[FOUR]) in ((2, 1), (2, 2)), syns
    network.recorder.assert_none(AttemptFailed)


async def check_own_time(network: Network) -> None:
    """Wait for the delay: it costs next to nothing of the processor."""
    network.place({SIX: SILENT})
    costs = []
    for _ in range(3):
        begun = time.thread_time()
        assert await network.connect([SIX, FOUR]) == FOUR
        costs.append(time.thread_time() - begun)
    assert min(costs) < OWN_TIME, costs


async def check_copies(network: Network) -> None:
    """Have each packet arrive twice: one connection is made, and one accepted."""
    network.accepted()
    for hosts in ([SIX], [FOUR], [SIX, FOUR]):
        network.place({host: Distance(copies=2) for host in hosts})
        assert await network.connect(hosts) == hosts[0]
        assert network.accepted(1) == [hosts[0]]


async def check_refusals(network: Network) -> None:
    """Have eight addresses refuse: eight SYNs, and one error that names them."""
    hosts = [HOSTS[kind].format(n) for n in range(1, 5) for kind in ("IPv4", "IPv6")]
    network.place({})
    # No failure waits for the delay, or the last attempt would be seconds away.
    exc = await network.error(hosts, REFUSING, happy_eyeballs_delay=2.0, timeout=2.0)
    assert isinstance(exc, ConnectionRefusedError), exc
    assert network.reflector.syns == dict.fromkeys(hosts, 1), network.reflector
    assert all(host in str(exc) for host in hosts), exc
    tried = [str(attempt.address) for attempt in exc.attempts]
    # "The client SHOULD modify the ordered list to interleave address families"
    # (RFC 8305, section 4).
    assert [text.startswith("[") for text in tried] == [True, False] * 4, tried


async def check_silence(network: Network) -> None:
    """Have ten addresses be silent: a SYN to each, and four make room for others."""
    hosts = [HOSTS["IPv4"].format(number) for number in range(10, 20)]
    network.place(dict.fromkeys(hosts, SILENT))
    begun = time.monotonic()
    exc = await network.error(hosts, happy_eyeballs_delay=0.01, timeout=0.6)
    assert isinstance(exc, TimeoutError), exc
    syns = network.reflector.syns
    assert syns.keys() == {*hosts}, network.reflector
    # After a second the kernel sends each again, whether or not this process runs.
    if network.reflector.stalls.since(begun) < DECISIVE:
        assert set(syns.values()) == {1}, network.reflector
    given_up = ["given up" in str(attempt) for attempt in exc.attempts]
    assert given_up == [True] * 4 + [False] * 6, exc


async def check_routes(network: Network) -> None:
    """Forbid a host by a route: it is tried last, and never sent to."""
    for kind, code in (
        ("unreachable", errno.EHOSTUNREACH),
        ("prohibit", errno.EACCES),
        ("blackhole", errno.EINVAL),
        (None, errno.ENETUNREACH),
    ):
        if kind is None:
            ip("-6", "route", "delete", "2001:db8:1::/64", "dev", "reflect0")
        else:
            ip("route", "add", kind, SIX)
        network.place({})
        assert await network.connect([SIX, FOUR]) == FOUR
        network.recorder.assert_none(AttemptFailed)

        exc = await network.error([SIX, FOUR], REFUSING)
        assert isinstance(exc, ConnectionRefusedError), exc
        codes = [getattr(one.error, "errno", None) for one in exc.attempts]
        assert codes == [errno.ECONNREFUSED, code]
        # The first connected, the second was refused.
        assert network.reflector.syns == {FOUR: 2}, network.reflector

        exc = await network.error([SIX])
        assert exc.errno == code, exc
        if kind is not None:
            ip("route", "delete", kind, SIX)


CHECKS: Sequence[Callable[[Network], Awaitable[None]]] = (
    check_own_time,
    check_first_lost,
    check_copies,
    check_refusals,
    check_silence,
    check_routes,
)
TIMED: Sequence[Callable[[Network], Awaitable[float]]] = (
    silent_first,
    hurried,
    one_lost,
)


async def main() -> None:
    with contextlib.ExitStack() as stack:
        reflector = stack.enter_context(reflecting())
        servers = [
            stack.enter_context(listening(host, port=port))
            for port, hosts in (
                (PORT, LOCAL.values()),
                (IPV6_PORT, [LOCAL[socket.AF_INET6]]),
            )
            for host in hosts
        ]
        network = Network(reflector, servers)
        in_time = []
        for trial in TIMED:
            async with beating(reflector.stalls):
                in_time.append(
                    await is_punctual(partial(trial, network), reflector.stalls)
                )
        for check in CHECKS:
            async with leak_check():
                await check(network)
    print(
        json.dumps(
            {"in time": sum(in_time), "late, as the machine was": in_time.count(False)}
        )
    )


take_precedence()
run(main())

"""Race names whose DNS answers are late, missing or wrong, with real getaddrinfo."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from _loops import run
from _own_dns import own_dns
from _punctual import Stalls, beating, is_punctual, take_precedence

import aioconnect
from aioconnect import (
    AttemptStarted,
    Connected,
    Resolved,
    ResolveFailed,
    ResolveStarted,
)
from aioconnect.testing import (
    DNSReply,
    DNSServer,
    Recorder,
    Server,
    Zone,
    black_hole,
    leak_check,
    listening,
    on_one_port,
)

SIX, FOUR, BOTH = socket.AF_INET6, socket.AF_INET, socket.AF_UNSPEC

# "The RECOMMENDED value for the Resolution Delay is 50 milliseconds" (RFC 8305,
# section 3).
RESOLUTION_DELAY = 0.05

# Seconds that glibc waits for an answer, longer than any test here.
PATIENCE = 60

SILENT = DNSReply(drop=True)

# They stay for a while, in case there is another question.
THREADS = ["aioconnect-resolver"]

DEAD = [f"dead{number}.test" for number in range(64)]

zone: Zone = {
    **{(name, kind): SILENT for name in DEAD for kind in ("A", "AAAA")},
    ("alive.test", "A"): ["127.0.0.1"],
    ("alive.test", "AAAA"): ["::1"],
    ("late-aaaa.test", "A"): ["127.0.0.1"],
    ("late-aaaa.test", "AAAA"): DNSReply(["::1"], delay=5),
    ("late-a.test", "A"): DNSReply(["127.0.0.1"], delay=5),
    ("late-a.test", "AAAA"): ["::1"],
    ("soon-aaaa.test", "A"): ["127.0.0.1"],
    ("soon-aaaa.test", "AAAA"): DNSReply(["::1"], delay=1.0),
    ("silent-aaaa.test", "A"): ["127.0.0.1"],
    ("silent-aaaa.test", "AAAA"): SILENT,
    ("failing-aaaa.test", "A"): DNSReply(["127.0.0.1"], delay=0.1),
    ("failing-aaaa.test", "AAAA"): DNSReply(rcode="SERVFAIL"),
    ("ipv4.test", "A"): ["127.0.0.1"],
    ("ipv6.test", "AAAA"): ["::1"],
}


def ipv6(port: int) -> AbstractContextManager[Server]:
    """Return a server on ::1."""
    return listening("::1", port=port)


async def connected_to(name: str, port: int, recorder: Recorder | None = None) -> str:
    """Return the host that a socket to *name* is connected to."""
    connecting = aioconnect.connect(name, port, observer=recorder, timeout=30)
    with await connecting as sock:
        host: str = sock.getpeername()[0]
    return host


async def late_aaaa(port: int) -> float:
    """Let AAAA take 5 s: A is asked for apart, after the Resolution Delay."""
    recorder = Recorder()
    assert await connected_to("late-aaaa.test", port, recorder) == "127.0.0.1"
    assert recorder.only(Resolved).family == FOUR
    return connected_after(recorder, ResolveStarted) - RESOLUTION_DELAY


async def no_aaaa(port: int) -> float:
    """Let AAAA never come: the same."""
    recorder = Recorder()
    assert await connected_to("silent-aaaa.test", port, recorder) == "127.0.0.1"
    assert recorder.only(Resolved).family == FOUR
    return connected_after(recorder, ResolveStarted) - RESOLUTION_DELAY


async def late_a(port: int) -> float:
    """Let A take 5 s: AAAA is asked for apart, after the Resolution Delay."""
    recorder = Recorder()
    assert await connected_to("late-a.test", port, recorder) == "::1"
    assert recorder.only(Resolved).family == SIX
    return connected_after(recorder, ResolveStarted) - RESOLUTION_DELAY


async def failing_aaaa(port: int) -> float:
    """Let AAAA fail, and A take 0.1 s: it is the whole answer, and waits no longer.

    A was asked for apart, too, and takes as long again.
    """
    recorder = Recorder()
    assert await connected_to("failing-aaaa.test", port, recorder) == "127.0.0.1"
    assert recorder.only(ResolveFailed).family == SIX
    assert recorder.only(Resolved).family == BOTH
    return connected_after(recorder, Resolved)


def connected_after(recorder: Recorder, kind: type[ResolveStarted | Resolved]) -> float:
    """Return the seconds from the first event of *kind* to the end.

    The times are those of the loop's clock.
    """
    return recorder.only(Connected).at - recorder.of(kind)[0].at


async def check_late_answer() -> None:
    """Let the whole answer join a race that hangs: its AAAA wins."""
    recorder, stalls = Recorder(), Stalls()
    begun = time.monotonic()
    with on_one_port(black_hole, ipv6) as (hole, _):
        async with beating(stalls):
            assert await connected_to("soon-aaaa.test", hole.port, recorder) == "::1"
    first, second = recorder.of(AttemptStarted)
    assert (first.address.family, second.address.family) == (FOUR, SIX)
    answers = [event.family for event in recorder.of(Resolved)]
    assert answers == [FOUR, BOTH]
    # The delay since the first attempt was long over when the answer came.
    late = second.at - recorder.of(Resolved)[1].at
    assert late < 0.2 + stalls.since(begun)


async def check_dead_names(server: DNSServer) -> None:
    """Look 64 names up whose DNS server is silent: no other name is delayed."""
    tasks = [
        asyncio.create_task(aioconnect.connect(name, 80, timeout=PATIENCE))
        for name in DEAD
    ]
    # Each is asked for as a whole, and then apart.
    asked = Counter({(name, kind): 2 for name in DEAD for kind in ("A", "AAAA")})
    while not asked <= Counter((query.name, query.type) for query in server.queries):
        await asyncio.sleep(0.01)
    with listening("::1") as alive:
        async with leak_check(ignore_threads=THREADS):
            begun = time.monotonic()
            assert await connected_to("alive.test", alive.port) == "::1"
            elapsed = time.monotonic() - begun
    assert not any(task.done() for task in tasks)
    assert elapsed < 5, f"{elapsed} s"
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    # What is left is glibc's: a socket for each question that is not answered.
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def check_errors() -> None:
    """Check for one error, with the resolver's own code and what it was asked for."""
    for name, family, code, text in (
        ("nowhere.test", 0, socket.EAI_NONAME, "name or service not known"),
        ("nowhere.test", FOUR, socket.EAI_NONAME, "asked for IPv4 only"),
        ("ipv4.test", SIX, socket.EAI_NODATA, "asked for IPv6 only"),
        ("ipv6.test", FOUR, socket.EAI_NODATA, "asked for IPv4 only"),
        ("ipv4.test", 0, None, ""),
    ):
        try:
            with await aioconnect.connect(name, 80, family=family):
                raise AssertionError(f"connected to {name}")
        except aioconnect.ResolveError as exc:
            found: tuple[int | None, bool] = (exc.errno, text in str(exc))
            assert {one.phase for one in exc.attempts} == {"resolve"}, exc
            assert exc.attempt_count == 1, exc
        except ConnectionRefusedError:
            found = (None, True)
        assert found == (code, True), (name, family, found)
    names = await asyncio.gather(
        *(connected_to("nowhere.test", 80) for _ in range(9)), return_exceptions=True
    )
    assert {type(exc) for exc in names} == {aioconnect.ResolveError}, names


TIMED: Sequence[Callable[[int], Awaitable[float]]] = (
    late_aaaa,
    no_aaaa,
    late_a,
    failing_aaaa,
)


async def main(server: DNSServer) -> None:
    stalls = Stalls()
    in_time = []
    with on_one_port(listening, ipv6) as (four, _):
        for trial in TIMED:
            async with beating(stalls):
                in_time.append(await is_punctual(partial(trial, four.port), stalls))
    async with leak_check(ignore_threads=THREADS):
        await check_late_answer()
        await check_errors()
    await check_dead_names(server)
    print(
        json.dumps(
            {"in time": sum(in_time), "late, as the machine was": in_time.count(False)}
        )
    )


take_precedence()
with own_dns(zone, PATIENCE) as server:
    run(main(server))

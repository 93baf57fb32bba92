"""Twice as many inputs cost twice as much, not four times, and never block the loop.

This holds for every entry point that takes many of something: names, addresses, records
of a service, targets, rounds.  The tests measure CPU time, because others share the
machine.  They measure the package itself: ``allow`` refuses most attempts before there
is a socket, because the kernel's time for each would hide a small square.

One loop is enough, asyncio's, because the growth does not depend on the loop.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import random
import resource
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from programs import program

import aioconnect
from aioconnect import Address, Backoff, Connector, SRVRecord, Timeline
from aioconnect._sansio.srv_records import srv_order
from aioconnect.testing import refusing

# Quadratic growth makes this ratio 4; a sort makes it a few hundredths more than 2.
FACTOR = 3.0

# In seconds of the loop's thread, during which no other task runs.
STILL = 0.1

# The best of this number of runs counts: under load, caches are cold.
TRIES = 6

V4, V6 = socket.AF_INET, socket.AF_INET6


def refuse(_: object, port: int) -> bool:
    """Refuse every address, which makes attempts cheap."""
    return False


def ip(number: int) -> str:
    """Return an address of the loopback interface."""
    return f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Resolver:
    """A resolver in which ``h3.test`` has the fourth address of each family.

    Other names have up to *count* of each family.  Every service has *records*.
    """

    def __init__(
        self,
        count: int = 1,
        records: Callable[[str], Sequence[SRVRecord]] | None = None,
    ) -> None:
        self.count = count
        self.records = records

    async def __call__(
        self, host: str, port: int, *, family: int, proto: int, flags: int
    ) -> Sequence[Address]:
        """Answer in the next turn of the loop."""
        await asyncio.sleep(0)
        number = int(host[1 : host.index(".")])
        numbers = range(number, number + self.count)
        six = [Address(V6, (f"fd00::{n:x}", port)) for n in numbers if self.count > 1]
        found = [*six, *(Address(V4, (ip(n), port)) for n in numbers)]
        return [one for one in found if family in (0, one.family)]

    async def services(self, service: str) -> Sequence[SRVRecord]:
        """Answer in the next turn of the loop."""
        await asyncio.sleep(0)
        assert self.records is not None
        return self.records(service)


async def nobody(name: str, port: int, **_: int) -> Sequence[Address]:
    """Know no name."""
    await asyncio.sleep(0)
    return []


def records(count: int) -> list[SRVRecord]:
    """Return records of seven priorities and a hundred weights."""
    return [SRVRecord(n % 7, n % 100, 1, f"h{n}.test") for n in range(count)]


def one_record(service: str) -> list[SRVRecord]:
    """Return the record of ``_h3._tcp.test``."""
    return [SRVRecord(1, 1, 1, f"{service[1 : service.index('.')]}.test")]


Made = Coroutine[Any, Any, Any]


def raced(targets: Sequence[Any], **options: Any) -> Made:
    return _any(targets, race=True, **options)


def in_turns(targets: Sequence[Any], **options: Any) -> Made:
    return _any(targets, race=False, **options)


def _any(targets: Sequence[Any], *, race: bool, **options: Any) -> Made:
    settings: dict[str, Any] = {"allow": refuse, "timeout": 60, **options}
    return aioconnect.connect_any(targets, race=race, **settings)


def names(count: int) -> list[tuple[str, int]]:
    return [(f"h{n}.test", 1) for n in range(count)]


def addresses(count: int) -> list[Address]:
    return [Address(V4, (ip(n), 1)) for n in range(count)]


def one_name(count: int, **options: Any) -> Made:
    connector = Connector(resolver=Resolver(count // 2), allow=refuse, **options)
    return connector.connect("h1.test", 1)


def a_service(count: int) -> Resolver:
    return Resolver(records=lambda _: records(count))


def services(count: int) -> list[str]:
    return [f"srv:_h{n}._tcp.test" for n in range(count)]


def texts(count: int) -> list[str]:
    return [f"{ip(n)}:1" for n in range(count)]


def rounds(count: int) -> Made:
    """Fail in round after round, without delays."""

    def fail(sock: object, address: Address) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "not yet")

    retry = Backoff(0, attempts=count)
    return aioconnect.connect("127.0.0.1", 1, prepare=[fail], retry=retry)


async def rounds_at_a_port(count: int) -> None:
    """Let the kernel refuse in round after round."""
    with refusing() as port:
        retry = Backoff(0, attempts=count)
        await aioconnect.connect(port.host, port.port, retry=retry)


async def addresses_at_a_port(count: int) -> None:
    """Let the kernel refuse at one address after the other."""
    with refusing() as port:
        found = [Address(V4, (ip(n), port.port)) for n in range(count)]
        await aioconnect.connect_any(found, race=True)


async def shown(count: int) -> None:
    """Show what a call with many attempts has done."""
    timeline = Timeline()
    try:
        await raced(names(count), resolver=Resolver(), observer=timeline)
    finally:
        for show in (timeline.to_text, timeline.to_svg, timeline.to_dict):
            await asyncio.sleep(0)
            show()


@dataclass(frozen=True)
class Many:
    """An entry point that takes *count* of something."""

    call: Callable[[int], Made]
    count: int = 1000


MANY: dict[str, Many] = {
    "names, raced": Many(lambda n: raced(names(n), resolver=Resolver()), 800),
    "names, in turn": Many(lambda n: in_turns(names(n), resolver=Resolver()), 300),
    "names that nobody knows": Many(lambda n: raced(names(n), resolver=nobody), 800),
    "addresses of a name": Many(one_name, 2000),
    "addresses of a name, one at a time": Many(
        lambda n: one_name(n, happy_eyeballs_delay=None), 2000
    ),
    "addresses of a name that keep their order": Many(
        lambda n: one_name(n, interleave=0), 2000
    ),
    # A DNS answer has room for 2,700 at most.
    "records of a service, raced": Many(
        lambda n: raced(["srv:_x._tcp.test"], resolver=a_service(n)), 1350
    ),
    "records of a service, in turn": Many(
        lambda n: in_turns(["srv:_x._tcp.test"], resolver=a_service(n)), 800
    ),
    "services, raced": Many(
        lambda n: raced(services(n), resolver=Resolver(records=one_record)), 600
    ),
    "services, in turn": Many(
        lambda n: in_turns(services(n), resolver=Resolver(records=one_record)), 300
    ),
    "targets, raced": Many(lambda n: raced(addresses(n)), 1500),
    "targets, in turn": Many(lambda n: in_turns(addresses(n)), 1500),
    "targets as text": Many(lambda n: raced(texts(n)), 1500),
    "rounds": Many(rounds, 1500),
    "rounds at a port": Many(rounds_at_a_port, 300),
    "addresses at a port": Many(addresses_at_a_port, 300),
    "steps of a timeline": Many(shown, 500),
}


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_growth(many: Many) -> None:
    """CPU time grows linearly at most, and the loop is never blocked for 100 ms."""
    few: list[tuple[float, float]] = []
    twice: list[tuple[float, float]] = []
    for _ in range(TRIES):
        few.append(spent(many.call(many.count)))
        twice.append(spent(many.call(2 * many.count)))
        factor = min(cost for cost, _ in twice) / min(cost for cost, _ in few)
        still = min(still for _, still in twice)
        if factor < FACTOR and still < STILL:
            return
    pytest.fail(f"twice as many cost {factor:.1f} times, still for {still:.3f} s")


def spent(call: Made) -> tuple[float, float]:
    """Return the cost of *call*, which fails, and how long it blocks the loop."""
    with without_collections(), asyncio.Runner(debug=False) as runner:
        return runner.run(_spent(call))


async def _spent(call: Made) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    still, last = 0.0, time.thread_time()
    handle: asyncio.TimerHandle | None = None

    def tick() -> None:
        nonlocal still, last, handle
        now = time.thread_time()
        still, last = max(still, now - last), now
        handle = loop.call_later(0.001, tick)

    tick()
    began = time.thread_time()
    with pytest.raises(aioconnect.ConnectError):
        await call
    cost = time.thread_time() - began
    tick()
    assert handle is not None
    handle.cancel()
    return cost, still


@contextmanager
def without_collections() -> Iterator[None]:
    """Turn the garbage collector off: its cost depends on the whole process."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_order_of_records() -> None:
    """The RFC 2782 order alone grows linearly; a square would show best here."""

    def cost(count: int) -> float:
        weighted = [SRVRecord(0, n % 100, 1, "h.test") for n in range(count)]
        began = time.thread_time()
        assert len([*srv_order(weighted, random.Random(1).random)]) == count
        return time.thread_time() - began

    costs = [(cost(4000), cost(8000)) for _ in range(3)]
    few, twice = map(min, zip(*costs, strict=True))
    assert twice < FACTOR * few


def test_lines_of_a_sweep(tmp_path: Path) -> None:
    """Each line of the command line's list costs the same, however many there are."""
    pytest.importorskip("rich", reason="needs the extra cli")
    file = tmp_path / "targets"

    def cost(count: int) -> float:
        file.write_text("\n".join(texts(count)))
        began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        assert program("sweep", str(file)).returncode == 1
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began

    start = cost(1)
    for _ in range(TRIES):
        few, twice = cost(1500) - start, cost(3000) - start
        if twice < FACTOR * few:
            return
    pytest.fail(f"twice as many lines cost {twice / few:.1f} times")

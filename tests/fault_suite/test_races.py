"""Races of addresses end well: real packets, random cancels, broken resolvers."""

from __future__ import annotations

import asyncio
import errno
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from thrown import Thrown

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    BlackHole,
    Lookup,
    Recorder,
    RefusingPort,
    ScriptedResolver,
    Server,
    black_hole,
    leak_check,
    listening,
    refusing,
)

SIX, FOUR, BOTH = socket.AF_INET6, socket.AF_INET, socket.AF_UNSPEC

LOOPS = ["asyncio", "uvloop"]

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.fixture
def run_races(
    in_namespace: Callable[..., str], thrown: Thrown
) -> Callable[[str, str], int]:
    """Return a function that runs a script, and returns how many races it timed."""

    def run(script: str, loop: str) -> int:
        came: dict[str, int] = json.loads(in_namespace(str(SCRIPTS / script), loop))
        for what, count in came.items():
            thrown("races", what, count)
        return sum(came.values())

    return run


@pytest.fixture
def tun() -> None:
    """Skip the test where there are no tun devices."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun")


@pytest.mark.namespace
@pytest.mark.usefixtures("tun")
@pytest.mark.parametrize("loop", LOOPS)
def test_grid(run_races: Callable[[str, str], int], loop: str) -> None:
    """The winning family, the time and the SYNs are those of RFC 8305.

    This holds for seven distances of IPv6 by four of IPv4, in either order, within 15
    ms.
    """
    assert run_races("race_grid.py", loop) == 56


@pytest.mark.namespace
@pytest.mark.usefixtures("tun")
@pytest.mark.parametrize("loop", LOOPS)
def test_network(run_races: Callable[[str, str], int], loop: str) -> None:
    """Races end well among silent, lossy, duplicating, refusing and forbidden hosts."""
    assert run_races("race_network.py", loop) == 3


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
def test_names(run_races: Callable[[str, str], int], loop: str) -> None:
    """Races end well with late, missing and wrong DNS answers, by real getaddrinfo."""
    assert run_races("race_names.py", loop) == 4


SERVERS: tuple[
    Callable[[str], AbstractContextManager[Server | RefusingPort | BlackHole]], ...
] = (listening, refusing, black_hole)


@pytest.fixture
def hosts(ipv6_listener: Server) -> Iterator[list[Address]]:
    """Give addresses of each family that accept, refuse, or are silent."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(serve(host))
            for host in ("::1", "127.0.0.1")
            for serve in SERVERS
        ]
        yield [server.address for server in servers]


class Answering:
    """A resolver that answers each family after *ticks* iterations.

    None never answers.  A negative number is an error after that many iterations.  The
    answer for both families is *whole*; those apart are of *apart*.
    """

    def __init__(
        self,
        whole: Sequence[Address],
        apart: Sequence[Address],
        ticks: Mapping[int, int | None],
    ) -> None:
        self._whole = whole
        self._apart = apart
        self._ticks = ticks

    async def __call__(
        self, host: str, port: int, *, family: int, proto: int, flags: int
    ) -> Sequence[Address]:
        ticks = self._ticks[family]
        if ticks is None:
            await asyncio.get_running_loop().create_future()
            raise AssertionError("nobody ends it")
        for _ in range(abs(ticks)):
            await asyncio.sleep(0)
        if ticks < 0:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        if family == BOTH:
            return self._whole
        return [one for one in self._apart if one.family == family]


RACES = 2_000


async def cancelled_race(hosts: Sequence[Address], draw: random.Random) -> str:
    """Cancel a race at a random point; return its result."""
    ticks: dict[int, int | None] = {
        family: draw.choice([0, 1, 2, 5, -1, None]) for family in (BOTH, SIX, FOUR)
    }
    whole, apart = (draw.choices(hosts, k=draw.randrange(6)) for _ in range(2))
    options: Any = {
        "resolver": Answering(whole, apart, ticks),
        "happy_eyeballs_delay": draw.choice([None, 0.01, 0.25]),
        "resolution_delay": draw.choice([None, 0.0, 0.0, 0.002, 0.05]),
        "retry": draw.choice([(), (0.0,), (0.001,) * 9]),
        "timeout": draw.choice([None, 0.005, 60]),
    }
    race = asyncio.create_task(aioconnect.connect("some", 1, **options))
    if draw.random() < 0.4:
        await asyncio.wait([race], timeout=draw.uniform(0, 0.008))
    else:
        for _ in range(draw.randrange(20)):
            await asyncio.sleep(0)
    is_cancelled = race.cancel()
    try:
        sock = await race
    except asyncio.CancelledError:
        assert is_cancelled
        return "cancelled, nothing left"
    except aioconnect.ConnectError:
        assert not is_cancelled
        return "one error"
    sock.close()
    assert not is_cancelled
    return "connected"


async def test_cancelled_at_random(hosts: list[Address], thrown: Thrown) -> None:
    """In 2,000 races, a cancellation is never lost, and leaves nothing behind."""
    draw = random.Random(8305)
    came: Counter[str] = Counter()
    while came.total() < RACES:
        async with leak_check():
            for _ in range(100):
                came[await cancelled_race(hosts, draw)] += 1
    assert came["cancelled, nothing left"] > RACES / 4, came
    for what, count in came.items():
        thrown("races", what, count)


WRONG = {
    "fails": Lookup(error=socket.EAI_FAIL),
    "fails for now": Lookup(error=socket.EAI_AGAIN),
    "breaks": Lookup(error=OSError(errno.EIO, "broken")),
    "hangs": Lookup(never=True),
    "has nothing": Lookup(),
    "is late": Lookup(["::1", "127.0.0.1"], delay=60),
}


@pytest.mark.usefixtures("ipv6_listener")
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("family", [SIX, FOUR], ids=["AAAA", "A"])
@pytest.mark.parametrize("whole", ["hangs", "fails for now", "is late"])
async def test_wrong_answer(wrong: Lookup, family: int, whole: str) -> None:
    """A wrong answer for one family does not affect the other family."""
    host, other = ("127.0.0.1", FOUR) if family == SIX else ("::1", SIX)
    resolver = ScriptedResolver(
        {
            ("name", BOTH): WRONG[whole],
            ("name", family): wrong,
            ("name", other): Lookup([host]),
        }
    )
    with listening(host) as server:
        async with leak_check():
            connecting = aioconnect.connect("name", server.port, resolver=resolver)
            with await connecting as sock:
                assert sock.getpeername()[:2] == server.sockaddr[:2]
    assert resolver.pending == 0


@pytest.mark.parametrize(
    ("wrong", "kind", "code", "lookups"),
    [
        ("fails", aioconnect.ResolveError, socket.EAI_FAIL, 1),
        ("fails for now", aioconnect.ResolveError, socket.EAI_AGAIN, 3),
        ("breaks", aioconnect.ConnectError, errno.EIO, 1),
        ("hangs", aioconnect.ConnectTimeoutError, errno.ETIMEDOUT, 3),
        ("has nothing", aioconnect.ResolveError, socket.EAI_NONAME, 1),
        ("is late", aioconnect.ConnectTimeoutError, errno.ETIMEDOUT, 3),
    ],
)
async def test_wrong_answers(
    wrong: str, kind: type[OSError], code: int, lookups: int
) -> None:
    """Wrong answers make one error, within the timeout.

    The families are not asked for after an answer that is final.
    """
    timeout = 0.2 if code == errno.ETIMEDOUT else 30
    resolver = ScriptedResolver({"name": WRONG[wrong]})
    async with leak_check():
        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.connect("name", 80, resolver=resolver, timeout=timeout)
    assert (type(caught.value), caught.value.errno) == (kind, code)
    assert [one.phase for one in caught.value.attempts] == ["resolve"] * lookups
    assert [one.family for one in resolver.calls] == [BOTH, SIX, FOUR][:lookups]
    assert resolver.pending == 0


@pytest.mark.parametrize("bug", [ZeroDivisionError("a bug"), None])
@pytest.mark.parametrize("where", [BOTH, SIX], ids=["whole", "AAAA"])
async def test_bug_in_the_middle(where: int, bug: Exception | None) -> None:
    """A resolver that raises, or returns no address, ends a race that is under way."""
    under_way = asyncio.Event()

    async def resolver(host: str, port: int, *, family: int, **_: int) -> Any:
        if family == FOUR:
            return [hole.address]
        if family != where:
            await asyncio.get_running_loop().create_future()
        await under_way.wait()
        if bug is not None:
            raise bug
        return ["::1"]

    def observe(event: aioconnect.Event) -> None:
        if isinstance(event, aioconnect.AttemptStarted):
            under_way.set()

    with black_hole() as hole:
        async with leak_check():
            with pytest.raises(TypeError if bug is None else type(bug)):
                await aioconnect.connect(
                    "name", hole.port, resolver=resolver, observer=observe, timeout=60
                )


@pytest.mark.parametrize("bug", [ZeroDivisionError("a bug"), None])
async def test_answer_after_the_end(bug: Exception | None) -> None:
    """The answer of a resolver that ignores its cancellation has no effect."""
    ended: list[int] = []

    async def resolver(host: str, port: int, *, family: int, **_: int) -> Any:
        if family == FOUR:
            return [server.address]
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        ended.append(family)
        if bug is not None:
            raise bug
        return [server.address]

    recorder = Recorder()
    with listening() as server:
        async with leak_check():
            (
                await aioconnect.connect(
                    "name", 80, resolver=resolver, observer=recorder
                )
            ).close()
    assert ended == [BOTH, SIX]
    assert recorder.kinds()[-1] == "Connected"


@pytest.mark.parametrize(
    ("delay", "asked"), [(None, [BOTH]), (0, [BOTH, SIX, FOUR])], ids=["whole", "all"]
)
@pytest.mark.parametrize("ticks", range(4))
async def test_resolver_that_fails_when_cancelled(
    ticks: int, delay: float | None, asked: list[int]
) -> None:
    """An exception of a resolver after the call was cancelled is not logged."""
    ended: list[int] = []

    async def resolver(host: str, port: int, *, family: int, **_: int) -> Any:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(family)
            raise ZeroDivisionError("a bug")

    async with leak_check():
        call = asyncio.create_task(
            aioconnect.connect("name", 80, resolver=resolver, resolution_delay=delay)
        )
        for _ in range(ticks):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert ended in ([], asked)


@pytest.mark.usefixtures("ipv6_listener")
async def test_the_same_addresses_from_both() -> None:
    """A resolver that answers each question with all: each address is tried once."""
    all_failed = asyncio.Event()
    recorder = Recorder()

    def observe(event: aioconnect.Event) -> None:
        recorder(event)
        if len(recorder.of(aioconnect.AttemptFailed)) == 2:
            all_failed.set()

    with refusing() as four, refusing("::1") as six:

        async def resolver(
            host: str, port: int, *, family: int, **_: int
        ) -> Sequence[Address]:
            if family != SIX:
                await all_failed.wait()
            return [four.address, six.address, four.address]

        with pytest.raises(aioconnect.ConnectRefusedError) as caught:
            await aioconnect.connect("name", 80, resolver=resolver, observer=observe)
    tried = [str(attempt.address) for attempt in caught.value.attempts]
    assert sorted(tried) == sorted([str(four.address), str(six.address)])

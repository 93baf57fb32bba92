"""Races of addresses end well: real packets, random cancels, broken resolvers."""

from __future__ import annotations

import asyncio
import errno
import json
import random
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_suite.entry_points import discard
from thrown import Thrown

import aioconnect
from aioconnect import Address, AttemptFailed, Connected
from aioconnect.testing import (
    BlackHole,
    Lookup,
    Recorder,
    RefusingPort,
    ScriptedResolver,
    Server,
    Word,
    black_hole,
    echoing,
    flaky,
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


@pytest.mark.namespace
@pytest.mark.skipif(not shutil.which("nft"), reason="nftables is not installed")
@pytest.mark.parametrize("loop", LOOPS)
def test_small_path(
    in_namespace: Callable[..., str], thrown: Thrown, loop: str
) -> None:
    """IPv6 that loses large packets, so a certificate, loses the race against IPv4."""
    in_namespace(str(SCRIPTS / "small_path.py"), loop)
    thrown("races", "connected", 2)


SERVERS: tuple[
    Callable[[str], AbstractContextManager[Server | RefusingPort | BlackHole]], ...
] = (partial(listening, backlog=4_000), refusing, black_hole)


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


async def at_random(draw: random.Random, *connection: object) -> bool:
    """Be ready, fail, say no, or wait for an hour; this is the ``ready`` hook."""
    ticks = draw.choice([0, 1, 5, 3600])
    if ticks > 5:
        await asyncio.sleep(ticks)
    for _ in range(ticks):
        await asyncio.sleep(0)
    if draw.random() < 0.2:
        raise ConnectionResetError(errno.ECONNRESET, "not now")
    return draw.random() < 0.8


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
        "ready": draw.choice([None, partial(at_random, draw)]),
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


async def pinged(*made: Any) -> bool:
    """Return whether the peer of a socket or of streams echoes."""
    if isinstance(made[0], socket.socket):
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(made[0], b"ping")
        answer = await loop.sock_recv(made[0], 4)
    elif isinstance(made[0], asyncio.StreamReader):
        made[1].write(b"ping")
        answer = await made[0].read(4)
    else:
        made[0].write(b"ping")
        answer = await made[1].heard
    if not answer:
        raise EOFError
    return answer == b"ping"


class Hears(asyncio.Protocol):
    """Keep the first data in *heard*: nothing, if it ends before; then it is *lost*."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.heard: asyncio.Future[bytes] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        """Keep *data*."""
        if not self.heard.done():
            self.heard.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep nothing."""
        self.lost.set_result(None)
        self.data_received(b"")


# What an address does once it has accepted, and the phases that may fail.
BROKEN: dict[Word, list[list[str]]] = {
    "accept_close": [["ready"]],
    "accept_silent": [[]],
    "reset": [["ready"], ["connect"]],
}


@pytest.mark.parametrize("way", ["connect", "open_connection", "create_connection"])
@pytest.mark.parametrize("word", BROKEN)
async def test_an_address_that_only_accepts(word: Word, way: str) -> None:
    """With *ready*, a proxy in front of nobody, as docker-proxy, loses the race.

    It accepts for a container that is not there, and closes, resets or says nothing.
    """
    made: list[Hears] = []

    def factory() -> Hears:
        made.append(Hears())
        return made[-1]

    with flaky([word], "127.0.0.2") as broken, echoing() as echo:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [broken.address, echo.address]

        recorder = Recorder()
        connector = aioconnect.Connector(
            resolver=resolver,
            prepare=[broken],
            ready=pinged,
            timeout=60,
            observer=recorder,
            # Only silence is waited for.
            happy_eyeballs_delay=0.01 if word == "accept_silent" else 2.0,
        )
        async with leak_check():
            if way == "create_connection":
                connection: Any = await connector.create_connection(factory, "name", 1)
            else:
                connection = await getattr(connector, way)("name", 1)
            assert recorder.only(Connected).address == echo.address
            await discard(connection)
        assert (broken.log, echo.connections) == ([word], 1)
    phases = [one.attempt.phase for one in recorder.of(AttemptFailed)]
    assert phases in BROKEN[word]
    if way == "create_connection":
        # The factory is called for each that has to prove itself; the loser is told.
        assert made[-1] is connection[1]
        await asyncio.wait_for(asyncio.gather(*(one.lost for one in made)), 60)


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

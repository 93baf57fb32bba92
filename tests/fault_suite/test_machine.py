"""Random connects with random faults and options end as a model allows.

This is a state machine, and not a set of programs under ``@given``: the loop lives from
step to step, and so do connections that were kept.  If a step leaves a watcher, a timer
or a descriptor, it meets the sockets of the next steps.  The kept connections have to
echo after each step.  The steps are synchronous, as Hypothesis needs, and run the loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from fault_suite.model import Bug, Endpoint, Program
from fault_suite.verdict import close, echoes, what_came
from fault_suite.world import Names, World, building, run
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from thrown import Thrown

import aioconnect
from aioconnect import is_refused, is_transient
from aioconnect.testing import Lookup, echoing, leak_check

# No shrinking: servers, ports and times are never quite the same twice.
SETTINGS = settings(
    phases=[Phase.generate],
    max_examples=20,
    stateful_step_count=8,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

HOSTS = ("127.0.0.2", "127.0.0.3", "::1")
INET = (socket.AF_INET, socket.AF_INET6)

# The words that take the most time and rounds come twice as often.
OFTEN = ("refuse", "hang", "reset")
WORDS = st.sampled_from(
    (*("refuse", "hang", "reset", "accept_close", "accept_silent", "accept"), *OFTEN)
)
SCRIPTS = st.lists(WORDS, min_size=1, max_size=4).map(tuple)
UNIX = st.sampled_from(["unix", "full", "full", "missing", "stale"]).map(
    lambda word: (word,)
)
TLS = st.sampled_from([("trusted",), ("trusted",), ("expired",)])

ODD = [
    Lookup(),
    Lookup(error=socket.EAI_NONAME),
    Lookup(error=socket.EAI_AGAIN),
    Lookup(never=True),
]


LOCAL = st.sampled_from([INET, INET[:1], INET[1:]])
FAULTS = st.dictionaries(
    st.integers(1, 3), st.sampled_from([OSError, Bug]), min_size=1, max_size=2
)
OUTCOMES = [name for name in aioconnect.outcome.__all__ if name != "Outcome"]


def always(error: OSError) -> bool:
    """Accept every error: a ``retry_on`` of the caller."""
    return True


@st.composite
def one_in(
    draw: st.DrawFn,
    count: int,
    rare: st.SearchStrategy[Any],
    usual: st.SearchStrategy[Any],
) -> Any:
    """Draw with *rare* once in *count* times."""
    return draw(rare if draw(st.integers(1, count)) == count else usual)


@st.composite
def endpoints(
    draw: st.DrawFn, is_unix: bool, tls: bool, most: int
) -> tuple[Endpoint, ...]:
    """Draw up to *most* endpoints, each with another host."""
    if is_unix:
        return (Endpoint("", draw(UNIX)),)
    hosts = draw(
        st.lists(st.sampled_from(HOSTS), min_size=1, max_size=most, unique=True)
    )
    return tuple(
        Endpoint(host, draw(TLS if tls and draw(st.booleans()) else SCRIPTS))
        for host in hosts
    )


@st.composite
def lookups(draw: st.DrawFn, of: tuple[Endpoint, ...]) -> dict[int, list[Lookup]]:
    """Draw the results of the look-ups of each family, round by round.

    Every other time the whole answer is late, does not come, or fails for now, so that
    the families are asked for apart.  It drops addresses, or has more of them.
    """
    bug = st.builds(Lookup, error=st.builds(Bug))
    odd = one_in(5, bug, st.sampled_from(ODD))
    whole = st.lists(st.sampled_from([one.host for one in of]), unique=True)
    late = st.builds(Lookup, whole, st.sampled_from([0.07, 0.12]))
    second_stage = one_in(2, late, st.sampled_from(ODD[-2:]))
    steps: dict[int, list[Lookup]] = {}
    for family in (socket.AF_UNSPEC, *INET):
        hosts = [one.host for one in of if family in (0, one.family)]
        found = st.builds(Lookup, st.just(hosts), st.sampled_from([0.0, 0.02]))
        usual = found if family else one_in(2, second_stage, found)
        steps[family] = draw(st.lists(one_in(5, odd, usual), min_size=1, max_size=2))
    return steps


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a call: its endpoints, their faults, and the options."""
    is_unix = draw(st.integers(0, 4)) == 0
    tls = not is_unix and draw(st.booleans())
    has_name = not is_unix and draw(st.integers(0, 3)) > 0
    is_any = not (is_unix or tls or has_name) and draw(st.booleans())
    found = draw(endpoints(is_unix, tls, 3 if has_name or is_any else 1))
    is_announced = draw(st.integers(0, 3)) > 0
    if not is_announced:
        # Here the servers do not know which attempt comes next.
        found = tuple(Endpoint(endpoint.host, endpoint.words[:1]) for endpoint in found)
    streams = tls or (not is_any and draw(st.booleans()))
    is_over_loop = streams and draw(st.booleans())
    # Over a loop, the hook gets the socket, before the handshake of TLS.
    asks_ready = not is_unix and not (tls and is_over_loop)
    options: dict[str, Any] = {
        "endpoints": found,
        "tls": tls,
        "streams": streams,
        "lookups": draw(lookups(found)) if has_name else {},
        "is_resolved": not (streams or has_name or is_unix or is_any)
        and draw(st.booleans()),
        "is_ready": asks_ready and draw(st.booleans()),
        "is_any": is_any,
        "races": is_any and draw(st.booleans()),
        "is_over_loop": is_over_loop,
        "is_announced": is_announced,
        "attempt_timeout": draw(st.sampled_from([None, None, 0.03, 30.0])),
        "delays": draw(st.sampled_from([(), (0,), (0, 0.01, 0), (0.01, 5.0)])),
        "retry_on": draw(st.sampled_from([is_transient, is_refused, always])),
        "family": 0 if is_any else draw(one_in(6, st.sampled_from(INET), st.just(0))),
        "local_families": draw(one_in(2, LOCAL, st.none())),
        "interleave": draw(st.sampled_from([None, 0, 1, 2])),
        "happy_eyeballs_delay": draw(st.sampled_from([None, 0.25, 0.01])),
        "outcome": draw(st.sampled_from(OUTCOMES)),
        "faults": draw(one_in(3, FAULTS, st.just({}))) if is_announced else {},
        "observer": draw(one_in(12, st.integers(1, 6), st.sampled_from([None, 0, 0]))),
        "wait": draw(st.sampled_from([0.0, 0.0, 0.02])),
        "cancel": draw(one_in(3, st.integers(0, 12), st.none())),
    }
    short = st.sampled_from([0.03, 0.1, 0.2])
    plan = Program(**options, timeout=None)
    if plan.cancel is None and (plan.may_stay_pending() or 5.0 in plan.delays):
        return replace(plan, timeout=draw(short))
    any_of = st.sampled_from([None, None, 0, 30.0]) | short
    return replace(plan, timeout=draw(any_of))


class Machine(RuleBasedStateMachine):
    """A loop on which calls are made, one or several at once, and some kept open."""

    def __init__(
        self, factory: Callable[[], asyncio.AbstractEventLoop], came: Counter[str]
    ) -> None:
        super().__init__()
        self.came = came
        self.names = Names()
        self.kept: list[socket.socket] = []
        self.open = ExitStack()
        self.server = self.open.enter_context(echoing())
        self.runner = self.open.enter_context(asyncio.Runner(loop_factory=factory))

    @rule(drawn=st.lists(programs(), min_size=2, max_size=4))
    def make_calls(self, drawn: list[Program]) -> None:
        """Make these calls at once; the contract has to allow each result."""
        with ExitStack() as stack:
            worlds = [stack.enter_context(building(p, self.names)) for p in drawn]
            self.came.update(self.runner.run(judged(worlds)))

    @precondition(lambda self: len(self.kept) < 3)
    @rule()
    def keep(self) -> None:
        """Connect, and keep the connection."""
        sockaddr = self.server.host, self.server.port
        self.kept.append(self.runner.run(aioconnect.connect(*sockaddr, timeout=30)))

    @precondition(lambda self: self.kept)
    @rule()
    def drop(self) -> None:
        """Close the oldest kept connection."""
        self.kept.pop(0).close()

    @invariant()
    def kept_connections_echo(self) -> None:
        """No watcher, timer or close of another call has hit them."""
        for sock in self.kept:
            self.runner.run(echoes(sock))

    def teardown(self) -> None:
        """Close everything."""
        while self.kept:
            self.kept.pop().close()
        self.open.close()


async def judged(worlds: list[World]) -> list[str]:
    """Run the programs of *worlds*, and say what came of each; nothing is left."""
    logged: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()

    loop.set_exception_handler(lambda _, context: logged.append(context))
    async with leak_check(patience=5.0):
        seen = await asyncio.gather(*map(run, worlds))
        try:
            came = [await what_came(*one) for one in zip(worlds, seen, strict=True)]
        finally:
            for one in seen:
                await close(one.made)
    assert not logged, f"logged by the loop: {logged}"
    for world in worlds:
        # A socket object that still had its number would close it for a new owner.
        assert all(sock.fileno() == -1 for sock in world.sockets), world.program
    return came


# A server warns that it stood still if its program ends before its turn.
UNASKED = pytest.mark.filterwarnings("ignore:.*stood still:RuntimeWarning")


@UNASKED
@pytest.mark.timeout(600)  # a failure is shrunk
def test_machine(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], thrown: Thrown
) -> None:
    """A call returns a named peer in time, or one error; nothing is left."""
    came: Counter[str] = Counter()
    machine: Any = partial(
        Machine, loop_factory, came
    )  # Hypothesis calls it like a class
    run_state_machine_as_test(machine, settings=SETTINGS)
    for what, count in came.items():
        thrown("machine", what, count)


PLAIN = Program(
    endpoints=(Endpoint("127.0.0.2", ("accept",)),),
    lookups={},
    tls=False,
    streams=False,
    is_resolved=False,
    is_announced=True,
    timeout=30.0,
    attempt_timeout=None,
    delays=(),
    observer=0,
)

# Programs that are drawn too seldom.
SELDOM = {
    "a family without an address to bind to": replace(
        PLAIN,
        endpoints=(Endpoint("::1", ("refuse",)), Endpoint("127.0.0.2", ("refuse",))),
        lookups={socket.AF_UNSPEC: [Lookup(["::1", "127.0.0.2"])]},
        local_families=(socket.AF_INET,),
    ),
    "families apart, and a whole answer that drops one and adds one": replace(
        PLAIN,
        endpoints=(
            Endpoint("::1", ("hang",)),
            Endpoint("127.0.0.2", ("refuse",)),
            Endpoint("127.0.0.3", ("accept",)),
        ),
        lookups={
            socket.AF_UNSPEC: [Lookup(["127.0.0.3"], delay=0.1)],
            socket.AF_INET6: [Lookup(["::1"])],
            socket.AF_INET: [Lookup(["127.0.0.2"])],
        },
    ),
    "a whole answer that fails for now, and then has nothing": replace(
        PLAIN,
        endpoints=(Endpoint("::1", ("refuse",)), Endpoint("127.0.0.2", ("reset",))),
        lookups={
            socket.AF_UNSPEC: [Lookup(error=socket.EAI_AGAIN), Lookup()],
            socket.AF_INET6: [Lookup(["::1"], delay=0.02)],
            socket.AF_INET: [Lookup(error=socket.EAI_NONAME)],
        },
        delays=(0, 0),
    ),
    "a certificate that is tried again": replace(
        PLAIN,
        endpoints=(Endpoint("127.0.0.2", ("expired",)),),
        tls=True,
        streams=True,
        delays=(0,),
        retry_on=always,
    ),
    "the second of two, ready after all": replace(
        PLAIN,
        endpoints=(
            Endpoint("127.0.0.3", ("accept_close", "refuse", "accept_close")),
            Endpoint("127.0.0.2", ("reset", "accept_close", "accept")),
        ),
        is_ready=True,
        is_any=True,
        delays=(0, 0.01, 0),
    ),
    "raced, ready after all": replace(
        PLAIN,
        endpoints=(
            Endpoint("127.0.0.3", ("accept_silent",)),
            Endpoint("127.0.0.2", ("accept_close", "accept")),
        ),
        is_ready=True,
        is_any=True,
        races=True,
        attempt_timeout=0.1,
        delays=(0, 0.01, 0),
    ),
    "a cancel while it is pending": replace(
        PLAIN, endpoints=(Endpoint("::1", ("hang",)),), wait=0.02, cancel=0
    ),
}


def handshakes(*words: str, **options: Any) -> Program:
    """Return a race for TLS, where the addresses meet these *words*, in this order."""
    hosts = ("::1", "127.0.0.2", "127.0.0.3")[: len(words)]
    options = {"tls": True, "streams": True, "happy_eyeballs_delay": 0.01, **options}
    return replace(
        PLAIN,
        endpoints=tuple(
            Endpoint(host, (word,)) for host, word in zip(hosts, words, strict=True)
        ),
        lookups={socket.AF_UNSPEC: [Lookup(hosts)]},
        **options,
    )


SELDOM |= {
    "a handshake that stalls": handshakes("accept_silent", "trusted"),
    "a handshake that stalls, over a loop": handshakes(
        "accept_silent", "trusted", is_over_loop=True
    ),
    "a handshake that stalls, to be ready": handshakes(
        "accept_silent", "trusted", is_ready=True
    ),
    "handshakes that fail, at once": handshakes(
        "reset", "accept_close", "trusted", happy_eyeballs_delay=2.0
    ),
    "handshakes that fail, one after the other": handshakes(
        "expired", "accept", "trusted", happy_eyeballs_delay=None
    ),
    "two certificates that are wrong": handshakes("expired", "expired"),
    "a wrong certificate, and nobody": handshakes("expired", "refuse"),
    "nobody, and a wrong certificate": handshakes("refuse", "expired"),
    "nobody, and a wrong certificate, again": handshakes(
        "refuse", "expired", delays=(0,), retry_on=is_refused
    ),
    "a wrong certificate, and then nobody": handshakes(
        "expired", "reset", "accept", delays=(0, 0), retry_on=always
    ),
    "three handshakes that stall": handshakes(
        *["accept_silent"] * 3, attempt_timeout=0.1, delays=(0,)
    ),
    "three handshakes that stall, until the deadline": handshakes(
        *["accept_silent"] * 3, timeout=0.2
    ),
    "a cancel while two shake hands": handshakes(
        "accept_silent", "accept_silent", wait=0.1, cancel=0
    ),
}


@UNASKED
@pytest.mark.parametrize("program", SELDOM.values(), ids=SELDOM)
def test_rare_programs(
    program: Program, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The model holds for the programs that are drawn too seldom, in each run."""
    names = Names()
    with (
        asyncio.Runner(loop_factory=loop_factory) as runner,
        building(program, names) as world,
    ):
        runner.run(judged([world]))

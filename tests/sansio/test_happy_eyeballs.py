"""The race of RFC 8305: times in, addresses out; no clock, no socket."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TypeAlias

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from aioconnect import Address
from aioconnect._sansio.happy_eyeballs import (
    MAXIMUM_ATTEMPT_DELAY,
    MINIMUM_ATTEMPT_DELAY,
    MOST_LIVE,
    SRV,
    DnsQuery,
    HappyEyeballs,
)
from aioconnect._sansio.rfc6724 import TargetIndex

V6, V4, ANY = socket.AF_INET6, socket.AF_INET, socket.AF_UNSPEC

# The positions of names that are raced.
ONE, TWO, THREE = (0,), (1,), (2,)


def six(number: int) -> Address:
    return Address(V6, (f"2001:db8::{number}", 80))


def four(number: int) -> Address:
    return Address(V4, (f"192.0.2.{number}", 80))


def sixes_first(addresses: Sequence[Address]) -> Sequence[Address]:
    """Order as RFC 6724 would, where IPv6 has a route."""
    return sorted(addresses, key=lambda one: one.family != V6)


def race(
    *families: int,
    targets: Sequence[TargetIndex] = (ONE,),
    attempt_delay: float | None = 0.25,
    resolution_delay: float | None = 0.05,
    interleave: int = 1,
) -> HappyEyeballs:
    """Return a race whose *targets* are asked for at 0.0, by default for any family."""
    subject = HappyEyeballs(
        attempt_delay=attempt_delay,
        resolution_delay=resolution_delay,
        first_family_count=interleave,
        sort=sixes_first,
    )
    for target in targets:
        for family in families or (ANY,):
            subject.asked((target, family), 0.0)
    return subject


# What happens, and when; and after it what starts now, and when to look again.
Step: TypeAlias = tuple[float, str, Sequence[Address], Sequence[Address], float | None]

# The name of an answer to one family's query, or to that for both.
ANSWERS = {"AAAA": V6, "A": V4, "name": ANY}


def tell(
    subject: HappyEyeballs, event: str, addresses: Sequence[Address], now: float
) -> None:
    """Tell *subject* of an event of a step."""
    if event in ANSWERS:
        subject.answered((ONE, ANSWERS[event]), addresses, now)
    elif event == "name fails for now":
        subject.answered((ONE, ANY), None, now)
    elif event == "fails":
        subject.failed()
    elif event == "fails late":
        subject.failed(was_connected=True)
    elif event.startswith("connected after "):
        subject.connected(float(event.removeprefix("connected after ")), now)
    else:
        assert event == "time"


def starts(subject: HappyEyeballs, now: float) -> list[Address]:
    """Return what starts *now*."""
    started = []
    while (address := subject.next_address(now)) is not None:
        started.append(address)
    return started


def play(subject: HappyEyeballs, steps: Sequence[Step]) -> None:
    """Tell *subject* of each step, and compare what it says."""
    for number, (now, event, addresses, expected, due) in enumerate(steps):
        tell(subject, event, addresses, now)
        assert starts(subject, now) == list(expected), f"step {number}"
        assert subject.next_start() == due, f"step {number}"


RFC: list[tuple[str, dict[str, float | None], list[Step]]] = [
    (
        (
            "4: whichever address family is first in the list should be followed by an"
            " address of the other address family."
        ),
        {},
        [
            (1.0, "name", [four(1), four(2), six(1), six(2)], [four(1)], 1.25),
            (1.25, "time", [], [six(1)], 1.5),
            (1.5, "time", [], [four(2)], 1.75),
            (1.75, "time", [], [six(2)], None),
        ],
    ),
    (
        (
            "5: connection attempts SHOULD NOT be made simultaneously. Instead, one"
            " connection attempt to a single address is started first, followed by the"
            " others in the list, one at a time."
        ),
        {},
        [
            (1.0, "name", [six(1), six(2)], [six(1)], 1.25),
            (1.24, "time", [], [], 1.25),
            (1.25, "time", [], [six(2)], None),
        ],
    ),
    (
        "5: a failure starts the next at once, and the delay begins anew",
        {},
        [
            (1.0, "name", [six(1), six(2), six(3)], [six(1)], 1.25),
            (1.1, "fails", [], [six(2)], 1.35),
            (1.25, "time", [], [], 1.35),
            (1.35, "time", [], [six(3)], None),
        ],
    ),
    (
        "5: a failure of an earlier attempt starts the next at once, too",
        {},
        [
            (1.0, "name", [six(1), six(2), six(3)], [six(1)], 1.25),
            (1.25, "time", [], [six(2)], 1.5),
            (1.26, "fails", [], [six(3)], None),
        ],
    ),
    (
        "8: Minimum Connection Attempt Delay: MUST NOT be less than 10 milliseconds.",
        {"attempt_delay": 0.0},
        [(1.0, "name", [six(1), six(2)], [six(1)], 1.0 + MINIMUM_ATTEMPT_DELAY)],
    ),
    (
        "8: Maximum Connection Attempt Delay: Recommended to be 2 seconds.",
        {"attempt_delay": 60.0},
        [(1.0, "name", [six(1), six(2)], [six(1)], 1.0 + MAXIMUM_ATTEMPT_DELAY)],
    ),
    (
        "without a delay, truly one at a time",
        {"attempt_delay": None},
        [
            (1.0, "name", [six(1), six(2), four(1)], [six(1)], None),
            (100.0, "fails", [], [four(1)], None),
            (101.0, "fails", [], [six(2)], None),
        ],
    ),
    (
        "the resolver's order with interleave=0",
        {"interleave": 0},
        [
            (1.0, "name", [four(1), four(2), six(1)], [four(1)], 1.25),
            (1.1, "fails", [], [four(2)], 1.35),
            (1.2, "fails", [], [six(1)], None),
        ],
    ),
]


@pytest.mark.parametrize(("said", "options", "steps"), RFC, ids=[r[0] for r in RFC])
def test_rfc_8305(
    said: str, options: dict[str, float | None], steps: Sequence[Step]
) -> None:
    """RFC 8305, or this package's own words, section by section."""
    play(race(**options), steps)  # type: ignore[arg-type]  # a table of both options


# What an attempt that is connected does to the others.  "connected after 0.1" tells of
# a round trip of 0.1 s, and "fails late" is a failure after that: of a handshake, say.
THREE_SIXES = [six(1), six(2), six(3)]
PROGRESS: list[tuple[str, dict[str, float | None], list[Step]]] = [
    (
        "the next start is put off to now and the delay",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.2, "connected after 0.01", [], [], 1.45),
            (1.25, "time", [], [], 1.45),
            (1.45, "time", [], [six(2)], 1.7),
            (1.7, "time", [], [six(3)], None),
        ],
    ),
    (
        "to four round trips, if these are longer",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.125, "connected after 0.125", [], [], 1.625),
            (1.625, "time", [], [six(2)], 1.875),
        ],
    ),
    (
        "to two seconds at most",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.125, "connected after 30", [], [], 3.125),
        ],
    ),
    (
        "once for each attempt, and never to an earlier time",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.25, "time", [], [six(2)], 1.5),
            (1.375, "connected after 0.25", [], [], 2.375),
            (1.4375, "connected after 0.001", [], [], 2.375),
            (2.375, "time", [], [six(3)], None),
        ],
    ),
    (
        "a handshake that takes longer holds up nobody",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.0, "connected after 0", [], [], 1.25),
            (1.25, "time", [], [six(2)], 1.5),
            (1.25, "connected after 0", [], [], 1.5),
            (1.5, "time", [], [six(3)], None),
        ],
    ),
    (
        "a handshake that fails starts the next at once",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.125, "connected after 0.125", [], [], 1.625),
            (1.25, "fails late", [], [six(2)], 1.625),
        ],
    ),
    (
        "the failure of another starts the next at once, too",
        {},
        [
            (1.0, "name", THREE_SIXES, [six(1)], 1.25),
            (1.25, "time", [], [six(2)], 1.5),
            (1.375, "connected after 0.125", [], [], 1.875),
            (1.5, "fails", [], [six(3)], None),
        ],
    ),
    (
        "a failed handshake of the only attempt leaves nothing to wait for",
        {},
        [
            (1.0, "name", [six(1)], [six(1)], None),
            (1.125, "connected after 30", [], [], None),
            (1.25, "fails late", [], [], None),
            (1.5, "time", [], [], None),
        ],
    ),
    (
        "without a delay, nothing starts beside a handshake",
        {"attempt_delay": None},
        [
            (1.0, "name", THREE_SIXES, [six(1)], None),
            (1.125, "connected after 0.125", [], [], None),
            (100.0, "time", [], [], None),
            (101.0, "fails late", [], [six(2)], None),
        ],
    ),
    (
        "an answer that comes late waits for a handshake",
        {"resolution_delay": None},
        [
            (1.0, "name", [six(1), six(2)], [six(1)], 1.25),
            (1.125, "connected after 0.25", [], [], 2.125),
            (2.125, "time", [], [six(2)], None),
        ],
    ),
]


@pytest.mark.parametrize(
    ("said", "options", "steps"), PROGRESS, ids=[one[0] for one in PROGRESS]
)
def test_progress(
    said: str, options: dict[str, float | None], steps: Sequence[Step]
) -> None:
    """The Happy Eyeballs version 3 draft, as DESIGN.md's section 5 words it.

    "When an attempt makes progress (connected, now in its handshake) the next start is
    put off once to now + max(Connection Attempt Delay, 4 round trips), at most 2 s."
    """
    play(race(**options), steps)  # type: ignore[arg-type]  # a table of both options


def is_alone(subject: HappyEyeballs) -> bool:
    """Ask anew: mypy would remember the answer of a property."""
    return subject.is_alone


@pytest.mark.parametrize("attempt_delay", [0.25, None])
def test_alone(attempt_delay: float | None) -> None:
    """Nothing else can win: no address is left, no answer to come, no other live."""
    subject = race(attempt_delay=attempt_delay)
    assert not is_alone(subject), "nothing is live"
    subject.ask_apart(0.05)
    subject.answered((ONE, V6), [six(1), six(2)], 0.1)
    assert starts(subject, 0.1) == [six(1)]
    subject.connected(0.0, 0.1)
    is_one_at_a_time = attempt_delay is None
    assert is_alone(subject) == is_one_at_a_time, "another address is left"
    subject.failed(was_connected=True)
    assert starts(subject, 0.2) == [six(2)]
    assert is_alone(subject) == is_one_at_a_time, "an answer may come"
    subject.answered((ONE, V4), [], 0.3)
    assert is_alone(subject) == is_one_at_a_time, "the whole answer may come"
    subject.answered((ONE, ANY), [six(1), six(2)], 0.3)
    assert is_alone(subject)
    subject.connected(0.0, 0.4)
    assert is_alone(subject)
    subject.failed(was_connected=True)
    assert subject.is_over


def test_alone_before_the_families_are_asked_for_apart() -> None:
    """What will be asked may have an answer."""
    subject = race(targets=[ONE, TWO])
    subject.answered((ONE, ANY), [six(1)], 0.0)
    assert starts(subject, 0.0) == [six(1)]
    assert not is_alone(subject)
    subject.stop_asking(TWO)
    assert is_alone(subject)


def test_two_live_attempts_are_not_alone() -> None:
    subject = race()
    subject.answered((ONE, ANY), [six(1), six(2)], 0.0)
    assert starts(subject, 0.0) == [six(1)]
    assert starts(subject, 0.25) == [six(2)]
    assert not is_alone(subject)
    subject.failed()
    assert is_alone(subject)


def test_six_are_connected() -> None:
    """A seventh waits, and nobody is given up, until one of them has failed."""
    subject = filled()
    for _ in range(MOST_LIVE):
        subject.connected(0.0, 1.25)
    assert subject.next_start() is None
    assert starts(subject, 1e6) == []
    assert not subject.has_too_many()
    subject.failed(was_connected=True)
    assert starts(subject, 1e6) == [six(7)]
    assert not subject.has_too_many()
    assert subject.next_start() == 1e6 + 0.25, "the seventh may be given up"


def test_five_are_connected() -> None:
    """The sixth is not: it makes room for the next."""
    subject = filled()
    for _ in range(MOST_LIVE - 1):
        subject.connected(0.0, 1.25)
    assert starts(subject, 1.5) == [six(7)]
    assert subject.has_too_many()
    subject.gave_up_oldest()
    assert starts(subject, 1.75) == [six(8)]


def test_a_seventh_that_is_connected_at_once() -> None:
    """The oldest of the others makes room for it, and the next has its turn."""
    subject = filled()
    assert starts(subject, 1.5) == [six(7)]
    subject.connected(0.0, 1.5)
    assert subject.has_too_many()
    subject.gave_up_oldest()
    assert not subject.has_too_many()
    assert starts(subject, 1.75) == [six(8)]


# The steps of a name whose whole answer is late: the families are asked for apart at
# 0.05, or when the look-up of both has failed for now.
LATE: list[tuple[str, list[Step]]] = [
    (
        "IPv6 comes first, and starts at once; IPv4 joins, with its turn",
        [
            (0.1, "AAAA", [six(1), six(2)], [six(1)], 0.35),
            (0.2, "A", [four(1)], [], 0.35),
            (0.35, "time", [], [four(1)], 0.6),
            (0.6, "time", [], [six(2)], None),
        ],
    ),
    (
        "IPv4 comes first, and waits for nothing; IPv6 joins",
        [
            (0.1, "A", [four(1), four(2)], [four(1)], 0.35),
            (0.2, "AAAA", [six(1)], [], 0.35),
            (0.35, "time", [], [six(1)], 0.6),
        ],
    ),
    (
        "a family without an address starts nothing",
        [
            (0.1, "A", [], [], None),
            (6.0, "AAAA", [six(1)], [six(1)], None),
        ],
    ),
    (
        "the whole answer lacks what is being tried: that goes on, and may fail",
        [
            (0.1, "A", [four(1)], [four(1)], None),
            (0.2, "name", [six(1)], [], 0.35),
            (0.3, "fails", [], [six(1)], None),
        ],
    ),
    (
        "the whole answer lacks what is next: it is dropped",
        [
            (0.1, "A", [four(1), four(2)], [four(1)], 0.35),
            (0.2, "name", [four(1), four(3)], [], 0.35),
            (0.35, "time", [], [four(3)], None),
        ],
    ),
    (
        "the whole answer has everything: its order counts",
        [
            (0.1, "A", [four(1), four(2), four(3)], [four(1)], 0.35),
            (0.2, "name", [four(3), six(1), four(2), four(1)], [], 0.35),
            (0.35, "time", [], [four(3)], 0.6),
            (0.6, "time", [], [six(1)], 0.85),
            (0.85, "time", [], [four(2)], None),
        ],
    ),
    (
        "the whole answer is that there is no such name: what was not tried is dropped",
        [
            (0.1, "A", [four(1), four(2)], [four(1)], 0.35),
            (0.2, "name", [], [], None),
            (0.3, "fails", [], [], None),
        ],
    ),
    (
        "the look-up of both fails for now: what came apart stays",
        [
            (0.1, "A", [four(1), four(2)], [four(1)], 0.35),
            (0.2, "name fails for now", [], [], 0.35),
            (0.35, "time", [], [four(2)], None),
            (0.5, "AAAA", [six(1)], [], 0.6),
            (0.6, "time", [], [six(1)], None),
        ],
    ),
]


@pytest.mark.parametrize(("said", "steps"), LATE, ids=[one[0] for one in LATE])
def test_names(said: str, steps: Sequence[Step]) -> None:
    """The families were asked for apart before the first step."""
    subject = race()
    assert subject.next_apart() == 0.05
    assert subject.ask_apart(0.049) == ()
    assert subject.ask_apart(0.05) == [(ONE, V6), (ONE, V4)]
    assert subject.next_apart() is None
    play(subject, steps)


def test_a_whole_answer_in_time() -> None:
    """Nobody asks apart any more, and the resolver's order counts."""
    subject = race()
    play(subject, [(0.049, "name", [four(1), six(1)], [four(1)], 0.299)])
    assert subject.next_apart() is None
    assert not subject.awaits(ONE)


def test_a_look_up_of_both_that_fails_for_now() -> None:
    """The families are asked for apart at once, and the failure counts with theirs."""
    subject = race()
    apart = [(ONE, V6), (ONE, V4)]
    assert subject.answered((ONE, ANY), None, 0.01) == apart
    assert subject.awaits(ONE)
    assert not subject.is_over
    assert subject.next_apart() is None
    play(subject, [(0.02, "AAAA", [], [], None)])
    assert not subject.is_over
    play(subject, [(0.02, "A", [], [], None)])
    assert subject.is_over


@pytest.mark.parametrize("fails", [False, True])
def test_never_apart(fails: bool) -> None:
    """Without a Resolution Delay there is one question, and its answer ends it."""
    subject = race(resolution_delay=None)
    assert subject.next_apart() is None
    subject.answered((ONE, ANY), None if fails else [], 99.0)
    assert subject.is_over
    assert not subject.awaits(ONE)
    assert subject.ask_apart(100.0) == ()


def test_all_at_once() -> None:
    """With a Resolution Delay of 0 the families are asked for with the name."""
    assert race(resolution_delay=0.0).ask_apart(0.0) == [(ONE, V6), (ONE, V4)]


def test_one_family_is_never_asked_for_apart() -> None:
    subject = race(V4)
    assert subject.next_apart() is None
    play(subject, [(1.0, "A", [four(1)], [four(1)], None)])


def test_services_are_never_asked_for_apart() -> None:
    subject = race(SRV)
    assert subject.next_apart() is None
    subject.answered((ONE, SRV), [], 0.1)
    assert subject.is_over


def test_names_are_asked_apart_in_their_order() -> None:
    """One at a time; what has failed for now is not asked again."""
    subject = race(targets=[ONE, TWO, THREE])
    assert subject.answered((TWO, ANY), None, 0.01) == [(TWO, V6), (TWO, V4)]
    assert subject.ask_apart(0.01) == ()
    assert subject.ask_apart(0.05) == [(ONE, V6), (ONE, V4)]
    subject.stop_asking(ONE)
    assert not subject.awaits(ONE)
    assert subject.ask_apart(0.05) == [(THREE, V6), (THREE, V4)]


def test_an_address_that_two_names_have() -> None:
    """It is dropped when the last of them lacks it."""
    subject = race(targets=[ONE, TWO], resolution_delay=0.0)
    while subject.ask_apart(0.0):
        pass
    for target in (ONE, TWO):
        subject.answered((target, V4), [four(1), four(2)], 0.0)
    assert subject.untried == 2
    subject.answered((ONE, ANY), [four(2)], 0.0)
    assert subject.untried == 2
    assert subject.next_address(0.0) == four(2)
    subject.answered((TWO, ANY), [four(2), four(3)], 0.0)
    subject.failed()
    assert subject.untried == 1
    assert subject.next_address(0.0) == four(3)
    subject.failed()
    assert subject.is_over


def filled(**options: float | None) -> HappyEyeballs:
    """Return a race of nine silent addresses at 1.25 s, when six are live."""
    subject = race(**options)  # type: ignore[arg-type]  # a table of both options
    subject.answered((ONE, ANY), [six(number) for number in range(1, 10)], 0.0)
    for number in range(MOST_LIVE):
        assert subject.next_address(number * 0.25) == six(number + 1)
        assert not subject.has_too_many()
    return subject


def test_the_seventh() -> None:
    """Six are live at most: when a seventh has started, the oldest is given up."""
    subject = filled()
    assert subject.next_start() == 1.5
    assert subject.next_address(1.49) is None
    assert subject.next_address(1.5) == six(7)
    assert subject.has_too_many()
    assert subject.next_address(2.0) is None, "seven are live"
    subject.gave_up_oldest()
    assert not subject.has_too_many()
    # And each of the others after its delay.
    assert subject.next_address(1.74) is None
    assert subject.next_start() == 1.75
    assert subject.next_address(1.75) == six(8)
    assert subject.has_too_many()


def test_a_seventh_that_comes_to_nothing() -> None:
    """Nobody makes room for it, and the next starts at once."""
    subject = filled()
    for number in (7, 8):
        assert subject.next_address(1.5) == six(number)
        subject.failed()
        assert not subject.has_too_many()
    assert subject.next_address(1.5) == six(9)
    assert subject.has_too_many()


def test_one_of_six_has_failed() -> None:
    """The seventh starts at once, and no attempt is given up."""
    subject = filled()
    subject.failed()
    assert subject.next_address(1.3) == six(7)
    assert not subject.has_too_many()
    assert subject.next_address(1.5) is None, "the delay begins anew"
    assert subject.next_start() == 1.55


def test_nobody_makes_room_for_nobody() -> None:
    """The last six addresses keep their time."""
    subject = race(targets=[ONE, TWO])
    subject.answered((ONE, ANY), [six(number) for number in range(MOST_LIVE)], 0.0)
    for number in range(MOST_LIVE):
        assert subject.next_address(number * 0.25) is not None
    assert subject.next_start() is None
    assert not subject.has_too_many()
    # For an answer that comes late they do.
    subject.answered((TWO, ANY), [four(1)], 1e6)
    assert subject.next_address(1e6) == four(1)
    assert subject.has_too_many()


def test_one_at_a_time_makes_no_room() -> None:
    """Without a delay nothing is ever due beside another."""
    subject = race(attempt_delay=None)
    subject.answered((ONE, ANY), [six(number) for number in range(1, 10)], 0.0)
    assert subject.next_address(0.0) == six(1)
    assert subject.next_address(1e6) is None
    assert not subject.has_too_many()


def test_targets_take_turns() -> None:
    """The first address of each, then the second of each, whenever they are found."""
    hosts = {(0,): [1, 2, 3], (1, 0): [4], (1, 1): [5, 2], (2,): [6, 7]}
    subject = race(targets=list(hosts), resolution_delay=0.0)
    while subject.ask_apart(0.0):
        pass
    for turn in ((2,), (1, 1), (0,), (1, 0)):
        subject.answered((turn, V4), [four(n) for n in hosts[turn]], 0.0)
    started: list[Address | None] = []

    def start() -> None:
        started.append(subject.next_address(0.0))
        subject.failed()

    start()
    start()
    # A family that comes later is sorted with the other family of its own target.
    subject.answered(((0,), V6), [six(8)], 0.0)
    while subject.untried:
        start()
    assert started == [four(1), four(4), six(8), *map(four, (5, 6, 2, 7, 3))]


def test_duplicates() -> None:
    """An address is tried once, however often it is answered."""
    subject = race()
    subject.ask_apart(0.05)
    subject.answered((ONE, V6), [six(1), six(1)], 0.1)
    assert subject.next_address(0.1) == six(1)
    subject.answered((ONE, ANY), [six(1), four(1), four(1), six(1)], 0.1)
    subject.failed()
    assert subject.next_address(0.1) == four(1)
    subject.failed()
    assert subject.next_address(0.2) is None
    assert subject.is_over


def test_what_is_left_to_dial_can_be_taken() -> None:
    subject = race()
    subject.answered((ONE, ANY), [four(2), six(1), four(1)], 0.0)
    assert subject.next_address(0.0) == four(2)
    assert subject.take_untried() == [six(1), four(1)]
    assert subject.take_untried() == []


class Racing(RuleBasedStateMachine):
    """Any order of answers, progress, failures and time, for two names.

    An attempt fails before it is connected or afterwards, in its handshake.
    """

    @initialize(
        delay=st.none() | st.floats(0, 3),
        resolution_delay=st.none() | st.floats(0, 1),
        family=st.sampled_from([ANY, V6, V4]),
        interleave=st.integers(0, 2),
    )
    def begin(
        self,
        delay: float | None,
        resolution_delay: float | None,
        family: int,
        interleave: int,
    ) -> None:
        self.delay = delay
        self.resolution_delay = resolution_delay
        self.race = race(
            family,
            targets=[ONE, TWO],
            attempt_delay=delay,
            resolution_delay=resolution_delay,
            interleave=interleave,
        )
        self.now = 0.0
        self.unanswered: set[DnsQuery] = {(ONE, family), (TWO, family)}
        self.undivided = set(self.unanswered)
        if family != ANY or resolution_delay is None:
            self.undivided.clear()
        # What each name is known to have.
        self.known: dict[TargetIndex, set[Address]] = {ONE: set(), TWO: set()}
        self.tried: list[Address] = []
        self.live = 0
        self.connected = 0  # how many of these are
        self.put_off_until = 0.0
        self.last_start: float | None = None
        self.failed_since = True

    @property
    def found(self) -> set[Address]:
        return self.known[ONE] | self.known[TWO]

    def drive(self) -> None:
        while (address := self.race.next_address(self.now)) is not None:
            assert address in self.found
            assert address not in self.tried, "tried twice"
            if self.live:
                assert self.delay is not None, "one at a time"
                assert self.last_start is not None
                least = min(max(self.delay, 0.01), 2.0)
                due = max(self.last_start + least, self.put_off_until)
                assert self.now >= due or self.failed_since, "too early"
                is_full = self.connected == MOST_LIVE
                assert self.failed_since or not is_full, "nobody can be given up"
            self.tried.append(address)
            self.live += 1
            self.last_start, self.failed_since = self.now, False
            if self.race.has_too_many():
                self.make_room()
            assert self.live <= MOST_LIVE

    def make_room(self) -> None:
        """Have the seventh come to nothing, or give up the oldest for it."""
        assert self.live == MOST_LIVE + 1
        assert self.connected < MOST_LIVE, "the newest would be given up"
        if len(self.tried) % 5 == 0:
            self.progress(0.0)  # the seventh, at once
        self.live -= 1
        if len(self.tried) % 3 == 0:
            self.failed_since = True
            self.race.failed()
        else:
            self.race.gave_up_oldest()

    @precondition(lambda self: self.unanswered)
    @rule(
        data=st.data(),
        numbers=st.lists(st.integers(1, 12), max_size=12),
        for_now=st.booleans(),
    )
    def answer(self, data: st.DataObject, numbers: list[int], for_now: bool) -> None:
        target, family = query = data.draw(st.sampled_from(sorted(self.unanswered)))
        self.unanswered.discard(query)
        makes = [six] if family == V6 else [four] if family == V4 else [four, six]
        addresses = [makes[number % len(makes)](number) for number in numbers]
        if family == ANY and for_now:
            asked = self.race.answered(query, None, self.now)
            assert bool(asked) == ((target, ANY) in self.undivided)
            self.undivided.discard((target, ANY))
            self.unanswered |= set(asked)
        else:
            self.race.answered(query, addresses, self.now)
            if family == ANY:  # the whole answer
                self.known[target].clear()
                self.unanswered -= {(target, V6), (target, V4)}
                self.undivided.discard(query)
            self.known[target].update(addresses)
        self.drive()

    def ask_apart(self) -> None:
        """Ask for families apart, as soon as the race says so."""
        while queries := self.race.ask_apart(self.now):
            ((target, _), _) = queries
            assert (target, ANY) in self.undivided, "asked apart twice"
            self.undivided.remove((target, ANY))
            self.unanswered |= set(queries)

    @precondition(lambda self: self.live > self.connected)
    @rule(round_trip=st.floats(0, 1))
    def connect(self, round_trip: float) -> None:
        """Have an attempt make progress: it is connected, and has more to do."""
        before, due = self.race.next_start(), self.failed_since
        self.progress(round_trip)
        after = self.race.next_start()
        if before is not None and after is not None and not due:
            assert before <= after <= max(before, self.now + 2.0)
        self.drive()

    def progress(self, round_trip: float) -> None:
        self.connected += 1
        self.race.connected(round_trip, self.now)
        if self.delay is not None:
            delay = min(max(self.delay, 0.01, 4 * round_trip), 2.0)
            self.put_off_until = max(self.put_off_until, self.now + delay)

    @precondition(lambda self: self.live > self.connected)
    @rule()
    def fail(self) -> None:
        self.live -= 1
        self.failed_since = True
        self.race.failed()
        self.drive()

    @precondition(lambda self: self.connected)
    @rule()
    def fail_late(self) -> None:
        """Have a connected attempt fail: in its handshake, say."""
        self.live -= 1
        self.connected -= 1
        self.failed_since = True
        self.race.failed(was_connected=True)
        self.drive()

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.ask_apart()
        self.drive()

    @precondition(lambda self: self.race.next_start() is not None)
    @rule()
    def wait_until_due(self) -> None:
        """Find that what is due starts at that very time."""
        due = self.race.next_start()
        assert due is not None
        self.now = max(due, self.now)
        before = len(self.tried)
        self.drive()
        assert len(self.tried) > before

    @invariant()
    def goes_on(self) -> None:
        """Check that the race is never stuck: something is live, due or unanswered."""
        untried = self.found - set(self.tried)
        over = not (untried or self.live or self.unanswered)
        assert self.race.is_over == over
        assert self.race.untried == len(untried)
        if not over:
            assert self.live or self.unanswered or self.race.next_start() is not None
        is_last = self.live == 1 and not (untried or self.unanswered)
        assert self.race.is_alone == (
            is_last or (self.live == 1 and self.delay is None)
        )

    def teardown(self) -> None:
        """Left alone, everything that was found has been tried."""
        if not hasattr(self, "race"):
            return
        while self.unanswered:
            asked = self.race.answered(self.unanswered.pop(), None, self.now)
            self.unanswered |= set(asked)
        self.drive()
        while self.live:
            if self.connected:
                self.fail_late()
            else:
                self.fail()
        assert self.found <= set(self.tried)
        assert self.race.is_over


TestRacing = Racing.TestCase
TestRacing.settings = settings(
    deadline=None, max_examples=200, stateful_step_count=40, database=None
)

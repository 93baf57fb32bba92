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
    HappyEyeballs,
    SortAddresses,
)
from aioconnect._sansio.rfc6724 import interleave_families

V6, V4 = socket.AF_INET6, socket.AF_INET
BOTH = (V6, V4)

# The turns of two names that are raced.
ONE, TWO = (0,), (1,)


def six(number: int) -> Address:
    return Address(V6, (f"2001:db8::{number}", 80))


def four(number: int) -> Address:
    return Address(V4, (f"192.0.2.{number}", 80))


def sixes_first(addresses: Sequence[Address]) -> Sequence[Address]:
    """Order as RFC 6724 would, where IPv6 has a route, and take turns."""
    by_family = sorted(addresses, key=lambda one: one.family != V6)
    return interleave_families(by_family, 1)


def race(
    families: Sequence[int] = BOTH,
    *,
    attempt_delay: float | None = 0.25,
    resolution_delay: float = 0.05,
    order: SortAddresses = sixes_first,
) -> HappyEyeballs:
    subject = HappyEyeballs(
        attempt_delay=attempt_delay, resolution_delay=resolution_delay, sort=order
    )
    for family in families:
        subject.asked((ONE, family))
    return subject


# What happens, and when; and after it what starts now, and when to look again.
Step: TypeAlias = tuple[float, str, Sequence[Address], Sequence[Address], float | None]


def play(subject: HappyEyeballs, steps: Sequence[Step]) -> None:
    """Tell *subject* of each step, and compare what it says."""
    for number, (now, event, addresses, starts, due) in enumerate(steps):
        if event in ("AAAA", "A"):
            subject.answered((ONE, V6 if event == "AAAA" else V4), addresses, now)
        elif event == "fails":
            subject.failed()
        else:
            assert event == "time"
        started = []
        while (address := subject.next_address(now)) is not None:
            started.append(address)
        assert started == list(starts), f"step {number}"
        assert subject.next_start() == due, f"step {number}"


RFC: list[tuple[str, dict[str, float | None], list[Step]]] = [
    (
        (
            "3: If a positive AAAA response is received first, the first IPv6"
            " connection attempt is immediately started."
        ),
        {},
        [(1.0, "AAAA", [six(1)], [six(1)], None)],
    ),
    (
        (
            "3: If a positive A response is received first due to reordering, the"
            " client SHOULD wait a short time for the AAAA response."
        ),
        {},
        [
            (1.0, "A", [four(1)], [], 1.05),
            (1.04, "time", [], [], 1.05),
            (1.05, "time", [], [four(1)], None),
        ],
    ),
    (
        (
            "3: If a positive AAAA response is received within the Resolution Delay"
            " period, the client immediately starts the IPv6 connection attempt."
        ),
        {},
        [
            (1.0, "A", [four(1)], [], 1.05),
            (1.02, "AAAA", [six(1)], [six(1)], 1.27),
            (1.27, "time", [], [four(1)], None),
        ],
    ),
    (
        (
            "3: If a negative AAAA response is received within the Resolution Delay"
            " period, the client SHOULD proceed to sorting addresses and staggered"
            " connection attempts using any IPv4 addresses received so far."
        ),
        {},
        [
            (1.0, "A", [four(1)], [], 1.05),
            (1.02, "AAAA", [], [four(1)], None),
        ],
    ),
    (
        "3: a negative A response first is no reason to start anything",
        {},
        [
            (1.0, "A", [], [], None),
            (6.0, "AAAA", [six(1)], [six(1)], None),
        ],
    ),
    (
        (
            "3: If the AAAA response arrives while these connection attempts are in"
            " progress, then the newly received IPv6 addresses are incorporated into"
            " the list of available candidate addresses."
        ),
        {},
        [
            (1.0, "A", [four(1), four(2)], [], 1.05),
            (1.05, "time", [], [four(1)], 1.3),
            (1.1, "AAAA", [six(1), six(2)], [], 1.3),
            (1.3, "time", [], [six(1)], 1.55),
            (1.55, "time", [], [six(2)], 1.8),
            (1.8, "time", [], [four(2)], None),
        ],
    ),
    (
        (
            "4: whichever address family is first in the list should be followed by an"
            " address of the other address family."
        ),
        {},
        [
            (1.0, "AAAA", [six(1), six(2)], [six(1)], 1.25),
            (1.1, "A", [four(1)], [], 1.25),
            (1.25, "time", [], [four(1)], 1.5),
            (1.5, "time", [], [six(2)], None),
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
            (1.0, "AAAA", [six(1), six(2)], [six(1)], 1.25),
            (1.24, "time", [], [], 1.25),
            (1.25, "time", [], [six(2)], None),
        ],
    ),
    (
        "5: a failure starts the next at once, and the delay begins anew",
        {},
        [
            (1.0, "AAAA", [six(1), six(2), six(3)], [six(1)], 1.25),
            (1.1, "fails", [], [six(2)], 1.35),
            (1.25, "time", [], [], 1.35),
            (1.35, "time", [], [six(3)], None),
        ],
    ),
    (
        "5: a failure of an earlier attempt starts the next at once, too",
        {},
        [
            (1.0, "AAAA", [six(1), six(2), six(3)], [six(1)], 1.25),
            (1.25, "time", [], [six(2)], 1.5),
            (1.26, "fails", [], [six(3)], None),
        ],
    ),
    (
        "8: Minimum Connection Attempt Delay: MUST NOT be less than 10 milliseconds.",
        {"attempt_delay": 0.0},
        [(1.0, "AAAA", [six(1), six(2)], [six(1)], 1.0 + MINIMUM_ATTEMPT_DELAY)],
    ),
    (
        "8: Maximum Connection Attempt Delay: Recommended to be 2 seconds.",
        {"attempt_delay": 60.0},
        [(1.0, "AAAA", [six(1), six(2)], [six(1)], 1.0 + MAXIMUM_ATTEMPT_DELAY)],
    ),
    (
        "without a delay, truly one at a time",
        {"attempt_delay": None},
        [
            (1.0, "AAAA", [six(1), six(2)], [six(1)], None),
            (99.0, "A", [four(1)], [], None),
            (100.0, "fails", [], [four(1)], None),
            (101.0, "fails", [], [six(2)], None),
        ],
    ),
    (
        "without a Resolution Delay IPv4 does not wait",
        {"resolution_delay": 0.0},
        [(1.0, "A", [four(1)], [four(1)], None)],
    ),
]


@pytest.mark.parametrize(("said", "options", "steps"), RFC, ids=[r[0] for r in RFC])
def test_rfc_8305(
    said: str, options: dict[str, float | None], steps: Sequence[Step]
) -> None:
    """RFC 8305, or this package's own words, section by section."""
    play(race(**options), steps)  # type: ignore[arg-type]  # a table of both options


def test_only_one_family_is_asked_for() -> None:
    """Nobody waits for an AAAA that was never asked for."""
    play(race([V4]), [(1.0, "A", [four(1)], [four(1)], None)])


def test_another_name_without_an_address() -> None:
    """That one name has no address says nothing about the IPv6 of the other."""
    subject = race()
    for family in (V6, V4):
        subject.asked((TWO, family))
    subject.answered((ONE, V4), [four(1)], 0.0)
    for family in (V6, V4):
        subject.answered((TWO, family), [], 0.01)
    assert subject.next_start() == 0.05
    subject.answered((ONE, V6), [], 0.02)
    assert subject.next_start() == 0.02


def filled(**options: float | None) -> HappyEyeballs:
    """Return a race of nine silent addresses at 1.25 s, when six are live."""
    subject = race(**options)  # type: ignore[arg-type]  # a table of both options
    subject.answered((ONE, V6), [six(number) for number in range(1, 10)], 0.0)
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
    subject = race()
    subject.answered((ONE, V6), [six(number) for number in range(MOST_LIVE)], 0.0)
    for number in range(MOST_LIVE):
        assert subject.next_address(number * 0.25) is not None
    assert subject.next_start() is None
    assert not subject.has_too_many()
    # For an answer that comes late they do.
    subject.answered((ONE, V4), [four(1)], 1e6)
    assert subject.next_address(1e6) == four(1)
    assert subject.has_too_many()


def test_one_at_a_time_makes_no_room() -> None:
    """Without a delay nothing is ever due beside another."""
    subject = race(attempt_delay=None)
    subject.answered((ONE, V6), [six(number) for number in range(1, 10)], 0.0)
    assert subject.next_address(0.0) == six(1)
    assert subject.next_address(1e6) is None
    assert not subject.has_too_many()


def test_places_take_turns() -> None:
    """The first address of each, then the second of each, whenever they are found."""
    subject = race((), order=lambda found: found)
    hosts = {(0,): [1, 2, 3], (1, 0): [4], (1, 1): [5, 2], (2,): [6, 7]}
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
    assert started == [*map(four, (1, 4, 5, 6, 2, 7, 3)), six(8)]
    assert subject.is_over


def test_duplicates() -> None:
    """An address is tried once, however often it is answered."""
    subject = race()
    subject.answered((ONE, V6), [six(1), six(1)], 0.0)
    assert subject.next_address(0.0) == six(1)
    subject.answered((ONE, V4), [six(1), four(1), four(1)], 0.1)
    subject.failed()
    assert subject.next_address(0.1) == four(1)
    subject.failed()
    assert subject.next_address(0.2) is None
    assert subject.is_over


def test_nothing_found() -> None:
    subject = race()
    over: list[bool] = [subject.is_over]
    for family in (V4, V6):
        subject.answered((ONE, family), [], 0.0)
        over.append(subject.is_over)
    assert over == [False, False, True]


class Racing(RuleBasedStateMachine):
    """Any order of answers, failures and time."""

    @initialize(
        delay=st.none() | st.floats(0, 3),
        resolution_delay=st.floats(0, 1),
        families=st.sampled_from([BOTH, (V6,), (V4,)]),
    )
    def begin(
        self, delay: float | None, resolution_delay: float, families: tuple[int, ...]
    ) -> None:
        self.delay = delay
        self.resolution_delay = resolution_delay
        self.race = race(
            families, attempt_delay=delay, resolution_delay=resolution_delay
        )
        self.now = 0.0
        self.unanswered = set(families)
        self.found: set[Address] = set()
        self.tried: list[Address] = []
        self.live = 0
        self.last_start: float | None = None
        self.failed_since = True

    def drive(self) -> None:
        while (address := self.race.next_address(self.now)) is not None:
            assert address in self.found
            assert address not in self.tried, "tried twice"
            if self.live:
                assert self.delay is not None, "one at a time"
                assert self.last_start is not None
                least = min(max(self.delay, 0.01), 2.0)
                is_due = self.now >= self.last_start + least
                assert is_due or self.failed_since, "too early"
            self.tried.append(address)
            self.live += 1
            self.last_start, self.failed_since = self.now, False
            if self.race.has_too_many():
                self.make_room()
            assert self.live <= MOST_LIVE

    def make_room(self) -> None:
        """Have the seventh come to nothing, or give up the oldest for it."""
        assert self.live == MOST_LIVE + 1
        self.live -= 1
        if len(self.tried) % 3 == 0:
            self.failed_since = True
            self.race.failed()
        else:
            self.race.gave_up_oldest()

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), numbers=st.lists(st.integers(1, 12), max_size=12))
    def answer(self, data: st.DataObject, numbers: list[int]) -> None:
        family = data.draw(st.sampled_from(sorted(self.unanswered)))
        self.unanswered.discard(family)
        make = six if family == V6 else four
        addresses = [make(number) for number in numbers]
        self.found |= set(addresses)
        self.race.answered((ONE, family), addresses, self.now)
        self.drive()

    @precondition(lambda self: self.live)
    @rule()
    def fail(self) -> None:
        self.live -= 1
        self.failed_since = True
        self.race.failed()
        self.drive()

    @rule(seconds=st.floats(0, 3))
    def wait(self, seconds: float) -> None:
        self.now += seconds
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

    def teardown(self) -> None:
        """Left alone, everything that was found has been tried."""
        if not hasattr(self, "race"):
            return
        for family in list(self.unanswered):
            self.race.answered((ONE, family), [], self.now)
        self.unanswered.clear()
        self.now += self.resolution_delay
        self.drive()
        while self.live:
            self.fail()
        assert set(self.tried) == self.found
        assert self.race.is_over


TestRacing = Racing.TestCase
TestRacing.settings = settings(
    deadline=None, max_examples=200, stateful_step_count=40, database=None
)

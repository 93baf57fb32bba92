from __future__ import annotations

import collections
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import SRVRecord
from aioconnect._sansio.srv_records import srv_order


def record(text: str) -> SRVRecord:
    """Make a record of "host priority weight"."""
    host, priority, weight = text.split()
    return SRVRecord(int(priority), int(weight), 80, host)


def records(text: str) -> list[SRVRecord]:
    """Make records of "host priority weight, ..."."""
    return [record(one) for one in text.split(", ")]


def hosts(found: Iterable[SRVRecord]) -> str:
    """Return the hosts of *found*."""
    return " ".join(one.host for one in found)


# Three of one priority, and one each of a better and of a worse.
FIVE = "worse 2 0, light 1 1, better 0 0, none 1 0, heavy 1 3"


def test_priorities() -> None:
    """RFC 2782: "target host with the lowest-numbered priority it can reach"."""
    given_ = records("d 65535 65535, b 1 0, c 300 9, a 0 0")
    for turn in itertools.permutations(given_):
        assert hosts(srv_order(turn, random.Random(1).random)) == "a b c d"


def drawing(*draws: tuple[int, int]) -> Callable[[], float]:
    """Return a ``uniform`` that makes each draw: a number from 0 to a sum, inclusive.

    One more draw than that is an error.
    """
    return iter([(number + 0.5) / (total + 1) for number, total in draws]).__next__


@pytest.mark.parametrize(
    ("draws", "expected"),
    [
        ([(0, 4), (0, 4), (0, 3)], "none light heavy"),
        ([(0, 4), (1, 4), (3, 3)], "none light heavy"),
        ([(0, 4), (2, 4), (0, 1)], "none heavy light"),
        ([(1, 4), (0, 3), (0, 3)], "light none heavy"),
        ([(1, 4), (1, 3), (0, 0)], "light heavy none"),
        ([(2, 4), (0, 1), (1, 1)], "heavy none light"),
        ([(4, 4), (1, 1), (0, 0)], "heavy light none"),
    ],
)
def test_weights(draws: list[tuple[int, int]], expected: str) -> None:
    """RFC 2782: "the first in the selected order which is greater than or equal".

    "Compute the sum of the weights of those RRs, and with each RR associate the
    running sum in the selected order.  Then choose a uniform random number between 0
    and the sum computed (inclusive), and select the RR whose running sum value is the
    first in the selected order which is greater than or equal to the random number
    selected."
    """
    found = srv_order(records(FIVE), drawing((0, 0), *draws, (0, 0)))
    assert hosts(found) == f"better {expected} worse"


def test_weights_are_probabilities() -> None:
    """RFC 2782: "Larger weights SHOULD be given a proportionately higher probability".

    So it is for the second, too, among those that are left.
    """
    uniform = random.Random(2782).random
    given_ = records("a 0 1000, b 0 2000, c 0 7000")
    times = 4000
    turns = collections.Counter(hosts(srv_order(given_, uniform)) for _ in range(times))
    for turn, probability in {
        "a b c": 1 / 10 * 2 / 9,
        "a c b": 1 / 10 * 7 / 9,
        "b a c": 2 / 10 * 1 / 8,
        "b c a": 2 / 10 * 7 / 8,
        "c a b": 7 / 10 * 1 / 3,
        "c b a": 7 / 10 * 2 / 3,
    }.items():
        deviation = math.sqrt(times * probability * (1 - probability))
        assert abs(turns[turn] - times * probability) < 4 * deviation, turn


def test_weight_zero() -> None:
    """RFC 2782: "records with weight 0 should have a very small chance"."""
    heavy_first = records("heavy 0 65534, none 0 0")
    for number in range(1, 65535, 13):
        uniform = drawing((number, 65534), (0, 0))
        assert hosts(srv_order(heavy_first, uniform)) == "heavy none"
    assert (
        hosts(srv_order(heavy_first, drawing((0, 65534), (0, 65534)))) == "none heavy"
    )


@pytest.mark.parametrize("host", [".", ""])
def test_root(host: str) -> None:
    """RFC 2782: "A Target of "." means that the service is decidedly not available"."""
    nowhere = SRVRecord(0, 0, 0, host)
    assert not [*srv_order([nowhere], lambda: 0.0)]
    there = record("a.test. 1 0")
    assert [*srv_order([nowhere, there, nowhere], lambda: 0.0)] == [there]


def test_no_records() -> None:
    assert not [*srv_order(iter(()), lambda: 0.0)]


some_records = st.builds(
    SRVRecord,
    st.integers(0, 3) | st.integers(0, 65535),
    st.integers(0, 3) | st.integers(0, 65535),
    st.integers(0, 65535),
    st.sampled_from(["a.test", "b.test.", ".", ""]),
)
extremes = st.just(0.0) | st.just(math.nextafter(1.0, 0.0))


@given(
    st.lists(some_records, max_size=20),
    st.lists(extremes | st.floats(0, 1, exclude_max=True), min_size=1),
)
def test_each_record_once(given_: list[SRVRecord], draws: list[float]) -> None:
    """RFC 2782: "Continue [...] until there are no unordered SRV RRs".

    "This process is repeated for each Priority."
    """
    found = [*srv_order(iter(given_), itertools.cycle(draws).__next__)]
    there = [one for one in given_ if one.host.strip(".")]
    assert collections.Counter(found) == collections.Counter(there)
    priorities = [one.priority for one in found]
    assert priorities == sorted(priorities)
    assert found == [*as_the_rfc_says(given_, itertools.cycle(draws).__next__)]


def as_the_rfc_says(
    given_: Iterable[SRVRecord], uniform: Callable[[], float]
) -> Iterator[SRVRecord]:
    """Order *given_* as RFC 2782 says it, word by word; it takes the square."""
    left = [one for one in given_ if one.host.strip(".")]
    left.sort(key=lambda one: (one.priority, one.weight != 0))
    while left:
        same = [one for one in left if one.priority == left[0].priority]
        sums = [*itertools.accumulate(one.weight for one in same)]
        drawn = int(uniform() * (sums[-1] + 1))
        at = next(index for index, total in enumerate(sums) if total >= drawn)
        yield left.pop(at)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 65, 300])
@pytest.mark.parametrize("weights", [(0, 1), (0, 65535), (1, 3), (0, 0), (5, 5)])
def test_many_records(count: int, weights: tuple[int, int]) -> None:
    """They come as the RFC's own words give them, for the same draws."""
    chance = random.Random(count)
    given_ = [
        SRVRecord(chance.randint(0, 1), chance.randint(*weights), 80, f"h{number}")
        for number in range(count)
    ]
    seed = chance.random()
    draws = random.Random(seed).random, random.Random(seed).random
    assert [*srv_order(given_, draws[0])] == [*as_the_rfc_says(given_, draws[1])]


def test_chances_of_each_order() -> None:
    """Every draw there can be gives each order as often as the RFC's words do."""
    given_ = records("none 0 0, nil 0 0, light 0 1, heavy 0 2")
    for order in (srv_order, as_the_rfc_says):
        chances: collections.Counter[str] = collections.Counter()
        # All draws for sums of 3, 2, 1 and 0 that are left: 12 divides each evenly.
        for draws in itertools.product(range(12), repeat=4):
            evenly = iter([(draw + 0.5) / 12 for draw in draws]).__next__
            chances[hosts(order(given_, evenly))] += 1
        if order is srv_order:
            expected = chances
    assert chances == expected
    assert len(expected) == 12

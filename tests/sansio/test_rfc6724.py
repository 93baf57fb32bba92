from __future__ import annotations

import collections
import itertools
import math
import random
import socket
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import Address, SRVRecord
from aioconnect._sansio.addresses import host_and_port
from aioconnect._sansio.rfc6724 import (
    SourceAddress,
    common_prefix_length,
    interleave_families,
    sort_addresses,
    srv_order,
)

GLOBAL6, LINK6, ULA6 = "2001:db8:1::2", "fe80::2", "fd00:1::2"
HOSTS = {
    4: "10.1.2.3 169.254.0.9 127.0.0.1 198.51.100.1 192.168.0.1 224.0.0.1",
    6: "2001:db8::1 2001:db8:1::9 fe80::1 fec0::1 fd00::1 2002:a01::1 2001:0:1::1"
    " ::1 ::10.0.0.1 ff02::1 ff0e::1",
}


def to(host: str, port: int = 80) -> Address:
    """Return the address that *host* spells."""
    return Address(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port))


def addresses(text: str) -> tuple[Address, ...]:
    """Make addresses of "6a 4b": an IPv6 one that ends in a, an IPv4 one in b."""
    hosts = {"4": "10.0.0.{}", "6": "fd00::{}"}
    return tuple(to(hosts[word[0]].format(word[1])) for word in text.split())


def is_in_order(*pairs: tuple[str, str | SourceAddress | None]) -> None:
    """Assert that *pairs* come out in this order, whichever way they go in."""
    made = [
        (to(host), SourceAddress(source) if isinstance(source, str) else source)
        for host, source in pairs
    ]
    expected = tuple(address for address, _ in made)
    for given_ in itertools.permutations(made):
        assert sort_addresses(given_) == expected


# Each example of RFC 6724, section 10.2, but for the one on home addresses: its
# "Result", with the source of each destination.
RFC_EXAMPLES = {
    "2001:db8:1::1 (src 2001:db8:1::2) then 198.51.100.121 (src 169.254.13.78)"
    " (prefer matching scope)": (
        ("2001:db8:1::1", "2001:db8:1::2"),
        ("198.51.100.121", "169.254.13.78"),
    ),
    "198.51.100.121 (src 198.51.100.117) then 2001:db8:1::1 (src fe80::1)"
    " (prefer matching scope)": (
        ("198.51.100.121", "198.51.100.117"),
        ("2001:db8:1::1", "fe80::1"),
    ),
    "2001:db8:1::1 (src 2001:db8:1::2) then 10.1.2.3 (src 10.1.2.4)"
    " (prefer higher precedence)": (
        ("2001:db8:1::1", "2001:db8:1::2"),
        ("10.1.2.3", "10.1.2.4"),
    ),
    "fe80::1 (src fe80::2) then 2001:db8:1::1 (src 2001:db8:1::2)"
    " (prefer smaller scope)": (
        ("fe80::1", "fe80::2"),
        ("2001:db8:1::1", "2001:db8:1::2"),
    ),
    "2001:db8:1::1 (src 2001:db8:1::2) then fe80::1 (src deprecated fe80::2)"
    " (avoid deprecated addresses)": (
        ("2001:db8:1::1", "2001:db8:1::2"),
        ("fe80::1", SourceAddress("fe80::2", deprecated=True)),
    ),
    "2001:db8:1::1 (src 2001:db8:1::2) then 2001:db8:3ffe::1 (src 2001:db8:3f44::2)"
    " (longest matching prefix)": (
        ("2001:db8:1::1", "2001:db8:1::2"),
        ("2001:db8:3ffe::1", "2001:db8:3f44::2"),
    ),
    "2002:c633:6401::1 (src 2002:c633:6401::2) then 2001:db8:1::1"
    " (src 2002:c633:6401::2) (prefer matching label)": (
        ("2002:c633:6401::1", "2002:c633:6401::2"),
        ("2001:db8:1::1", "2002:c633:6401::2"),
    ),
    "2001:db8:1::1 (src 2001:db8:1::2) then 2002:c633:6401::1"
    " (src 2002:c633:6401::2) (prefer higher precedence)": (
        ("2001:db8:1::1", "2001:db8:1::2"),
        ("2002:c633:6401::1", "2002:c633:6401::2"),
    ),
}


@pytest.mark.parametrize("pairs", RFC_EXAMPLES.values(), ids=RFC_EXAMPLES)
def test_example_of_the_rfc(pairs: tuple[tuple[str, str | SourceAddress], ...]) -> None:
    """RFC 6724, 10.2: the result of each example, which the id quotes."""
    is_in_order(*pairs)


# The rule, and destinations that no rule before it tells apart.
RULES: dict[str, tuple[tuple[str, str | SourceAddress | None], ...]] = {
    "1: avoid unusable destinations": (("10.0.0.1", "10.0.0.2"), ("::1", None)),
    "1: and keep them in the order of rules 6 and 8": (
        ("10.0.0.1", "10.0.0.2"),
        ("::1", None),
        ("fe80::1", None),
        ("2001:db8::1", None),
        ("169.254.0.1", None),
        ("10.0.0.2", None),
    ),
    "2: prefer matching scope, multicast's too": (
        ("ff0e::1", GLOBAL6),
        ("ff05::1", GLOBAL6),
    ),
    "2: loopback is link-local": (
        ("10.0.0.1", "10.0.0.2"),
        ("127.0.0.1", "10.0.0.2"),
    ),
    "2: as 169.254.0.0/16 is": (("10.0.0.1", "10.0.0.2"), ("169.254.0.1", "10.0.0.2")),
    "2: as ::1 is": (("::1", LINK6), ("2001:db8::1", LINK6)),
    "3: avoid deprecated addresses": (
        ("10.0.0.1", "10.0.0.2"),
        ("2001:db8::1", SourceAddress(GLOBAL6, deprecated=True)),
    ),
    "5: prefer matching label: ULA": (("fd00::1", ULA6), ("2001:db8::1", ULA6)),
    "5: Teredo": (("10.0.0.1", "10.0.0.2"), ("2001:0:1::1", GLOBAL6)),
    "5: ULA from elsewhere": (("10.0.0.1", "10.0.0.2"), ("fd00::1", GLOBAL6)),
    "5: site-local": (("10.0.0.1", "10.0.0.2"), ("ff05::1", "fec0::2")),
    "5: IPv4-mapped": (
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2"),
        ("::ffff:10.0.0.3", GLOBAL6),
    ),
    "5: IPv4-compatible": (("10.0.0.1", "10.0.0.2"), ("::10.0.0.1", GLOBAL6)),
    "6: prefer higher precedence: loopback": (("::1", "::1"), ("127.0.0.1",) * 2),
    "6: 6to4 before IPv4": (
        ("2002:a01::1", "2002:a01::2"),
        ("10.0.0.1", "10.0.0.2"),
    ),
    "6: glibc's: a ULA before IPv4": (("fd00::1", ULA6), ("10.0.0.1", "10.0.0.2")),
    "6: glibc's: Teredo before IPv4": (
        ("2001:0:1::1", "2001:0:1::2"),
        ("10.0.0.1", "10.0.0.2"),
    ),
    "6: IPv4-compatible before IPv4": (
        ("::10.0.0.1", "::10.0.0.2"),
        ("10.0.0.1", "10.0.0.2"),
    ),
    "6: an IPv4-mapped address is IPv4": (
        ("2001:db8::1", GLOBAL6),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2"),
    ),
    "7: prefer native transport": (
        ("2001:db8::1", GLOBAL6),
        ("2001:db8:1::1", SourceAddress("2001:db8:1::3", native=False)),
    ),
    "8: prefer smaller scope": (
        ("fe80::1", LINK6),
        ("fec0::1", "fec0::2"),
        ("2001:db8:1::1", GLOBAL6),
    ),
    "8: IPv4 has two scopes": (
        ("169.254.0.1", "169.254.0.2"),
        ("10.0.0.1", SourceAddress("10.0.0.1", prefix_length=32)),
    ),
    "9: longest matching prefix": (
        ("2001:db8:1::1", GLOBAL6),
        ("2001:db8:2::1", GLOBAL6),
        ("2001:db9::1", GLOBAL6),
    ),
    "9: glibc's: longer than the source's own": (
        ("2001:db8:1::3", SourceAddress(GLOBAL6, prefix_length=64)),
        ("2001:db8:1::9", SourceAddress(GLOBAL6, prefix_length=64)),
    ),
    "9: glibc's: IPv4 on the source's subnet": (
        ("10.0.0.6", SourceAddress("10.0.0.5", prefix_length=24)),
        ("10.0.0.200", SourceAddress("10.0.0.5", prefix_length=24)),
        ("10.0.1.5", SourceAddress("10.0.0.5", prefix_length=24)),
    ),
}


@pytest.mark.parametrize("pairs", RULES.values(), ids=RULES)
def test_rule(pairs: tuple[tuple[str, str | SourceAddress | None], ...]) -> None:
    """RFC 6724, 6: the rule that the id names decides."""
    is_in_order(*pairs)


@pytest.mark.parametrize(
    ("one", "other", "source"),
    [
        ("10.0.0.6", "10.0.0.99", SourceAddress("10.0.0.5")),
        ("10.0.1.6", "11.0.0.1", SourceAddress("10.0.0.5", prefix_length=24)),
        ("2001:db8:2::1", "2001:db8:3::1", SourceAddress(GLOBAL6)),
        ("fe80::1", "fe80::1", SourceAddress(LINK6)),
    ],
)
def test_unchanged(one: str, other: str, source: SourceAddress) -> None:
    """RFC 6724, 6, rule 10: otherwise, leave the order unchanged."""
    pair = (to(one, 1), source), (to(other, 2), source)
    assert sort_addresses(pair) == (pair[0][0], pair[1][0])
    assert sort_addresses(pair[::-1]) == (pair[1][0], pair[0][0])


@pytest.mark.parametrize(
    ("host", "other", "length"),
    [
        ("10.0.0.1", "10.0.0.1", 32),
        ("10.0.0.1", "10.0.0.2", 30),
        ("10.0.0.1", "138.0.0.1", 0),
        ("2001:db8::1", "2001:db8::1", 128),
        ("2001:db8::1", "2001:db9::1", 31),
        ("::", "8000::", 0),
    ],
)
def test_common_prefix_length(host: str, other: str, length: int) -> None:
    """RFC 6724, 2.2: the longest prefix, from the left, that they have in common."""
    assert common_prefix_length(host, other) == length


@st.composite
def pairs_of(draw: st.DrawFn) -> tuple[str, SourceAddress | None]:
    """Draw a destination, and what the kernel may say about it."""
    hosts = HOSTS[draw(st.sampled_from((4, 6)))].split()
    source = st.builds(
        SourceAddress,
        st.sampled_from(hosts),
        st.booleans(),
        st.booleans(),
        st.none() | st.integers(8, 32),
    )
    return draw(st.sampled_from(hosts)), draw(st.none() | source)


@given(st.lists(pairs_of(), max_size=12))
def test_any_pairs(drawn: list[tuple[str, SourceAddress | None]]) -> None:
    """Nothing is lost or added; what is sorted stays so; what is alike keeps turn."""
    sources = {to(host, port): source for port, (host, source) in enumerate(drawn, 1)}
    made = sort_addresses(sources.items())
    assert len(made) == len(sources)
    assert {*made} == {*sources}
    assert sort_addresses((address, sources[address]) for address in made) == made
    turns: dict[tuple[str, SourceAddress | None], list[int]] = {}
    for address in made:
        host, port = host_and_port(address)
        assert port
        turns.setdefault((host, sources[address]), []).append(port)
    assert all(ports == sorted(ports) for ports in turns.values())


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        ("", 1, ""),
        ("61", 1, "61"),
        ("61 62 41 42", 0, "61 62 41 42"),
        ("61 62 41 42", 1, "61 41 62 42"),
        ("41 42 61 62", 1, "41 61 42 62"),
        ("61 62 63 41 42", 2, "61 62 41 63 42"),
        ("61 62 63 41", 1, "61 41 62 63"),
        ("41 61 62 63", 1, "41 61 62 63"),
        ("61 41", 5, "61 41"),
    ],
)
def test_interleaved(given: str, count: int, expected: str) -> None:
    """RFC 8305, 4: the first family's first addresses, then the families in turn."""
    assert interleave_families(addresses(given), count) == addresses(expected)


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


def test_places_of_families() -> None:
    """Thousands of one family, and one of the other, which comes second."""
    many = [to(f"10.0.{n >> 8}.{n & 255}") for n in range(5000)]
    assert interleave_families([*many, to("::1")], 1) == (many[0], to("::1"), *many[1:])

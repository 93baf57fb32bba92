from __future__ import annotations

import itertools
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect import Address
from aioconnect._sansio.addresses import host_and_port
from aioconnect._sansio.rfc6724 import (
    SourceAddress,
    common_prefix_length,
    interleave_families,
    sort_addresses,
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


def test_places_of_families() -> None:
    """Thousands of one family, and one of the other, which comes second."""
    many = [to(f"10.0.{n >> 8}.{n & 255}") for n in range(5000)]
    assert interleave_families([*many, to("::1")], 1) == (many[0], to("::1"), *many[1:])

from __future__ import annotations

import socket

import pytest

from aioconnect import Address
from aioconnect._order import interleaved


def addresses(text: str) -> tuple[Address, ...]:
    """Make addresses of "6a 4b": an IPv6 one that ends in a, an IPv4 one in b."""
    families = {"4": (socket.AF_INET, "10.0.0.{}"), "6": (socket.AF_INET6, "fd00::{}")}
    made = []
    for word in text.split():
        family, host = families[word[0]]
        made.append(Address(family, (host.format(word[1]), 80)))
    return tuple(made)


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
    assert interleaved(addresses(given), count) == addresses(expected)

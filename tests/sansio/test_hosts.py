from __future__ import annotations

import enum
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioconnect._io.resolver import check_port
from aioconnect._sansio.hosts import check_host, numeric_address


class Said(str):
    """A text that says another one of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "said"


def test_a_host_is_plain_text() -> None:
    assert type(check_host(Said("a.test"))) is str
    assert check_host(Said("a.test")) == "a.test"


# Of three characters each, as long as a label can be, and a name.
COMPOSED = unicodedata.normalize("NFD", "\u1ea5" * 57)
LONGEST = ".".join([COMPOSED] * 3 + [COMPOSED[: 3 * 55]])


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "a_b.c", "bücher.example", "127.1", "a" * 63 + ".b"),
        *(".".join(["a" * 63] * 3 + ["a" * 61]), COMPOSED, LONGEST, "a\u00ad" * 63),
        *(".".join(["a" * 63] * 3 + ["a" * 61, ""]), "a。b", f"{COMPOSED}。{COMPOSED}"),
    ],
)
def test_host(host: str) -> None:
    assert check_host(host) == host
    if host.isascii():
        assert check_host(host.encode()) == host


@pytest.mark.parametrize(
    ("host", "error", "says"),
    [
        ("", ValueError, "host is empty"),
        ("a b", ValueError, "white space"),
        ("a\n", ValueError, "white space"),
        ("a\0", ValueError, "NUL"),
        ("x" * 64 + ".org", ValueError, "not a host name"),
        (("x" * 50 + ".") * 5, ValueError, "254 octets"),
        ("ü" * 253, ValueError, "label of 253 characters"),
        ("a." * 600, ValueError, "host is 1,200 characters long"),
        ("a..b", ValueError, "not a host name"),
        (b"\xff", ValueError, "not ASCII"),
        (7, TypeError, "host must be a str"),
        (None, TypeError, "host must be a str"),
    ],
)
def test_bad_host(host: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_host(host)


def test_no_character_is_made_of_more_than_four() -> None:
    """So nothing that has an encoding of 253 octets has more than 1,012 characters."""
    known = unicodedata.ucd_3_2_0  # nameprep's
    each = (one for one in map(chr, range(0x110000)) if known.decomposition(one))
    composed = (one for one in each if known.normalize("NFKC", one) == one)
    assert max(len(known.normalize("NFD", one)) for one in composed) == 4


class Host(enum.StrEnum):
    """Text that says something else of itself."""

    DB = "db.test"

    def __str__(self) -> str:
        return "not.this"


def test_a_host_is_exact_text() -> None:
    """After the check, it cannot turn into another text."""
    assert type(check_host(Host.DB)) is str
    assert check_host(Host.DB) == "db.test"


@pytest.mark.parametrize(
    ("host", "sockaddr"),
    [
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("::1", ("::1", 80, 0, 0)),
        ("fe80::1%7", ("fe80::1", 80, 0, 7)),
        ("localhost", None),
        ("127.1", None),
        ("fe80::1%lo", None),
        ("fe80::1%", None),
        ("fe80::1%99999999999999", None),
        ("fe80::1%00000000000000", ("fe80::1", 80, 0, 0)),
        ("fe80::1%0000000000000007", ("fe80::1", 80, 0, 7)),
        ("fe80::1%00000000000" + "9" * 20, None),
        ("fe80::1%" + "0" * 5000, None),
        ("127.0.0.1%7", None),
        ("[::1]", None),
        ("127.0.0.1\0", None),
    ],
)
def test_numeric(host: str, sockaddr: Any) -> None:
    address = numeric_address(host, 80)
    assert (address and address.sockaddr) == sockaddr


@given(st.text(max_size=300), st.integers() | st.text(max_size=8))
def test_only_the_expected_errors(host: str, port: Any) -> None:
    for check, value in ((check_host, host), (check_port, port)):
        try:
            check(value)
        except (ValueError, TypeError) as exc:
            assert str(exc)
    numeric_address(host, 80)

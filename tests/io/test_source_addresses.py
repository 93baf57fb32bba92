"""The kernel's sources, on loopback and in networks of the test's own."""

from __future__ import annotations

import platform
import re
import resource
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from aioconnect import Address
from aioconnect._io import source_addresses as module
from aioconnect._io.source_addresses import (
    sort_by_rfc6724,
    sort_families,
    source_addresses,
)
from aioconnect._sansio.rfc6724 import SourceAddress

IPV4 = Address(socket.AF_INET, ("127.0.0.1", 80))
IPV4_ALIAS = Address(socket.AF_INET, ("127.0.0.200", 80))
IPV6 = Address(socket.AF_INET6, ("::1", 80))
# Not without a scope id, and not without SO_BROADCAST.
UNUSABLE6 = Address(socket.AF_INET6, ("fe80::1", 80))
UNUSABLE4 = Address(socket.AF_INET, ("255.255.255.255", 80))


def prefix_lengths(
    pairs: list[tuple[Address, SourceAddress | None]],
) -> list[int | None]:
    """Return what *pairs* say about their sources' subnets."""
    return [source.prefix_length if source else None for _, source in pairs]


@pytest.fixture
def ipv6() -> None:
    """Skip where the loopback interface has no IPv6 address."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(IPV6.sockaddr)
        except OSError:
            pytest.skip("there is no IPv6 here")


@pytest.fixture
def ipv6_beside_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """List an IPv6 address of an interface other than loopback."""
    listed = tmp_path / "if_inet6"
    listed.write_text("20010db8000000000000000000000001 02 40 00 80 eth0\n")
    monkeypatch.setattr(module, "_IF_INET6", str(listed))


@pytest.mark.namespace
def test_getaddrinfo(in_namespace: Callable[..., str]) -> None:
    """In 36 networks, lists come out in the order that getaddrinfo gives them."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the order is glibc's")
    said = re.fullmatch(
        r"(\d+) networks, (\d+) lists\n", in_namespace("getaddrinfo_order.py")
    )
    assert said
    assert int(said[1]) >= 36
    assert int(said[2]) >= 1000


def test_usable_and_not() -> None:
    """A destination that the kernel would not send to has no source."""
    assert source_addresses([UNUSABLE4, IPV4]) == [
        (UNUSABLE4, None),
        (IPV4, SourceAddress("127.0.0.1")),
    ]


def test_ipv6(ipv6: None) -> None:
    """Each family is asked with a socket of its own."""
    found = source_addresses([IPV4, IPV6, UNUSABLE6])
    assert found == [
        (IPV4, SourceAddress("127.0.0.1")),
        (IPV6, SourceAddress("::1")),
        (UNUSABLE6, None),
    ]
    assert sort_by_rfc6724([UNUSABLE6, IPV4, IPV6]) == (IPV6, IPV4, UNUSABLE6)


def test_no_such_family() -> None:
    """A family that the kernel does not have leads nowhere."""
    unknown = Address(4095, ("host", 80))
    assert source_addresses([unknown]) == [(unknown, None)]


@pytest.mark.parametrize(
    "given",
    [
        [],
        [IPV4],
        [IPV4, Address(socket.AF_UNIX, "/run/x"), IPV6],
        [UNUSABLE4, Address(socket.AF_VSOCK, (2, 80)), IPV6],
    ],
)
def test_what_is_not_sorted(
    monkeypatch: pytest.MonkeyPatch, given: list[Address]
) -> None:
    """The kernel is not asked for a single address, or one outside IPv4 and IPv6."""

    def ask(address: Address) -> str:
        raise AssertionError(f"asked about {address}")

    monkeypatch.setattr(module, "_source_host", ask)
    assert sort_by_rfc6724(given) == tuple(given)


def test_no_descriptor_left() -> None:
    """Without a free descriptor, the order stays unchanged."""
    assert sort_by_rfc6724([UNUSABLE4, IPV4]) == (IPV4, UNUSABLE4)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        unsorted = sort_by_rfc6724([UNUSABLE4, IPV4])
        with pytest.raises(OSError, match="Too many open files"):
            source_addresses([UNUSABLE4, IPV4])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert unsorted == (UNUSABLE4, IPV4)


def test_deprecated(
    ipv6: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A source that is deprecated, or not yet known to be unique, comes last."""
    listed = tmp_path / "if_inet6"
    monkeypatch.setattr(module, "_IF_INET6", str(listed))
    for flags, is_deprecated in (("80", False), ("a0", True), ("84", True)):
        listed.write_text(f"{1:032x} 01 80 10 {flags}       lo\n")
        found = source_addresses([IPV6, IPV4])
        assert found[0] == (IPV6, SourceAddress("::1", deprecated=is_deprecated))
        assert found[1] == (IPV4, SourceAddress("127.0.0.1"))


def test_no_list(ipv6: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the list of IPv6 addresses none is taken for deprecated."""
    monkeypatch.setattr(module, "_IF_INET6", str(tmp_path / "absent"))
    assert sort_by_rfc6724([IPV4, IPV6]) == (IPV6, IPV4)


def test_subnet(ipv6_beside_loopback: None) -> None:
    """An IPv4 source's prefix length is that of the subnet it shares."""
    assert prefix_lengths(source_addresses([IPV4_ALIAS, IPV4])) == [8, 32]
    assert sort_by_rfc6724([IPV4_ALIAS, IPV4]) == (IPV4, IPV4_ALIAS)


def test_subnet_where_glibc_knows_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without an IPv6 address, only the source itself is on its subnet."""
    listed = tmp_path / "if_inet6"
    listed.write_text(f"{1:032x} 01 80 10 80       lo\n")
    monkeypatch.setattr(module, "_IF_INET6", str(listed))
    assert prefix_lengths(source_addresses([IPV4_ALIAS, IPV4])) == [None, 32]


def test_subnet_that_is_not_asked_for(ipv6_beside_loopback: None) -> None:
    """A single IPv4 address has nothing to be compared with."""
    assert prefix_lengths(source_addresses([UNUSABLE4, IPV4])) == [None, None]


@pytest.mark.parametrize(
    ("constant", "number"), [("_AF_NETLINK", 4095), ("_RTM_GETROUTE", 4095)]
)
def test_no_netlink(
    ipv6_beside_loopback: None,
    monkeypatch: pytest.MonkeyPatch,
    constant: str,
    number: int,
) -> None:
    """Where netlink is not there, or does not answer, no subnet is known."""
    monkeypatch.setattr(module, constant, number)
    assert prefix_lengths(source_addresses([IPV4_ALIAS, IPV4])) == [None, None]


def test_an_interface_that_has_gone(ipv6: None) -> None:
    """An interface that is gone counts as no tunnel."""
    assert not module._is_tunnel(b"gone")


def test_thousands_are_not_all_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ranks the first of each family; the others keep their positions."""
    asked: list[Address] = []

    def backwards(addresses: Sequence[Address]) -> tuple[Address, ...]:
        asked.extend(addresses)
        return tuple(reversed(addresses))

    monkeypatch.setattr("aioconnect._io.source_addresses.sort_by_rfc6724", backwards)
    six = [Address(socket.AF_INET6, (f"fd00::{n:x}", 80)) for n in range(1, 301)]
    four = [
        Address(socket.AF_INET, (f"10.0.{n >> 8}.{n & 255}", 80)) for n in range(150)
    ]
    found = sort_families((*six, *four))
    assert asked == [*six[:100], *four[:100]]
    ranked = [*reversed(four[:100])], [*reversed(six[:100])]
    assert found == (*ranked[0], *ranked[1], *six[100:], *four[100:])


def test_the_order_of_one_family_is_the_resolvers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel is asked only when both families came, each by itself."""
    monkeypatch.setattr("aioconnect._io.source_addresses.sort_by_rfc6724", sorted)
    assert sort_families([UNUSABLE4, IPV4]) == [UNUSABLE4, IPV4]
    assert sort_families([]) == []

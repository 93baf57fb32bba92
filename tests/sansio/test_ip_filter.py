from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import aioconnect
from aioconnect import Address
from aioconnect._sansio.ip_filter import is_allowed, only_public

Ip = IPv4Address | IPv6Address

# Each block that is refused: who set it aside, and whether the addresses just
# before and just after it are public.
REFUSED = {
    "0.0.0.0/8": ("RFC 791, this network", (None, True)),
    "10.0.0.0/8": ("RFC 1918, private use", (True, True)),
    "100.64.0.0/10": ("RFC 6598, shared address space", (True, True)),
    "127.0.0.0/8": ("RFC 1122, loopback", (True, True)),
    "169.254.0.0/16": ("RFC 3927, link-local", (True, True)),
    "172.16.0.0/12": ("RFC 1918, private use", (True, True)),
    "192.0.0.0/24": ("RFC 6890, IETF protocol assignments", (True, True)),
    "192.0.0.0/29": ("RFC 7335, IPv4 service continuity", (True, False)),
    "192.0.0.8/32": ("RFC 7600, IPv4 dummy address", (False, False)),
    "192.0.0.170/31": ("RFC 7050, NAT64 discovery", (False, False)),
    "192.0.2.0/24": ("RFC 5737, TEST-NET-1", (True, True)),
    "192.88.99.0/24": ("RFC 7526, 6to4 relay", (True, True)),
    "192.88.99.2/32": ("RFC 6751, 6a44 relay", (False, False)),
    "192.168.0.0/16": ("RFC 1918, private use", (True, True)),
    "198.18.0.0/15": ("RFC 2544, benchmarking", (True, True)),
    "198.51.100.0/24": ("RFC 5737, TEST-NET-2", (True, True)),
    "203.0.113.0/24": ("RFC 5737, TEST-NET-3", (True, True)),
    "224.0.0.0/4": ("RFC 5771, multicast", (True, False)),
    "240.0.0.0/4": ("RFC 1112, reserved", (False, None)),
    "255.255.255.255/32": ("RFC 919, limited broadcast", (False, None)),
    "::/128": ("RFC 4291, unspecified", (None, False)),
    "::1/128": ("RFC 4291, loopback", (False, False)),
    "::/96": ("RFC 4291, IPv4-compatible", (None, False)),
    "::ffff:0:0/96": ("RFC 4291, IPv4-mapped", (False, False)),
    "::ffff:0:0:0/96": ("RFC 2765, IPv4-translated", (False, False)),
    "64:ff9b::/96": ("RFC 6052, NAT64", (False, False)),
    "64:ff9b:1::/48": ("RFC 8215, NAT64 of the local network", (False, False)),
    "100::/64": ("RFC 6666, discard-only", (False, False)),
    "100:0:0:1::/64": ("RFC 9780, dummy prefix", (False, False)),
    "2001::/23": ("RFC 2928, IETF protocol assignments", (True, True)),
    "2001::/32": ("RFC 4380, Teredo", (True, False)),
    "2001:1::/32": ("RFC 7723, PCP; RFC 8155, TURN; RFC 9665", (False, False)),
    "2001:2::/48": ("RFC 5180, benchmarking", (False, False)),
    "2001:10::/28": ("RFC 4843, ORCHID", (False, False)),
    "2001:20::/28": ("RFC 7343, ORCHIDv2", (False, False)),
    "2001:30::/28": ("RFC 9374, drone remote identifiers", (False, False)),
    "2001:db8::/32": ("RFC 3849, documentation", (True, True)),
    "2002::/16": ("RFC 3056, 6to4", (True, True)),
    "3fff::/20": ("RFC 9637, documentation", (True, True)),
    "4000::/3": ("RFC 4291, reserved by the IETF", (True, False)),
    "5f00::/16": ("RFC 9602, segment routing SIDs", (False, False)),
    "fc00::/7": ("RFC 4193, unique local", (False, False)),
    "fe80::/10": ("RFC 4291, link-local", (False, False)),
    "fec0::/10": ("RFC 3879, site-local", (False, False)),
    "ff00::/8": ("RFC 4291, multicast", (False, None)),
}

PUBLIC = {
    "192.31.196.0/24": "RFC 7535, AS112",
    "192.52.193.0/24": "RFC 7450, AMT",
    "192.175.48.0/24": "RFC 7534, AS112",
    "2000::/16": "RFC 4291, global unicast",
    "2001:3::/32": "RFC 7450, AMT",
    "2001:4:112::/48": "RFC 7535, AS112",
    "2620:4f:8000::/48": "RFC 7534, AS112",
    "2606:4700::/32": "nothing of all that",
    "8.8.8.0/24": "nothing of all that",
}


@pytest.mark.parametrize("block", REFUSED)
def test_refused(block: str) -> None:
    """Every address of a block that is set aside is refused, and none beside it."""
    network = ip_network(block)
    first, last = network[0], network[-1]
    assert not only_public(first, 443)
    assert not only_public(last, 443)
    beside = REFUSED[block][1]
    if beside[0] is not None:
        assert only_public(first - 1, 443) is beside[0]
    if beside[1] is not None:
        assert only_public(last + 1, 443) is beside[1]


@pytest.mark.parametrize("block", PUBLIC)
def test_public(block: str) -> None:
    """What IANA's registries call globally reachable is let through."""
    network = ip_network(block)
    assert only_public(network[0], 443)
    assert only_public(network[-1], 443)


# What the standard library says otherwise, in the version that says the most
# (3.13), and why it is not followed.  All else it says of these blocks holds.
DISAGREEMENTS = {
    "192.0.0.9/32": "anycast that one's own NAT answers (RFC 7723)",
    "192.0.0.10/32": "anycast that one's own network answers (RFC 8155)",
    "192.88.99.0/24": "6to4 relays: the registry has N/A, the contract names them",
    "224.0.0.0/4": "multicast: not in that registry",
    "::/96": "IPv4-compatible: hides an address, and is reserved",
    "::ffff:0:0:0/96": "IPv4-translated: hides an address, and is reserved",
    "64:ff9b::/96": "NAT64: reachable, and hides an address",
    "100:0:0:1::/64": "newer than the standard library's list (RFC 9780)",
    "2001:1::1/128": "anycast that one's own NAT answers (RFC 7723)",
    "2001:1::2/128": "anycast that one's own network answers (RFC 8155)",
    "2001:20::/28": "ORCHIDv2: identifiers that nothing routes",
    "2001:30::/28": "remote identifiers: nothing routes them",
    "3fff::/20": "not in every version's list (RFC 9637)",
    "4000::/3": "reserved: not delegated to anybody",
    "5f00::/16": "newer than the standard library's list (RFC 9602)",
    "fec0::/10": "site-local: deprecated, and still private",
    "ff00::/8": "multicast: not in that registry",
}
_EXPLAINED = [ip_network(block) for block in DISAGREEMENTS]
# To the standard library, what is reserved (all but 2000::/3) is global.
_GLOBAL_UNICAST = ip_network("2000::/3")

as_of_3_13 = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="earlier versions have shorter lists"
)


def is_explained(ip: Ip) -> bool:
    """Tell whether *ip* is where the standard library is not followed."""
    is_reserved = ip.version == 6 and ip not in _GLOBAL_UNICAST
    return is_reserved or any(ip in block for block in _EXPLAINED)


@as_of_3_13
@pytest.mark.parametrize("block", sorted({*REFUSED, *PUBLIC, *DISAGREEMENTS}))
def test_standard_library(block: str) -> None:
    """The same as `ipaddress` says, but for what is explained above."""
    network = ip_network(block)
    for ip in (network[0], network[-1]):
        assert only_public(ip, 443) == ip.is_global or is_explained(ip), ip


@pytest.mark.parametrize("block", DISAGREEMENTS)
def test_disagreement(block: str) -> None:
    """Where the filter differs from the standard library, it refuses more."""
    assert not only_public(ip_network(block)[0], 443)


@as_of_3_13
@given(st.ip_addresses())
def test_any_address(ip: Ip) -> None:
    """What the standard library does not call global is not let through, ever."""
    assert ip.is_global or not only_public(ip, 443)
    assert only_public(ip, 443) == ip.is_global or is_explained(ip) or is_isatap(ip)


def is_isatap(ip: Ip) -> bool:
    return ip.version == 6 and ip.packed[8:12] in (b"\0\0^\xfe", b"\2\0^\xfe")


@given(st.integers(min_value=0x2003 << 112, max_value=(0x3FFF << 112) - 1))
def test_global_unicast(bits: int) -> None:
    """An address outside the registries' blocks is public."""
    ip = IPv6Address(bits)
    assume(not is_isatap(ip))
    assert only_public(ip, 443)


# How an IPv4 address is put into an IPv6 address: a prefix, and from which bit.
EMBEDDINGS = {
    "IPv4-mapped": ("::ffff:0:0", 96),
    "IPv4-compatible": ("::", 96),
    "IPv4-translated": ("::ffff:0:0:0", 96),
    "NAT64": ("64:ff9b::", 96),
    "NAT64 of the local network": ("64:ff9b:1::", 96),
    "NAT64 of the local network, its shortest": ("64:ff9b:1::", 48),
    "6to4": ("2002::", 16),
    "Teredo's server": ("2001::", 32),
    "Teredo's client": ("2001::", 96),
    "ISATAP": ("2606:4700::5efe:0:0", 96),
    "ISATAP, public": ("2606:4700::200:5efe:0:0", 96),
}


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@given(hidden=st.ip_addresses(v=4), rest=st.integers(0, 2**128 - 1))
@example(hidden=IPv4Address("127.0.0.1"), rest=0)
@example(hidden=IPv4Address("169.254.169.254"), rest=0)
@example(hidden=IPv4Address("8.8.8.8"), rest=0)
def test_hidden_address(embedding: str, hidden: IPv4Address, rest: int) -> None:
    """An address that embeds another is refused, be that one public or not."""
    prefix, start = EMBEDDINGS[embedding]
    # RFC 4380, 4: the bits of Teredo's client are inverted.
    number = int(hidden) ^ (0xFFFFFFFF if embedding == "Teredo's client" else 0)
    after = 96 - start
    bits = int(IPv6Address(prefix)) | number << after | rest & (1 << after) - 1
    assert not only_public(IPv6Address(bits), 443)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_port_is_ignored(ip: Ip, port: int) -> None:
    assert only_public(ip, port) == only_public(ip, 443)


def test_scope_id_is_ignored() -> None:
    """A scope id makes no address public, and none private."""
    assert not only_public(IPv6Address("fe80::1%2"), 443)
    assert not only_public(IPv6Address("::ffff:10.0.0.1%eth0"), 443)
    assert only_public(IPv6Address("2606:4700::1%2"), 443)


@pytest.mark.parametrize(
    ("address", "ip", "port"),
    [
        (Address(socket.AF_INET, ("10.0.0.1", 80)), "10.0.0.1", 80),
        (Address(socket.AF_INET6, ("2001:db8::1", 81)), "2001:db8::1", 81),
        (Address(socket.AF_INET6, ("fe80::1", 82, 7, 2)), "fe80::1%2", 82),
        (Address(socket.AF_INET6, ("::ffff:10.0.0.1", 1)), "::ffff:a00:1", 1),
        (Address(socket.AF_INET6, ("0:0:0:0:0:0:0:1", 0)), "::1", 0),
    ],
)
def test_what_is_asked(address: Address, ip: str, port: int) -> None:
    """`Allow` is asked about the very address that is dialled, and its scope."""
    asked: list[tuple[Ip, int]] = []

    def allow(ip: Ip, port: int) -> bool:
        asked.append((ip, port))
        return True

    assert is_allowed(allow, address)
    assert asked == [(ip_address(ip), port)]


@pytest.mark.parametrize(
    "address",
    [
        Address(socket.AF_UNIX, "/run/x"),
        Address(socket.AF_UNIX, "\0x"),
        Address(socket.AF_VSOCK, (2, 80)),
        Address(4095, ("8.8.8.8", 80)),
    ],
    ids=str,
)
def test_what_cannot_be_asked_about(address: Address) -> None:
    """What is neither IPv4 nor IPv6 is refused, whatever the guard would say."""

    def allow(ip: Ip, port: int) -> bool:
        raise AssertionError("asked about what it cannot judge")

    assert is_allowed(allow, address) is False


@pytest.mark.parametrize("answer", [True, False, 1, 0, "yes", "", None])
def test_truth_of_the_answer(answer: object) -> None:
    """An answer is taken by its truth."""
    address = Address(socket.AF_INET, ("8.8.8.8", 80))

    def allow(ip: Ip, port: int) -> bool:
        return cast("bool", answer)  # a type checker would refuse it

    assert is_allowed(allow, address) is bool(answer)


def test_exception_of_the_guard() -> None:
    """What the guard raises comes out as it is."""
    error = LookupError("no such policy")

    def allow(ip: Ip, port: int) -> bool:
        raise error

    with pytest.raises(LookupError) as caught:
        is_allowed(allow, Address(socket.AF_INET, ("8.8.8.8", 80)))
    assert caught.value is error


class Awaitable:
    """What is true, and says no when it is awaited."""

    def __await__(self) -> Iterator[None]:
        yield


def yields(ip: object, port: int) -> Iterator[bool]:
    yield False


def future(ip: object, port: int) -> object:
    return asyncio.get_running_loop().create_future()


def awaitable(ip: object, port: int) -> object:
    return Awaitable()


@pytest.mark.parametrize("allow", [future, awaitable, yields])
async def test_an_answer_that_is_to_be_awaited(port: int, allow: Any) -> None:
    """It is true, whatever it would say: nothing is connected."""
    with pytest.raises(TypeError, match="allow must return True or False"):
        await aioconnect.connect("127.0.0.1", port, allow=allow)

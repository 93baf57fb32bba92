"""Put addresses, and the hosts of a service, into the order in which they are tried.

Pure: what the kernel knows about routes and its own addresses is an argument.
"""

from __future__ import annotations

import functools
import itertools
import socket
from collections.abc import Iterable
from typing import NamedTuple

from .addresses import Address, host_and_port

__all__ = [
    "SourceAddress",
    "common_prefix_length",
    "interleave_families",
    "sort_addresses",
]


class SourceAddress(NamedTuple):
    """The address that the kernel would connect from, and what is known of it.

    *host* is in numbers, without a scope id.  *deprecated*: new connections
    should not use it.  *native*: its interface is no tunnel.  *prefix_length* is
    that of its IPv4 subnet, or None where it is not known; IPv6 does not ask.
    """

    host: str
    deprecated: bool = False
    native: bool = True
    prefix_length: int | None = None


def _bits(host: str) -> int:
    """Return the 128 bits of *host*; an IPv4 address is the mapped one's."""
    if ":" in host:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, host), "big")
    return 0xFFFF << 32 | int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big")


# The scopes are multicast's (RFC 6724, 3.1 and 3.2): 2 link-local, 5 site-local,
# 14 global.  Loopback counts as link-local, private IPv4 as global.
_SCOPES = (
    (_bits("::1"), 128, 2),
    (_bits("fe80::"), 10, 2),
    (_bits("fec0::"), 10, 5),
    (_bits("127.0.0.0"), 104, 2),
    (_bits("169.254.0.0"), 112, 2),
    (0, 0, 14),
)

# Precedence and label of each prefix, the longest first.  This is what
# getaddrinfo goes by on Linux where gai.conf(5) does not say otherwise: glibc has
# kept RFC 3484's table, with labels of its own for site-local and unique local
# addresses (which no NAT takes to the Internet) and for Teredo.  What RFC 6724,
# 2.1, has instead stands beside it; it would try IPv4 before a ULA.
_POLICY = (
    (_bits("::1"), 128, (50, 0)),
    (_bits("::"), 96, (20, 3)),  # RFC 6724: 1, 3
    (_bits("::ffff:0:0"), 96, (10, 4)),  # RFC 6724: 35, 4
    (_bits("2001::"), 32, (40, 7)),  # RFC 6724: 5, 5
    (_bits("2002::"), 16, (30, 2)),
    (_bits("fec0::"), 10, (40, 5)),  # RFC 6724: 1, 11
    (_bits("fc00::"), 7, (40, 6)),  # RFC 6724: 3, 13
    (0, 0, (40, 1)),  # RFC 6724 has 3ffe::/16 besides: 1, 12
)


def sort_addresses(
    pairs: Iterable[tuple[Address, SourceAddress | None]],
) -> tuple[Address, ...]:
    """Return the addresses of *pairs* as getaddrinfo would (RFC 6724, section 6).

    Each comes with the source that the kernel would take; None is a destination
    that it would not send to.  Only ``AF_INET`` and ``AF_INET6`` can be compared.
    """
    # Rule 10, "otherwise, leave the order unchanged": the sort is stable.
    return tuple(address for address, _ in sorted(pairs, key=_rank))


def _rank(pair: tuple[Address, SourceAddress | None]) -> tuple[int, ...]:
    """Return what is smaller for the destination to be tried first, rule by rule.

    Rule 4 is mobile IP's, and is left out.
    """
    address, source = pair
    host = host_and_port(address)[0]
    bits, scope, precedence, label = _known(host)
    if source is None:
        return (True, False, False, False, -precedence, False, scope, 0)
    _, from_scope, _, from_label = _known(source.host)
    return (
        False,  # rule 1: avoid unusable destinations
        scope != from_scope,  # rule 2: prefer matching scope
        source.deprecated,  # rule 3: avoid deprecated addresses
        label != from_label,  # rule 5: prefer matching label
        -precedence,  # rule 6: prefer higher precedence
        not source.native,  # rule 7: prefer native transport
        scope,  # rule 8: prefer smaller scope
        -_matching(bits, host, source),  # rule 9: use longest matching prefix
    )


# A client connects to few hosts from fewer sources, many times.
@functools.lru_cache(maxsize=512)
def _known(host: str) -> tuple[int, int, int, int]:
    """Return the bits, the scope, the precedence and the label of *host*."""
    bits = _bits(host)
    if bits >> 120 == 0xFF:  # multicast: its scope is in the address
        scope = bits >> 112 & 0xF
    else:
        scope = next(it for net, size, it in _SCOPES if _is_in(bits, net, size))
    return bits, scope, *next(it for net, n, it in _POLICY if _is_in(bits, net, n))


def _is_in(bits: int, net: int, length: int) -> bool:
    return (bits ^ net) >> (128 - length) == 0


def _matching(bits: int, host: str, source: SourceAddress) -> int:
    """Return the matching prefix's length as rule 9 counts it, which is glibc's way.

    IPv4 addresses outside of the source's own subnet have none: that their
    numbers are alike says nothing.  For IPv6 all bits count: unlike RFC 6724,
    section 2.2, glibc does not stop at the length of the source's own prefix.
    """
    length = common_prefix_length(host, source.host)
    if bits >> 32 != 0xFFFF:
        return length
    subnet = source.prefix_length
    return length if subnet is not None and length >= subnet else 0


def common_prefix_length(host: str, other: str) -> int:
    """Return how many bits from the left *host* and *other* share.

    Both are of one family: of up to 32 bits for IPv4, of up to 128 for IPv6.
    """
    bits = _known(host)[0]
    length = 128 - (bits ^ _known(other)[0]).bit_length()
    return length - 96 if bits >> 32 == 0xFFFF else length


def interleave_families(
    addresses: Iterable[Address], count: int
) -> tuple[Address, ...]:
    """Return *addresses* with the families taking turns (RFC 8305, section 4).

    *count* is the First Address Family Count: how many of the first family come
    before the first of another; 0 keeps the order.
    """
    addresses = tuple(addresses)
    if not addresses or count == 0:
        return addresses
    queues: dict[int, list[Address]] = {}
    for address in addresses:
        queues.setdefault(address.family, []).append(address)
    first = queues[addresses[0].family]
    head, first[:] = first[: count - 1], first[count - 1 :]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*queues.values()))
    return (*head, *(one for one in turns if one is not None))

"""Put addresses, and the hosts of a service, into the order in which they are tried.

Pure: what the kernel knows about routes and its own addresses is an argument.
"""

from __future__ import annotations

import functools
import itertools
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .addresses import Address, host_and_port

__all__ = [
    "SRVRecord",
    "SourceAddress",
    "common_prefix_length",
    "interleave_families",
    "sort_addresses",
    "srv_order",
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


class SRVRecord(NamedTuple):
    """Where a service is: one answer to a question for SRV records (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str


def srv_order(
    records: Iterable[SRVRecord], uniform: Callable[[], float]
) -> Iterator[SRVRecord]:
    """Yield *records* in the order to be tried: RFC 2782, priorities and weights.

    *uniform* gives numbers in [0, 1).  A host that is the root, "." or nothing,
    means that the service is not available there, and is left out.
    """
    # "A client MUST attempt to contact the target host with the lowest-numbered
    # priority it can reach"; "all those with weight 0 are placed at the beginning".
    there = sorted(
        (one for one in records if one.host.rstrip(".")),
        key=lambda one: (one.priority, one.weight != 0),
    )
    for _, same in itertools.groupby(there, key=lambda one: one.priority):
        yield from _drawn(tuple(same), uniform)


def _drawn(
    records: Sequence[SRVRecord], uniform: Callable[[], float]
) -> Iterator[SRVRecord]:
    """Yield *records*, of one priority and weight 0 first, as they are drawn."""
    unweighted = deque(one for one in records if not one.weight)
    weighted = records[len(unweighted) :]
    sums = _RunningSums([one.weight for one in weighted])
    for _ in records:
        # "Choose a uniform random number between 0 and the sum computed (inclusive),
        # and select the RR whose running sum value is the first in the selected
        # order which is greater than or equal to the random number selected."
        drawn = int(uniform() * (sums.total + 1))
        if unweighted and not drawn:
            yield unweighted.popleft()
        else:
            # If no RR of weight 0 is left, the first running sum is 1 or more.
            yield weighted[sums.take(drawn or 1)]


class _RunningSums:
    """The running sums of *weights*, of which each can be taken out.

    Each node of a binary tree is the sum of the weights below it, so that finding one
    of n, and taking it out, costs log n.  Node 1 is the root, the children of node i
    are 2i and 2i + 1, and the weights are the last nodes.
    """

    __slots__ = ("_first", "_nodes")

    def __init__(self, weights: Sequence[int]) -> None:
        count = len(weights)
        self._first = first = 1 << max(count - 1, 0).bit_length()
        self._nodes = nodes = [*(0,) * first, *weights, *(0,) * (first - count)]
        for node in range(first - 1, 0, -1):
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]

    @property
    def total(self) -> int:
        """The sum of the weights that are left."""
        return self._nodes[1]

    def take(self, number: int) -> int:
        """Take out the first weight whose running sum is *number* or more.

        *number* is 1 to the total.  The index of the weight is returned; those of the
        others stay as they are.
        """
        nodes, node = self._nodes, 1
        while node < self._first:
            node *= 2
            if nodes[node] < number:
                number -= nodes[node]
                node += 1
        index, weight = node - self._first, nodes[node]
        while node:
            nodes[node] -= weight
            node //= 2
        return index

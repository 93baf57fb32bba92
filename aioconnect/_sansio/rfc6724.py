"""Put addresses into the order in which they are tried (RFC 6724, RFC 8305).

The kernel's knowledge of routes and of its own addresses is an argument.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from .addresses import Address, host_and_port

__all__ = [
    "Candidates",
    "SortAddresses",
    "SourceAddress",
    "TargetIndex",
    "common_prefix_length",
    "interleave_families",
    "sort_addresses",
]


# Returns addresses that came apart, by family, in the order in which to try them.
SortAddresses: TypeAlias = Callable[[Sequence[Address]], Sequence[Address]]

# The position of a target among those of a race: (2,) is the third target.  If that is
# a service, (2, 0) is its first host.  () is the only target.
TargetIndex: TypeAlias = tuple[int, ...]


class SourceAddress(NamedTuple):
    """The address from which the kernel would connect, and its properties.

    *host* is numeric, without a scope id.  *deprecated* means that new connections
    should not use the address, *native* that its interface is not a tunnel.
    *prefix_length* is the length of its IPv4 subnet's prefix, or None if that is
    unknown; IPv6 does not need it.
    """

    host: str
    deprecated: bool = False
    native: bool = True
    prefix_length: int | None = None


def _bits(host: str) -> int:
    """Return the 128 bits of *host*, with an IPv4 address as an IPv4-mapped one."""
    if ":" in host:
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, host), "big")
    return 0xFFFF << 32 | int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big")


# Prefix, prefix length, and scope.  The scopes are those of multicast (RFC 6724, 3.1
# and 3.2): 2 is link-local, 5 site-local, 14 global.  Loopback counts as link-local,
# private IPv4 as global.
_SCOPES = (
    (_bits("::1"), 128, 2),
    (_bits("fe80::"), 10, 2),
    (_bits("fec0::"), 10, 5),
    (_bits("127.0.0.0"), 104, 2),
    (_bits("169.254.0.0"), 112, 2),
    (0, 0, 14),
)

# Prefix, prefix length, and (precedence, label), the longest prefix first.
# getaddrinfo uses this table on Linux, unless gai.conf(5) has another one.  glibc has
# kept the table of RFC 3484, with labels of its own for site-local and unique local
# addresses (which no NAT takes to the Internet) and for Teredo.  The comments have the
# entries of RFC 6724, 2.1, which would try IPv4 before a ULA.
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
    """Return the addresses of *pairs* in getaddrinfo's order (RFC 6724, section 6).

    Each pair has an address and the source that the kernel would use, or None if it
    has no route.  The addresses must be ``AF_INET`` or ``AF_INET6``.
    """
    # Rule 10, "otherwise, leave the order unchanged": the sort is stable.
    return tuple(address for address, _ in sorted(pairs, key=_rank))


def _rank(pair: tuple[Address, SourceAddress | None]) -> tuple[int, ...]:
    """Return a sort key with a member for each rule; the smallest key comes first.

    Rule 4 is about mobile IP, and is left out.
    """
    address, source = pair
    host = host_and_port(address)[0]
    bits, scope, precedence, label = _classify(host)
    if source is None:
        return (True, False, False, False, -precedence, False, scope, 0)
    _, source_scope, _, source_label = _classify(source.host)
    return (
        False,  # rule 1: avoid unusable destinations
        scope != source_scope,  # rule 2: prefer matching scope
        source.deprecated,  # rule 3: avoid deprecated addresses
        label != source_label,  # rule 5: prefer matching label
        -precedence,  # rule 6: prefer higher precedence
        not source.native,  # rule 7: prefer native transport
        scope,  # rule 8: prefer smaller scope
        -_matching_length(bits, host, source),  # rule 9: use longest matching prefix
    )


# A client connects to few hosts from fewer sources, many times.
@functools.lru_cache(maxsize=512)
def _classify(host: str) -> tuple[int, int, int, int]:
    """Return the bits, the scope, the precedence and the label of *host*."""
    bits = _bits(host)
    if bits >> 120 == 0xFF:  # multicast: its scope is in the address
        scope = bits >> 112 & 0xF
    else:
        scope = next(
            scope for prefix, size, scope in _SCOPES if _has_prefix(bits, prefix, size)
        )
    precedence, label = next(
        policy for prefix, size, policy in _POLICY if _has_prefix(bits, prefix, size)
    )
    return bits, scope, precedence, label


def _has_prefix(bits: int, prefix: int, length: int) -> bool:
    return (bits ^ prefix) >> (128 - length) == 0


def _matching_length(bits: int, host: str, source: SourceAddress) -> int:
    """Return the length of the matching prefix for rule 9, as glibc counts it.

    For IPv4 addresses outside of the source's own subnet it is 0: similar numbers mean
    nothing there.  For IPv6 all bits count: unlike RFC 6724, section 2.2, glibc does
    not stop at the length of the source's own prefix.
    """
    length = common_prefix_length(host, source.host)
    if bits >> 32 != 0xFFFF:
        return length
    subnet = source.prefix_length
    return length if subnet is not None and length >= subnet else 0


def common_prefix_length(host: str, other: str) -> int:
    """Return how many bits from the left *host* and *other* share.

    Both must have the same family.  IPv4 has up to 32 bits, IPv6 up to 128.
    """
    bits = _classify(host)[0]
    length = 128 - (bits ^ _classify(other)[0]).bit_length()
    return length - 96 if bits >> 32 == 0xFFFF else length


def interleave_families(
    addresses: Iterable[Address], count: int
) -> tuple[Address, ...]:
    """Return *addresses* with the families taking turns (RFC 8305, section 4).

    *count* is the First Address Family Count: how many addresses of the first family
    come before the first of another family.  0 keeps the order.
    """
    addresses = tuple(addresses)
    if not addresses or count == 0:
        return addresses
    queues: dict[int, list[Address]] = {}
    for address in addresses:
        queues.setdefault(address.family, []).append(address)
    first = queues[addresses[0].family]
    head, first[:] = first[: count - 1], first[count - 1 :]
    rounds = itertools.zip_longest(*queues.values())
    alternating = itertools.chain.from_iterable(rounds)
    return (*head, *(address for address in alternating if address is not None))


class Candidates:
    """The addresses that are left to try: the first of each target, then the second.

    The addresses of an answer are sorted only with those of the same target.  So the
    cost of an answer does not grow with the number of targets.
    """

    __slots__ = (
        "_count",
        "_found",
        "_heads",
        "_is_doubtful",
        "_order",
        "_sort",
        "_tried",
        "_untried",
    )

    def __init__(
        self,
        first_family_count: int,
        sort: SortAddresses,
        is_doubtful: Callable[[Address], bool] | None = None,
    ) -> None:
        """*is_doubtful* tells which addresses go last, whatever target has them."""
        self._count = first_family_count
        self._sort = sort
        self._is_doubtful = is_doubtful
        self._tried: set[Address] = set()
        # With the number of targets that have the address.
        self._untried: dict[Address, int] = {}
        # By target: the addresses as they came, and the order in which to try them.
        self._found: dict[TargetIndex, dict[Address, None]] = {}
        self._order: dict[TargetIndex, Sequence[Address]] = {}
        # A heap of the next position in each target's order, the doubtful ones last.
        # Each new order adds an entry for its first position.
        self._heads: list[tuple[bool, int, TargetIndex]] = []

    def __len__(self) -> int:
        return len(self._untried)

    def add(self, target: TargetIndex, addresses: Iterable[Address]) -> None:
        """Add *addresses*, which came apart, to those of *target*, and sort all."""
        found = {**self._found.get(target, {}), **dict.fromkeys(addresses)}
        self._set(target, found, self._sort(tuple(found)))

    def replace(self, target: TargetIndex, addresses: Iterable[Address]) -> None:
        """Let *target* have these *addresses*, in this order, and no others."""
        found = dict.fromkeys(addresses)
        self._set(target, found, tuple(found))

    def _set(
        self,
        target: TargetIndex,
        found: dict[Address, None],
        ordered: Sequence[Address],
    ) -> None:
        before = self._found.get(target, {})
        for address in found.keys() - before.keys() - self._tried:
            self._untried[address] = self._untried.get(address, 0) + 1
        for address in before.keys() - found.keys() - self._tried:
            self._untried[address] -= 1
            if not self._untried[address]:  # no other target has it
                del self._untried[address]
        self._found[target] = found
        # Order the tried ones too, so that the families go on alternating.
        ordered = interleave_families(ordered, self._count)
        if self._is_doubtful is not None:
            ordered = tuple(sorted(ordered, key=self._is_doubtful))
        self._order[target] = ordered
        if ordered:
            heapq.heappush(self._heads, self._head(target, 0))

    def _head(
        self, target: TargetIndex, position: int
    ) -> tuple[bool, int, TargetIndex]:
        address = self._order[target][position]
        is_last = self._is_doubtful is not None and self._is_doubtful(address)
        return is_last, position, target

    def take(self) -> Address:
        """Remove the next address, and return it."""
        while True:
            _, position, target = self._heads[0]
            ordered = self._order[target]
            if position + 1 < len(ordered):
                heapq.heapreplace(self._heads, self._head(target, position + 1))
            else:
                heapq.heappop(self._heads)
            # The order may be shorter than the one before.
            address = ordered[position] if position < len(ordered) else None
            if address is not None and self._untried.pop(address, 0):
                self._tried.add(address)
                return address

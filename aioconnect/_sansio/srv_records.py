"""Put the hosts of a service into the order in which they are tried (RFC 2782).

Only targets that are services need this module, so it is imported when there is one.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = ["SRVRecord", "srv_order"]


class SRVRecord(NamedTuple):
    """One answer to a query for SRV records (RFC 2782): where a service is."""

    priority: int
    weight: int
    port: int
    host: str


SRVRecord.__module__ = "aioconnect"  # where users import it from


def srv_order(
    records: Iterable[SRVRecord], random_fraction: Callable[[], float]
) -> Iterator[SRVRecord]:
    """Yield *records* in the order to try them: by priority, then drawn by weight.

    *random_fraction* returns numbers in [0, 1).  A record whose host is the root, "."
    or nothing, says that the service is not available there, and is left out.
    """
    # "A client MUST attempt to contact the target host with the lowest-numbered
    # priority it can reach"; "all those with weight 0 are placed at the beginning".
    available = sorted(
        (record for record in records if record.host.rstrip(".")),
        key=lambda record: (record.priority, record.weight != 0),
    )
    for _, group in itertools.groupby(available, key=lambda record: record.priority):
        yield from _draw(tuple(group), random_fraction)


def _draw(
    records: Sequence[SRVRecord], random_fraction: Callable[[], float]
) -> Iterator[SRVRecord]:
    """Yield *records* of one priority, those of weight 0 first, in drawn order."""
    unweighted = deque(record for record in records if not record.weight)
    weighted = records[len(unweighted) :]
    sums = _RunningSums([record.weight for record in weighted])
    for _ in records:
        # "Choose a uniform random number between 0 and the sum computed (inclusive),
        # and select the RR whose running sum value is the first in the selected
        # order which is greater than or equal to the random number selected."
        drawn = int(random_fraction() * (sums.total + 1))
        if unweighted and not drawn:
            yield unweighted.popleft()
        else:
            # If no RR of weight 0 is left, the first running sum is 1 or more.
            yield weighted[sums.take(drawn or 1)]


class _RunningSums:
    """The running sums of *weights*, from which weights can be taken out.

    Each node of a binary tree holds the sum of the weights below it.  So finding a
    weight among n and taking it out costs log n.  Node 1 is the root, the children of
    node i are 2i and 2i + 1, and the last nodes are the weights.
    """

    __slots__ = ("_first_weight", "_nodes")

    def __init__(self, weights: Sequence[int]) -> None:
        count = len(weights)
        first = 1 << max(count - 1, 0).bit_length()
        nodes = [*(0,) * first, *weights, *(0,) * (first - count)]
        for node in range(first - 1, 0, -1):
            nodes[node] = nodes[2 * node] + nodes[2 * node + 1]
        self._first_weight = first
        self._nodes = nodes

    @property
    def total(self) -> int:
        """The sum of the weights that are left."""
        return self._nodes[1]

    def take(self, number: int) -> int:
        """Take out the first weight whose running sum is at least *number*.

        *number* is from 1 to the total.  Returns the index of the weight; the other
        indexes stay as they are.
        """
        nodes, node = self._nodes, 1
        while node < self._first_weight:
            node *= 2
            if nodes[node] < number:
                number -= nodes[node]
                node += 1
        index, weight = node - self._first_weight, nodes[node]
        while node:
            nodes[node] -= weight
            node //= 2
        return index

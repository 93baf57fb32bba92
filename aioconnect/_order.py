"""Put addresses into the order in which they are tried.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._address import Address

__all__ = ["interleaved"]


def interleaved(addresses: Iterable[Address], count: int) -> tuple[Address, ...]:
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
    turns = [
        queue[turn]
        for turn in range(len(addresses))
        for queue in queues.values()
        if turn < len(queue)
    ]
    return (*head, *turns)

"""Remember which addresses failed lately, and how far away those are that answered.

Pure.  Times are on the loop's clock, and durations in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .addresses import Address

__all__ = ["Advice", "History"]

# Networks change, so what is known has to expire (Happy Eyeballs version 3).
_LIFETIME = 600.0

_MOST_ADDRESSES = 1024

# One race in this many ignores failures.  An address that works again is noticed in
# that race, and all clients come back to the same order.
_IGNORED_ONCE_IN = 16

# The first retransmission of a SYN to a peer whose round trip is known.  RFC 6298: "RTO
# <- SRTT + max (G, K*RTTVAR)", where SRTT is R, RTTVAR is R/2, and K is 4.
_RETRANSMISSION_ROUND_TRIPS = 3
_LEAST_DELAY = 0.1
_MOST_DELAY = 2.0


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is known of one address, and since when."""

    at: float
    has_failed: bool = False
    round_trip: float | None = None


class History:
    """A memory of addresses for the option ``history``: ``history=History()``.

    It remembers for ten minutes, for at most 1,024 addresses, which ones failed or were
    silent, and the round trip of those that answered.  A race then tries last what
    failed lately, except for one race in 16.  An address that is silent lets the next
    one start when a lost packet to it would be sent again (100 ms to 2 s), if its round
    trip is known.

    Connectors, tasks, and loops in other threads share the memory if they have the same
    object.  A pickled copy starts empty, because its times are on this machine's clock.
    """

    __slots__ = ("__weakref__", "_memories", "_races")

    def __init__(self) -> None:
        # The oldest first.
        self._memories: dict[Address, _Memory] = {}
        self._races = 0

    def __reduce__(self) -> tuple[type[History], tuple[()]]:
        return type(self), ()

    def __repr__(self) -> str:
        count = len(self._memories)
        return f"<History of {count} address{'' if count == 1 else 'es'}>"

    def advice(self, now: float) -> Advice:
        """Return what a race that begins *now* gets to know."""
        self._races += 1
        return Advice(self, now, self._races % _IGNORED_ONCE_IN == 0)

    def recall(self, address: Address, now: float) -> _Memory | None:
        """Return what is known of *address*, unless it is too old."""
        memory = self._memories.get(address)
        if memory is None or now - memory.at > _LIFETIME:
            return None
        return memory

    def connected(self, address: Address, round_trip: float, now: float) -> None:
        """Note the *round_trip* of a TCP handshake with *address*."""
        before = self.recall(address, now)
        has_failed = before is not None and before.has_failed
        self._keep(address, _Memory(now, has_failed, round_trip))

    def usable(self, address: Address, now: float) -> None:
        """Note that a connection to *address* works."""
        self._set_failed(address, False, now)

    def failed(self, address: Address, now: float) -> None:
        """Note that *address* failed, or was silent."""
        self._set_failed(address, True, now)

    def _set_failed(self, address: Address, has_failed: bool, now: float) -> None:
        before = self.recall(address, now) or _Memory(now)
        self._keep(address, replace(before, at=now, has_failed=has_failed))

    def _keep(self, address: Address, memory: _Memory) -> None:
        # Each step is one operation of the dict, because threads may share the object.
        # Without the GIL, list() of a dict still is one, and tuple() is not.
        self._memories.pop(address, None)
        self._memories[address] = memory
        excess = len(self._memories) - _MOST_ADDRESSES
        for oldest in list(self._memories)[:excess] if excess > 0 else ():
            self._memories.pop(oldest, None)


History.__module__ = "aioconnect"  # users import it from there


class Advice:
    """What *history* knew when a race began, *now*."""

    __slots__ = ("_history", "_ignores_failures", "_now")

    def __init__(self, history: History, now: float, ignores_failures: bool) -> None:
        self._history = history
        self._now = now
        self._ignores_failures = ignores_failures

    def is_doubtful(self, address: Address) -> bool:
        """Tell whether *address* failed lately, and goes last."""
        if self._ignores_failures:
            return False
        memory = self._history.recall(address, self._now)
        return memory is not None and memory.has_failed

    def attempt_delay(self, address: Address) -> float | None:
        """Return how long *address* may be silent before the next one starts, or None.

        None means that nothing is known.
        """
        memory = self._history.recall(address, self._now)
        if memory is None or memory.round_trip is None:
            return None
        delay = _RETRANSMISSION_ROUND_TRIPS * memory.round_trip
        return min(max(delay, _LEAST_DELAY), _MOST_DELAY)

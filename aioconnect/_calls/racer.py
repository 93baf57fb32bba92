"""Drive one race: its look-ups, its sockets and its timer, in the caller's task.

No task is made for an attempt.  Every socket of the race is in one place, which
closes all but the one that has won, however the race ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeAlias

from .._io.connect_outcome import Outcome
from .._io.connecting_socket import ConnectingSocket
from .._io.timers import Waiter, earliest, wake
from .._sansio.addresses import Address
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .host_lookup import AddressSource, AnswerFuture
from .multi_host_lookup import LookupQueue
from .rounds import Rounds

__all__ = ["Racer", "Winner"]

# Starts to connect; gives the socket and what ``connect`` answered.
Begin: TypeAlias = Callable[[Address], tuple[socket.socket, int]]

# Attempts that fail at once, before the loop gets to run in between.
_IN_A_ROW = 16


class Winner(NamedTuple):
    """A connected socket, and when its attempt started and would have had to end."""

    sock: socket.socket
    address: Address
    started: float
    limit: float | None


class _Attempt:
    """One attempt under way: when it was woken, and when to look at it unasked."""

    __slots__ = ("due", "is_woken", "limit", "pending")

    def __init__(self, pending: ConnectingSocket, limit: float | None) -> None:
        self.pending = pending
        self.limit = limit
        self.due = limit
        self.is_woken = False


class Racer:
    """A race on the running loop, in a turn of *rounds*, of what *begin* starts.

    Whoever drives it calls `ask` once, `run` for a winner, perhaps again for another,
    and `close` in any case.
    """

    __slots__ = (
        "_asking",
        "_begin",
        "_live",
        "_loop",
        "_outcome",
        "_race",
        "_rounds",
        "_waiter",
        "is_closed",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        race: HappyEyeballs,
        names: AddressSource,
        rounds: Rounds,
        begin: Begin,
        outcome: Outcome,
    ) -> None:
        self._loop = loop
        self._race = race
        self._asking = LookupQueue(loop, names, race, self._answered, rounds.until)
        self._rounds = rounds
        self._begin = begin
        self._outcome = outcome
        self._live: list[_Attempt] = []  # the oldest first
        self._waiter: Waiter | None = None
        self.is_closed = False

    def ask(self) -> Awaitable[None]:
        """Begin with the look-ups: return what `LookupQueue.begin` does."""
        return self._asking.begin()

    async def run(self) -> Winner | None:
        """Return the next that is connected, or None: all have failed.

        When the turn's time is up, what has not ended has failed, and None is
        returned too.
        """
        while True:
            winner = self._take(self._loop.time()) or self._start()
            now = self._loop.time()
            if winner is None and self._is_late(now):
                # Whatever was begun has ended by now, one way or the other.
                return self._take(now)
            if winner is not None or self.is_over:
                return winner
            self._asking.ask()
            if not self.is_over:  # the last ones to be looked at can be nowhere
                await self._wait()

    @property
    def is_over(self) -> bool:
        """Whether nothing is under way, and nothing can come."""
        return self._race.is_over and not self._asking.is_ready

    def rest(self) -> None:
        """Have nobody woken until `run` is called again, which looks at them all."""
        for attempt in self._live:
            attempt.pending.disarm(self._loop)
            attempt.is_woken = True

    @property
    def others(self) -> int:
        """How many others there are besides the winner, or may be."""
        return self._race.waiting + len(self._live) + self._asking.count

    def failed(self, winner: Winner, exc: AttemptError) -> None:
        """Go on without *winner*, which was connected and came to nothing."""
        self._failed(winner.address, exc, winner.started, winner.limit)

    def close(self) -> None:
        """Leave nothing open or watched, and cancel the look-ups."""
        self.is_closed = True
        self._waiter = None
        self._asking.close()
        while self._live:
            attempt = self._live.pop()
            attempt.pending.disarm(self._loop)
            attempt.pending.sock.close()

    def _take(self, now: float) -> Winner | None:
        """Take what has come: answers, and what became of attempts."""
        if self._asking.take(now):
            self._share(now)
        for attempt in list(self._live):
            if attempt.is_woken or (attempt.due is not None and attempt.due <= now):
                winner = self._ask(attempt, now)
                if winner is not None:
                    return winner
        return None

    def _share(self, now: float) -> None:
        """Bound what is live, if more is waiting now than was known when it began."""
        waiting = self._race.waiting
        for attempt in self._live if waiting else ():
            attempt.limit = earliest(attempt.limit, self._rounds.limit(now, waiting))
            attempt.due = earliest(attempt.due, attempt.limit)

    def _ask(self, attempt: _Attempt, now: float) -> Winner | None:
        """Ask what became of *attempt*; if nothing yet, wait for it again."""
        pending, limit = attempt.pending, attempt.limit
        pending.disarm(self._loop)
        try:
            if pending.look():
                return self._won(attempt)
            if limit is not None and limit <= now:
                raise pending.expired()
            self._arm(attempt, now)
        except AttemptError as exc:
            self._drop(attempt, exc)
        return None

    def _won(self, attempt: _Attempt) -> Winner:
        pending = attempt.pending
        self._live.remove(attempt)
        return Winner(pending.sock, pending.address, pending.started, attempt.limit)

    def _arm(self, attempt: _Attempt, now: float) -> None:
        attempt.is_woken = False
        pause = attempt.pending.arm(self._loop, partial(self._ready, attempt))
        until = None if pause is None else now + pause
        attempt.due = earliest(until, attempt.limit)

    def _drop(self, attempt: _Attempt, exc: AttemptError) -> None:
        pending = attempt.pending
        self._live.remove(attempt)
        pending.sock.close()
        self._failed(pending.address, exc, pending.started, attempt.limit)

    def _start(self) -> Winner | None:
        """Start what is due; one that the kernel connects at once has won."""
        for _ in range(_IN_A_ROW):
            now = self._loop.time()
            if self._is_late(now):
                break
            if (address := self._race.start(now)) is None:
                break
            limit = self._rounds.limit(now, self._race.waiting)
            try:
                sock, code = self._begin(address)
            except AttemptError as exc:
                self._failed(address, exc, now, limit)
                continue
            if not code:
                return Winner(sock, address, now, limit)
            pending = ConnectingSocket(sock, address, code, self._outcome, now)
            attempt = _Attempt(pending, limit)
            self._live.append(attempt)  # from here on it is closed with the others
            try:
                self._arm(attempt, now)
            except AttemptError as exc:
                self._drop(attempt, exc)
            # Only for one that is under way: else a live one would end for nothing.
            if self._race.makes_room() and (winner := self._make_room()):
                return winner
        return None

    def _make_room(self) -> Winner | None:
        """Give up the oldest attempt for the newest, unless it has just won."""
        oldest = self._live[0]
        pending = oldest.pending
        pending.disarm(self._loop)
        try:
            if pending.look():
                return self._won(oldest)
            raise pending.given_up()
        except AttemptError as exc:
            self._live.remove(oldest)
            pending.sock.close()
            self._race.made_room()
            self._rounds.failed(pending.address, exc, pending.started, oldest.limit)
        return None

    def _failed(
        self, address: Address, exc: AttemptError, started: float, limit: float | None
    ) -> None:
        self._race.failed()
        self._rounds.failed(address, exc, started, limit)

    def _is_late(self, now: float) -> bool:
        until = self._rounds.until
        return until is not None and now >= until

    async def _wait(self) -> None:
        """Wait for an answer, an attempt, or the time of something."""
        if self._asking.is_ready:
            await asyncio.sleep(0)
            return
        self._waiter = waiter = self._loop.create_future()
        dues = [attempt.due for attempt in self._live]
        others = (self._race.due(), self._asking.due(), self._rounds.until)
        until = earliest(*dues, *others)
        timer = None
        if until is not None:
            timer = self._loop.call_at(until, wake, waiter, True)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _ready(self, attempt: _Attempt) -> None:
        attempt.is_woken = True
        self._wake()

    def _answered(self, lookup: AnswerFuture) -> None:
        if not lookup.cancelled():
            lookup.exception()  # seen, also where the race is over
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            wake(self._waiter, False)

"""Keep the attempts that are under way: their sockets, watchers and deadlines.

An `AttemptSet` owns every socket that a race has open.
"""

from __future__ import annotations

import socket
from functools import partial

from .._io.connecting_socket import ConnectingSocket
from .._io.timers import Waiter, earliest, wake
from .._sansio.addresses import Address
from .._sansio.deadline import Deadline, attempt_deadline
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .dialer import Connected, Dialer

__all__ = ["AttemptSet"]

# How many attempts may fail at once before the loop gets to run.
_IN_A_ROW = 16


class _LiveAttempt:
    """An attempt under way: its deadline, and when to poll it if nothing happens."""

    __slots__ = ("connecting", "deadline", "is_ready", "wake_at")

    def __init__(self, connecting: ConnectingSocket, deadline: Deadline) -> None:
        self.connecting = connecting
        self.deadline = deadline
        self.wake_at = deadline.at
        self.is_ready = False  # whether to poll it now


class AttemptSet:
    """The attempts of a race by *rules*, which ends at the latest with its *turn*.

    The set owns their sockets until it returns one as `Connected`.
    """

    __slots__ = ("_dialer", "_live", "_rules", "_turn", "_waiter", "loop")

    def __init__(self, dialer: Dialer, rules: HappyEyeballs, turn: Deadline) -> None:
        self._dialer = dialer
        self.loop = dialer.loop
        self._rules = rules
        self._turn = turn
        self._live: list[_LiveAttempt] = []  # the oldest first
        self._waiter: Waiter | None = None

    def begun(self) -> list[tuple[Address, float]]:
        """Return the address and the start of each attempt under way."""
        live = (attempt.connecting for attempt in self._live)
        return [(one.address, one.started) for one in live]

    def close(self) -> None:
        """End every attempt: stop watching its socket, and close it."""
        self._waiter = None
        while self._live:
            self._end(self._live[-1])

    def start_due(self) -> Connected | None:
        """Start the attempts that are due; return the first that connects at once."""
        for _ in range(_IN_A_ROW):
            # Give up the oldest attempt only for a new one that has not failed.
            if self._live and self._rules.has_too_many():
                if connected := self._give_up_oldest():
                    return connected
                continue
            now = self.loop.time()
            if self._turn.has_passed(now):
                break
            address = self._rules.next_address(now)
            if address is None:
                break
            deadline = self._deadline(now)
            try:
                dialled = self._dialer.dial(address, now)
            except AttemptError as exc:
                self._rules.failed()
                self._dialer.record.failed(exc, address, now, deadline)
                continue
            if isinstance(dialled, socket.socket):
                return Connected(dialled, address, now, deadline)
            self._add(dialled, deadline)
        return None

    def _add(self, connecting: ConnectingSocket, deadline: Deadline) -> None:
        attempt = _LiveAttempt(connecting, deadline)
        self._live.append(attempt)  # from here on, `close` closes it
        try:
            self._watch(attempt, connecting.started)
        except AttemptError as exc:
            self._fail(attempt, exc)

    def _deadline(self, now: float) -> Deadline:
        """Return the deadline of an attempt that starts *now*."""
        options = self._dialer.record.options
        waiting = self._rules.untried if options.happy_eyeballs_delay is None else 0
        return attempt_deadline(self._turn, now, options.attempt_timeout, waiting)

    def _give_up_oldest(self) -> Connected | None:
        """Give up the oldest attempt for the newest, unless it has just connected."""
        oldest = self._live[0]
        connecting = oldest.connecting
        connecting.disarm(self.loop)
        try:
            if connecting.poll():
                return self._release(oldest)
            raise connecting.displaced()
        except AttemptError as exc:
            self._end(oldest)
            self._rules.gave_up_oldest()
            self._record(exc, oldest)
        return None

    def poll(self, now: float) -> Connected | None:
        """Poll the attempts that are ready or due; return the first connected one."""
        for attempt in tuple(self._live):
            is_due = attempt.wake_at is not None and attempt.wake_at <= now
            if attempt.is_ready or is_due:
                connected = self._poll(attempt, now)
                if connected is not None:
                    return connected
        return None

    def _poll(self, attempt: _LiveAttempt, now: float) -> Connected | None:
        connecting = attempt.connecting
        connecting.disarm(self.loop)
        try:
            if connecting.poll():
                return self._release(attempt)
            if attempt.deadline.has_passed(now):
                raise connecting.expired()
            self._watch(attempt, now)
        except AttemptError as exc:
            self._fail(attempt, exc)
        return None

    def _release(self, attempt: _LiveAttempt) -> Connected:
        """Return *attempt*, which is connected.  The set no longer owns its socket."""
        self._live.remove(attempt)
        one = attempt.connecting
        return Connected(one.sock, one.address, one.started, attempt.deadline)

    def _watch(self, attempt: _LiveAttempt, now: float) -> None:
        attempt.is_ready = False
        wake_up = partial(self._ready, attempt)
        owned = self._dialer.sock is None
        seconds = attempt.connecting.arm(self.loop, wake_up, owned)
        poll_at = None if seconds is None else now + seconds
        attempt.wake_at = earliest(poll_at, attempt.deadline.at)

    def _ready(self, attempt: _LiveAttempt) -> None:
        attempt.is_ready = True
        self.wake()

    def _fail(self, attempt: _LiveAttempt, exc: AttemptError) -> None:
        self._end(attempt)
        self._rules.failed()
        self._record(exc, attempt)

    def _end(self, attempt: _LiveAttempt) -> None:
        self._live.remove(attempt)
        attempt.connecting.disarm(self.loop)
        if self._dialer.sock is None:
            attempt.connecting.sock.close()

    def _record(self, exc: AttemptError, attempt: _LiveAttempt) -> None:
        one = attempt.connecting
        self._dialer.record.failed(exc, one.address, one.started, attempt.deadline)

    def shorten_deadlines(self, now: float) -> None:
        """Leave time for addresses that were not known when the attempts started."""
        if not self._live or not self._rules.untried:
            return
        deadline = self._deadline(now)
        for attempt in self._live:
            if deadline.at is not None:
                sooner = attempt.deadline.or_sooner(deadline.at, deadline.limit)
                attempt.deadline = sooner
            attempt.wake_at = earliest(attempt.wake_at, attempt.deadline.at)

    def wake(self) -> None:
        """End the wait, because something has happened."""
        if self._waiter is not None:
            wake(self._waiter, False)

    async def wait(self, until: float | None) -> None:
        """Wait until an attempt is ready or due, `wake` is called, or *until* comes."""
        self._waiter = waiter = self.loop.create_future()
        until = earliest(until, *(attempt.wake_at for attempt in self._live))
        timer = None
        if until is not None:
            timer = self.loop.call_at(until, wake, waiter, True)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

"""Race the addresses of an endpoint until a connection to one of them is usable."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from .._io.connecting_socket import round_trip
from .._io.source_addresses import sort_families
from .._io.timers import collect_in_slices, earliest
from .._sansio.addresses import Address
from .._sansio.deadline import Deadline
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .attempts import AttemptSet
from .dialer import Connected, Dialer
from .handshakes import HandshakeSet, Usable
from .lookup_queue import AddressProvider, LookupQueue

__all__ = ["race"]


async def race(dialer: Dialer, provider: AddressProvider, turn: Deadline) -> Any:
    """Return the first usable connection to an address, or None if there is none.

    *provider* finds the addresses.  The *dialer*'s record keeps each failure.  Attempts
    that are still under way at the end of the *turn* count as failed.
    """
    one = _Race(dialer, provider, turn)
    try:
        connection = await one.run()
    except GeneratorExit:
        one.handshakes.abandon()
        raise
    finally:
        one.attempts.close()
        one.lookups.close()
        await one.handshakes.close()
    if connection is None:
        await one.record_lookups()
    return connection


class _Race:
    """One race: its rules, and the look-ups, attempts and handshakes under way."""

    def __init__(
        self, dialer: Dialer, provider: AddressProvider, turn: Deadline
    ) -> None:
        options = dialer.record.options
        history = options.history
        self._rules = rules = HappyEyeballs(
            attempt_delay=options.happy_eyeballs_delay,
            resolution_delay=options.resolution_delay,
            first_family_count=options.interleave or 0,
            sort=sort_families,
            advice=None if history is None else history.advice(dialer.loop.time()),
        )
        self._dialer = dialer
        self._provider = provider
        self._turn = turn
        self._is_over = False
        self.attempts = AttemptSet(dialer, rules, turn)
        wake = self.attempts.wake
        self.handshakes = HandshakeSet(dialer, rules, wake)
        self.lookups = LookupQueue(dialer.loop, provider, rules, wake, turn.at)

    async def run(self) -> Any:
        """Return the connection that has won, or None."""
        loop, lookups = self._dialer.loop, self.lookups
        while True:
            if lookups.has_more:
                await lookups.ask()
            now = loop.time()
            if lookups.take(now):
                self.attempts.shorten_deadlines(now)
            usable = self.handshakes.take() or self._connect(now)
            if usable is None:
                if not await self._wait(now):
                    return None
                continue
            try:
                return await self._finish(usable)
            except AttemptError as exc:
                self.handshakes.failed(exc, usable.connected)

    def _connect(self, now: float) -> Usable | None:
        """Poll and start attempts; return the first that is the only one, if any.

        With more to do than to connect, while others may still win, an attempt that is
        connected goes on in a task.
        """
        lookups, rules = self.lookups, self._rules
        while connected := self.attempts.poll(now) or self.attempts.start_due():
            is_alone = rules.is_alone and not (lookups.has_more or lookups)
            goes_on = self._dialer.has_handshake and not is_alone
            seconds = round_trip(connected.sock) if goes_on else 0.0
            rules.connected(seconds, self._dialer.loop.time())
            if not goes_on:
                return Usable(connected)
            self.handshakes.start(connected)
        return None

    async def _finish(self, usable: Usable) -> Any:
        """Return the caller's connection, after the end of the other handshakes.

        Raises:
            AttemptError: It failed, and is closed.
        """
        dialer, connected = self._dialer, usable.connected
        others = [*self.attempts.begun(), *self.handshakes.begun()]
        if usable.connection is None:
            connection = await dialer.finish(connected)
        else:
            connection = await dialer.adopt(usable.connection, connected)
            try:
                await self.handshakes.close()
            except BaseException:
                dialer.discard(connection)
                raise
            connection = dialer.hand_out(connection, connected)
        self._note_silent(others, connected)
        return connection

    def _note_silent(
        self, others: Iterable[tuple[Address, float]], winner: Connected
    ) -> None:
        """Tell the history which attempts had their time, and did not win."""
        history, now = self._dialer.record.options.history, self._dialer.loop.time()
        for address, started in others if history is not None else ():
            had_time = self._rules.had_time(address, now)
            if history is not None and had_time and started < winner.started:
                history.failed(address, now)

    async def _wait(self, now: float) -> bool:
        """Wait until there is something to do; return False if there never will be."""
        lookups, turn = self.lookups, self._turn
        self._is_over = self._rules.is_over and not lookups.is_ready
        has_passed = turn.has_passed(now)
        # A handshake ends by itself, and then says what it was waiting for.
        if self._is_over or (has_passed and not self.handshakes):
            return False
        until = earliest(self._rules.next_start(), lookups.due(), turn.at)
        if lookups.is_ready or self.handshakes.is_ready:
            until = now  # let the loop run once
        elif has_passed:
            until = None
        await self.attempts.wait(until)
        return True

    async def record_lookups(self) -> None:
        """Record what was not looked up, when nothing has won."""
        record = self._dialer.record
        if not self._is_over:
            record.schedule.expired(self._turn.limit)
        is_too_late = not self._is_over and not self._rules.has_begun
        failures = self._provider.failures(is_too_late=is_too_late)
        await collect_in_slices(
            map(partial(record.lookup_failed, self._turn), failures)
        )

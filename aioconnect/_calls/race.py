"""Race the addresses of an endpoint: look them up, dial them, finish the winner."""

from __future__ import annotations

from functools import partial
from typing import Any

from .._io.source_addresses import sort_families
from .._io.timers import collect_in_slices, earliest
from .._sansio.deadline import Deadline, ready_deadline
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .attempts import AttemptSet
from .dialer import Connected, Dialer
from .lookup_queue import AddressProvider, LookupQueue

__all__ = ["race"]


async def race(dialer: Dialer, provider: AddressProvider, turn: Deadline) -> Any:
    """Return the connection to the first address that works, or None if none does.

    *provider* finds the addresses.  The *dialer*'s record keeps each failure.  Attempts
    that are still under way at the end of the *turn* count as failed.
    """
    rules = _rules(dialer)
    attempts = AttemptSet(dialer, rules, turn)
    lookups = LookupQueue(dialer.loop, provider, rules, attempts.wake, turn.at)
    try:
        while True:
            if lookups.has_more:
                await lookups.ask()
            now = dialer.loop.time()
            if lookups.take(now):
                attempts.shorten_deadlines(now)
            connected = attempts.poll(now) or attempts.start_due()
            if connected is not None:
                connected = _pass_over_others(dialer, connected, attempts, lookups)
                try:
                    return await dialer.finish(connected)
                except AttemptError as exc:
                    attempts.failed(exc, connected)
                    if exc.phase != "ready":
                        return None  # a handshake that fails ends the turn
                continue
            is_over = rules.is_over and not lookups.is_ready
            if is_over or turn.has_passed(now):
                break
            until = earliest(rules.next_start(), lookups.due(), turn.at)
            # With look-ups that are ready, only let the loop run once.
            await attempts.wait(now if lookups.is_ready else until)
    finally:
        attempts.close()
        lookups.close()
    if not is_over:
        dialer.record.schedule.expired(turn.limit)
    failures = provider.failures(is_too_late=not is_over and not rules.has_begun)
    await collect_in_slices(map(partial(dialer.record.lookup_failed, turn), failures))
    return None


def _rules(dialer: Dialer) -> HappyEyeballs:
    options = dialer.record.options
    return HappyEyeballs(
        attempt_delay=options.happy_eyeballs_delay,
        resolution_delay=options.resolution_delay,
        first_family_count=options.interleave or 0,
        sort=sort_families,
    )


def _pass_over_others(
    dialer: Dialer, connected: Connected, attempts: AttemptSet, lookups: LookupQueue
) -> Connected:
    """End the other attempts.  With the option *ready*, only pause them.

    Return *connected*, with a deadline for *ready* that leaves time for the others.
    """
    options = dialer.record.options
    if options.ready is None:
        attempts.close()
        lookups.close()
        return connected
    attempts.pause()
    if options.attempt_timeout is not None:
        return connected
    waiting = attempts.waiting + len(lookups)
    deadline = ready_deadline(connected.deadline, dialer.loop.time(), waiting)
    return connected._replace(deadline=deadline)

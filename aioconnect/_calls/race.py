"""Race the addresses of an endpoint: look them up, dial them, finish the winner."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import partial
from typing import Any

from .._io.source_addresses import sort_and_interleave
from .._io.timers import collect_in_slices, earliest
from .._sansio.deadline import Deadline, ready_deadline
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .attempts import AttemptSet, Connected, Dialer
from .lookup_queue import LookupQueue
from .lookups import AddressSource

__all__ = ["race"]


async def race(dialer: Dialer, source: AddressSource, turn: Deadline) -> Any:
    """Return the connection to the first address that wins, or None: none has.

    The addresses are those that *source* finds.  The *dialer*'s record keeps every
    failure.  What has not ended when the *turn* is over has failed.

    Raises:
        AttemptError: There can be no address.
        Exception: What a function of the caller's raised that is no `OSError`.
    """
    record, options = dialer.record, dialer.record.options
    rules = HappyEyeballs(
        attempt_delay=options.happy_eyeballs_delay,
        resolution_delay=options.resolution_delay,
        sort=partial(sort_and_interleave, count=options.interleave or 0),
    )
    with (
        closing(AttemptSet(dialer, rules, turn)) as attempts,
        closing(
            LookupQueue(dialer.loop, source, rules, attempts.wake, turn.at)
        ) as lookups,
    ):
        await lookups.begin()
        while connected := await _next_connected(attempts, lookups, rules, turn):
            if options.ready is None:
                attempts.close()
                lookups.close()
            else:
                attempts.pause()  # the next may be ready if this one is not
                connected = _within_share(dialer, connected, attempts, lookups, rules)
            sock, address, started, deadline = connected
            try:
                return await dialer.finish(sock, address, deadline)
            except AttemptError as exc:
                attempts.failed(exc, address, started, deadline)
                if exc.phase != "ready":
                    return None  # a handshake that fails ends the round
        is_over = _is_over(rules, lookups)
    if not is_over:
        record.schedule.expired(turn.limit)
    failures = source.failures(not is_over and not rules.has_begun)
    await collect_in_slices(map(partial(record.lookup_failed, turn), failures))
    return None


async def _next_connected(
    attempts: AttemptSet, lookups: LookupQueue, rules: HappyEyeballs, turn: Deadline
) -> Connected | None:
    """Return the next connected socket, or None: all have failed, or are late."""
    while True:
        connected = _take(attempts, lookups) or attempts.start_due()
        if connected is not None:
            return connected
        if turn.has_passed(attempts.loop.time()):
            # Whatever was begun has ended by now, one way or the other.
            return _take(attempts, lookups)
        if _is_over(rules, lookups):
            return None
        lookups.ask()
        if lookups.is_ready:
            await asyncio.sleep(0)
        elif not rules.is_over:  # the last endpoints may have come to nothing
            await attempts.wait(earliest(rules.next_start(), lookups.due(), turn.at))


def _take(attempts: AttemptSet, lookups: LookupQueue) -> Connected | None:
    """Take what has come: answers, and what became of attempts."""
    now = attempts.loop.time()
    if lookups.take(now):
        attempts.shorten_deadlines(now)
    return attempts.poll(now)


def _is_over(rules: HappyEyeballs, lookups: LookupQueue) -> bool:
    return rules.is_over and not lookups.is_ready


def _within_share(
    dialer: Dialer,
    connected: Connected,
    attempts: AttemptSet,
    lookups: LookupQueue,
    rules: HappyEyeballs,
) -> Connected:
    """Return *connected* with its share of the time to prove that it is ready."""
    if dialer.record.options.attempt_timeout is not None:
        return connected
    waiting = rules.untried + len(attempts) + len(lookups)
    now = dialer.loop.time()
    deadline = ready_deadline(connected.deadline, now, waiting)
    return connected._replace(deadline=deadline)

"""Resolve a host where the addresses are needed at once, and no race waits for more.

The same rules hold as in a race.  The fast path only asks for a name's one address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace

from .._io.resolver import system_resolver
from .._io.timers import Waiter, earliest, wait_until_done, wake
from .._sansio.addresses import Address
from .._sansio.endpoints import Endpoint
from .._sansio.errors import AttemptError
from .._sansio.happy_eyeballs import HappyEyeballs
from .host_lookup import HostLookup
from .lookup_queue import LookupQueue
from .options import Options, check_local_addr

__all__ = ["first_addresses", "local_addresses", "only_address"]

# RFC 8305's Resolution Delay, in seconds.
_OTHER_FAMILY_DELAY = 0.05


async def first_addresses(
    loop: asyncio.AbstractEventLoop,
    options: Options,
    lookup: HostLookup,
    until: float | None,
) -> Sequence[Address]:
    """Return the addresses that are there first, or none.

    They are those of the whole answer, in its order, unless that is late: see
    `HappyEyeballs`.  A family that has addresses then waits a moment for the other.
    There are none if the look-ups have failed, or have not ended by *until*.

    Raises:
        AttemptError: There can be no address.
    """
    settles_at: float | None = None
    rules = HappyEyeballs(
        attempt_delay=None,
        resolution_delay=options.resolution_delay,
        first_family_count=0,
        sort=tuple,
    )
    waiter: Waiter = loop.create_future()
    lookups = LookupQueue(loop, lookup, rules, lambda: wake(waiter, False), until)
    try:
        while True:
            if lookups.has_more:
                await lookups.ask()
            now = loop.time()
            lookups.take(now)
            if rules.untried and settles_at is None:
                settles_at = now + _OTHER_FAMILY_DELAY
            end = earliest(until, settles_at)
            has_settled = rules.untried and lookup.has_settled
            if rules.is_over or has_settled or (end is not None and now >= end):
                return rules.take_untried()
            waiter = loop.create_future()
            if not lookups.is_ready:
                await wait_until_done(loop, waiter, earliest(end, lookups.due()))
    finally:
        lookups.close()


async def only_address(
    loop: asyncio.AbstractEventLoop, lookup: HostLookup, until: float | None
) -> Address | None:
    """Return the address of a host that has only one, if it is known by *until*.

    If not, *lookup* has begun, and goes to a race, or has to be cancelled.

    Raises:
        TypeError: The resolver returned something else.
        Exception: The resolver raised it, and it is no `OSError`.
    """
    try:
        found = lookup.known()
    except AttemptError:
        return None  # the race raises it again
    if found is None:
        query, future = lookup.begin()
        try:
            if not (lookup.asks_system or future.done()):
                await asyncio.sleep(0)  # a resolver may know the answer
            if not future.done():
                await wait_until_done(loop, future, until, keep=True)
        except BaseException:
            lookup.cancel()
            raise
        found = lookup.answer(query, future) if future.done() else None
    return found[0] if found and len(found) == 1 else None


async def local_addresses(
    loop: asyncio.AbstractEventLoop, options: Options, until: float | None
) -> tuple[Address, ...]:
    """Return the addresses to bind to, in order: those of the option *local_addr*.

    The system resolves its names.

    Raises:
        AttemptError: One of the names has no address, or none is known by *until*.
    """
    given = options.local_addr
    options = replace(
        options, resolver=system_resolver, family=socket.AF_UNSPEC, proto=0, flags=0
    )
    found: list[Address] = []
    for host, port in () if given is None else check_local_addr(given):
        lookup = HostLookup(loop, options, None, Endpoint(host, port))
        try:
            addresses = await first_addresses(loop, options, lookup, until)
        except AttemptError as exc:
            raise exc.in_phase("bind") from None
        if not addresses:
            raise lookup.failures()[0].error.in_phase("bind")
        found += addresses
    return tuple(found)

"""See to it that there are descriptors for many connects at once."""

from __future__ import annotations

import os
import resource

from .._io.getaddrinfo_pool import MOST_THREADS
from .._sansio.happy_eyeballs import MOST_LIVE
from .errors import CommandError

__all__ = ["room_for"]

# What a getaddrinfo(3) has open: a file, and a socket for each of three servers.
_LOOK_UP = 4

# The loop's own, those of what is imported meanwhile, and the seventh of a race, for
# which the oldest is given up: one at a time, as all are in one thread.
_SPARE = 17


def room_for(limit: int) -> tuple[int, str | None]:
    """Return how many connects can be made at once, and what there is to say of it.

    That is *limit*, and nothing, if need be after raising the soft limit of
    descriptors up to the hard one.  None of them meets EMFILE then, even if all are
    names, each looked up for two families while six of its addresses are raced.

    Raises:
        CommandError: There is room for none.
    """
    used = len(os.listdir("/dev/fd")) + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = used + limit * MOST_LIVE + min(2 * limit, MOST_THREADS) * _LOOK_UP
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return limit, None
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # the kernel, or a sandbox, has its own limit
        most = soft
    room = most - used
    each = MOST_LIVE + 2 * _LOOK_UP
    fits = max(room // each, (room - MOST_THREADS * _LOOK_UP) // MOST_LIVE)
    if fits >= limit:
        return limit, None
    if fits < 1:
        raise CommandError(f"{most} descriptors are too few (see ulimit -n)")
    text = f"{fits} at once instead of {limit}: there are no more than {most}"
    return fits, f"{text} descriptors (see ulimit -Hn)"

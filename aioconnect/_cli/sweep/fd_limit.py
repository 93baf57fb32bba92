"""Make sure that many connects at once never run out of file descriptors."""

from __future__ import annotations

import os
import resource

from ..._io.getaddrinfo_pool import MOST_THREADS
from ..._sansio.happy_eyeballs import MOST_LIVE
from ..errors import CommandError

__all__ = ["fit_to_fd_limit"]

# The descriptors of one getaddrinfo(3): a file, and a socket for each of three servers.
_LOOKUP_FDS = 4

# The loop's own descriptors, those that an import opens meanwhile, and the seventh of a
# race, which is open for a moment before the oldest is closed.  There is only one
# seventh at a time, as all races are in one thread.
_SPARE_FDS = 17


def fit_to_fd_limit(limit: int) -> tuple[int, str | None]:
    """Return how many connects can be made at once, at most *limit*, and a note.

    The note says why there are fewer than *limit*, or is None.  If necessary, this
    raises the soft limit of descriptors, up to the hard limit.  After that, no connect
    fails with EMFILE, even if each races six addresses while it looks up a name for two
    families.

    Raises:
        CommandError: There is no room for even one.
    """
    used = len(os.listdir("/dev/fd")) + _SPARE_FDS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = used + limit * MOST_LIVE + min(2 * limit, MOST_THREADS) * _LOOKUP_FDS
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return limit, None
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # the kernel or a sandbox has another limit
        most = soft
    room = most - used
    fds_per_connect = MOST_LIVE + 2 * _LOOKUP_FDS
    fits = max(
        room // fds_per_connect, (room - MOST_THREADS * _LOOKUP_FDS) // MOST_LIVE
    )
    if fits >= limit:
        return limit, None
    if fits < 1:
        raise CommandError(f"{most} file descriptors are too few (see ulimit -n)")
    note = f"checking {fits} targets at once, not {limit}, because the limit is {most}"
    return fits, f"{note} file descriptors (see ulimit -Hn)"

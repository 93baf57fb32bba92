"""Learn what became of a non-blocking connect: five ways, and where each lies.

Each function takes the socket and the address that it was told to connect to,
and returns 0 for connected, ``EINPROGRESS`` for still pending, and otherwise
the errno of the failure.  None of them can be believed in every case; this is
what they answer on Linux, once, after the event in the first column.  An answer
in [brackets] is a lie, or as good as one.

================== ============ ============= ============ ============ ============
what became of it  so_error     peername_     peername_    zero_length_ connect_
                                so_error      read         read         again
================== ============ ============= ============ ============ ============
connected          0            0             0            0            0
connected, data    0            0             0            0            0
connected, reset   ECONNRESET   ECONNRESET    ECONNRESET   [0]          ECONNRESET
refused            ECONNREFUSED ECONNREFUSED  ECONNREFUSED [0]          ECONNREFUSED
unreachable        [0]          [EINPROGRESS] [ENOTCONN]   [0]          ENETUNREACH
timed out          ETIMEDOUT    ETIMEDOUT     ETIMEDOUT    [0]          ETIMEDOUT
still pending      [0]          EINPROGRESS   EINPROGRESS  [0]          EINPROGRESS
Unix, connected    0            0             0            0            0
Unix, refused      [0]          [EINPROGRESS] [EINVAL]     [0]          ECONNREFUSED
Unix, missing      [0]          [EINPROGRESS] [EINVAL]     [0]          ENOENT
Unix, backlog full [0]          [EINPROGRESS] [EINVAL]     [0]          EAGAIN
================== ============ ============= ============ ============ ============

Reading ``SO_ERROR`` clears it, so a second look says 0.  A one-byte read eats
that byte if it races a success, and sees queued data before a reset.  A second
``connect`` tells the error once: a third starts a new handshake, and on a Unix
socket it looks the path up again, which may be gone or have a full backlog.
Only a peer's name proves a success, which is why `aioconnect` asks for it
whatever the answer was.  `default` is the one that is right most often.

Sources: D. J. Bernstein, "Non-blocking BSD socket connections"; W. R. Stevens,
UNIX Network Programming vol. 1, section 16.4; connect(2), socket(7), tcp(7).
"""

from __future__ import annotations

from ._io.connect_outcome import (
    Outcome,
    connect_again,
    default,
    peername_read,
    peername_so_error,
    so_error,
    zero_length_read,
)

__all__ = [
    "Outcome",
    "connect_again",
    "default",
    "peername_read",
    "peername_so_error",
    "so_error",
    "zero_length_read",
]

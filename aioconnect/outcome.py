"""Learn the outcome of a non-blocking connect: five ways, and where each is wrong.

Each function takes the socket and the address that it connects to.  It returns 0 for
connected, ``EINPROGRESS`` for pending, and otherwise the errno of the failure.  No
function is right in every case.  The table shows what each answers on Linux, when
called once after the event in the first column.  An answer in [brackets] is wrong or
useless.

================== ============ ============= ============ ============= ============
outcome            so_error     peername_     peername_    zero_length_  connect_
                                so_error      read         read          again
================== ============ ============= ============ ============= ============
connected          0            0             0            0             0
connected, data    0            0             0            0             0
connected, reset   ECONNRESET   ECONNRESET    ECONNRESET   [0]           ECONNRESET
refused            ECONNREFUSED ECONNREFUSED  ECONNREFUSED [0]           ECONNREFUSED
unreachable        [0]          [EINPROGRESS] [ENOTCONN]   [0]           ENETUNREACH
timed out          ETIMEDOUT    ETIMEDOUT     ETIMEDOUT    [0]           ETIMEDOUT
still pending      [0]          EINPROGRESS   EINPROGRESS  [0]           EINPROGRESS
Unix, connected    0            0             0            0             0
Unix, refused      [0]          [EINPROGRESS] [EINVAL]     [0]           ECONNREFUSED
Unix, missing      [0]          [EINPROGRESS] [EINVAL]     [0]           ENOENT
Unix, backlog full [0]          [EINPROGRESS] [EINVAL]     [0]           EAGAIN
================== ============ ============= ============ ============= ============

Reading ``SO_ERROR`` clears it, so a second read returns 0.  A read of one byte consumes
that byte if the connect succeeds meanwhile, and it sees queued data before a reset.  A
second ``connect`` reports the error once; a third one starts a new handshake.  On a
Unix socket, it looks the path up again, which may be gone or have a full backlog.
No function proves a success.  Only the socket's peer does, so `aioconnect` always looks
for the peer as well.  `default` is the function that is right most often.

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

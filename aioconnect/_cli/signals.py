"""End by a signal, as whoever started the program expects."""

from __future__ import annotations

import signal

__all__ = ["end_by"]


def end_by(number: int) -> int:
    """End this process by the signal *number*; return the status if it does not.

    A shell that waits for it then sees that it was the signal, and ends its script at
    a SIGINT.  Process 1 of a container cannot end so: it has 128 + *number* to exit
    with, which is what a shell makes of the other.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number

"""End by a signal, as whoever started the program expects."""

from __future__ import annotations

import signal

__all__ = ["end_by"]


def end_by(number: int) -> int:
    """End this process by the signal *number*; return the status if it does not.

    A shell that waits for it sees that it was the signal, and ends its script at a
    SIGINT.  The kernel sends process 1 of a container no signal that it has no handler
    for: that one exits with 128 + *number*.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number

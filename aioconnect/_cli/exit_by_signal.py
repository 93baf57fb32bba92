"""End the process by a signal, as the program that started it expects."""

from __future__ import annotations

import signal

__all__ = ["exit_by_signal"]


def exit_by_signal(number: int) -> int:
    """End this process by the signal *number*; return an exit status if it survives.

    A shell that waits for this process then sees the signal, and ends its script on
    SIGINT.  Process 1 of a container survives.  It has to exit with 128 + *number*,
    which is the status a shell gives to a process that a signal ended.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number

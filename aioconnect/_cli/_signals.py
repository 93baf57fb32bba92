"""End by a signal, as whoever started the program expects."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

__all__ = ["end_at_once", "end_by", "handle_as_first_process"]

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def end_by(number: int) -> int:
    """End this process by the signal *number*; return the status if it does not.

    A shell that waits for it then sees that it was the signal, and ends its script at
    a SIGINT.  Process 1 of a container cannot end so: it has 128 + *number* to exit
    with, which is what a shell makes of the other.
    """
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number


def end_at_once() -> None:
    """Let the kernel end this process on a signal, where it stands.

    For a command that has nothing to tidy up.  What was ignored when it was started,
    as a shell's "&" has SIGINT, stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def handle_as_first_process() -> None:
    """End on signals also where they are passed over: as process 1 of a container.

    pid_namespaces(7): "only signals for which the 'init' process has established a
    signal handler can be sent to the 'init' process by other members of the PID
    namespace".
    """
    if os.getpid() != 1:
        return
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)


def _leave(number: int, _: object) -> NoReturn:
    os._exit(128 + number)  # there is nothing to tidy up

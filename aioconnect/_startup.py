"""Let a signal end the command ``aioconnect`` from its first moment.

`aioconnect` imports this module before everything else if this process may be the
command.  The other imports take a tenth of a second, most of it for asyncio.  A signal
that arrives during that time would be ignored in process 1 of a container, and SIGINT
would show a traceback anywhere else.  In any other program this module does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

__all__ = ["die_on_sigint", "exit_on_signals_as_process_1", "is_command"]

_FATAL_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

# The few lines of an installer's console script for the command contain this.
_IMPORTED_BY_SCRIPT = b"aioconnect._cli"


def is_command() -> bool:
    """Tell whether this process is ``aioconnect`` or ``python -m aioconnect``."""
    name, *arguments = map(str, sys.argv or [""])  # a program may put anything there
    if name == "-m":  # Python has not found the module yet; orig_argv names it
        return sys.orig_argv[-1 - len(arguments) :][:1] == ["aioconnect"]
    if os.path.basename(name) != "aioconnect":
        return False
    try:
        with open(name, "rb") as file:
            return _IMPORTED_BY_SCRIPT in file.read(4096)
    except OSError:
        return False


def die_on_sigint() -> None:
    """Let the kernel end this process at once on SIGINT.

    This is for a command that has nothing to clean up.  If SIGINT was ignored when the
    process started (a shell does that for "&"), it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def exit_on_signals_as_process_1() -> None:
    """Make signals end this process even if it is process 1 of a container.

    pid_namespaces(7): "only signals for which the 'init' process has established a
    signal handler can be sent to the 'init' process by other members of the PID
    namespace".
    """
    if os.getpid() != 1:
        return
    for number in _FATAL_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit_at_once)


def _exit_at_once(number: int, _: object) -> NoReturn:
    os._exit(128 + number)  # there is nothing to clean up


if is_command():
    exit_on_signals_as_process_1()
    die_on_sigint()

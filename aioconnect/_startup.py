"""Let a signal end the command ``aioconnect`` from its first moment on.

`aioconnect` imports this before all else, if it may be the command: the rest takes a
tenth of a second, most of it asyncio's.  A signal that comes meanwhile would be passed
over in process 1 of a container, and SIGINT would show a traceback elsewhere.  In any
other program nothing is done here.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

__all__ = ["end_at_once", "handle_as_first_process", "is_command"]

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)

# A script that an installer writes for the command has this in its few lines.
_IMPORTED_BY_SCRIPT = b"aioconnect._cli"


def is_command() -> bool:
    """Tell whether this process is ``aioconnect`` or ``python -m aioconnect``."""
    name, *arguments = map(str, sys.argv or [""])  # a program may put anything there
    if name == "-m":  # until Python has found the module, whose name comes next
        return sys.orig_argv[-1 - len(arguments) :][:1] == ["aioconnect"]
    if os.path.basename(name) != "aioconnect":
        return False
    try:
        with open(name, "rb") as file:
            return _IMPORTED_BY_SCRIPT in file.read(4096)
    except OSError:
        return False


def end_at_once() -> None:
    """Let the kernel end this process on SIGINT, where it stands.

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


if is_command():
    handle_as_first_process()
    end_at_once()

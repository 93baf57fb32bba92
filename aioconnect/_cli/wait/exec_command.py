"""Become another command, as a shell's ``exec`` does.

What Python changes for itself is put back: the command gets what it would have got.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import NoReturn

from ..errors import CommandError

__all__ = ["execute", "find"]

# What a shell ends with.
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127

# Python ignores these, and what is ignored stays so beyond execve(2).
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def find(name: str) -> str:
    """Return the path of the command *name*, as execvp(3) finds it.

    Raises:
        CommandError: It is not there, or cannot be run.
    """
    paths = [name]
    if name and "/" not in name:
        paths = [os.path.join(one, name) for one in os.get_exec_path()]
    found = [path for path in paths if os.path.exists(path)]
    for path in found:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if not found:
        raise _missing(name)
    why = "is a directory" if os.path.isdir(found[0]) else "is not executable"
    raise CommandError(f"{found[0]} {why}", _NOT_EXECUTABLE)


def _missing(name: str) -> CommandError:
    if "/" in name:
        try:
            os.stat(name)
        except PermissionError as exc:  # of one of its directories
            return CommandError(f"{name}: {exc.strerror}", _NOT_EXECUTABLE)
        except OSError:
            pass
    return CommandError("command not found: " + (name or "''"), _NOT_FOUND)


def execute(command: list[str]) -> NoReturn:
    """Become *command*.

    Raises:
        CommandError: It cannot be run.
    """
    path = find(command[0])
    environment = _environment()
    handlers = {one: signal.signal(one, signal.SIG_DFL) for one in _IGNORED_BY_PYTHON}
    try:
        try:
            os.execve(path, command, environment)  # noqa: S606  # it is what we are for
        except OSError as exc:
            if exc.errno != errno.ENOEXEC:
                raise
            # A script without "#!": execvp(3), and so env(1) and a shell, has it run.
            os.execve("/bin/sh", ["sh", path, *command[1:]], environment)  # noqa: S606
    except OSError as exc:
        # Nobody may be there to read why, and that is not what the status says.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if exc.errno == errno.ENOENT and os.path.exists(path):
            text = f"{path}: the interpreter that it names is not there"
            raise CommandError(text, _NOT_FOUND) from None
        status = _NOT_FOUND if exc.errno == errno.ENOENT else _NOT_EXECUTABLE
        raise CommandError(f"{path}: {exc.strerror}", status) from None


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # In the C locale, a container's, Python sets LC_CTYPE (PEP 538).  This file has
    # what the process was started with.
    try:
        with open("/proc/self/environ", "rb") as file:
            given = file.read()
    except OSError:
        return environment
    if not any(one.startswith(b"LC_CTYPE=") for one in given.split(b"\0")):
        environment.pop("LC_CTYPE", None)
    return environment

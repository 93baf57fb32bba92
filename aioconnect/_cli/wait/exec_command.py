"""Become another command, as a shell's ``exec`` does.

This undoes what Python changed in its own process: the command gets the environment
and the signals that Python was started with.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import NoReturn

from ..errors import CommandError

__all__ = ["exec_command", "find_command"]

# A shell's exit statuses.
_NOT_EXECUTABLE = 126
_NOT_FOUND = 127

# Python ignores these signals, and an ignored signal stays ignored after execve(2).
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def find_command(name: str) -> str:
    """Return the path of the command *name*, found as execvp(3) finds it.

    Raises:
        CommandError: It does not exist, or cannot be run.
    """
    paths = [name]
    if name and "/" not in name:
        paths = [os.path.join(one, name) for one in os.get_exec_path()]
    found = [path for path in paths if os.path.exists(path)]
    for path in found:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if not found:
        raise _not_found(name)
    problem = "is a directory" if os.path.isdir(found[0]) else "is not executable"
    raise CommandError(f"{found[0]} {problem}", _NOT_EXECUTABLE)


def _not_found(name: str) -> CommandError:
    if "/" in name:
        try:
            os.stat(name)
        except PermissionError as exc:  # one of its directories cannot be searched
            return CommandError(f"{name}: {exc.strerror}", _NOT_EXECUTABLE)
        except OSError:
            pass
    return CommandError("command not found: " + (name or "''"), _NOT_FOUND)


def exec_command(command: list[str]) -> NoReturn:
    """Become *command*: its name and its arguments.

    Raises:
        CommandError: It cannot be run.
    """
    path = find_command(command[0])
    environment = _original_environment()
    handlers = {one: signal.signal(one, signal.SIG_DFL) for one in _IGNORED_BY_PYTHON}
    try:
        try:
            os.execve(path, command, environment)  # noqa: S606  # the job of this function
        except OSError as exc:
            if exc.errno != errno.ENOEXEC:
                raise
            # The shell runs a script without "#!", as for execvp(3), so for env(1).
            os.execve("/bin/sh", ["sh", path, *command[1:]], environment)  # noqa: S606
    except OSError as exc:
        # Ignore SIGPIPE again: if nobody reads the error, the exit status must not
        # become that of the signal.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if exc.errno == errno.ENOENT and os.path.exists(path):
            text = f"{path}: the interpreter in its first line does not exist"
            raise CommandError(text, _NOT_FOUND) from None
        status = _NOT_FOUND if exc.errno == errno.ENOENT else _NOT_EXECUTABLE
        raise CommandError(f"{path}: {exc.strerror}", status) from None


def _original_environment() -> dict[str, str]:
    environment = dict(os.environ)
    # In the C locale, which containers often have, Python sets LC_CTYPE (PEP 538).
    # /proc/self/environ has the environment that the process was started with.
    try:
        with open("/proc/self/environ", "rb") as file:
            original = file.read()
    except OSError:
        return environment
    if not any(one.startswith(b"LC_CTYPE=") for one in original.split(b"\0")):
        environment.pop("LC_CTYPE", None)
    return environment

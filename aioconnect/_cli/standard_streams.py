"""Use the standard streams even where one is closed, full, or has lost its reader."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from .errors import NOT_UP, CommandError

__all__ = ["discard_output", "occupy_closed_streams", "standard_output", "try_write"]


def standard_output() -> TextIO:
    """Return standard output.

    Raises:
        CommandError: It is closed.
    """
    if sys.stdout is None:
        raise CommandError("standard output is closed", NOT_UP)
    return sys.stdout


def try_write(stream: TextIO | None, text: str) -> bool:
    """Write *text* to *stream* if possible; return False if that failed.

    A full disk must not end a wait.  A stream that is closed (None) needs nothing
    written, and counts as a success.
    """
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except OSError:
        return False
    return True


def occupy_closed_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file or socket would take that descriptor: uvloop would abort,
    and a library's warning could be sent to a server.  These descriptors are not
    inheritable, so the streams are closed again for the command that `wait` becomes.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor


def discard_output(descriptor: int) -> None:
    """Drop output to *descriptor* that is still buffered because a write failed.

    Otherwise Python would try to write it again at exit, fail, and exit with 120.
    """
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

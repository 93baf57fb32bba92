"""Know what can be written to a stream: how wide it is, and what it understands."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from typing import TextIO

from .errors import NOT_UP, CommandError

__all__ = [
    "ECHO",
    "Terminal",
    "discard",
    "erase_above",
    "hold_standard_streams",
    "size_of",
    "standard_output",
    "write",
]

# What pictures are drawn with, and what in a stream that has no such characters.
_DRAWN = str.maketrans("─━═·█✓✗…\N{MULTIPLICATION SIGN}", "-=#.#+x.x")

# What a terminal shows of a control key, "^C", behind what is drawn: in a line of its
# own it would move that up.
ECHO = 2

# Where nobody says.
_COLUMNS, _ROWS = 80, 24


@dataclass(frozen=True, slots=True)
class Terminal:
    """What *stream* is; a pipe or a file is none that *moves* or has *colors*.

    It *moves* if the cursor can be sent back up to write over what is there, and has
    *colors* unless NO_COLOR says that they are not wanted (https://no-color.org).
    """

    stream: TextIO
    moves: bool
    colors: bool

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Return what *stream* is now."""
        moves = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return cls(stream, moves, moves and not os.environ.get("NO_COLOR"))

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines, as they are now."""
        return size_of(self.stream)

    def can_show(self, text: str) -> bool:
        """Tell whether the stream's encoding has the characters of *text*."""
        try:
            text.encode(self.stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def shown(self, text: str) -> str:
        """Return *text* in characters that the stream's encoding has, as wide."""
        if self.can_show(text):
            return text
        encoding = self.stream.encoding or "ascii"
        return text.translate(_DRAWN).encode(encoding, "replace").decode(encoding)


def size_of(stream: TextIO | None) -> os.terminal_size:
    """Return the columns and lines of *stream*; COLUMNS and LINES say otherwise."""
    given = os.terminal_size((0, 0))
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            given = os.get_terminal_size(stream.fileno())
    columns = _said("COLUMNS") or given.columns or _COLUMNS
    return os.terminal_size((columns, _said("LINES") or given.lines or _ROWS))


def _said(name: str) -> int:
    text = os.environ.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 6
    return int(text) if is_number else 0


def write(stream: TextIO | None, text: str) -> bool:
    """Write *text*, and return whether that could be done.

    That a disk is full ends no wait; a stream that is closed needs nothing.
    """
    try:
        if stream is not None:
            stream.write(text)
            stream.flush()
    except OSError:
        return False
    return True


def erase_above(stream: TextIO, lines: int) -> None:
    """Take away so many *lines* above the cursor, if any."""
    if lines > 0:
        write(stream, f"\x1b[{lines}A\x1b[J")


def standard_output() -> TextIO:
    """Return standard output.

    Raises:
        CommandError: It is closed.
    """
    if sys.stdout is None:
        raise CommandError("standard output is closed", NOT_UP)
    return sys.stdout


def hold_standard_streams() -> None:
    """Have nothing take the place of a standard stream that is closed.

    uvloop would abort, and a library's warning could be sent to a server.  It is closed
    again for the command that we become.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest that is free


def discard(descriptor: int) -> None:
    """Let go what is left to be written to *descriptor*, and could not be.

    Python would try it again at exit, and have 120 as its status for it.
    """
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)

"""Find out what a stream can show: its size, cursor movement, colors, characters."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TextIO

from .standard_streams import try_write

__all__ = ["ECHO_WIDTH", "Terminal", "erase_above", "terminal_size"]

# The characters that pictures are drawn with, and their replacements in a stream
# whose encoding does not have them.
_ASCII_FALLBACKS = str.maketrans("─━═·█✓✗…\N{MULTIPLICATION SIGN}", "-=#.#+x.x")

# A terminal echoes a control key as "^C" after the drawing.  Drawings leave these
# columns free: an echo that wrapped into a line of its own would move the drawing up.
ECHO_WIDTH = 2

# The size if nothing else tells it.
_COLUMNS, _ROWS = 80, 24


@dataclass(frozen=True, slots=True)
class Terminal:
    """What *stream* can do; for a pipe or a file, *moves* and *colors* are False.

    *moves* tells whether the cursor can go back up to write over earlier lines.
    *colors* is also False if NO_COLOR is set (https://no-color.org).
    """

    stream: TextIO
    moves: bool
    colors: bool

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Return what *stream* can do now."""
        moves = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return cls(stream, moves, moves and not os.environ.get("NO_COLOR"))

    @property
    def size(self) -> os.terminal_size:
        """The current number of columns and lines."""
        return terminal_size(self.stream)

    def can_show(self, text: str) -> bool:
        """Tell whether the stream's encoding has the characters of *text*."""
        try:
            text.encode(self.stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def encodable(self, text: str) -> str:
        """Return *text*, equally wide, in characters that the stream's encoding has."""
        if self.can_show(text):
            return text
        encoding = self.stream.encoding or "ascii"
        text = text.translate(_ASCII_FALLBACKS)
        return text.encode(encoding, "replace").decode(encoding)


def terminal_size(stream: TextIO | None) -> os.terminal_size:
    """Return the columns and lines of *stream*; COLUMNS and LINES override them."""
    actual = os.terminal_size((0, 0))
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            actual = os.get_terminal_size(stream.fileno())
    columns = _number_in_environment("COLUMNS") or actual.columns or _COLUMNS
    lines = _number_in_environment("LINES") or actual.lines or _ROWS
    return os.terminal_size((columns, lines))


def _number_in_environment(name: str) -> int:
    text = os.environ.get(name, "")
    is_number = text.isascii() and text.isdecimal() and len(text) < 6
    return int(text) if is_number else 0


def erase_above(stream: TextIO, lines: int) -> None:
    """Erase the given number of *lines* above the cursor, if any."""
    if lines > 0:
        try_write(stream, f"\x1b[{lines}A\x1b[J")

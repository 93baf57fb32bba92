"""Fit text into the columns of a terminal, where some characters take two.

This module is pure.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

__all__ = ["display_width", "line_count", "pad", "truncate", "truncate_middle", "wrap"]


def display_width(text: str) -> int:
    """Return how many columns *text* takes."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def truncate(text: str, width: int, mark: str = "…") -> str:
    """Return *text*; if it is wider than *width*, only its beginning, then *mark*."""
    if display_width(text) <= width:
        return text
    return _prefix(f"{_prefix(text, width - len(mark))}{mark}", width)


def truncate_middle(text: str, width: int, mark: str = "…") -> str:
    """Return *text*; if it is wider than *width*, only its ends, around *mark*.

    This suits addresses, which have the port at their end.
    """
    if display_width(text) <= width:
        return text
    end = _prefix(text[::-1], (width - len(mark)) // 2)[::-1]
    return f"{truncate(text, width - display_width(end), mark)}{end}"


def pad(text: str, width: int) -> str:
    """Return *text* padded with blanks up to *width*."""
    return text + " " * (width - display_width(text))


def line_count(widths: Iterable[int], columns: int) -> int:
    """Return how many lines a terminal of *columns* needs for texts of these *widths*.

    Each text begins a line, and wraps if it is wider than the terminal.
    """
    return sum(max(-(-width // columns), 1) for width in widths)


def wrap(text: str, width: int, most: int) -> list[str]:
    """Return *text* in lines of at most *width* columns, and at most *most* of them."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if display_width(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        line = word
        while display_width(line) > width:
            lines.append(_prefix(line, width))
            line = line[len(lines[-1]) :]
    lines.append(line)
    if len(lines) > most:
        lines[most - 1 :] = [f"{_prefix(lines[most - 1], width - 1)}…"]
    return lines


def _prefix(text: str, width: int) -> str:
    """Return as much of the beginning of *text* as fits *width*."""
    widths = itertools.accumulate(map(_character_width, text))
    return text[: sum(1 for _ in itertools.takewhile(lambda n: n <= width, widths))]

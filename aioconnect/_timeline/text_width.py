"""Fit text into columns of a terminal, of which some characters take two.

Pure.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

__all__ = ["display_width", "height", "pad", "shortened", "truncate", "wrapped"]


def display_width(text: str) -> int:
    """Return how many columns *text* takes."""
    return len(text) if text.isascii() else sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def truncate(text: str, width: int, mark: str = "…") -> str:
    """Return *text*, or as much of its beginning as fits *width*, and a *mark*."""
    if display_width(text) <= width:
        return text
    return _beginning(f"{_beginning(text, width - len(mark))}{mark}", width)


def shortened(text: str, width: int, mark: str = "…") -> str:
    """Return *text*, or as much of its ends: an address has its port at its own."""
    if display_width(text) <= width:
        return text
    end = _beginning(text[::-1], (width - len(mark)) // 2)[::-1]
    return f"{truncate(text, width - display_width(end), mark)}{end}"


def pad(text: str, width: int) -> str:
    """Return *text* with blanks behind it, up to *width*."""
    return text + " " * (width - display_width(text))


def height(widths: Iterable[int], columns: int) -> int:
    """Return how many lines of so many *columns* texts take that are so wide."""
    return sum(max(-(-width // columns), 1) for width in widths)


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Return *text* in lines that fit *width*, *most* of them."""
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
            lines.append(_beginning(line, width))
            line = line[len(lines[-1]) :]
    lines.append(line)
    if len(lines) > most:
        lines[most - 1 :] = [f"{_beginning(lines[most - 1], width - 1)}…"]
    return lines


def _beginning(text: str, width: int) -> str:
    taken = itertools.accumulate(map(_cell, text))
    return text[: sum(1 for _ in itertools.takewhile(lambda n: n <= width, taken))]

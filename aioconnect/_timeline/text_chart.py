"""Draw what became of a call as lines of text, in as many columns as there are.

Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .._sansio.text import safe_repr
from .phrases import Row, Story, duration, headline, rows
from .text_width import display_width, pad, truncate, wrapped

__all__ = ["waterfall"]

_NARROWEST = 20

# In fewer columns a name and its bar do not fit beside each other: they have two lines.
_NARROW = 64

_BAR = {"lookup": "─", "attempt": "━", "wait": "·", "rounds": "━"}
_PHASE = "═"

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_COLORS = {"ok": "32", "failed": "31", "dropped": "2", "pending": "33"}
_BOLD, _FAINT = "1", "2"

# So many lines of a title and of an error's message are shown.
_MOST_TITLE, _MOST_LINES = 4, 8


def waterfall(story: Story, width: int, *, color: bool) -> str:
    """Return *story* as lines that are at most *width* wide.

    Raises:
        TypeError: *width* is no number of columns.
        ValueError: They cannot be.
    """
    _check(width)
    paint = _painted if color else _plain
    title = wrapped(headline(story), width, _MOST_TITLE)
    lines = [paint(line, _BOLD) for line in title]
    if safe_repr := rows(story):
        columns = _Columns(safe_repr, width)
        scale = story.elapsed or 1.0
        lines.append(paint(columns.axis(story.elapsed), _FAINT))
        for row in safe_repr:
            lines += _lines(row, columns, _bar(row, columns.bar, scale), paint)
    if story.error is not None:
        lines += wrapped(story.error["message"] or "", width, _MOST_LINES)
    return "\n".join(lines)


def _check(width: object) -> None:
    if not isinstance(width, int) or isinstance(width, bool):
        raise TypeError(f"width must be an int, not {safe_repr(width)}")
    if width < _NARROWEST:
        raise ValueError(f"width must be {_NARROWEST} or more, not {safe_repr(width)}")


class _Columns:
    """How wide the columns are in which *shown* fits *width*."""

    def __init__(self, safe_repr: Sequence[Row], width: int) -> None:
        self.is_narrow = width < _NARROW
        self.time = max(display_width(duration(row.elapsed)) for row in safe_repr)
        label = max(display_width(row.label) for row in safe_repr)
        detail = max(display_width(row.detail) for row in safe_repr)
        if self.is_narrow:
            self.label = width - self.time - 3
            self.bar = (width - 3) // 2
            self.detail = width - self.bar - 3
        else:
            self.label = min(label, width // 3)
            room = width - self.label - self.time - 5
            self.detail = min(detail, room * 6 // 10)
            self.bar = room - self.detail

    def axis(self, total: float) -> str:
        """Return the line over the bars."""
        indent = 2 if self.is_narrow else self.label + 3
        end = duration(total)
        begin = "0" if display_width(end) + 2 <= self.bar else ""
        return " " * indent + begin + end.rjust(self.bar - len(begin))


def _lines(
    row: Row, columns: _Columns, bar: str, paint: Callable[[str, str], str]
) -> list[str]:
    style = _FAINT if row.kind == "wait" else _COLORS[row.outcome]
    label = pad(row.label_within(columns.label), columns.label)
    time = duration(row.elapsed).rjust(columns.time)
    head, detail = (
        f"{paint(row.mark, style)} {label}",
        truncate(row.detail, columns.detail),
    )
    if not columns.is_narrow:
        end = f" {paint(detail, style)}" if detail else ""
        return [f"{head} {paint(bar, style)} {time}{end}"]
    end = f"{bar} {detail}" if detail else bar.rstrip()
    return [f"{head} {time}", f"  {paint(end, style)}"]


def _bar(row: Row, width: int, scale: float) -> str:
    drawn = [" "] * width
    for start, end in row.spans:
        first = min(int(start / scale * width), width - 1)
        last = min(max(math.ceil(end / scale * width), first + 1), width)
        drawn[first:last] = [_BAR.get(row.kind, _PHASE)] * (last - first)
    return "".join(drawn)


def _plain(text: str, _: str) -> str:
    return text


def _painted(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if text.strip() else text

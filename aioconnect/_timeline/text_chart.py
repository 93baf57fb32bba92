"""Draw the record of a call as lines of text, in the columns of a terminal.

This module is pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .._sansio.text import safe_repr
from .._sansio.text_width import display_width, pad, truncate, wrap
from .model import CallHistory
from .phrases import ChartRow, chart_rows, format_duration, headline

__all__ = ["draw_text_chart"]

_NARROWEST = 20

# In fewer columns, a name and its bar do not fit beside each other: each has a line.
_TWO_LINES_BELOW = 64

_BARS = {"lookup": "─", "attempt": "━", "wait": "·", "rounds": "━"}
_PHASE_BAR = "═"

# Select Graphic Rendition, ECMA-48 section 8.3.117.
_COLORS = {"ok": "32", "failed": "31", "dropped": "2", "pending": "33"}
_BOLD, _FAINT = "1", "2"

# The most lines of the title, and of an error's message.
_MOST_TITLE, _MOST_MESSAGE = 4, 8


def draw_text_chart(record: CallHistory, width: int, *, color: bool) -> str:
    """Return *record* as lines that are at most *width* columns wide.

    Raises:
        TypeError: *width* is not an int.
        ValueError: *width* is less than 20.
    """
    _check(width)
    paint = _colored if color else _uncolored
    title = wrap(headline(record), width, _MOST_TITLE)
    lines = [paint(line, _BOLD) for line in title]
    if rows := chart_rows(record):
        columns = _Columns(rows, width)
        scale = record.elapsed or 1.0
        lines.append(paint(columns.axis(record.elapsed), _FAINT))
        for row in rows:
            lines += _row_lines(row, columns, _bar(row, columns.bar, scale), paint)
    if record.error is not None:
        lines += wrap(record.error["message"] or "", width, _MOST_MESSAGE)
    return "\n".join(lines)


def _check(width: object) -> None:
    if not isinstance(width, int) or isinstance(width, bool):
        raise TypeError(f"width must be an int, not {safe_repr(width)}")
    if width < _NARROWEST:
        raise ValueError(f"width must be {_NARROWEST} or more, not {safe_repr(width)}")


class _Columns:
    """The widths of the columns in which *rows* fit *width*."""

    def __init__(self, rows: Sequence[ChartRow], width: int) -> None:
        self.is_narrow = width < _TWO_LINES_BELOW
        self.time = max(display_width(format_duration(row.elapsed)) for row in rows)
        label = max(display_width(row.label) for row in rows)
        detail = max(display_width(row.detail) for row in rows)
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
        """Return the line above the bars."""
        indent = 2 if self.is_narrow else self.label + 3
        end = format_duration(total)
        start = "0" if display_width(end) + 2 <= self.bar else ""
        return " " * indent + start + end.rjust(self.bar - len(start))


def _row_lines(
    row: ChartRow, columns: _Columns, bar: str, paint: Callable[[str, str], str]
) -> list[str]:
    style = _FAINT if row.kind == "wait" else _COLORS[row.outcome]
    label = pad(row.label_within(columns.label), columns.label)
    time = format_duration(row.elapsed).rjust(columns.time)
    head = f"{paint(row.mark, style)} {label}"
    detail = truncate(row.detail, columns.detail)
    if not columns.is_narrow:
        end = f" {paint(detail, style)}" if detail else ""
        return [f"{head} {paint(bar, style)} {time}{end}"]
    end = f"{bar} {detail}" if detail else bar.rstrip()
    return [f"{head} {time}", f"  {paint(end, style)}"]


def _bar(row: ChartRow, width: int, scale: float) -> str:
    bar = [" "] * width
    for start, end in row.spans:
        first = min(int(start / scale * width), width - 1)
        last = min(max(math.ceil(end / scale * width), first + 1), width)
        bar[first:last] = [_BARS.get(row.kind, _PHASE_BAR)] * (last - first)
    return "".join(bar)


def _uncolored(text: str, _: str) -> str:
    return text


def _colored(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if text.strip() else text

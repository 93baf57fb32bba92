"""Draw the record of a call as an SVG picture.

This module is pure.
"""

from __future__ import annotations

from .._sansio.text_width import truncate
from .model import CallHistory
from .phrases import ChartRow, chart_rows, format_duration, headline
from .svg_writer import WIDTH, bar, document, most_characters, text, tooltip

__all__ = ["draw_svg_chart"]

# Horizontal positions: of the labels, the left and right ends of the bars, and the
# details.
_MARGIN, _BARS_LEFT, _BARS_RIGHT, _DETAILS = 12, 240, 540, 604
_ROW_HEIGHT, _TOP, _BOTTOM_MARGIN = 18, 56, 8


def draw_svg_chart(record: CallHistory) -> str:
    """Return *record* as an SVG document."""
    rows = chart_rows(record)
    bottom = _TOP + _ROW_HEIGHT * len(rows)
    body: list[str] = []
    for part in range(5):
        x = _BARS_LEFT + (_BARS_RIGHT - _BARS_LEFT) * part / 4
        time = format_duration(record.elapsed * part / 4)
        body.append(f'<path class="grid" d="M{x:g} {_TOP - 8}V{bottom}"/>')
        body.append(text(time, x, _TOP - 14, "small", "middle"))
    scale = (_BARS_RIGHT - _BARS_LEFT) / (record.elapsed or 1.0)
    for number, row in enumerate(rows):
        body += _draw_row(row, _TOP + _ROW_HEIGHT * number, scale)
    return document(headline(record), bottom + _BOTTOM_MARGIN, body)


def _draw_row(row: ChartRow, top: float, scale: float) -> list[str]:
    y = top + 12
    kind = "wait" if row.kind == "wait" else row.outcome
    label = row.label_within(most_characters(_BARS_LEFT - 2 * _MARGIN))
    elements = ["<g>", tooltip(f"{row.label}: {row.detail}"), text(label, _MARGIN, y)]
    for start, end in row.spans:
        x = _BARS_LEFT + start * scale
        elements.append(bar(x, top + 3, (end - start) * scale, kind))
    time = format_duration(row.elapsed)
    elements.append(text(time, _DETAILS - 8, y, "small", "end"))
    if row.detail:
        room = most_characters(WIDTH - _DETAILS)
        detail = truncate(f"{row.mark} {row.detail}".strip(), room)
        elements.append(text(detail, _DETAILS, y, row.outcome))
    return [*elements, "</g>"]

"""Draw what became of a call as a picture.

Pure.
"""

from __future__ import annotations

from .phrases import Row, Story, duration, headline, rows
from .svg_writer import WIDTH, box, document, fitting, hint, text
from .text_width import truncate

__all__ = ["picture"]

_MARGIN, _BARS, _TIMES, _DETAILS = 12, 240, 540, 604
_ROW, _TOP, _BELOW = 18, 56, 8


def picture(story: Story) -> str:
    """Return *story* as an SVG document."""
    shown = rows(story)
    bottom = _TOP + _ROW * len(shown)
    body: list[str] = []
    for part in range(5):
        x = _BARS + (_TIMES - _BARS) * part / 4
        said = duration(story.elapsed * part / 4)
        body.append(f'<path class="grid" d="M{x:g} {_TOP - 8}V{bottom}"/>')
        body.append(text(said, x, _TOP - 14, "small", "middle"))
    across = (_TIMES - _BARS) / (story.elapsed or 1.0)
    for number, row in enumerate(shown):
        body += _row(row, _TOP + _ROW * number, across)
    return document(headline(story), bottom + _BELOW, body)


def _row(row: Row, top: float, across: float) -> list[str]:
    y = top + 12
    kind = "wait" if row.kind == "wait" else row.outcome
    drawn = ["<g>", hint(f"{row.label}: {row.detail}")]
    drawn.append(text(row.label_within(fitting(_BARS - 2 * _MARGIN)), _MARGIN, y))
    for start, end in row.spans:
        drawn.append(box(_BARS + start * across, top + 3, (end - start) * across, kind))
    drawn.append(text(duration(row.elapsed), _DETAILS - 8, y, "small", "end"))
    if row.detail:
        detail = truncate(f"{row.mark} {row.detail}".strip(), fitting(WIDTH - _DETAILS))
        drawn.append(text(detail, _DETAILS, y, row.outcome))
    return [*drawn, "</g>"]

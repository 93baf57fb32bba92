"""Draw what became of a call as SVG, which is readable in light and in dark.

Pure.  The colours are classes, of which the style sheet has two sets; they hold
within the picture, wherever that is put.
"""

from __future__ import annotations

from html import escape

from ._cells import cut
from ._story import Row, Story, duration, headline, rows

__all__ = ["picture"]

_WIDTH, _LEFT, _RIGHT, _DETAIL = 800, 240, 540, 604
_ROW, _TOP, _BELOW = 18, 56, 8

# About how wide a character is, in a font that is not known.
_CHARACTER = 6.3

_STYLE = """
.aioconnect text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.aioconnect .title { font-size: 14px; font-weight: 600 }
.aioconnect .small { font-size: 11px; fill: #59636e }
.aioconnect .grid { stroke: #8b949e; stroke-width: .5; opacity: .5 }
.aioconnect .ok { fill: #1a7f37 } .aioconnect .failed { fill: #cf222e }
.aioconnect .pending { fill: #9a6700 } .aioconnect .dropped { fill: #8b949e }
.aioconnect rect.wait { fill: #8b949e; opacity: .35 }
@media (prefers-color-scheme: dark) {
.aioconnect text { fill: #f0f6fc } .aioconnect .small { fill: #9198a1 }
.aioconnect .ok { fill: #3fb950 } .aioconnect .failed { fill: #ff7b72 }
.aioconnect .pending { fill: #d29922 } .aioconnect .dropped { fill: #9198a1 }
}
"""


def picture(story: Story) -> str:
    """Return *story* as an SVG document."""
    shown = rows(story)
    bottom = _TOP + _ROW * len(shown)
    size = f'viewBox="0 0 {_WIDTH} {bottom + _BELOW}"'
    size += f' width="{_WIDTH}" height="{bottom + _BELOW}"'
    title = headline(story)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="aioconnect" {size}>',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        _text(cut(title, 100), 12, 20, "title"),
    ]
    for part in range(5):
        x = _LEFT + (_RIGHT - _LEFT) * part / 4
        parts.append(f'<path class="grid" d="M{x:g} {_TOP - 8}V{bottom}"/>')
        parts.append(
            _text(duration(story.elapsed * part / 4), x, 42, "small", "middle")
        )
    for number, row in enumerate(shown):
        parts += _row(row, _TOP + _ROW * number, story.elapsed or 1.0)
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Row, top: float, scale: float) -> list[str]:
    y, across = top + 12, (_RIGHT - _LEFT) / scale
    kind = "wait" if row.kind == "wait" else row.outcome
    parts = ["<g>", f"<title>{escape(f'{row.label}: {row.detail}')}</title>"]
    parts.append(_text(row.label_within(_fitting(_LEFT - 24)), 12, y))
    for start, end in row.spans:
        x, width = _LEFT + start * across, max((end - start) * across, 1.5)
        place = f'x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="10"'
        parts.append(f'<rect class="{kind}" {place}/>')
    took = duration(row.elapsed)
    parts.append(_text(took, _DETAIL - 8, y, "small", "end"))
    if row.detail:
        detail = cut(row.detail, _fitting(_WIDTH - _DETAIL))
        parts.append(_text(detail, _DETAIL, y, f"detail {row.outcome}"))
    return [*parts, "</g>"]


def _fitting(width: float) -> int:
    return int(width / _CHARACTER)


def _text(text: str, x: float, y: float, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"

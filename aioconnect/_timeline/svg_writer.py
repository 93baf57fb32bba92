"""Write self-contained SVG that is readable in light and in dark.

This module is pure.  The colours are CSS classes, with a second set for dark mode.
Each picture paints its own background: a page may be dark while the reader's system is
light, and the text must be readable even there.  The style sheet applies to this
picture only, wherever a page embeds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .._sansio.text_width import truncate

__all__ = ["WIDTH", "bar", "document", "most_characters", "text", "tooltip"]

WIDTH = 800

# About how wide a character is, as the font is not known.
_CHARACTER_WIDTH = 7.0

_MARGIN, _TITLE_Y = 12, 20

_STYLE = """
.aioconnect rect.background { fill: #ffffff; stroke: #d1d9e0 }
.aioconnect text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.aioconnect .title { font-size: 14px; font-weight: 600 }
.aioconnect .small { font-size: 11px; fill: #59636e }
.aioconnect .grid { stroke: #8b949e; stroke-width: .5; opacity: .5 }
.aioconnect .ok { fill: #1a7f37 } .aioconnect .failed { fill: #cf222e }
.aioconnect .pending { fill: #9a6700 } .aioconnect .dropped { fill: #8b949e }
.aioconnect rect.wait { fill: #8b949e; opacity: .35 }
@media (prefers-color-scheme: dark) {
.aioconnect rect.background { fill: #0d1117; stroke: #3d444d }
.aioconnect text { fill: #f0f6fc } .aioconnect .small { fill: #9198a1 }
.aioconnect .ok { fill: #3fb950 } .aioconnect .failed { fill: #ff7b72 }
.aioconnect .pending { fill: #d29922 } .aioconnect .dropped { fill: #9198a1 }
}
"""


def document(title: str, height: float, body: Sequence[str]) -> str:
    """Return the SVG document with *title* above the elements of *body*."""
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="aioconnect" {size}>'
    # The title's font is larger: 14 px, not 12.
    shortened = truncate(title, most_characters(WIDTH - 2 * _MARGIN) * 6 // 7)
    style = f"<style>{_STYLE}</style>"
    drawn_title = text(shortened, _MARGIN, _TITLE_Y, "title")
    inside = f'width="{WIDTH - 1}" height="{height - 1:g}"'
    background = f'<rect x="0.5" y="0.5" {inside} rx="6" class="background"/>'
    above = [head, tooltip(title), style, background, drawn_title]
    return "\n".join([*above, *body, "</svg>", ""])


def most_characters(width: float) -> int:
    """Return how many characters fit into *width* pixels."""
    return int(width / _CHARACTER_WIDTH)


def text(said: str, x: float, y: float, kind: str = "", anchor: str = "start") -> str:
    """Return the element that writes *said* at a position; *kind* is its CSS class."""
    attributes = f'x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {attributes}>{escape(said)}</text>"


def bar(x: float, y: float, width: float, kind: str) -> str:
    """Return the element for a bar, which is always wide enough to be seen."""
    size = f'width="{max(width, 1.5):.1f}" height="10"'
    return f'<rect x="{x:.1f}" y="{y:g}" {size} class="{kind}"/>'


def tooltip(content: str) -> str:
    """Return the element for a tooltip, which has to be first in its parent."""
    return f"<title>{escape(content)}</title>"

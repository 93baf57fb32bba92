"""Write SVG that is readable in light and in dark, with nothing but what is here.

Pure.  The colours are classes, of which the style sheet has two sets; they hold
within the picture, wherever that is put.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .text_width import truncate

__all__ = ["WIDTH", "box", "document", "fitting", "hint", "text"]

WIDTH = 800

# About how wide a character is, in a font that is not known.
_CHARACTER = 7.0

_MARGIN, _TITLE = 12, 20

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


def document(title: str, height: float, body: Sequence[str]) -> str:
    """Return the document of that *title*, which is over the *body*."""
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="aioconnect" {size}>'
    shown = truncate(title, fitting(WIDTH - 2 * _MARGIN) * 6 // 7)  # it is larger
    named = [hint(title), f"<style>{_STYLE}</style>"]
    written = text(shown, _MARGIN, _TITLE, "title")
    return "\n".join([head, *named, written, *body, "</svg>", ""])


def fitting(width: float) -> int:
    """Return how many characters there is room for."""
    return int(width / _CHARACTER)


def text(said: str, x: float, y: float, kind: str = "", anchor: str = "start") -> str:
    """Return *said* at a place; it is of the class *kind*."""
    place = f'x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(said)}</text>"


def box(x: float, y: float, width: float, kind: str) -> str:
    """Return a bar; one that would be too short to be seen is longer."""
    size = f'width="{max(width, 1.5):.1f}" height="10"'
    return f'<rect x="{x:.1f}" y="{y:g}" {size} class="{kind}"/>'


def hint(said: str) -> str:
    """Return what is shown when the element is pointed at that it is the first in."""
    return f"<title>{escape(said)}</title>"

"""Draw bars, lines and columns, as SVG that can be read in light and in dark.

The colours are classes, of which a style sheet in the picture has two sets.  Each
picture paints its own background, so that it does not matter which colour the page has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import drawsvg

from .results import Row
from .running import NONE, TRIO
from .table import text_of

__all__ = ["WIDTH", "Canvas", "Panel", "bars"]

WIDTH = 760

LOOPS = ("asyncio", "uvloop", TRIO, NONE)

# For a loop each, and for a line each.
STYLE = """
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .ours { font-weight: 600 }
.small { font-size: 11px; fill: #59636e } .failed { font-style: italic; fill: #b42318 }
.grid { stroke: #8b949e; stroke-width: .5; opacity: .5 } .line { fill: none }
.spread { stroke: #1f2328; stroke-width: 1 }
.asyncio { fill: #2f6fde; stroke: #2f6fde } .uvloop { fill: #c9631a; stroke: #c9631a }
.trio { fill: #7d52cc; stroke: #7d52cc } .none { fill: #6e7781; stroke: #6e7781 }
.other { stroke: #8b949e; fill: #59636e }
rect, circle { stroke: none !important } path { fill: none !important }
.background { fill: #ffffff }
@media (prefers-color-scheme: dark) {
.background { fill: #0d1117 }
text { fill: #f0f6fc } .small { fill: #9198a1 } .failed { fill: #ff9a8d }
.spread { stroke: #f0f6fc } .asyncio { fill: #6ea8ff; stroke: #6ea8ff }
.uvloop { fill: #f0954b; stroke: #f0954b } .trio { fill: #b392f0; stroke: #b392f0 }
.none { fill: #8b949e; stroke: #8b949e } .other { fill: #9198a1 }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows to be compared, in *unit*, under a *heading*."""

    heading: str
    unit: str
    rows: Sequence[Row]


class Canvas:
    """A picture that grows downwards; *y* is where it goes on."""

    def __init__(self, title: str, below: str, height: float) -> None:
        self._drawing = drawsvg.Drawing(WIDTH, height)
        self._drawing.append_css(STYLE)
        self._drawing.append_title(title)
        self.box(0, 0, WIDTH, height, "background")
        self.text(title, 12, 22, "title")
        self.text(below, 12, height - 8, "small")
        self.y = 40.0

    def text(
        self, text: str, x: float, y: float, kind: str = "", anchor: str = "start"
    ) -> None:
        """Write *text* at a position."""
        self._drawing.append(
            drawsvg.Text(text, 12, x, y, class_=kind or "t", text_anchor=anchor)
        )

    def box(
        self, x: float, y: float, width: float, height: float, kind: str, tip: str = ""
    ) -> None:
        """Fill a rectangle; *tip* is shown when it is pointed at."""
        box = drawsvg.Rectangle(_(x), _(y), _(width), _(height), class_=kind)
        if tip:
            box.append_title(tip)
        self._drawing.append(box)

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str) -> None:
        """Draw a straight line."""
        self._drawing.append(drawsvg.Line(_(x), _(y), _(to_x), _(to_y), class_=kind))

    def curve(
        self, points: Sequence[tuple[float, float]], kind: str, width: float
    ) -> None:
        """Draw a line through *points*, with a dot at each."""
        path = drawsvg.Path(class_=kind, stroke_width=width)
        for number, (x, y) in enumerate(points):
            (path.L if number else path.M)(_(x), _(y))
            self._drawing.append(drawsvg.Circle(_(x), _(y), width + 0.8, class_=kind))
        self._drawing.append(path)

    def legend(self, kinds: Iterable[str]) -> None:
        """Say which colour is which loop."""
        x = 12.0
        for kind in kinds:
            text = "without a loop" if kind == NONE else kind
            self.box(x, self.y - 9, 10, 10, kind)
            self.text(text, x + 15, self.y, "small")
            x += 30 + 6.2 * len(text)
        self.y += 14

    def save(self, path: Path) -> Path:
        """Write the picture."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._drawing.save_svg(str(path))
        return path


def _(value: float) -> float:
    """Return *value* with as many digits as can be seen."""
    return round(value, 1)


# Of a row's samples, one for each round.
SPREAD = "line: first to third quartile, of fewer than four rounds all"

BAR, GAP, LEFT, RIGHT = 9.0, 8.0, 275.0, 125.0


def bars(title: str, below: str, panels: Sequence[Panel]) -> Canvas:
    """Draw a bar for each row, with its quartiles; what failed says so.

    All are of one unit, and one scale.
    """
    height = 84.0
    for panel in panels:
        height += 34 + sum(len(rows) * (BAR + 2) + GAP for _, rows in _named(panel))
    canvas = Canvas(title, below, height)
    used = {row.loop for panel in panels for row in panel.rows}
    canvas.legend(loop for loop in LOOPS if loop in used)
    canvas.text(SPREAD, WIDTH - 12, 36, "small", "end")
    longest = (row.spread[1] for panel in panels for row in panel.rows if row.samples)
    scale = (WIDTH - LEFT - RIGHT) / max(longest, default=1.0)
    for panel in panels:
        _bars(canvas, panel, scale)
    return canvas


def _named(panel: Panel) -> Iterator[tuple[str, list[Row]]]:
    """Yield the rows of each contestant, the fastest first."""
    groups: dict[str, list[Row]] = {}
    for row in panel.rows:
        groups.setdefault(row.contestant, []).append(row)

    def fastest(group: tuple[str, list[Row]]) -> float:
        return min((row.median for row in group[1] if row.samples), default=math.inf)

    for name, rows in sorted(groups.items(), key=fastest):
        yield name, sorted(rows, key=lambda row: LOOPS.index(row.loop))


def _bars(canvas: Canvas, panel: Panel, scale: float) -> None:
    canvas.y += 16
    canvas.text(panel.heading, 12, canvas.y, "ours")
    canvas.y += 12
    for name, rows in _named(panel):
        middle = canvas.y + len(rows) * (BAR + 2) / 2 + 3
        kind = "ours" if name.startswith("aioconnect") else ""
        canvas.text(name, LEFT - 8, middle, kind, "end")
        for row in rows:
            _bar(canvas, row, panel.unit, scale)
            canvas.y += BAR + 2
        canvas.y += GAP


def _bar(canvas: Canvas, row: Row, unit: str, scale: float) -> None:
    y = canvas.y
    if not row.samples:
        failed = f"{row.loop}: {row.failed}".replace("TimeoutError: ", "")
        short = f"{failed[:69]}..." if len(failed) > 72 else failed
        canvas.text(short, LEFT, y + 9, "small failed")
        return
    low, high = row.spread
    value = text_of(row.median, unit)
    tip = f"{row.contestant}, {row.loop}: {value}"
    canvas.box(LEFT, y, max(row.median * scale, 1), BAR, row.loop, tip)
    middle = y + BAR / 2
    canvas.line(LEFT + low * scale, middle, LEFT + high * scale, middle, "spread")
    canvas.text(value, LEFT + max(high, row.median) * scale + 5, y + 9, "small")

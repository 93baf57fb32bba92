"""Record ``aioconnect demo`` in a terminal, and draw it as an animated SVG.

``python -m benchmarks.demo_picture FILE`` runs the demo, which takes ten seconds, and
writes the picture.  The documentation's is ``docs/pictures/demo.svg``.  The text and
its times are those of the run.  Only the pauses between the scenes are added, so that
there is time to read.

The picture needs no script and no font of its own.  For a reader who wants no motion,
and in a program that does not animate, it shows the first scene.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import pexpect
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.style import Style

__all__ = ["PICTURE", "Line", "draw", "main", "record"]

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "demo.svg"

COLUMNS, ROWS = 80, 26

# Seconds: before each further scene, at the end, and for the first line.
_PAUSE, _END, _TYPED = 3.0, 6.0, 0.8

# Lines that came within this time are shown together.
_TOGETHER = 0.03

_CHARACTER, _HEIGHT, _MARGIN, _BAR = 7.8, 17, 16, 34

# By the terminal's numbers.
_COLORS = {1: "red", 2: "green", 3: "yellow"}

_STYLE = """
.screen { fill: #0d1117; stroke: #3d444d } .bar { fill: #21262d }
text { font: 13px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace;
fill: #e6edf3 }
.name { font: 13px system-ui, sans-serif; fill: #9198a1; text-anchor: middle }
.bold { font-weight: 700 } .dim { fill: #9198a1 } .red { fill: #ff7b72 }
.green { fill: #3fb950 } .yellow { fill: #d29922 }
"""


class Line(NamedTuple):
    """A line of the terminal, with its control sequences, and when it came."""

    at: float
    text: str


def record() -> list[Line]:
    """Run the demo in a terminal; return its lines.

    Raises:
        RuntimeError: The demo saw something else than it says.
    """
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}
    environment.pop("NO_COLOR", None)
    started = time.monotonic()
    child: pexpect.spawn[str] = pexpect.spawn(
        sys.executable,
        ["-m", "aioconnect", "demo"],
        dimensions=(ROWS, COLUMNS),
        encoding="utf-8",
        env=environment,
        timeout=60,
    )
    lines: list[Line] = []
    try:
        while line := child.readline():
            lines.append(Line(time.monotonic() - started, line.rstrip("\r\n")))
    finally:
        child.close()
    if child.exitstatus != 0:
        raise RuntimeError("\n".join(line.text for line in lines[-3:]))
    return lines


def draw(lines: Sequence[Line]) -> str:
    """Return the animated picture of *lines*."""
    shown = [*_with_pauses(lines)]
    total = shown[-1].at + _END
    frames: list[tuple[float, int]] = []  # when, and how many lines there are then
    kinds: list[int] = []  # the frame of each line
    for number, line in enumerate(shown, 1):
        if not frames or line.at - shown[number - 2].at > _TOGETHER:
            frames.append((line.at, number))
        frames[-1] = (frames[-1][0], number)
        kinds.append(len(frames) - 1)
    width = round(COLUMNS * _CHARACTER + 2 * _MARGIN)
    height = _BAR + ROWS * _HEIGHT + _MARGIN
    box = f'x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"'
    inside = f'x="0" y="{_BAR}" width="{width}" height="{ROWS * _HEIGHT + 1}"'
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        "<title>aioconnect demo, recorded in a terminal</title>",
        f"<style>{_STYLE}{_animations(frames, total)}</style>",
        f'<defs><clipPath id="inside"><rect {inside}/></clipPath></defs>',
        f'<rect {box} class="screen"/>',
        f'<path class="bar" d="M1 26V8a7 7 0 0 1 7-7H{width - 8}a7 7 0 0 1 7 7V26Z"/>',
        f'<text class="name" x="{width / 2:g}" y="18">aioconnect demo</text>',
        '<g clip-path="url(#inside)"><g class="all">',
    ]
    decoder, console = AnsiDecoder(), Console(width=200, color_system="standard")
    for number, (line, frame) in enumerate(zip(shown, kinds, strict=True)):
        y = _BAR + 12 + number * _HEIGHT
        spans = "".join(_spans(decoder, console, line.text))
        if spans:
            parts.append(f'<text class="f{frame}" y="{y}">{spans}</text>')
    return "\n".join([*parts, "</g></g>", "</svg>", ""])


def _with_pauses(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the command, and then *lines*, later by the pauses before them."""
    yield Line(0.0, "\x1b[32m$\x1b[0m \x1b[1maioconnect demo\x1b[0m")
    paused = _TYPED
    for number, line in enumerate(lines):
        if number and line.text.startswith("== "):
            paused += _PAUSE
        yield Line(line.at + paused, line.text)


def _animations(frames: Sequence[tuple[float, int]], total: float) -> str:
    """Return the rules that show the lines of each frame in time, and scroll."""
    rules = [
        f"text, .all {{ animation: none {total:.2f}s step-end infinite }}",
        ".all { animation-name: scroll }",
    ]
    scroll = ["0% { transform: none }"]
    up = 0
    for number, (at, lines) in enumerate(frames):
        part = f"{at / total * 100:.2f}%"
        if number:  # the first is always there
            rules.append(f".f{number} {{ animation-name: a{number} }}")
            rules.append(
                f"@keyframes a{number} {{ 0% {{ visibility: hidden }}"
                f" {part}, to {{ visibility: visible }} }}"
            )
        up = max(lines - ROWS, 0) * _HEIGHT
        if up:
            scroll.append(f"{part} {{ transform: translateY(-{up}px) }}")
    scroll.append(f"to {{ transform: translateY(-{up}px) }}")
    rules.append(f"@keyframes scroll {{ {' '.join(scroll)} }}")
    joined = "\n".join(rules)
    return f"@media (prefers-reduced-motion: no-preference) {{\n{joined}\n}}\n"


def _spans(decoder: AnsiDecoder, console: Console, text: str) -> Iterator[str]:
    """Yield an element for each part of a line that has one style.

    Each has its place and its width: the fonts of readers differ.
    """
    column = 0
    for segment in decoder.decode_line(text).render(console):
        kinds = " ".join(_kinds(segment.style))
        kind = f' class="{kinds}"' if kinds else ""
        # Viewers draw several spaces as one.
        for words in re.finditer(r"\S+(?: \S+)*", segment.text):
            x = _MARGIN + (column + words.start()) * _CHARACTER
            width = len(words[0]) * _CHARACTER
            size = f'x="{x:.1f}" textLength="{width:.1f}"'
            yield f"<tspan {size}{kind}>{escape(words[0])}</tspan>"
        column += len(segment.text)


def _kinds(style: Style | None) -> Iterator[str]:
    """Yield the classes of *style*."""
    if style is None:
        return
    if style.color is not None and style.color.number in _COLORS:
        yield _COLORS[style.color.number]
    if style.bold:
        yield "bold"
    if style.dim:
        yield "dim"


def main(arguments: Sequence[str] | None = None) -> int:
    """Record the demo, and write its picture."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        print(
            "usage: python -m benchmarks.demo_picture FILE"
            f" (the documentation's is {PICTURE})",
            file=sys.stderr,
        )
        return 2
    Path(given[0]).write_text(draw(record()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

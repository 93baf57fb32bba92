"""Show a text on a terminal, redrawn in place, and remove it at the end.

This needs rich, which the extra ``cli`` installs.
"""

from __future__ import annotations

import contextlib

from ..._sansio.text_width import display_width, line_count
from ..errors import CommandError
from ..terminal import Terminal, erase_above

try:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text
except ModuleNotFoundError:
    _extra = "in a checkout, pip install '.[cli]'"
    raise CommandError(f"this needs rich: {_extra}; --json does not") from None

__all__ = ["LiveView"]

# A text that is too long for the screen keeps this many lines of its beginning: the
# title, and the line above the columns.
_HEAD_LINES = 2


class LiveView:
    """Draw one text after the other on *terminal*, if its cursor moves."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._console = Console(
            file=terminal.stream,
            force_terminal=True,
            force_interactive=True,
            color_system="standard",
        )
        self._live: Live | None = None
        self._drawn_widths: list[int] = []  # of the lines that are on the terminal

    def draw(self, text: str) -> None:
        """Draw *text* over the text before."""
        if not self.terminal.moves:
            return
        columns, lines = self.terminal.size
        if line_count(self._drawn_widths, columns) > len(self._drawn_widths):
            self.close()
        self._console.size = (columns, lines)
        cropped = self.terminal.encodable(_crop_middle(text, lines - 1))
        frame = Text.from_ansi(cropped, no_wrap=True, overflow="crop")
        with contextlib.suppress(OSError):  # a terminal that has gone must end nothing
            if self._live is None:
                self._live = Live(
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.update(frame, refresh=True)
        self._drawn_widths = [
            min(display_width(line), columns) for line in frame.plain.splitlines()
        ]

    def close(self) -> None:
        """Remove everything that was drawn."""
        if self._live is None:
            return
        self._console.size = columns, _ = self.terminal.size
        with contextlib.suppress(OSError):
            self._live.stop()
        # A terminal that has become narrower has wrapped the lines.  They take more
        # lines now than rich has erased.
        erased = len(self._drawn_widths)
        remaining = line_count(self._drawn_widths, columns) - erased
        erase_above(self.terminal.stream, remaining)
        self._live, self._drawn_widths = None, []


def _crop_middle(text: str, most: int) -> str:
    """Return *text* in at most *most* lines, leaving out some after its head."""
    lines = text.splitlines()
    if len(lines) <= most or most <= _HEAD_LINES:
        return "\n".join(lines[:most])
    return "\n".join([*lines[:_HEAD_LINES], *lines[_HEAD_LINES - most :]])

"""Show on a terminal what a command does, while it does it.

Only here is rich: it draws over what it drew before, and takes it away in the end.
"""

from __future__ import annotations

import contextlib

from ..._timeline.text_width import display_width, height
from ..errors import CommandError
from ..terminal import Terminal, erase_above

try:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text
except ModuleNotFoundError:
    _extra = "in a checkout, pip install '.[cli]'"
    raise CommandError(f"this needs rich: {_extra} (--json does not)") from None

__all__ = ["Page"]

# Of a text that is too long for the screen, so many lines are shown of its beginning:
# a title, and what is over the columns.
_HEAD = 2


class Page:
    """What is drawn over and over on *terminal*, if that can be done there."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._console = Console(
            file=terminal.stream,
            force_terminal=True,
            force_interactive=True,
            color_system="standard",
        )
        self._live: Live | None = None
        self._widths: list[int] = []  # of the lines that are there

    def draw(self, text: str) -> None:
        """Draw *text* over what was drawn before."""
        if not self.terminal.moves:
            return
        columns, lines = self.terminal.size
        if height(self._widths, columns) > len(self._widths):
            self.close()
        self._console.size = (columns, lines)
        shown = self.terminal.shown(_cropped(text, lines - 1))
        drawn = Text.from_ansi(shown, no_wrap=True, overflow="crop")
        with contextlib.suppress(OSError):  # a terminal that has gone ends nothing
            if self._live is None:
                self._live = Live(
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()
            self._live.update(drawn, refresh=True)
        self._widths = [
            min(display_width(line), columns) for line in drawn.plain.splitlines()
        ]

    def close(self) -> None:
        """Leave nothing of what was drawn."""
        if self._live is None:
            return
        self._console.size = columns, _ = self.terminal.size
        with contextlib.suppress(OSError):
            self._live.stop()
        # A terminal that was made narrower has broken the lines, and that is more than
        # rich has taken away.
        drawn = len(self._widths)
        erase_above(self.terminal.stream, height(self._widths, columns) - drawn)
        self._live, self._widths = None, []


def _cropped(text: str, most: int) -> str:
    """Return *text* without what is in its middle, if it has more than *most* lines."""
    lines = text.splitlines()
    if len(lines) <= most or most <= _HEAD:
        return "\n".join(lines[:most])
    return "\n".join([*lines[:_HEAD], *lines[_HEAD - most :]])

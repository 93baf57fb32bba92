"""Show the statuses of targets on a terminal: one line each, redrawn in place.

A frame is never wider or higher than the terminal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..._sansio.text_width import (
    display_width,
    line_count,
    pad,
    truncate,
    truncate_middle,
)
from ..standard_streams import try_write
from ..terminal import Terminal
from .target_status import TargetStatus

__all__ = ["LiveView"]

# The least time between two frames, in seconds.  No eye is faster, and a slow line can
# keep up.
_FRAME_INTERVAL = 0.05

# The time until the next frame if nothing changes: the clock in the last line ticks.
_CLOCK_INTERVAL = 1.0

_GREEN, _RED, _YELLOW = "\x1b[32m", "\x1b[31m", "\x1b[33m"
_RESET = "\x1b[0m"

_CURSOR_UP, _ERASE_LINE, _ERASE_BELOW = "\x1b[{}A", "\x1b[2K", "\x1b[J"

# The terminal may measure a character's width differently, so it must cut lines at its
# edge while a frame is drawn.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"


class LiveView:
    """Draw *statuses* on *terminal*, and how many of them have reached *goal*.

    *timeout* is shown beside the clock.  The view draws on the running loop, soon
    after a change and once a second.  The last frame stays on the terminal.
    """

    shows_reasons = True

    def __init__(
        self,
        terminal: Terminal,
        statuses: Sequence[TargetStatus],
        goal: str,
        timeout: float | None,
    ) -> None:
        self._terminal = terminal
        self._statuses = statuses
        self._goal = goal
        self._of_timeout = "" if timeout is None else f" of {timeout:g} s"
        self._ellipsis = "…" if terminal.can_show("…") else "..."
        self._drawn_widths: list[int] = []  # of the lines of the last frame
        self._loop = asyncio.get_running_loop()
        self._started = self._drawn_at = self._loop.time()
        self._next_frame = self._loop.call_later(_FRAME_INTERVAL, self._draw)

    def changed(self, _: TargetStatus, /) -> None:
        """Draw soon."""
        wake_at = self._drawn_at + _FRAME_INTERVAL
        if self._next_frame.when() > wake_at:
            self._next_frame.cancel()
            self._next_frame = self._loop.call_at(wake_at, self._draw)

    def close(self) -> None:
        """Draw the last frame."""
        self._draw()
        self._next_frame.cancel()

    def _draw(self) -> None:
        columns, rows = self._terminal.size
        # The cursor is in the line below the last frame.  If the terminal has become
        # narrower, it has wrapped that frame, which now takes more lines.
        above = line_count(self._drawn_widths, columns)
        lines = self._lines(columns, max(rows - 1, 1))
        self._drawn_widths = [display_width(name + text) for name, text, _ in lines]
        frame = "".join(
            f"{_ERASE_LINE}{name}{self._colored(text, color)}\n"
            for name, text, color in lines
        )
        up = _CURSOR_UP.format(above) if above else ""
        try_write(
            self._terminal.stream, f"\r{up}{_WRAP_OFF}{frame}{_ERASE_BELOW}{_WRAP_ON}"
        )
        self._next_frame.cancel()
        self._drawn_at = self._loop.time()
        self._next_frame = self._loop.call_at(
            self._drawn_at + _CLOCK_INTERVAL, self._draw
        )

    def _colored(self, text: str, color: str) -> str:
        return f"{color}{text}{_RESET}" if color and self._terminal.colors else text

    def _lines(self, columns: int, most: int) -> list[tuple[str, str, str]]:
        """Return at most *most* lines: a name, a text, and the text's color."""
        statuses = self._statuses
        elapsed = self._loop.time() - self._started
        done = sum(bool(status.done) for status in statuses)
        clock = f"{elapsed:.0f} s{self._of_timeout}"
        total = f"{done} of {len(statuses)} {self._goal}, {clock}"
        if len(statuses) >= most:
            # Keep the targets that are not done: those matter to the reader.
            unfinished_first = sorted(statuses, key=lambda status: bool(status.done))
            statuses = unfinished_first[: most - 1]
            total = f"{total}, {len(self._statuses) - len(statuses)} not shown"
        width = max((display_width(status.name) for status in statuses), default=0)
        width = min(width, columns // 2)
        lines = [
            (*self._line(status, width, columns), _color(status)) for status in statuses
        ]
        return [*lines, ("", self._truncate(total, columns), "")]

    def _line(self, status: TargetStatus, width: int, columns: int) -> tuple[str, str]:
        name = truncate_middle(status.name, width, self._ellipsis)
        # The terminal may be narrower than the padded name.
        name = truncate(f"{pad(name, width)}  ", columns, "")
        return name, self._truncate(_text(status), columns - display_width(name))

    def _truncate(self, text: str, width: int) -> str:
        return truncate(text, width, self._ellipsis)


def _text(status: TargetStatus) -> str:
    if status.done:
        return status.done
    if status.gave_up:
        return f"gave up: {status.reason}"
    if status.is_settling:
        return "connected, checking"
    if not status.reason:
        return "connecting"
    return f"{status.reason} ({status.tries} {'try' if status.tries == 1 else 'tries'})"


def _color(status: TargetStatus) -> str:
    if status.gave_up:
        return _RED
    return _GREEN if status.done else _YELLOW

"""Draw the states of targets on a terminal: a line for each, over what was there.

What is drawn is never wider than the terminal, nor higher.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..._timeline.text_width import display_width, height, pad, shortened, truncate
from ..terminal import Terminal, write
from .target_status import State

__all__ = ["Screen"]

# Between two frames, in seconds: no eye is faster, and a slow line can follow.
_BETWEEN_FRAMES = 0.05

# From one frame to the next without a change, for the clock.
_SECOND = 1.0

_GREEN, _RED, _YELLOW = "\x1b[32m", "\x1b[31m", "\x1b[33m"
_PLAIN = "\x1b[0m"

# The cursor up, a line erased, and all below it; lines cut where the terminal ends
# (it may have another idea of how wide a character is), and wrapped again.
_UP, _ERASE, _ERASE_BELOW = "\x1b[{}A", "\x1b[2K", "\x1b[J"
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"


class Screen:
    """Draws *states*, which are to be *goal* within so many seconds, on *terminal*.

    It draws soon after a change, on the running loop, and once a second; what it drew
    last stays there.
    """

    shows_reasons = True

    def __init__(
        self,
        terminal: Terminal,
        states: Sequence[State],
        goal: str,
        within: float | None,
    ) -> None:
        self._terminal = terminal
        self._states = states
        self._goal = goal
        self._limit = "" if within is None else f" of {within:g} s"
        self._ellipsis = "…" if terminal.can_show("…") else "..."
        self._widths: list[int] = []  # of the lines that are there
        self._loop = asyncio.get_running_loop()
        self._started = self._drawn = self._loop.time()
        self._next = self._loop.call_later(_BETWEEN_FRAMES, self._draw)

    def changed(self, _: State, /) -> None:
        """Draw soon."""
        due = self._drawn + _BETWEEN_FRAMES
        if self._next.when() > due:
            self._next.cancel()
            self._next = self._loop.call_at(due, self._draw)

    def close(self) -> None:
        """Draw how it ended."""
        self._draw()
        self._next.cancel()

    def _draw(self) -> None:
        columns, rows = self._terminal.size
        # The cursor is in the line below.  A terminal that was made narrower has
        # broken what was there, and that is more lines now.
        above = height(self._widths, columns)
        lines = self._lines(columns, max(rows - 1, 1))
        self._widths = [display_width(start + end) for start, end, _ in lines]
        drawn = "".join(
            f"{_ERASE}{start}{self._colored(end, color)}\n"
            for start, end, color in lines
        )
        up = _UP.format(above) if above else ""
        write(self._terminal.stream, f"\r{up}{_CUT}{drawn}{_ERASE_BELOW}{_WRAP}")
        self._next.cancel()
        self._drawn = self._loop.time()
        self._next = self._loop.call_at(self._drawn + _SECOND, self._draw)

    def _colored(self, text: str, color: str) -> str:
        return f"{color}{text}{_PLAIN}" if color and self._terminal.colors else text

    def _lines(self, columns: int, most: int) -> list[tuple[str, str, str]]:
        """Return the picture: lines of a name, a text, and the text's color."""
        states = self._states
        seconds = self._loop.time() - self._started
        done = sum(bool(state.done) for state in states)
        total = f"{done} of {len(states)} {self._goal}, {seconds:.0f} s{self._limit}"
        if len(states) >= most:
            # Those that are waited for are what one looks for.
            states = sorted(states, key=lambda state: bool(state.done))[: most - 1]
            total = f"{total}, {len(self._states) - len(states)} not shown"
        width = max((display_width(state.name) for state in states), default=0)
        width = min(width, columns // 2)
        lines = [
            (*self._line(state, width, columns), _color(state)) for state in states
        ]
        return [*lines, ("", self._cut(total, columns), "")]

    def _line(self, state: State, width: int, columns: int) -> tuple[str, str]:
        name = shortened(state.name, width, self._ellipsis)
        # A terminal may be narrower than that.
        start = truncate(f"{pad(name, width)}  ", columns, "")
        return start, self._cut(_text(state), columns - display_width(start))

    def _cut(self, text: str, width: int) -> str:
        return truncate(text, width, self._ellipsis)


def _text(state: State) -> str:
    if state.done:
        return state.done
    if state.gave_up:
        return f"gave up: {state.reason}"
    if state.is_settling:
        return "connected, and watched"
    if not state.reason:
        return "connecting"
    return f"{state.reason} ({state.tries} {'try' if state.tries == 1 else 'tries'})"


def _color(state: State) -> str:
    if state.gave_up:
        return _RED
    return _GREEN if state.done else _YELLOW

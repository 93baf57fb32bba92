"""``aioconnect probe``: connect, once or many times, and show what happened when."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import stat
import time
from typing import TYPE_CHECKING, TextIO

from ..._sansio.errors import ConnectError
from ..._sansio.text_width import wrap
from ..._timeline import Timeline
from ..errors import NOT_UP, USAGE, CommandError
from ..event_loop import loop_factory_for, run_until_signal
from ..exit_by_signal import exit_by_signal
from ..standard_streams import standard_output
from ..terminal import ECHO_WIDTH, Terminal
from .connect_once import ConnectOnce, connect_once_from
from .latency_histogram import LatencyHistogram

if TYPE_CHECKING:
    from .live_view import LiveView

__all__ = ["run"]

# Seconds between two frames of a connect that is under way.  A connect that takes less
# is not disturbed by drawing.
_FRAME_INTERVAL = 0.1

# A timeline needs the first number of columns.  It gains nothing from more than the
# second, whatever COLUMNS says.
_NARROWEST, _WIDEST = 20, 400


def run(arguments: argparse.Namespace) -> int:
    """Connect as *arguments* say; return the exit status.

    Raises:
        CommandError: The arguments contradict each other, or something is missing.
    """
    connect = connect_once_from(arguments)
    factory = loop_factory_for(arguments.loop)
    output = standard_output()
    view = None if arguments.json else _live_view(Terminal.of(output))
    svg = None if arguments.svg is None else _open(arguments.svg)
    probe = _Probe(arguments, connect, view)
    try:
        number = run_until_signal(probe.run(), factory)
    finally:
        if view is not None:
            view.close()
    if svg is not None:
        _write(svg, probe.to_svg())
    if view is not None:
        print(view.terminal.encodable(probe.to_text(view.terminal)), flush=True)
    if number is not None:
        return exit_by_signal(number)
    return 0 if probe.always_connected else NOT_UP


def _live_view(terminal: Terminal) -> LiveView:
    from .live_view import LiveView  # noqa: PLC0415  # it needs an extra

    return LiveView(terminal)


def _open(path: str) -> TextIO:
    """Open the file at *path* for `_write`, and keep its contents until then."""
    try:
        return open(path, "a", encoding="utf-8")  # closed by _write
    except (OSError, ValueError) as exc:
        raise _write_error(path, exc) from None


def _write(file: TextIO, text: str) -> None:
    try:
        with file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.truncate(0)
            file.write(text)
    except OSError as exc:
        raise _write_error(file.name, exc, NOT_UP) from None


def _write_error(path: str, exc: Exception, status: int = USAGE) -> CommandError:
    reason = exc.strerror if isinstance(exc, OSError) else exc
    return CommandError(f"--svg {path}: {reason}", status)


class _Probe:
    """Connects one after the other, and what they did so far."""

    def __init__(
        self, arguments: argparse.Namespace, connect: ConnectOnce, view: LiveView | None
    ) -> None:
        self._target = str(arguments.target)
        self._count: int = arguments.count
        self._connect = connect
        self._view = view
        self._histogram = LatencyHistogram(self._target)
        self._current = Timeline(self._target)
        # The timeline to show at the end, and the words that introduce it.
        self._shown, self._caption = Timeline(self._target), ""
        self._longest = 0.0
        self._started = self._drawn_at = time.monotonic()
        self.always_connected = True

    async def run(self) -> None:
        """Connect as often as the arguments say."""
        drawing = asyncio.ensure_future(self._keep_drawing())
        try:
            for _ in range(self._count):
                await self._connect_and_count()
                # A connect to this machine may end without a turn of the loop, which
                # has to run for signals to be handled.
                await asyncio.sleep(0)
        finally:
            drawing.cancel()

    async def _connect_and_count(self) -> None:
        self._current = timeline = Timeline(self._target)
        self._started = time.monotonic()
        try:
            await self._connect(timeline)
        except ConnectError:
            pass  # the timeline has it
        except ValueError as exc:
            raise CommandError(exc) from None
        except asyncio.CancelledError:
            self._shown, self._caption = timeline, "the last connect:"
            raise
        finally:
            if self._view is None:
                print(json.dumps(timeline.to_dict()), flush=True)
        elapsed: float = timeline.to_dict()["elapsed"]
        self._count_in(timeline, elapsed)
        if elapsed >= self._longest:
            self._shown, self._caption = timeline, "the slowest connect:"
            self._longest = elapsed

    async def _keep_drawing(self) -> None:
        """Draw each connect that takes longer than a frame."""
        while True:
            await asyncio.sleep(_FRAME_INTERVAL)
            if time.monotonic() - self._started >= _FRAME_INTERVAL:
                self._draw(self._current)

    def _count_in(self, timeline: Timeline, elapsed: float) -> None:
        error = timeline.to_dict()["error"]
        if error is None:
            self._histogram.add_connected(elapsed)
        else:
            self.always_connected = False
            self._histogram.add_failed(error["errno"] or error["type"])
        if self._count > 1 and time.monotonic() - self._drawn_at >= _FRAME_INTERVAL:
            self._draw(timeline)

    def _draw(self, timeline: Timeline) -> None:
        if self._view is not None:
            end = time.monotonic()
            self._view.draw(self._text(timeline, self._view.terminal, "now:", end))
            self._drawn_at = time.monotonic()

    def to_text(self, terminal: Terminal) -> str:
        """Return one timeline, below the histogram if there were more connects."""
        return self._text(self._shown, terminal, self._caption)

    def _text(
        self,
        timeline: Timeline,
        terminal: Terminal,
        caption: str,
        end: float | None = None,
    ) -> str:
        columns = terminal.size.columns - (0 if end is None else ECHO_WIDTH)
        width = min(max(columns, _NARROWEST), _WIDEST)
        text = timeline.to_text(width, color=terminal.colors, end=end)
        if self._count == 1:
            return text
        histogram = self._histogram.to_text(width, color=terminal.colors)
        return "\n".join([histogram, "", *wrap(caption, width, 2), text])

    def to_svg(self) -> str:
        """Return the picture: the timeline, or the histogram of many connects."""
        return (self._shown if self._count == 1 else self._histogram).to_svg()

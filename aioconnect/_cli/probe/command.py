"""``aioconnect probe``: connect, once or many times, and show what was done when."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import stat
import time
from typing import TYPE_CHECKING, TextIO

from ..._sansio.errors import ConnectError
from ..._timeline import Timeline
from ..._timeline.text_width import wrapped
from ..connecting import Connect, connect_of
from ..errors import NOT_UP, USAGE, CommandError
from ..running import loop_factory_of, run_until_signal
from ..signals import end_by
from ..terminal import ECHO, Terminal, standard_output
from .latency_histogram import Distribution

if TYPE_CHECKING:
    from ..demo.page import Page

__all__ = ["run"]

# Between two pictures of a connect that is under way, in seconds.  One that is shorter
# is not disturbed by drawing.
_BETWEEN_FRAMES = 0.1

# A waterfall needs so many columns, and gains nothing from more, whatever COLUMNS says.
_NARROWEST, _WIDEST = 20, 400


def run(arguments: argparse.Namespace) -> int:
    """Connect as *arguments* say; return the exit status.

    Raises:
        CommandError: They do not fit together, or something is not there.
    """
    connect = connect_of(arguments)
    factory = loop_factory_of(arguments.loop)
    output = standard_output()
    page = None if arguments.json else _page(Terminal.of(output))
    svg = None if arguments.svg is None else _open(arguments.svg)
    probe = _Probe(arguments, connect, page)
    try:
        number = run_until_signal(probe.run(), factory)
    finally:
        if page is not None:
            page.close()
    if svg is not None:
        _write(svg, probe.picture())
    if page is not None:
        print(page.terminal.shown(probe.text(page.terminal)), flush=True)
    if number is not None:
        return end_by(number)
    return 0 if probe.is_up else NOT_UP


def _page(terminal: Terminal) -> Page:
    from ..demo.page import Page  # noqa: PLC0415  # it needs an extra

    return Page(terminal)


def _open(path: str) -> TextIO:
    """Return the file to write to; what is in it stays until then."""
    try:
        return open(path, "a", encoding="utf-8")  # closed by _write
    except (OSError, ValueError) as exc:
        raise _unwritable(path, exc) from None


def _write(file: TextIO, text: str) -> None:
    try:
        with file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.truncate(0)
            file.write(text)
    except OSError as exc:
        raise _unwritable(file.name, exc, NOT_UP) from None


def _unwritable(path: str, exc: Exception, status: int = USAGE) -> CommandError:
    why = exc.strerror if isinstance(exc, OSError) else exc
    return CommandError(f"--svg {path}: {why}", status)


class _Probe:
    """The connects, one after the other, and what is known of them."""

    def __init__(
        self, arguments: argparse.Namespace, connect: Connect, page: Page | None
    ) -> None:
        self._target = str(arguments.target)
        self._count: int = arguments.count
        self._connect = connect
        self._page = page
        self._distribution = Distribution(self._target)
        self._now = Timeline(self._target)
        # What is to be shown of them, and why that one.
        self._timeline, self._which = Timeline(self._target), ""
        self._longest = 0.0
        self._started = self._drawn = time.monotonic()
        self.is_up = True

    async def run(self) -> None:
        """Connect as often as was asked for."""
        drawing = asyncio.ensure_future(self._keep_drawing())
        try:
            for _ in range(self._count):
                await self._once()
                # A connect to this machine may be made without the loop, which has
                # signals to hear.
                await asyncio.sleep(0)
        finally:
            drawing.cancel()

    async def _once(self) -> None:
        self._now = timeline = Timeline(self._target)
        self._started = time.monotonic()
        try:
            await self._connect(timeline)
        except ConnectError:
            pass  # the timeline was told
        except ValueError as exc:
            raise CommandError(exc) from None
        except asyncio.CancelledError:
            self._timeline, self._which = timeline, "the last one:"
            raise
        finally:
            if self._page is None:
                print(json.dumps(timeline.to_dict()), flush=True)
        elapsed: float = timeline.to_dict()["elapsed"]
        self._count_in(timeline, elapsed)
        if elapsed >= self._longest:
            self._timeline, self._which = timeline, "the one that took longest:"
            self._longest = elapsed

    async def _keep_drawing(self) -> None:
        """Draw a connect that takes long; one that does not is not disturbed."""
        while True:
            await asyncio.sleep(_BETWEEN_FRAMES)
            if time.monotonic() - self._started >= _BETWEEN_FRAMES:
                self._draw(self._now)

    def _count_in(self, timeline: Timeline, elapsed: float) -> None:
        error = timeline.to_dict()["error"]
        if error is None:
            self._distribution.add(elapsed)
        else:
            self.is_up = False
            self._distribution.fail(error["errno"] or error["type"])
        if self._count > 1 and time.monotonic() - self._drawn >= _BETWEEN_FRAMES:
            self._draw(timeline)

    def _draw(self, timeline: Timeline) -> None:
        if self._page is not None:
            end = time.monotonic()
            self._page.draw(self._text(timeline, self._page.terminal, "now:", end))
            self._drawn = time.monotonic()

    def text(self, terminal: Terminal) -> str:
        """Return what there is to see: the one connect, or that and all of them."""
        return self._text(self._timeline, terminal, self._which)

    def _text(
        self,
        timeline: Timeline,
        terminal: Terminal,
        which: str,
        end: float | None = None,
    ) -> str:
        columns = terminal.size.columns - (0 if end is None else ECHO)
        width = min(max(columns, _NARROWEST), _WIDEST)
        text = timeline.to_text(width, color=terminal.colors, end=end)
        if self._count == 1:
            return text
        all_of_them = self._distribution.to_text(width, color=terminal.colors)
        return "\n".join([all_of_them, "", *wrapped(which, width, 2), text])

    def picture(self) -> str:
        """Return it as SVG."""
        return (self._timeline if self._count == 1 else self._distribution).to_svg()

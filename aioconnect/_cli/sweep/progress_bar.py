"""Show progress as a bar on a terminal, below the messages written meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from ..._sansio.text import printable
from ..._sansio.text_width import line_count
from ..standard_streams import try_write
from ..terminal import ECHO_WIDTH, Terminal, erase_above, terminal_size

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["MessagesOnly", "Progress", "progress_on"]


class Progress(Protocol):
    """A context manager that shows progress while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        """Write a message that stays; what *text* quotes is made printable."""
        ...

    def update(self, done: int, text: str) -> None:
        """Show that *done* of the total is done, and *text*."""
        ...


def progress_on(stream: TextIO | None, total: int | None) -> Progress:
    """Return a bar on *stream* if it is a terminal, else a view with messages only.

    *total* is what *done* reaches at the end, or None if that is not known.
    """
    if stream is None or not Terminal.of(stream).moves:
        return MessagesOnly(stream)
    try:
        return _Bar(stream, total)
    except ModuleNotFoundError:
        messages = MessagesOnly(stream)
        extra = "in a checkout, pip install '.[cli]'"
        messages.say(f"no progress bar: it needs rich ({extra})")
        return messages


class MessagesOnly:
    """Write messages, and show no progress."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        """Write a message."""
        try_write(self._stream, f"aioconnect: {printable(text)}\n")

    def update(self, done: int, text: str) -> None:
        """Do nothing."""


class _Bar:
    """A bar drawn by rich, removed at the end.

    If the terminal goes away, everything else goes on.
    """

    def __init__(self, stream: TextIO, total: int | None) -> None:
        from rich.console import Console  # noqa: PLC0415  # it is an extra, and large
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._stream = stream
        self._width = _width_within(terminal_size(stream).columns)
        text = TextColumn("{task.description}", markup=False)
        self._progress = Progress(
            BarColumn(bar_width=None),
            text,
            console=Console(file=stream, width=self._width),
            auto_refresh=False,  # rich would refresh in a thread; `update` does it
            transient=True,
            expand=True,
        )
        self._task: TaskID = self._progress.add_task("", total=total)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()

    def say(self, text: str) -> None:
        console = self._progress.console
        line = f"aioconnect: {printable(text)}"
        with contextlib.suppress(OSError):
            # The text is not markup: it may quote a name that has "[red]" or ":bomb:".
            console.print(
                line, markup=False, emoji=False, highlight=False, soft_wrap=True
            )

    def update(self, done: int, text: str) -> None:
        with contextlib.suppress(OSError):
            self._draw(done, text)

    def _draw(self, done: int, text: str) -> None:
        columns = terminal_size(self._stream).columns
        drawn_width, self._width = self._width, _width_within(columns)
        self._progress.console.width = self._width
        if self._width < drawn_width:
            # The terminal has wrapped the bar's line, and rich erases only its end.
            self._progress.stop()
            erase_above(self._stream, line_count([drawn_width], columns) - 1)
            self._progress.start()
        self._progress.update(
            self._task, completed=done, description=text, refresh=True
        )


def _width_within(columns: int) -> int:
    return max(columns - ECHO_WIDTH, 1)

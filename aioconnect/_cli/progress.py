"""Show how far it is, on a terminal that can: a bar below what is said meanwhile."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from .._sansio.text import printable
from .._timeline.text_width import height
from .terminal import ECHO, Terminal, erase_above, size_of, write

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["Display", "Silent", "display"]


class Display(Protocol):
    """What shows how far it is, while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        """Write a line that stays, whatever *text* quotes."""
        ...

    def show(self, done: int, text: str) -> None:
        """Show that so much of it is *done*, and *text*."""
        ...


def display(stream: TextIO | None, total: int | None) -> Display:
    """Return what shows on *stream* how much of *total* is done, if anybody sees it."""
    if stream is None or not Terminal.of(stream).moves:
        return Silent(stream)
    try:
        return _Bar(stream, total)
    except ModuleNotFoundError:
        quiet = Silent(stream)
        extra = "in a checkout, pip install '.[cli]'"
        quiet.say(f"no progress bar: it needs rich ({extra})")
        return quiet


class Silent:
    """Shows nothing but what is said."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str) -> None:
        write(self._stream, f"aioconnect: {printable(text)}\n")

    def show(self, done: int, text: str) -> None:
        pass


class _Bar:
    """A bar of rich's, that goes away at the end.

    A terminal that has gone changes nothing of what is done.
    """

    def __init__(self, stream: TextIO, total: int | None) -> None:
        from rich.console import Console  # noqa: PLC0415  # it is an extra, and large
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._stream = stream
        self._width = _width_in(size_of(stream).columns)
        text = TextColumn("{task.description}", markup=False)
        self._progress = Progress(
            BarColumn(bar_width=None),
            text,
            console=Console(file=stream, width=self._width),
            auto_refresh=False,  # by us: it would do it in a thread
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
            # It is text, and "[red]" and ":bomb:" in it are a name's.
            console.print(
                line, markup=False, emoji=False, highlight=False, soft_wrap=True
            )

    def show(self, done: int, text: str) -> None:
        with contextlib.suppress(OSError):
            self._show(done, text)

    def _show(self, done: int, text: str) -> None:
        columns = size_of(self._stream).columns
        drawn, self._width = self._width, _width_in(columns)
        self._progress.console.width = self._width
        if self._width < drawn:
            # The terminal has broken the line, of which rich takes away the end.
            self._progress.stop()
            erase_above(self._stream, height([drawn], columns) - 1)
            self._progress.start()
        self._progress.update(
            self._task, completed=done, description=text, refresh=True
        )


def _width_in(columns: int) -> int:
    return max(columns - ECHO, 1)

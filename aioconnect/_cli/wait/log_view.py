"""Show the states of targets where nothing can be drawn: a line for each change."""

from __future__ import annotations

from typing import Protocol, TextIO

from ..terminal import write
from .target_status import State

__all__ = ["Changes", "Shown"]


class Shown(Protocol):
    """What shows states, and perhaps, in the end, the reasons of all."""

    shows_reasons: bool

    def changed(self, state: State, /) -> None:
        """Show that *state* has changed."""

    def close(self) -> None:
        """Show how it ended."""


class Changes:
    """Writes a line to *stream* for each change, as a log has them."""

    shows_reasons = False

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._last: dict[str, str] = {}

    def changed(self, state: State) -> None:
        """Write a line, if there is something new to say."""
        text = state.done or state.reason
        if self._last.get(state.name, "") != text:
            self._last[state.name] = text
            write(self._stream, f"{state.name}: {text}\n")

    def close(self) -> None:
        """Everything is written already."""

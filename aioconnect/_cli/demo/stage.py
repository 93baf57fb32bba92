"""Where the demo is shown: what it says, its pictures, and what asyncio does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from ..._sansio.errors import ConnectError
from ..._timeline import Timeline
from ..._timeline.phrases import duration
from ..._timeline.text_width import wrapped
from ..terminal import Terminal, standard_output

__all__ = ["PATIENCE", "Stage", "Theirs", "UntrueError"]

T = TypeVar("T")

# The demo's lines were written for 80 columns; in fewer they are broken.
_WIDEST, _NARROWEST = 80, 20

# So many seconds asyncio is given, which has no timeout of its own.
PATIENCE = 2.0


class UntrueError(Exception):
    """Something that the demo claims was not so."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What came of a connect of asyncio's: no *error*, or why, and after how long."""

    error: Exception | None
    elapsed: float

    def __str__(self) -> str:
        took = duration(self.elapsed)
        if self.error is None:
            return f"connected after {took}"
        if isinstance(self.error, TimeoutError) and self.elapsed >= PATIENCE:
            return f"not connected when {PATIENCE:g} s were over"
        return f"{type(self.error).__name__} after {took}"


class Stage:
    """Shows on standard output, in as many columns as that has, up to 80."""

    def __init__(self) -> None:
        self._terminal = Terminal.of(standard_output())
        columns = self._terminal.size.columns
        self._width = min(max(columns, _NARROWEST), _WIDEST)

    def say(self, text: str) -> None:
        """Show *text*, in as many lines as it takes."""
        self._print("\n".join(wrapped(text, self._width, 9)))

    def show(self, timeline: Timeline) -> None:
        """Show what a connect of ours did."""
        self._print(timeline.to_text(self._width, color=self._terminal.colors))

    def _print(self, text: str) -> None:
        print(self._terminal.shown(text), flush=True)

    async def theirs(self, host: str, port: int, **options: Any) -> Theirs:
        """Have asyncio connect; return what came of it."""
        error: Exception | None = None
        started = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(host, port, **options)
                writer.close()
        except (OSError, TimeoutError) as exc:
            error = exc
        return Theirs(error, time.perf_counter() - started)

    async def ours(self, connecting: Coroutine[Any, Any, T], timeline: Timeline) -> T:
        """Return what *connecting* gives, and show how, which *timeline* was told.

        Raises:
            UntrueError: It was to be connected, and was not.
        """
        try:
            return await connecting
        except ConnectError as exc:
            raise UntrueError(str(exc)) from exc
        finally:
            self.show(timeline)

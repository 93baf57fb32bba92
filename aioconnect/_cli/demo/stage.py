"""What the demo's scenes use: print text and timelines, and let asyncio connect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from ..._sansio.errors import ConnectError
from ..._sansio.text_width import wrap
from ..._timeline import Timeline
from ..._timeline.phrases import format_duration
from ..standard_streams import standard_output
from ..terminal import Terminal

__all__ = ["ASYNCIO_TIMEOUT", "AsyncioResult", "Stage", "UntrueError"]

T = TypeVar("T")

# The demo's lines are written for 80 columns.  In fewer columns they are wrapped.
_WIDEST, _NARROWEST = 80, 20

# The seconds that asyncio gets to connect: it has no timeout of its own.
ASYNCIO_TIMEOUT = 2.0


class UntrueError(Exception):
    """Something that the demo claims did not happen."""


@dataclass(frozen=True, slots=True)
class AsyncioResult:
    """The result of a connect by asyncio: its *error* or None, after *elapsed* s."""

    error: Exception | None
    elapsed: float

    def __str__(self) -> str:
        took = format_duration(self.elapsed)
        if self.error is None:
            return f"connected after {took}"
        if isinstance(self.error, TimeoutError) and self.elapsed >= ASYNCIO_TIMEOUT:
            return f"not connected after {ASYNCIO_TIMEOUT:g} s"
        return f"{type(self.error).__name__} after {took}"


class Stage:
    """Print to standard output, in its number of columns, up to 80."""

    def __init__(self) -> None:
        self._terminal = Terminal.of(standard_output())
        columns = self._terminal.size.columns
        self._width = min(max(columns, _NARROWEST), _WIDEST)

    def say(self, text: str) -> None:
        """Print *text*, wrapped if necessary."""
        self._print("\n".join(wrap(text, self._width, 9)))

    def _print(self, text: str) -> None:
        print(self._terminal.encodable(text), flush=True)

    async def connect_by_asyncio(
        self, host: str, port: int, **options: Any
    ) -> AsyncioResult:
        """Let asyncio connect to *host* and *port*; return the result."""
        error: Exception | None = None
        started = time.perf_counter()
        try:
            async with asyncio.timeout(ASYNCIO_TIMEOUT):
                _, writer = await asyncio.open_connection(host, port, **options)
                writer.close()
        except (OSError, TimeoutError) as exc:
            error = exc
        return AsyncioResult(error, time.perf_counter() - started)

    async def show_connecting(
        self, connecting: Coroutine[Any, Any, T], timeline: Timeline
    ) -> T:
        """Return what *connecting* returns, and print *timeline*, which observes it.

        Raises:
            UntrueError: It did not connect.
        """
        try:
            return await connecting
        except ConnectError as exc:
            raise UntrueError(str(exc)) from exc
        finally:
            self._print(timeline.to_text(self._width, color=self._terminal.colors))

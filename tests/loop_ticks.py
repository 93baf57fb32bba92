"""A count of the loop's turns, for tests that other tasks run meanwhile."""

from __future__ import annotations

import asyncio
from typing import Self


class LoopTicks:
    """Count the turns of the running loop, until the block is left."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._handle = self._loop.call_soon(self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _tick(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._tick)

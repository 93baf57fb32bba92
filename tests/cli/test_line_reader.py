"""Read the lines of a list."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from aioconnect._cli.sweep.line_reader import Line, read_lines


@pytest.mark.parametrize("is_closed", [True, False])
def test_line_that_comes_too_late(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    is_closed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The thread that waits for the line ends when it comes, without any message."""

    async def give_up() -> None:
        found = read_lines(reading, "pipe")
        task = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def come() -> None:
        (thread,) = (t for t in threading.enumerate() if t.name == "aioconnect-lines")
        os.write(writing, b"late\n")
        thread.join()

    reading, writing = os.pipe()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # If the machine stalls, a loop in debug mode would log it.
        runner.get_loop().slow_callback_duration = math.inf
        runner.run(give_up())
        if not is_closed:
            come()
            runner.run(asyncio.sleep(0))
    if is_closed:
        come()
    os.close(reading)
    os.close(writing)
    assert not caplog.records


async def test_file_without_lines(tmp_path: Path) -> None:
    """A line that is too long is not kept in memory."""
    (tmp_path / "zero").write_bytes(b"x" * 4_000_000 + b"\nlast")
    tracemalloc.start()
    with open(tmp_path / "zero", "rb", buffering=0) as file:
        found = [line async for line in read_lines(file.fileno(), "zero")]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    too_long = "longer than 4096 bytes"
    assert found == [Line(1, "", too_long, 4_000_001), Line(2, "last", "", 5)]
    assert most < 1_000_000

"""Write records whole, however slow their reader is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from typing import Any

from aioconnect._cli.sweep.output_writer import OutputWriter


async def test_output_in_pieces() -> None:
    """A long text arrives whole, with no other text in between."""
    reading, writing = os.pipe()
    output = OutputWriter(writing)
    first = asyncio.ensure_future(output.write("a" * 100_000))
    await asyncio.sleep(0)
    found = os.read(reading, 1 << 20)  # the writer waits for this
    second = asyncio.ensure_future(output.write("b"))
    while not second.done() or select.select([reading], [], [], 0)[0]:
        await asyncio.sleep(0)
        if select.select([reading], [], [], 0)[0]:
            found += os.read(reading, 1 << 20)
    assert first.done()
    assert found == b"a" * 100_000 + b"b"
    os.close(writing)
    os.close(reading)


class Optimist:
    """A poll that always reports writable."""

    def poll(self, timeout: float) -> bool:
        return True


async def test_output_that_somebody_else_fills() -> None:
    """A pipe that is shared and non-blocking can become full after the poll."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    output: Any = OutputWriter(writing)
    output._poll = Optimist()
    write = asyncio.ensure_future(output.write("mine"))
    await asyncio.sleep(0)
    assert not write.done()
    os.read(reading, 1 << 20)
    await write
    assert os.read(reading, 1 << 20) == b"mine"
    os.close(writing)
    os.close(reading)

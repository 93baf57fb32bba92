"""Tell a late race from a late machine.

A task wakes at each `BEAT`, and notes how late it was.  A race may be late by as much,
and is then run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["BEAT", "DECISIVE", "Stalls", "beating", "is_punctual", "take_precedence"]

# How late a race may be (seconds).
_TOLERANCE = 0.015

# uvloop's clock and timers count milliseconds.
_TICK = 0.002

BEAT = 0.005

# A beat that is later than this missed its turn on the processor.
_STALLED = 0.003

# The winners of the grid are at least 50 ms before the losers: a machine that
# stalls for this long can change who wins.
DECISIVE = 0.04

# On a machine with other work to do, few are in time; of a race that is late by
# itself, none.  Each waits longer for the machine to have done its other work, the
# last for 1.2 s; all of them for 14 s.
_TRIES = 24
_PAUSE = 0.05

# A machine can be late between two beats, too; this often, it is the race.
_CONVINCING = 4


class Stalls:
    """When the machine was late, and by how much; any thread may add to it."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, float]] = []

    def note(self, due: float) -> None:
        """Note that what was *due* happens now, on the clock of `time.monotonic`."""
        now = time.monotonic()
        if now - due > _STALLED:
            # It began before the beat was due, at most one beat.
            self._noted.append((now, now - due + BEAT))

    def since(self, begun: float) -> float:
        """Return how many seconds were lost since *begun*."""
        return sum(lost for at, lost in self._noted if at >= begun)

    async def of_all_since(self, begun: float) -> float:
        """Return the same, once a stall that is just over is noted, too."""
        await asyncio.sleep(2 * BEAT)
        return self.since(begun)


def take_precedence() -> None:
    """Run before whatever else the machine does, with threads that start later.

    The kernel grants it to root; whoever it does not, finds the machine late more
    often.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@contextlib.asynccontextmanager
async def beating(stalls: Stalls) -> AsyncIterator[None]:
    """Note the stalls of the running loop."""
    task = asyncio.create_task(_beat(stalls))
    try:
        yield
    finally:
        task.cancel()


async def _beat(stalls: Stalls) -> None:
    while True:
        due = time.monotonic() + BEAT
        await asyncio.sleep(BEAT)
        stalls.note(due)


async def is_punctual(trial: Callable[[], Awaitable[float]], stalls: Stalls) -> bool:
    """Return whether *trial* was in time, or else was late only with the machine.

    *trial* returns by how many seconds it was late.  One that is late is made
    again, up to 23 times, and so is one that fails while the machine stalls.

    Raises:
        AssertionError: It was late four times while the machine was in time, and
            never in time itself; or it was too early, or failed.
    """
    late_alone = []
    for number in range(_TRIES):
        await asyncio.sleep(number * _PAUSE)
        begun = time.monotonic()
        try:
            late = await trial()
        except AssertionError:
            if await stalls.of_all_since(begun) < DECISIVE:
                raise
            continue
        assert late > -_TICK, f"{-late:.4f} s too early"
        if late <= _TOLERANCE:
            return True
        if await stalls.of_all_since(begun) == 0:
            late_alone.append(late)
    assert len(late_alone) < _CONVINCING, f"late by {late_alone} s, and the machine not"
    return False

"""A herd that waits for one server: when they come, with jitter and without."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aioconnect

from .. import herd as herding
from ..machine import open_many
from ..results import Measure, Row, rounded
from ..running import Loops, Plan, progress, reason

__all__ = ["herd"]

JITTERS = (1.0, 0.0)

BACKLOG, BUSY = 128, 0.025


def herd(plan: Plan) -> Sequence[Measure]:
    """Have 2,000 tasks wait, with delays of up to 2 s and a backlog of 128."""
    tasks, longest = (300, 0.25) if plan.quick else (2000, 2.0)
    tasks = min(tasks, open_many() - 200)
    arrived: list[Row] = []
    dropped: list[Row] = []
    queued: list[Row] = []
    for loop in plan.loops:
        for jitter in JITTERS:
            name = f"Backoff(jitter={jitter:g})"
            progress(f"{name} on {loop}")
            try:
                seen = _herd(loop, tasks, longest, jitter)
            except Exception as exc:  # it is the result
                for rows in (arrived, dropped, queued):
                    rows.append(Row(name, loop, (), reason(exc)))
                continue
            arrivals = sorted(seen.arrivals)
            thinned = arrivals[:: max(1, len(arrivals) // 200)]
            arrived.append(Row(name, loop, rounded(thinned)))
            dropped.append(Row(name, loop, (float(seen.drops),)))
            queued.append(Row(name, loop, (float(seen.queue),)))
    return [
        Measure("accepted after listen()", "s", tuple(arrived)),
        Measure("dropped, as the queue was full", "clients", tuple(dropped)),
        Measure("longest queue", "clients", tuple(queued)),
    ]


def _herd(loop: str, tasks: int, longest: float, jitter: float) -> herding.Seen:
    retry = aioconnect.Backoff(longest / 4, maximum=longest, jitter=jitter)
    with herding.server(BACKLOG, BUSY) as orders:
        with Loops() as loops:
            loops.run(loop, _wait, tasks, retry, orders)
        orders.send("end")
        seen: herding.Seen = orders.recv()
    return seen


async def _wait(tasks: int, retry: aioconnect.Backoff, orders: object) -> None:
    await asyncio.wait_for(herding.wait(tasks, retry, orders), 60)  # type: ignore[arg-type]

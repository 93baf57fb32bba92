"""Connect to hosts that are milliseconds away: ``QUICK LOOP...``.

Run this in a network namespace of its own.  A tun device sends each packet back a while
later, as if it came from the host.  So the handshakes are the kernel's own, and packets
take their time.  The measures are printed as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import ways, ways_streams
from .machine import CLIENT, SERVER, end_with_parent, pin
from .results import Measure
from .running import (
    Batch,
    Contestant,
    Loops,
    Plan,
    both,
    in_batches,
    isolated,
    take_turns,
)
from .servers import Endpoint

# The reflector is the tests'.
sys.path.append(str(Path(__file__).parent.parent / "tests" / "scripts"))

from _reflector import HOSTS, LOCAL, Distance, reflecting

Opens = Callable[[], Coroutine[Any, Any, Any]]

# Round trips, in seconds, by the hosts that have them.
ROUND_TRIPS = {HOSTS["IPv4"].format(1): 0.001, HOSTS["IPv4"].format(30): 0.030}

CONTESTANTS = (
    *both("a task, a future, a watcher, checked", ways.waiting_checked, ways.reset),
    *both("aioconnect.connect", ways.ours, ways.reset),
    *both("loop.sock_connect", ways.sock_connect, ways.reset),
    *both(
        "the loop, a socket that waited", ways_streams.floor_late, ways_streams.abort
    ),
    *both("aioconnect.open_connection", ways_streams.ours_streams, ways_streams.abort),
    *both("asyncio.open_connection", ways_streams.asyncio_streams, ways_streams.abort),
    *both("anyio.connect_tcp", ways_streams.anyio_streams, ways_streams.abort_anyio),
)


@contextlib.contextmanager
def accepting() -> Iterator[int]:
    """Listen at this machine's own address, and close what comes; yield the port."""
    with socket.create_server((LOCAL[socket.AF_INET], 0), backlog=4096) as listener:
        listener.settimeout(0.1)
        is_over = threading.Event()

        def accept() -> None:
            while not is_over.is_set():
                with contextlib.suppress(OSError):
                    listener.accept()[0].close()

        thread = threading.Thread(target=accept, name="server")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            thread.join()


def measured(plan: Plan, port: int) -> list[Measure]:
    """Return the time to connect, and the CPU of many at once, of each host."""
    pin(CLIENT)
    rounds, alone, together = (2, 2, 20) if plan.quick else (11, 5, 100)
    contestants = plan.of(CONTESTANTS)
    measures = []
    for host, seconds in ROUND_TRIPS.items():
        endpoint = Endpoint(host, port)
        where = f"{seconds * 1000:g} ms away"
        for what, measure in (
            (f"time to connect, {where}", in_batches(alone)),
            (f"CPU of a connect, {where}", cpu_together(together)),
        ):
            rows = take_turns(contestants, endpoint, rounds, measure)
            measures.append(Measure(what, "s", tuple(rows)))
    return measures


def cpu_together(count: int) -> Batch:
    """Return what measures the CPU of one of *count* connects at once."""

    def measure(loops: Loops, contestant: Contestant, opens: Opens) -> float:
        seconds: float = loops.run(contestant.loop, cpu_of, contestant, opens, count)
        return seconds

    return measure


async def cpu_of(contestant: Contestant, opens: Opens, count: int) -> float:
    """Return the CPU seconds of one of *count* connects at once."""
    started = time.process_time()
    opened = await asyncio.gather(*(opens() for _ in range(count)))
    spent = time.process_time() - started
    for each in opened:
        contestant.close(each)
    return spent / count


def main() -> None:
    """Measure, and print what came."""
    end_with_parent()
    plan = Plan(sys.argv[1] == "True", tuple(sys.argv[2:]))
    pin(SERVER)
    with reflecting() as reflector, accepting() as port:
        for host, seconds in ROUND_TRIPS.items():
            reflector.distances[host] = Distance(seconds / 2)
        measures = isolated(measured, plan, port, limit=250)
    print(json.dumps([asdict(one) for one in measures]))


if __name__ == "__main__":
    main()

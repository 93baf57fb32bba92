"""How a herd of tasks that wait for one server reaches it, with jitter and without.

    python benchmarks/herd.py [--loop asyncio|uvloop|both] [--tasks N]

A server process holds a port that refuses, and N tasks wait until it is up.  Once all
of them are in the policy's longest delays the server listens, and looks at its queue
now and then, as one does that is busy.  Drawn is when it accepted how many.  Its queue
is measured before each accept, and the kernel counts what it drops as the queue is full
(those of ListenOverflows that are this listener's).

The tasks share one process, and take turns: without jitter the herd is as dense as one
core can make it.  What is dropped comes back after a second, if it was the SYN; if it
was the ACK, the client is connected and the server never knows: fewer come than wait.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import multiprocessing
import platform
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import aioconnect

LOOPS = ("asyncio", "uvloop")

_RESET = b"\x01\0\0\0\0\0\0\0"

# sock_diag(7): SO_MEMINFO gives numbers of 32 bits, the ninth of which is the drops.
_SO_MEMINFO, _DROPS = 55, 8

# The delays are a quarter of the maximum, a half, and then all of it.
_INITIAL, _LONGEST = 0.25, 3


@dataclass(slots=True)
class Seen:
    """What the server saw: when each came, the longest queue, and what was dropped."""

    backlog: int
    arrivals: list[float] = field(default_factory=list)
    queue: int = 0
    drops: int = 0


def _serve(orders: Connection, backlog: int, busy: float) -> None:
    with socket.socket() as listener, contextlib.suppress(EOFError, BrokenPipeError):
        listener.bind(("127.0.0.1", 0))
        orders.send(listener.getsockname()[1])
        orders.recv()
        seen = Seen(backlog)
        listener.listen(backlog)
        listening = time.monotonic()
        is_told = False
        while not is_told:
            is_told = orders.poll(busy)
            while waiting := _queued(listener):
                seen.queue = max(seen.queue, waiting)
                seen.arrivals.append(time.monotonic() - listening)
                listener.accept()[0].close()
        seen.drops = _dropped(listener)
        orders.send(seen)


def _queued(listener: socket.socket) -> int:
    # tcp_info of a listener: tcpi_unacked is its queue.
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int.from_bytes(info[24:28], sys.byteorder)


def _dropped(listener: socket.socket) -> int:
    counts = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS + 1))
    return int.from_bytes(counts[4 * _DROPS :], sys.byteorder)


@contextlib.contextmanager
def server(backlog: int, busy: float) -> Iterator[Connection]:
    """Yield a pipe to a server, which sends its port, and listens and ends on order."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, backlog, busy), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()
        ours.close()


def _reset_on_close(sock: socket.socket, _: aioconnect.Address) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def wait(tasks: int, retry: aioconnect.Backoff, orders: Connection) -> None:
    """Make *tasks* tasks wait; the server listens when all have waited long."""
    grown = asyncio.Event()
    left = tasks

    def observe(event: aioconnect.Event) -> None:
        nonlocal left
        # One of the longest is behind this task, and the next one has begun.
        if isinstance(event, aioconnect.RetryScheduled):
            left -= event.round == _LONGEST + 1
            if not left:
                grown.set()

    port = orders.recv()
    async with asyncio.TaskGroup() as group:
        for _ in range(tasks):
            waiting = aioconnect.wait_until_up(
                "127.0.0.1",
                port,
                timeout=None,
                retry=retry,
                observer=observe,
                prepare=[_reset_on_close],
            )
            group.create_task(waiting)
        await grown.wait()
        orders.send("listen")


def drawn(arrivals: list[float], width: float) -> str:
    """Return how many came in each *width* seconds, as a line of bars."""
    counts = Counter(int(at / width) for at in arrivals)
    top = max(counts.values())
    bars = "".join(
        " ▁▂▃▄▅▆▇█"[math.ceil(counts[n] / top * 8)] for n in range(max(counts) + 1)
    )
    return f"|{bars}|  █ is {top:,}, a column {width:g} s"


def report(what: str, seen: Seen, maximum: float) -> None:
    """Print when they came, and how many at once."""
    first, last = min(seen.arrivals), max(seen.arrivals)
    tenths = Counter(int(at / maximum * 10) for at in seen.arrivals)
    share = max(tenths.values()) / len(seen.arrivals)
    came = f"{len(seen.arrivals):,} came, {first:.2f} to {last:.2f} s after listen()"
    print(f"\n{what}: {came}")
    print(f"  {drawn(seen.arrivals, maximum / 40)}")
    print(
        f"  {share:.0%} of them in one tenth of {maximum:g} s;"
        f" queue up to {seen.queue} of {seen.backlog}, {seen.drops:,} dropped"
    )


def _factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if loop == "uvloop":
        import uvloop  # of an extra

        return uvloop.new_event_loop
    return asyncio.new_event_loop


def main() -> None:
    """Run what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", choices=(*LOOPS, "both"), default="both")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--maximum", type=float, default=2.0, help="longest delay")
    parser.add_argument("--backlog", type=int, default=128)
    parser.add_argument("--busy", type=float, default=0.025, help="between two looks")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"Python {platform.python_version()}, {args.tasks:,} tasks", end="; ")
    print(f"the server looks at its queue each {args.busy:g} s")
    for loop in LOOPS if args.loop == "both" else [args.loop]:
        for jitter in (1.0, 0.0):
            retry = aioconnect.Backoff(
                args.maximum * _INITIAL, maximum=args.maximum, jitter=jitter
            )
            with server(args.backlog, args.busy) as orders:
                with asyncio.Runner(loop_factory=_factory(loop)) as runner:
                    runner.run(wait(args.tasks, retry, orders))
                orders.send("end")
                seen: Seen = orders.recv()
            report(f"{loop}, jitter {jitter}", seen, args.maximum)


if __name__ == "__main__":
    main()

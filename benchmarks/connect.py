"""What a connect to numeric addresses costs, against what is used for it now.

    python benchmarks/connect.py [--loop asyncio|uvloop|both] [--rounds N]

Loopback, one address or a list of three, a server in a process of its own, pinned
to another core where there is one.  The contestants take turns in batches, in
rotating order; each figure is the median over the rounds of the ratio of two
batches of the same round.  Sockets are closed by reset, so that no batch suffers
from the TIME_WAIT of the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import multiprocessing
import os
import platform
import resource
import socket
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

import aioconnect

try:
    import uvloop
except ImportError:  # the table says so
    uvloop = None  # type: ignore[assignment]  # and is asked for below

_RESET = b"\x01\0\0\0\0\0\0\0"

Contestant = Callable[[int], Awaitable[None]]


def _serve(ready: Connection) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        ready.send(listener.getsockname()[1])
        # It never sleeps: waking it up would cost a client that is slower than
        # it more than the client's own work, and one that is faster nothing.
        listener.setblocking(False)
        while True:
            with contextlib.suppress(OSError):
                listener.accept()[0].close()


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def blocking(port: int) -> None:
    """Call a blocking socket's connect: what the kernel alone costs."""
    sock = socket.socket()
    sock.connect(("127.0.0.1", port))
    _reset(sock)


async def sock_connect(port: int) -> None:
    """Create a socket as one would for it, and await loop.sock_connect."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    _reset(sock)


async def sock_connect_timeout(port: int) -> None:
    """Do the same under asyncio.timeout."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    async with asyncio.timeout(5):
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    _reset(sock)


async def streams(port: int) -> None:
    """Await asyncio.open_connection; on uvloop that is libuv's own connect."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    _abort(writer)


def _bare(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.connect_ex(("127.0.0.1", port))
    sock.connect_ex(("127.0.0.1", port))
    sock.getsockname()
    return sock


async def floor(port: int) -> None:
    """Make the system calls of a connect that is checked, and nothing else."""
    _reset(_bare(port))


async def floor_streams(port: int) -> None:
    """Hand such a socket to the loop: what streams cost at the least."""
    _, writer = await asyncio.open_connection(sock=_bare(port))
    _abort(writer)


async def ours(port: int) -> None:
    """Await aioconnect.connect."""
    _reset(await aioconnect.connect("127.0.0.1", port))


async def ours_timeout(port: int) -> None:
    """Await aioconnect.connect with a timeout."""
    _reset(await aioconnect.connect("127.0.0.1", port, timeout=5))


async def ours_streams(port: int) -> None:
    """Await aioconnect.open_connection."""
    _, writer = await aioconnect.open_connection("127.0.0.1", port)
    _abort(writer)


_HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@functools.cache
def _addresses(port: int) -> list[aioconnect.Address]:
    return [aioconnect.Address(socket.AF_INET, (host, port)) for host in _HOSTS]


@functools.cache
def _addrinfos(port: int) -> list[Any]:
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    return [(*kind, (host, port)) for host in _HOSTS]


async def ours_race(port: int) -> None:
    """Race three addresses, of which the first answers."""
    _reset(await aioconnect.connect_any(_addresses(port), race=True))


async def happy_eyeballs(port: int) -> None:
    """Have aiohappyeyeballs do the same, with the same list."""
    import aiohappyeyeballs  # an extra

    _reset(
        await aiohappyeyeballs.start_connection(
            _addrinfos(port), happy_eyeballs_delay=0.25
        )
    )


CONTESTANTS: tuple[Contestant, ...] = (
    blocking,
    sock_connect,
    sock_connect_timeout,
    streams,
    floor,
    floor_streams,
    ours,
    ours_timeout,
    ours_streams,
    ours_race,
    *([happy_eyeballs] if find_spec("aiohappyeyeballs") else []),
)

# (what, against what, the floor, the bound on asyncio, the bound on uvloop)
RATIOS: tuple[tuple[Contestant, Contestant, Contestant, float, float], ...] = (
    (ours, sock_connect, floor, 0.40, 0.45),
    (ours, blocking, floor, 1.25, 1.25),
    (ours_timeout, sock_connect_timeout, floor, 0.50, 0.50),
    (ours_streams, streams, floor_streams, 0.72, 1.25),
    (ours_race, ours, floor, 1.15, 1.15),
    (ours_race, happy_eyeballs, floor, 0.40, 0.40),
)


async def _batch(contestant: Contestant, port: int, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        await contestant(port)
    spent = time.perf_counter() - started
    await asyncio.sleep(0)  # closed transports are forgotten outside the figure
    return spent / count


async def measure(port: int, rounds: int, count: int) -> dict[Contestant, list[float]]:
    """Return the seconds that a connect took, by contestant and round."""
    order = list(CONTESTANTS)
    seconds: dict[Contestant, list[float]] = {c: [] for c in order}
    for contestant in order:
        await _batch(contestant, port, count)  # warm
    for _ in range(rounds):
        for contestant in order:
            seconds[contestant].append(await _batch(contestant, port, count))
        order.append(order.pop(0))
    return seconds


def _run(loop: str, main: Coroutine[Any, Any, Any]) -> Any:
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _print_speed(loop: str, port: int, rounds: int, count: int) -> None:
    seconds = _run(loop, measure(port, rounds, count))
    print(
        f"\n{loop}: microseconds for a connect, median of {rounds} batches of {count}"
    )
    for contestant, spent in seconds.items():
        low, median = min(spent) * 1e6, statistics.median(spent) * 1e6
        print(f"  {contestant.__name__:<22}{median:8.1f}   (best {low:.1f})")
    for what, against, least, on_asyncio, on_uvloop in RATIOS:
        if against not in seconds:
            print(f"  {against.__name__} is not installed")
            continue
        ratio = _ratio(seconds[what], seconds[against])
        lowest = _ratio(seconds[least], seconds[against])
        bound = on_asyncio if loop == "asyncio" else on_uvloop
        names = f"{what.__name__} / {against.__name__}"
        print(f"  {names:<38}{ratio:6.2f}   (bound {bound:.2f}, floor {lowest:.2f})")


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


async def _pend(
    connect: Callable[[str, int], Coroutine[Any, Any, Any]], count: int
) -> tuple[float, float]:
    """Return the bytes and the CPU seconds of a connect that gets no answer."""
    with _black_hole() as port:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        tasks = [
            asyncio.ensure_future(connect("127.0.0.1", port)) for _ in range(count)
        ]
        await asyncio.sleep(0.5)
        held = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        await _cancel(tasks)
        spent = time.process_time()
        tasks = [
            asyncio.ensure_future(connect("127.0.0.1", port)) for _ in range(count)
        ]
        await asyncio.sleep(0.5)
        await _cancel(tasks)
        spent = time.process_time() - spent
    return held / count, spent / count


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _black_hole() -> Iterator[int]:
    """Yield a port of which the SYNs are dropped: its accept queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        time.sleep(0.1)
        yield port


def _print_pending(loop: str, count: int) -> None:
    print(f"\n{loop}: {count} connects that get no answer, made and cancelled")
    figures = {
        "connect": _run(loop, _pend(aioconnect.connect, count)),
        "asyncio.open_connection": _run(loop, _pend(asyncio.open_connection, count)),
    }
    for name, (held, spent) in figures.items():
        print(f"  {name:<26}{held:8.0f} bytes   {spent * 1e6:8.1f} us of CPU each")
    (held, spent), (their_held, their_spent) = figures.values()
    print(f"  memory {held / their_held:.2f} (bound 0.45)", end=", ")
    print(f"CPU {spent / their_spent:.2f} (bound 0.80)")


def main() -> None:
    """Run what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "uvloop", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--count", type=int, default=200, help="connects in a batch")
    parser.add_argument("--pending", type=int, default=5000)
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pending = min(args.pending, hard - 100)
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    port = ours_end.recv()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )
    print(f"{os.cpu_count()} cores, uvloop {getattr(uvloop, '__version__', 'missing')}")
    try:
        for loop in ("asyncio", "uvloop"):
            if args.loop in (loop, "both") and (
                loop == "asyncio" or uvloop is not None
            ):
                _print_speed(loop, port, args.rounds, args.count)
                _print_pending(loop, pending)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()

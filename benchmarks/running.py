"""Take turns: every contestant a batch, on its own loop, round after round.

The order rotates, so that nobody is always after the same one.  What a contestant
raises is its result, and the rest go on without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from .machine import end_with_parent
from .results import Row, rounded
from .servers import Endpoint

__all__ = [
    "ASYNCIO",
    "NONE",
    "TRIO",
    "Contestant",
    "Loops",
    "Plan",
    "Skipped",
    "both",
    "isolated",
    "progress",
    "reason",
    "rotated",
    "take_turns",
]

NONE, TRIO = "none", "trio"
ASYNCIO = ("asyncio", "uvloop")

# Returns what it has opened: to the loop "none" at once, to others when awaited.
Opens = Callable[[], Any]


class Skipped(Exception):  # noqa: N818  # nothing is wrong
    """Raised with the reason why a case cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A way to connect: *make* is given the endpoint, and imports what it needs."""

    name: str
    loop: str
    make: Callable[[Endpoint], Opens]
    close: Callable[[Any], object]


def both(
    name: str, make: Callable[[Endpoint], Opens], close: Callable[[Any], object]
) -> Iterator[Contestant]:
    """Yield the contestant on asyncio's loop and on uvloop."""
    for loop in ASYNCIO:
        yield Contestant(name, loop, make, close)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run: if it is *quick*, and which of asyncio's *loops* it uses."""

    quick: bool = False
    loops: tuple[str, ...] = ASYNCIO

    def of(self, contestants: Sequence[Contestant]) -> list[Contestant]:
        """Return the contestants on these loops, or on no loop of asyncio's."""
        without = set(ASYNCIO) - set(self.loops)
        return [one for one in contestants if one.loop not in without]


class Loops(contextlib.ExitStack):
    """Loops that stay open while the contestants take turns on them."""

    def __init__(
        self,
        factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] | None = None,
    ) -> None:
        super().__init__()
        self._factories = factories or {}
        self._runners: dict[str, asyncio.Runner] = {}

    def run(
        self, loop: str, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Any:
        """Run the coroutine *function* on *loop*."""
        if loop == TRIO:
            import trio  # of an extra

            return trio.run(function, *args)
        if loop not in self._runners:
            runner = asyncio.Runner(loop_factory=self._factory(loop))
            self._runners[loop] = self.enter_context(runner)
        return self._runners[loop].run(_settled(function, *args))

    def _factory(self, loop: str) -> Callable[[], asyncio.AbstractEventLoop]:
        if loop in self._factories:
            return self._factories[loop]
        if loop == "uvloop":
            import uvloop  # of an extra

            return uvloop.new_event_loop
        return asyncio.new_event_loop


async def _settled(function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    value = await function(*args)
    await asyncio.sleep(0)  # closed transports are forgotten outside the figure
    return value


def batch(contestant: Contestant, opens: Opens, count: int) -> float:
    """Return the seconds that one call took, of *count*."""
    started = time.perf_counter()
    for _ in range(count):
        contestant.close(opens())
    return (time.perf_counter() - started) / count


async def awaited_batch(contestant: Contestant, opens: Opens, count: int) -> float:
    """Return the seconds that one call and await took, of *count*."""
    started = time.perf_counter()
    for _ in range(count):
        contestant.close(await opens())
    return (time.perf_counter() - started) / count


Batch = Callable[[Loops, Contestant, Opens], float]


def in_batches(count: int) -> Batch:
    """Return what measures a contestant in batches of *count*."""

    def measure(loops: Loops, contestant: Contestant, opens: Opens) -> float:
        if contestant.loop == NONE:
            return batch(contestant, opens, count)
        seconds: float = loops.run(
            contestant.loop, awaited_batch, contestant, opens, count
        )
        return seconds

    return measure


def take_turns(
    contestants: Sequence[Contestant],
    endpoint: Endpoint,
    rounds: int,
    measure: Batch,
    *,
    loops: Loops | None = None,
    at: float | None = None,
    warm: bool = True,
) -> list[Row]:
    """Return a row for each contestant, of the samples that *measure* took."""
    samples: dict[Contestant, list[float]] = {one: [] for one in contestants}
    failed: dict[Contestant, str] = {}
    opens: dict[Contestant, Opens] = {}
    with loops or Loops() as running:
        for turn in range(-1 if warm else 0, rounds):
            progress(f"{max(turn, 0)}/{rounds}")
            for contestant in rotated(contestants, turn):
                if contestant in failed:
                    continue
                gc.collect()
                try:
                    if contestant not in opens:
                        opens[contestant] = contestant.make(endpoint)
                    spent = measure(running, contestant, opens[contestant])
                except Exception as exc:  # it is the result
                    failed[contestant] = reason(exc)
                else:
                    if turn >= 0:
                        samples[contestant].append(spent)
            gc.freeze()
    return [
        Row(one.name, one.loop, rounded(samples[one]), failed.get(one), at)
        for one in contestants
    ]


def rotated(contestants: Sequence[Contestant], turn: int) -> list[Contestant]:
    """Return the order of a round: each round begins with another contestant."""
    first = turn % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def reason(exc: BaseException) -> str:
    """Describe *exc* in one line."""
    if isinstance(exc, ModuleNotFoundError):
        return f"{exc.name} is not installed"
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}"[:120] if text else type(exc).__name__


def progress(text: str) -> None:
    """On a terminal, replace the last line by the progress of the case."""
    if not sys.stderr.isatty():
        return
    columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
    shown = f"  {text}"[: columns - 1]
    print(f"\r{shown}\x1b[K\r", end="", file=sys.stderr, flush=True)


def isolated(function: Callable[..., Any], *args: Any, limit: float) -> Any:
    """Return what *function* does in a process of its own, which ends with it.

    Raises:
        Exception: What it raised; TimeoutError after *limit* seconds.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs, partial(function, *args)))
    process.start()
    theirs.close()
    try:
        if not ours.poll(limit):
            raise TimeoutError(f"not within {limit:g} s")
        value = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process died: {process.exitcode}") from None
    finally:
        # Threads of names that hang would keep it.
        process.kill()
        process.join()
        process.close()
        ours.close()
    if isinstance(value, Exception):
        raise value
    return value


def _answer(orders: Connection, function: Callable[[], Any]) -> None:
    end_with_parent()
    try:
        value = function()
    except Exception as exc:  # it is sent on
        value = exc
    try:
        orders.send(value)
    except BrokenPipeError:
        pass  # nobody waits for it any more
    except Exception:  # an exception that does not pickle
        orders.send(RuntimeError(reason(value)))

"""Count what a connect takes that no clock is needed for, and fail when it grows.

    python -m benchmarks.gate

System calls (where strace is installed), what is asked of the loop, bytes and modules:
the same on every run, so that a growth is a change of the code.  Needs nothing but the
standard library and `aioconnect`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .counting import counted
from .tracing import STRACED, is_traceable

__all__ = ["LIMITS", "Limit", "exceeded", "main"]


@dataclass(frozen=True, slots=True)
class Limit:
    """The highest count that is allowed, and why it is not lower."""

    most: float
    why: str


BEGUN = "the first step of its task, and the turns of the loop that count it"

RESUMED = "what Python 3.11 enters; a coroutine that goes on counts again"

WAITING = "the one that awaits it here, as many are to wait at once"

LIMITS: Mapping[str, Limit] = {
    "system calls of a connect": Limit(
        3, "socket, connect, and connect again; close and the peer check come on top"
    ),
    "checks of the peer of a connect": Limit(
        1, "getsockname: is it connected to itself"
    ),
    "getpid of a connect": Limit(
        1, "get_running_loop of Python 3.11 asks whether it was forked; later none do"
    ),
    "futures of a connect": Limit(0, "it is connected before anything has to wait"),
    "handles of a connect": Limit(0, "the same"),
    "timers of a connect": Limit(0, "there is no timeout"),
    "tasks of a connect": Limit(0, "it is the caller's task that connects"),
    "watchers of a connect": Limit(0, "it is connected before anything has to wait"),
    "futures of a connect with a timeout": Limit(0, "it never waits"),
    "handles of a connect with a timeout": Limit(0, "the same"),
    "timers of a connect with a timeout": Limit(0, "the same"),
    "tasks of a connect with a timeout": Limit(0, "the same"),
    "watchers of a connect with a timeout": Limit(0, "the same"),
    "futures of a race": Limit(0, "the first address answers at once"),
    "handles of a race": Limit(0, "the same"),
    "timers of a race": Limit(0, "no other address is ever due"),
    "tasks of a race": Limit(0, "there is no task for an attempt"),
    "watchers of a race": Limit(0, "the first address answers at once"),
    "futures of an attempt that is refused": Limit(1, "what its delay wakes"),
    "handles of an attempt that is refused": Limit(1, "its delay, which is 0 here"),
    "timers of an attempt that is refused": Limit(1, "the same"),
    "tasks of an attempt that is refused": Limit(0, "nor for a retry"),
    "watchers of an attempt that is refused": Limit(0, "it is refused at once"),
    "futures of a connect that waits": Limit(1, "what the watcher wakes"),
    "handles of a connect that waits": Limit(1.1, BEGUN),
    "timers of a connect that waits": Limit(0, "nothing ends it"),
    "tasks of a connect that waits": Limit(1, WAITING),
    "watchers of a connect that waits": Limit(1, "the socket"),
    "futures of a connect that waits with a timeout": Limit(
        1, "what the watcher wakes"
    ),
    "handles of a connect that waits with a timeout": Limit(1.1, BEGUN),
    "timers of a connect that waits with a timeout": Limit(1, "the deadline"),
    "tasks of a connect that waits with a timeout": Limit(1, WAITING),
    "watchers of a connect that waits with a timeout": Limit(1, "the socket"),
    "functions of a connect": Limit(10, RESUMED),
    "functions of a connect that waits": Limit(30, RESUMED),
    "functions of streams": Limit(25, RESUMED),
    "functions of streams that wait": Limit(45, RESUMED),
    "bytes of a connect that waits": Limit(
        2100, "what Python 3.11 takes, and 3 %; later ones take less"
    ),
    "modules of the package": Limit(
        54, "what connecting needs is imported up front (K14), in short modules"
    ),
    "modules of the standard library": Limit(
        9, "the same, beyond asyncio's; one of them, on Python 3.11, knows interpreters"
    ),
}


def exceeded(counts: Mapping[str, float]) -> list[str]:
    """Return a line for each of *counts* that is above its limit, or not there."""
    said = []
    for name, limit in LIMITS.items():
        if name not in counts:
            said.append(f"{name}: not counted, though {_where(name)} limits it")
        elif (count := counts[name]) > limit.most:
            said.append(
                f"{name}: {count:g}, which is {count - limit.most:g} more than"
                f" {limit.most:g} ({limit.why}), the limit at {_where(name)}"
            )
    return said


def _where(name: str) -> str:
    lines = Path(__file__).read_text().splitlines()
    number = next(n for n, line in enumerate(lines, 1) if f'"{name}": Limit' in line)
    return f"benchmarks/gate.py:{number}"


def _grown(counts: Mapping[str, float]) -> list[str]:
    without = dict.fromkeys(() if is_traceable() else STRACED, 0.0)
    return exceeded({**counts, **without})


def main() -> int:
    """Count, show, and fail if a count has grown."""
    counts = counted()
    for _ in range(2):
        # On a busy machine a connect may have to wait; what has grown always has.
        if _grown(counts):
            counts = {name: min(n, counts[name]) for name, n in counted().items()}
    if not is_traceable():
        print("system calls are not counted: strace is missing, or may not trace")
    for name, limit in LIMITS.items():
        print(f"{name:<48}{counts.get(name, 0):>8.5g} of {limit.most:g}")
    grown = _grown(counts)
    for line in grown:
        print(f"grown: {line}", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())

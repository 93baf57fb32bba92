"""What the tests look for afterwards, and how they run their scripts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from typing import Any


def descriptors() -> dict[int, str]:
    """Return what this process has open, but for /dev/null.

    libuv opens that once for each loop that has a stream, to be able to refuse
    connections when there is no descriptor left.
    """
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return {fd: what for fd, what in found.items() if what != "/dev/null"}


def watchers(loop: asyncio.AbstractEventLoop) -> int:
    """Return how many descriptors *loop* watches; uvloop does not tell."""
    selector = getattr(loop, "_selector", None)
    return len(selector.get_map()) if selector is not None else 0


def timers(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Return the timers of *loop* that are yet to fire."""
    scheduled: Any = getattr(loop, "_scheduled", None) or getattr(loop, "_timers", ())
    return [timer for timer in scheduled if not timer.cancelled()]


def run_script(*command: str, timeout: float = 100.0) -> str:
    """Run *command*, which must succeed; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout

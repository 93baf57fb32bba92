"""Run ``aioconnect sweep`` with pipes."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import IO, Any

from programs import AIOCONNECT, environment

__all__ = ["SWEEP", "read", "rows", "running", "write"]

SWEEP = (*AIOCONNECT, "sweep")


@contextlib.contextmanager
def running(
    *arguments: str,
    start: Callable[[], object] | None = None,
    stdout: int | IO[str] = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Run a sweep with pipes; end it when the block ends."""
    with subprocess.Popen(
        [*SWEEP, *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment(),
        preexec_fn=start,  # noqa: PLW1509  # no other thread holds a lock that it needs
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write(process: subprocess.Popen[str], *lines: str) -> None:
    """Write *lines* to the standard input of *process*, and leave it open."""
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines))
    process.stdin.flush()


def read(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next record that *process* writes."""
    assert process.stdout is not None
    record: dict[str, Any] = json.loads(process.stdout.readline())
    return record


def rows(stdout: str) -> list[str]:
    """Return the lines below the first one, without alignment and times."""
    lines = [" ".join(line.split()) for line in stdout.splitlines()[1:]]
    return [line.partition(" p50 ")[0] for line in lines]

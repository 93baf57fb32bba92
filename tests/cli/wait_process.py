"""Run ``aioconnect wait`` with pipes."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from programs import AIOCONNECT, environment

__all__ = ["WAIT", "line_of", "script", "started", "without_times"]

WAIT = (*AIOCONNECT, "wait")


@contextlib.contextmanager
def started(*command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that runs *command*, with pipes."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that *process* writes to standard error."""
    assert process.stderr is not None
    return process.stderr.readline()


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d{3} s", "? s", text)


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)

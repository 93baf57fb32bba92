"""Run programs: scripts, which have to succeed, and the command line."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

__all__ = ["AIOCONNECT", "Screen", "environment", "program", "run_script", "screen"]

# The real program, run by the Python that runs the tests.
AIOCONNECT = (sys.executable, "-m", "aioconnect")

# The variables that say how to write to a terminal.  The tests set them themselves.
_TERMINAL = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")


def run_script(*command: str, timeout: float = 100.0) -> str:
    """Run *command*, check that it succeeds, and return its output."""
    # With unbuffered output, Python loses the rest of a partial write to a pipe.  This
    # happens if the pipe is full while the process is stopped and continued.
    env = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=env
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def environment(**said: str) -> Mapping[str, str]:
    """Return this process's environment, with only the terminal settings in *said*."""
    kept = {name: one for name, one in os.environ.items() if name not in _TERMINAL}
    return {**kept, **said}


def program(
    *arguments: str, stdin: str = "", timeout: float = 60.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run ``aioconnect *arguments*`` with pipes, and return the result."""
    return subprocess.run(
        [*AIOCONNECT, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=environment(**env),
    )


class Screen:
    """A terminal that runs one command, in a tmux of its own."""

    def __init__(self, tmux: tuple[str, ...]) -> None:
        self._tmux = tmux

    def run(self, *arguments: str) -> str:
        """Run a tmux command, and return its output."""
        return run_script(*self._tmux, *arguments)

    def lines(self) -> list[str]:
        """Return the visible lines, without trailing blanks."""
        shown = self.run("capture-pane", "-p", "-t", "0").splitlines()
        while shown and not shown[-1].strip():
            shown.pop()
        return [line.rstrip() for line in shown]

    def wait(
        self, is_so: Callable[[list[str]], object], timeout: float = 20
    ) -> list[str]:
        """Wait until *is_so* accepts the visible lines, and return them.

        The lines may be incomplete, and may change a moment later.
        """
        until = time.monotonic() + timeout
        while not is_so(lines := self.lines()):
            assert time.monotonic() < until, "\n".join(lines)
            time.sleep(0.02)
        return lines


@contextlib.contextmanager
def screen(
    *command: str, columns: int = 80, rows: int = 24, **env: str
) -> Iterator[Screen]:
    """Yield a terminal that runs *command*, and then shows its exit status."""
    with tempfile.TemporaryDirectory() as directory:
        # The path is short, as a Unix socket needs.  No user's configuration is read.
        tmux = ("tmux", "-u", "-f", "/dev/null", "-S", str(Path(directory) / "tmux"))
        said = shlex.join(["env", *(f"{k}={v}" for k, v in env.items()), *command])
        size = ("-x", str(columns), "-y", str(rows))
        unset = [word for name in _TERMINAL if name != "TERM" for word in ("-u", name)]
        # The shell survives a ^C, and the command has the default behaviour.
        shell = f"trap : INT; {said}; echo status $?; exec sleep 600"
        start = ("new-session", "-d", *size, shell)
        try:
            # The account's own shell may refuse to run anything (nologin).
            run_script("env", *unset, "SHELL=/bin/sh", *tmux, *start)
        except FileNotFoundError:
            pytest.skip("needs tmux")
        try:
            yield Screen(tmux)
        finally:
            run_script(*tmux, "kill-server")

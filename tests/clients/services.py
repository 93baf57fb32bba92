"""Real servers for real clients: started late, killed, and started again."""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aioconnect import Event, RetryScheduled
from aioconnect.testing import Recorder

__all__ = ["Base", "Cluster", "Service", "cluster", "own_host"]

# Makes the loop that a client would run on without us.
Base = Callable[[], asyncio.AbstractEventLoop]

# What is waited for a server to serve, or to end, in seconds.
PATIENCE = 60.0


class Service:
    """The process of a server.

    As an observer it keeps the events in *seen*, and starts the server once a
    client has come too early: by default when its connect is to be tried again.
    """

    def __init__(
        self,
        *command: str,
        asked: tuple[str, ...] = (),
        end: signal.Signals = signal.SIGKILL,
        too_early: type[Event] = RetryScheduled,
        **options: Any,
    ) -> None:
        """Take the *command* that runs it, and the *options* of `subprocess.Popen`.

        *asked* is a command that succeeds when the server serves, if it listens
        earlier than that; *end* is the signal that kills it; *too_early* is the event
        that starts it.
        """
        self.seen = Recorder()
        self._command, self._options = command, options
        self._asked, self._end, self._too_early = asked, end, too_early
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, event: Event) -> None:
        """Keep *event*, and start the server if it is time."""
        self.seen(event)
        if isinstance(event, self._too_early) and self._process is None:
            self.start()

    def start(self) -> None:
        """Start the server; clients wait until it listens."""
        # It speaks to pytest, which shows it when the test has failed.
        self._process = subprocess.Popen(self._command, **self._options)
        deadline = time.monotonic() + PATIENCE
        while self._asked and subprocess.run(self._asked, check=False).returncode:
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not serve"

    def kill(self) -> None:
        """Kill the server and its child processes, and wait until it is gone."""
        assert self._process is not None, "the server was not started"
        children = descendants(self._process.pid)
        self._process.send_signal(self._end)
        self._process.wait(PATIENCE)
        self._process = None
        if self._end == signal.SIGKILL:  # they were not told to end
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    def close(self) -> None:
        """Kill the server if it runs."""
        if self._process is not None:
            self.kill()


def descendants(pid: int) -> list[int]:
    """Return the child processes of a process, and theirs."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found += map(int, listed.read_text().split())
    return found + [one for child in found for one in descendants(child)]


def own_host() -> str:
    """Return a loopback address that is nobody else's.

    On 127.0.0.1 the port that a server comes back to can be taken meanwhile, by any
    connect of the tests beside these.
    """
    numbers = (random.randrange(1, 255) for _ in range(3))
    return ".".join(map(str, (127, *numbers)))


@dataclass(frozen=True, slots=True)
class Cluster:
    """What PostgreSQL is run with: programs, data, and who runs it."""

    bin: Path
    data: Path
    options: Mapping[str, Any]


@contextmanager
def cluster(package: Path) -> Iterator[Cluster]:
    """Give a database cluster, made with the programs of *package*.

    PostgreSQL refuses to be root, so root runs it as "nobody", who need not be able to
    read where Python's packages are: the programs are copied.
    """
    with tempfile.TemporaryDirectory(prefix="aioconnect-") as name:
        home, source = Path(name), package / "pginstall18"
        options: dict[str, Any] = {"cwd": home}
        if os.geteuid() == 0:
            try:
                nobody = pwd.getpwnam("nobody")
                os.chown(home, nobody.pw_uid, nobody.pw_gid)
            except (KeyError, OSError) as exc:
                pytest.skip(f"PostgreSQL cannot be run as root, nor as nobody: {exc}")
            user = {"user": nobody.pw_uid, "group": nobody.pw_gid}
            options |= {**user, "extra_groups": []}
            copied = home / package.name / source.name
            shutil.copytree(source, copied, ignore=shutil.ignore_patterns("include"))
            libraries = f"{package.name}.libs"
            shutil.copytree(package.parent / libraries, home / libraries)
            source = copied
        programs, data = source / "bin", home / "data"
        initdb = (programs / "initdb", "--pgdata", data, "--username", "postgres")
        plain = ("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
        subprocess.run((*initdb, *plain), check=True, **options)
        yield Cluster(programs, data, options)

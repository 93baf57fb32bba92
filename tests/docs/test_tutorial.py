"""Follow the steps of the tutorial: save, start and stop what it says, as it says."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docs.comparing import difference, normalised
from docs.pages import ROOT, blocks_of

# The tests of the documentation take longer than the README's command may.
pytestmark = pytest.mark.thorough

# Each step has one program, and all but the first show what it prints.
STEPS = blocks_of(ROOT / "docs" / "tutorial.md")

# The programs run on asyncio's loop, and on uvloop.
LOOPS = {
    "asyncio": "",
    "uvloop": "import uvloop; uvloop.install()\n",
}

# The programs print nothing about a refused attempt.  So that the tests see one, the
# programs also write a byte to a file before each connect.
COUNTING = """import sys
def count(event, _):
    if event == "socket.connect":
        with open("connects", "a") as file:
            file.write(".")
sys.addaudithook(count)
"""


def program(step: int) -> str:
    """Return the program of a step; the steps count from 1."""
    return STEPS[step - 1].code


def shown(step: int) -> str:
    """Return what the page says that the program of a step prints."""
    expected = STEPS[step - 1].expected
    assert expected is not None
    return expected


def wait_until(is_so: Callable[[], bool]) -> None:
    """Ask *is_so* until it is true, for 30 seconds at most."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


class Folder:
    """The reader's folder, with a server that can be started and stopped."""

    def __init__(self, path: Path, port: int, loop: str) -> None:
        self.path = path
        self.port = port
        self._prelude = COUNTING + LOOPS[loop]
        self._server: subprocess.Popen[str] | None = None
        self.save("server.py", program(1))

    def save(self, name: str, program: str) -> None:
        program = program.replace("9000", str(self.port))
        (self.path / name).write_text(self._prelude + program)

    def python(self, name: str) -> subprocess.Popen[str]:
        """Run *name*, from the folder, with this checkout."""
        # Nothing here is about warnings, and uvloop.install is deprecated.
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", name],
            cwd=self.path,
            env=env,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start_server(self) -> None:
        self._server = self.python("server.py")
        wait_until(lambda: bool(self.answer()))

    def answer(self) -> bytes:
        """Return what the server answers to a PING: nothing if it is down."""
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as sock,
        ):
            sock.sendall(b"PING\n")
            return sock.makefile("rb").readline()
        return b""

    def was_refused(self) -> bool:
        """Tell whether the client has begun a second attempt, so the first failed."""
        connects = self.path / "connects"
        return connects.exists() and connects.stat().st_size >= 2

    def stop_server(self) -> None:
        """Press Ctrl-C.  The server ends at once and silently."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            printed, _ = self._server.communicate(timeout=30)
            assert not printed
            assert self._server.returncode == 0
            self._server = None

    @contextlib.contextmanager
    def client(self, step: int) -> Iterator[subprocess.Popen[str]]:
        """Start the client of *step*, and let it end."""
        self.save("client.py", program(step))
        with self.python("client.py") as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            assert process.wait(timeout=60) == 0

    def says(self, step: int, *, is_server_late: bool = False) -> str:
        """Return what the client of *step* prints; the server may start later."""
        with self.client(step) as process:
            if is_server_late:
                wait_until(self.was_refused)
                self.start_server()
            said, _ = process.communicate(timeout=60)
        return said.replace(str(self.port), "9000")


@pytest.fixture(params=LOOPS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """Give an empty folder with the server in it, which is not running."""
    made = Folder(tmp_path, _free_port(), request.param)
    yield made
    made.stop_server()


def _free_port() -> int:
    """Return a port that the kernel gives to nobody else, though nothing holds it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port


def test_there_are_seven_steps() -> None:
    assert len(STEPS) == 7


def test_connect(folder: Folder) -> None:
    """The server is up, and has loaded its data."""
    folder.start_server()
    wait_until(lambda: folder.answer() == b"PONG\n")
    assert folder.says(2) == shown(2)


def test_read_the_error(folder: Folder) -> None:
    """The server was stopped."""
    folder.start_server()
    folder.stop_server()
    assert not difference(shown(3), folder.says(3))


def test_wait_for_the_server(folder: Folder) -> None:
    """Without a check, the client comes too early."""
    assert folder.says(4, is_server_late=True) == shown(4)


def test_ready(folder: Folder) -> None:
    started = time.monotonic()
    assert folder.says(5, is_server_late=True) == shown(5)
    assert time.monotonic() - started > 3


def test_keep_the_connection(folder: Folder) -> None:
    """The server stops and starts when the client has printed OK 2."""
    folder.start_server()
    printed = ""
    with folder.client(6) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if "OK 2" in line:
                folder.stop_server()
                folder.start_server()
    assert printed == shown(6)


def test_see_what_happened(folder: Folder) -> None:
    """Each kind of line that the page shows is there, and no other."""
    seen = folder.says(7, is_server_late=True)
    lines = {normalised(line) for line in seen.splitlines()}
    assert lines == {normalised(line) for line in shown(7).splitlines()}

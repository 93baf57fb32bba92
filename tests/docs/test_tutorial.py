"""Follow the steps of the tutorial: save, start and stop what it says, as it says."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
STEPS = re.split(r"^## \d+\. .*\n", PAGE, flags=re.MULTILINE)[1:]

# The programs run on asyncio's loop, and on uvloop.
LOOPS = {
    "asyncio": "",
    "uvloop": "import uvloop; uvloop.install()\n",
}


def block(step: int, language: str = "python") -> str:
    """Return the only block in *language* of a step; the steps count from 1."""
    (found,) = re.findall(
        rf"^```{language}\n(.*?)^```", STEPS[step - 1], re.MULTILINE | re.DOTALL
    )
    assert isinstance(found, str)
    return found


def same(text: str) -> str:
    """Return *text* with neither figures nor bars: they differ from run to run."""
    lines = re.sub(r"[\d.]+ (ms|s)\b", "TIME", text).splitlines()
    return "\n".join(" ".join(re.sub(r"[━═·]+", "", one).split()) for one in lines)


class Folder:
    """The reader's folder, with a server that can be started and stopped."""

    def __init__(self, path: Path, port: int, loop: str) -> None:
        self.path = path
        self.port = port
        self._prelude = LOOPS[loop]
        self._server: subprocess.Popen[str] | None = None
        self.save("server.py", block(1))

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
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            assert time.monotonic() < until
            time.sleep(0.02)

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
        self.save("client.py", block(step))
        with self.python("client.py") as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            assert process.wait(timeout=60) == 0

    def says(self, step: int, *, server_after: float | None = None) -> str:
        """Return what the client of *step* prints; the server may start later."""
        with self.client(step) as process:
            if server_after is not None:
                time.sleep(server_after)
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
    time.sleep(3.1)
    assert folder.says(2) == block(2, "text")


def test_read_the_error(folder: Folder) -> None:
    """The server was stopped."""
    folder.start_server()
    folder.stop_server()
    assert same(folder.says(3)) == same(block(3, "text"))


def test_wait_for_the_server(folder: Folder) -> None:
    """Without a check, the client comes too early."""
    assert folder.says(4, server_after=1) == block(4, "text")


def test_ready(folder: Folder) -> None:
    started = time.monotonic()
    assert folder.says(5, server_after=1) == block(5, "text")
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
    assert printed == block(6, "text")


def test_see_what_happened(folder: Folder) -> None:
    """Each kind of line that the page shows is there, and no other."""
    shown = same(block(7, "text")).splitlines()
    seen = same(folder.says(7, server_after=1.5)).splitlines()
    assert seen[0].partition(",")[0] == shown[0].partition(",")[0]
    number = re.compile(r"round \d+")
    assert {number.sub("round", one) for one in seen[1:]} == {
        number.sub("round", one) for one in shown[1:]
    }

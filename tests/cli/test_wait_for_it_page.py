"""Run the commands in the tables of docs/coming-from/wait-for-it.md, and compare."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cli.wait_process import line_of, started
from programs import AIOCONNECT, environment

from aioconnect import testing
from aioconnect._cli.argument_types import duration
from aioconnect._cli.command_line import parse

# Pages do not depend on the version of Python.
pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "coming-from" / "wait-for-it.md").read_text()

# "aioconnect" in a shell is the program of this checkout.
SHELL = f'aioconnect() {{ {shlex.join(AIOCONNECT)} "$@"; }}\n'


class Row(NamedTuple):
    """A row of a table: a command of another program, and one of aioconnect."""

    theirs: str
    ours: str

    @property
    def program(self) -> str:
        return self.theirs.split()[0]


ROWS = [
    Row(*cells)
    for cells in re.findall(r"^\| `(.*?)` \| `(.*?)` \|$", TEXT, re.MULTILINE)
]

# The default timeouts of the other programs, in seconds.
DEFAULTS = {"wait-for-it": 15, "wait-port": None, "dockerize": 10, "wait4x": 10}

TIMEOUT = re.compile(r"(?<= )(-t|--?timeout) ([\w.]+)")


class Places(NamedTuple):
    """Local servers that stand in for the targets of the page."""

    db: testing.HeldPort
    cache: testing.HeldPort
    web: testing.HeldPort

    def local(self, text: str) -> str:
        """Return *text* with the targets of the page replaced by the servers."""
        text = re.sub(
            r"\b(db|cache|web|localhost)\b(?=:\d| \d| -p )", "127.0.0.1", text
        )
        for page_port, held in zip(("5432", "6379", "8000"), self, strict=True):
            text = re.sub(rf"\b{page_port}\b", str(held.port), text)
        return text


@pytest.fixture
def places() -> Iterator[Places]:
    """Give three servers; none listens yet."""
    with contextlib.ExitStack() as stack:
        yield Places(*(stack.enter_context(testing.unused_port()) for _ in range(3)))


def name_of(row: Row) -> str:
    return row.theirs


each_row = pytest.mark.parametrize("row", ROWS, ids=name_of)


def run(command: str) -> subprocess.CompletedProcess[str]:
    """Run *command* in a shell."""
    return subprocess.run(
        ["bash", "-c", SHELL + command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
        cwd=ROOT,
    )


def shortened(command: str, timeout: str) -> str:
    return TIMEOUT.sub(rf"\1 {timeout}", command)


def test_there_are_tables() -> None:
    """The pattern misses no row."""
    assert {row.program for row in ROWS} == {*DEFAULTS}
    assert len(ROWS) == TEXT.count("\n| `")


@each_row
def test_the_timeouts_are_the_same(row: Row) -> None:
    """So are the numbers of targets, and whether a program runs afterwards."""
    found = TIMEOUT.search(row.theirs)
    expected: float | None = DEFAULTS[row.program]
    if found:
        expected = duration(found[2]) or None
        if expected and row.program == "wait-port":
            expected /= 1000
    arguments = parse(shlex.split(row.ours.partition(";")[0])[1:])
    assert arguments.timeout == expected
    ports = re.findall(r"\b(?:5432|6379|8000)\b", row.theirs)
    assert [str(target.port) for target in arguments.targets] == ports
    assert ("echo" in row.theirs) == ("echo" in row.ours)
    assert arguments.quiet == bool({"-q", "silent"} & {*row.theirs.split()})


@each_row
def test_a_server_that_is_up(row: Row, places: Places) -> None:
    if "--down" not in row.ours:
        for held in places:
            held.listen()
    done = run(places.local(row.ours))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("up\n" if "echo up" in row.ours else "")
    assert bool(done.stderr) == (" -q " not in row.ours)


@each_row
def test_a_server_that_is_late(row: Row, places: Places) -> None:
    """The wait goes on until the server listens, or with ``--down`` refuses."""
    if " -q " in row.ours:
        pytest.skip("it does not say when it waits")
    is_down = "--down" in row.ours
    if is_down:
        places.web.listen()
        places.db.listen()
    command = places.local(row.ours).replace("aioconnect", shlex.join(AIOCONNECT))
    with started("bash", "-c", f"cd {shlex.quote(str(ROOT))}; {command}") as process:
        says = "still up" if is_down else "connection refused"
        assert line_of(process).endswith(f": {says}\n")
        for held in places:
            held.refuse() if is_down else held.listen()
        process.communicate(timeout=30)
    assert process.returncode == 0


@each_row
def test_no_server_in_time(row: Row, places: Places) -> None:
    """The program runs after a wait that failed only if the table says so."""
    if "-t" not in row.ours:
        pytest.skip("it has no timeout")
    if "--down" in row.ours:
        places.db.listen()
    done = run(shortened(places.local(row.ours), "300ms"))
    goes_on = "; echo up" in row.ours
    assert done.returncode == (0 if goes_on else 124)
    assert done.stdout == ("up\n" if goes_on else "")
    assert "aioconnect: not " in done.stderr


@each_row
def test_as_the_other_program(row: Row, places: Places) -> None:
    """It succeeds, fails and runs the program as the other one does."""
    if shutil.which(row.program) is None:
        pytest.skip(f"needs {row.program}")
    theirs, ours = map(places.local, row)
    if TIMEOUT.search(theirs) and " 0" not in theirs:
        theirs_short = shortened(theirs, "1" if row.program == "wait-for-it" else "300")
        refused = run(theirs_short), run(shortened(ours, "300ms"))
        assert outcome(refused[0]) == outcome(refused[1])
    for held in places:
        held.listen()
    assert outcome(run(theirs)) == outcome(run(ours)) == (True, "echo" in ours)


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[bool, bool]:
    """Return whether a command succeeded, and whether a program ran after the wait."""
    return done.returncode == 0, "up" in done.stdout.splitlines()

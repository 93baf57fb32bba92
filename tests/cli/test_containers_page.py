"""Run what docs/howto/containers.md shows."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cli.wait_process import without_times
from programs import AIOCONNECT, environment

from aioconnect import testing
from aioconnect._cli.command_line import parse

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "howto" / "containers.md").read_text()

CONSOLE = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

# "aioconnect" in a shell is the program of this checkout.
SHELL = f'aioconnect() {{ {shlex.join(AIOCONNECT)} "$@"; }}\n'

MARK = "-- end of a command --"


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

    def paged(self, text: str) -> str:
        """Return *text* with the servers replaced by the targets of the page."""
        for target, held in zip(
            ("db:5432", "cache:6379", "web:8000"), self, strict=True
        ):
            text = text.replace(f"127.0.0.1:{held.port}", target)
        return text


@pytest.fixture
def places() -> Iterator[Places]:
    """Give three servers; none listens yet."""
    with contextlib.ExitStack() as stack:
        yield Places(*(stack.enter_context(testing.unused_port()) for _ in range(3)))


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


def test_there_are_blocks() -> None:
    """The pattern misses no console block."""
    assert CONSOLE
    assert len(CONSOLE) == TEXT.count("```console")


@pytest.mark.parametrize("block", range(len(CONSOLE)))
def test_console(block: int, places: Places) -> None:
    """Each command writes what the page shows, its lines in any order."""
    places.db.listen()
    places.cache.listen()
    shown = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", CONSOLE[block], re.MULTILINE)
    lines = [f"{command}; s=$?; echo '{MARK}'; (exit $s)" for command, _ in shown]
    done = run("exec 2>&1\n" + places.local("\n".join(lines)))
    *outputs, rest = places.paged(done.stdout).split(f"{MARK}\n")
    assert rest == ""
    for (command, expected), output in zip(shown, outputs, strict=True):
        lines_of = [
            Counter(without_times(one).splitlines()) for one in (output, expected)
        ]
        assert lines_of[0] == lines_of[1], command


def test_the_commands_of_the_recipes() -> None:
    """Each one can be parsed."""
    recipes = TEXT.partition("## Recipes")[2]
    lists = re.findall(r'\[.*"wait".*\]', recipes)
    lines = re.findall(r"^\s*\S.*?aioconnect (wait .*)$", recipes, re.MULTILINE)
    commands = [*map(json.loads, lists), *map(shlex.split, lines)]
    for words in commands:
        arguments = parse(words[words.index("wait") :])
        assert arguments.timeout >= 60
    assert len(commands) == 5


def test_the_dockerfile() -> None:
    """It has five lines, and installs nothing that this package does not need."""
    (dockerfile,) = re.findall(r"```dockerfile\n(.*?)```", TEXT, re.DOTALL)
    lines = dockerfile.splitlines()
    assert len(lines) == 5
    (installed,) = re.findall(r"pip install (.*?) &&", dockerfile)
    assert installed.split() == ["--no-cache-dir", "/src"]
    assert "dependencies = []\n" in (ROOT / "pyproject.toml").read_text()

"""The recipes in docs/howto/containers.md are sound.

Its console blocks are run as those of all pages are.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from docs.pages import codes_of

from aioconnect._cli.command_line import parse

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "containers.md"


def test_the_commands_of_the_recipes() -> None:
    """Each one can be parsed."""
    recipes = PAGE.read_text().partition("## Recipes")[2]
    lists = re.findall(r'\[.*"wait".*\]', recipes)
    lines = re.findall(r"^\s*\S.*?aioconnect (wait .*)$", recipes, re.MULTILINE)
    commands = [*map(json.loads, lists), *map(shlex.split, lines)]
    for words in commands:
        # An ENTRYPOINT ends with --, and CMD has the command.
        command = ["python"] if words[-1] == "--" else []
        arguments = parse([*words[words.index("wait") :], *command])
        assert arguments.timeout >= 60
    assert len(commands) == 6


def test_the_dockerfile() -> None:
    """It has five lines, and installs nothing that this package does not need."""
    dockerfile, _ = codes_of(PAGE, "dockerfile")
    lines = dockerfile.splitlines()
    assert len(lines) == 5
    (installed,) = re.findall(r"pip install (.*?) &&", dockerfile)
    assert installed.split() == ["--no-cache-dir", "/src"]
    assert "dependencies = []\n" in (ROOT / "pyproject.toml").read_text()

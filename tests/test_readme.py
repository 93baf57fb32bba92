"""What the README promises, beside its blocks: tests/docs runs those."""

from __future__ import annotations

import re
from pathlib import Path

from docs.pages import codes_of

import aioconnect

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

# A newcomer reads it in five minutes.
MOST_WORDS = 1000


def test_it_is_short() -> None:
    """Words are counted as wc -w does, with the code."""
    assert len(README.read_text().split()) <= MOST_WORDS


def test_each_call_of_the_table_exists() -> None:
    """A row for each call that one may need, eight of them."""
    table = README.read_text().partition("| you want | await |\n")[2].partition("\n\n")
    rows = table[0].splitlines()[1:]
    assert len(rows) == 8
    named = {name for row in rows for name in re.findall(r"(?:`| in )(\w+)", row)}
    assert named - {"async"} <= set(aioconnect.__all__)


def test_never_the_strangers_package() -> None:
    """No text says to install from the index, where the name is a stranger's."""
    package = Path(aioconnect.__file__).parent
    for path in (README, *package.rglob("*.py")):
        told = re.findall(r"pip install\s+(?!'\.\[)(.*)", path.read_text())
        assert not told, path
    for path in (ROOT / "docs").rglob("*"):
        if path.suffix in (".md", ".py"):
            told = re.findall(
                r"\b(?:install|add)\s+(?:-\S+\s+)*['\"]?aioconnect\b.*",
                path.read_text(),
            )
            assert not told, path


def test_the_two_commands() -> None:
    """One command installs and shows it, one installs and tests it."""
    demo, tests = codes_of(README, "sh")
    assert demo.strip().endswith("aioconnect demo")
    assert tests.strip().endswith("-m pytest")


def test_the_commands_for_who_changes_the_code() -> None:
    """The first is the README's, and CI runs both as they stand there."""
    first, second, *_ = codes_of(ROOT / "CONTRIBUTING.md", "sh")
    assert first == codes_of(README, "sh")[1]
    assert second.strip().endswith("-m pytest -m thorough")

"""What docs/howto/clients.md shows is whole, and a test runs each of its recipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from clients.recipes import PAGE, RESTART, recipes

PROGRAMS = [
    pytest.param(program, id=f"{name}-{number}")
    for name, programs in recipes().items()
    for number, program in enumerate(programs)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_recipe_is_a_program(program: str) -> None:
    """It compiles, connects to a server here, and says where that restarts."""
    compile(program, PAGE.name, "exec")
    assert "localhost" in program
    assert program.count(RESTART) == 1


def test_the_table_has_each_recipe() -> None:
    """In the order of the sections, and a second program is one for ``sock=``."""
    rows = [row.split(" | ") for row in PAGE.read_text().splitlines() if "](#" in row]
    assert [row[0] for row in rows] == [f"| [{name}](#{name})" for name in recipes()]
    for row, programs in zip(rows, recipes().values(), strict=True):
        _, _, _, loop_factory, sock, _ = row
        assert loop_factory != "no"
        assert "loop_factory(connector)" in programs[0]
        assert sock == ("yes" if len(programs) == 2 else "no")
        assert all("sock=sock" in program for program in programs[1:])


def test_each_recipe_is_run() -> None:
    """A recipe that no test runs would be a guess."""
    modules = Path(__file__).parent.glob("test_*.py")
    run = r'run_recipe\(\s*"([\w-]+)"'
    found = {name for path in modules for name in re.findall(run, path.read_text())}
    assert found == set(recipes())

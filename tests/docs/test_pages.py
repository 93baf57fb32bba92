"""What the pages show is run as it stands there, with servers, on both loops."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import pytest
from docs.pages import ROOT, Block, PageError, blocks_of, pages
from docs.running import run_console, run_python
from docs.stage import Troupe
from docs.typing_run import CHECKERS, type_errors


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix("")).removeprefix("docs/")


PAGES = pages()


@cache
def _blocks(page: Path) -> list[Block]:
    return blocks_of(page)


def _having(language: str) -> list[Path]:
    """Return the pages that have a block in *language* to run, or that are broken."""
    found = []
    for page in PAGES:
        try:
            blocks = _blocks(page)
        except PageError:
            continue  # test_each_fence_is_understood has it
        if any(one.language == language and not one.not_run for one in blocks):
            found.append(page)
    return found


@pytest.fixture(scope="session")
def troupe(tmp_path_factory: pytest.TempPathFactory) -> Troupe:
    return Troupe(tmp_path_factory.mktemp("troupe"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_fence_is_understood(page: Path) -> None:
    _blocks(page)


# In all, the pages take longer than the README's command may.
@pytest.mark.thorough
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("page", _having("python"), ids=name_of)
def test_python(page: Path, loop: str, troupe: Troupe) -> None:
    result = run_python(_blocks(page), loop, troupe)
    assert not result.failures, "\n\n".join(result.failures)
    if result.missing:
        pytest.skip(f"needs {', '.join(result.missing)}")


@pytest.mark.thorough
@pytest.mark.parametrize("page", _having("console"), ids=name_of)
def test_console(page: Path, troupe: Troupe) -> None:
    result = run_console(_blocks(page), troupe)
    assert not result.failures, "\n\n".join(result.failures)


@pytest.mark.thorough
@pytest.mark.parametrize("checker", CHECKERS)
def test_types(checker: str, tmp_path: Path) -> None:
    """Each block passes in strict mode, and so does each program of the examples."""
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"needs {checker}, of the group dev")
    blocks = [
        block for page in PAGES for block in _blocks(page) if block.language == "python"
    ]
    programs = sorted((ROOT / "docs" / "examples").glob("*.py"))
    if not blocks and not programs:
        pytest.skip("there are none yet")
    said = type_errors(checker, blocks, programs, tmp_path)
    assert not said, said

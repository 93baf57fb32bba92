"""Check the types of all blocks in one run, each as a module of its own."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

from docs.launcher import PREAMBLE, awaits, is_whole
from docs.pages import ROOT, Block

__all__ = ["CHECKERS", "type_errors"]

# The checkers, each with its flag for strict mode.
CHECKERS = {
    "mypy": ("--strict", "--no-incremental", "--cache-dir", os.devnull),
    "basedpyright": ("--level", "error", "--pythonpath", sys.executable),
}
_CONFIG = "[mypy]\nignore_missing_imports = true\ndisable_error_code = unused-ignore\n"


def type_errors(
    checker: str, blocks: list[Block], programs: list[Path], folder: Path
) -> str:
    """Return what *checker* says about *blocks* and *programs*, or ""."""
    places: dict[str, tuple[Block, int]] = {}
    for number, block in enumerate(blocks):
        text, shift = _module(block)
        (folder / f"block_{number}.py").write_text(text)
        places[f"block_{number}"] = (block, shift)
    for program in programs:
        (folder / program.name).write_text(program.read_text())
    (folder / "mypy.ini").write_text(_CONFIG)
    settings = {"typeCheckingMode": "standard", "reportMissingImports": False}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", checker, *CHECKERS[checker], "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT)},
    )
    if done.returncode == 0:
        return ""

    def in_page(found: re.Match[str]) -> str:
        block, shift = places[found[1]]
        return f"{block.where.rpartition(':')[0]}:{int(found[2]) + shift}"

    said = done.stdout + done.stderr
    return re.sub(r"[^\s:]*(block_\d+)\.py:(\d+)", in_page, said)


def _module(block: Block) -> tuple[str, int]:
    """Return *block* as a module, and what makes its lines those of the page."""
    code = block.setup + block.code
    before = "" if is_whole(code) else PREAMBLE
    if awaits(ast.parse(code)):
        before += "\n\nasync def main() -> None:\n"
        code = textwrap.indent(code, "    ")
    lines = before.count("\n") + block.setup.count("\n")
    return before + code, block.line - lines - 1

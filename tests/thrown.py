"""Count the faults that the fault suite injects, and write README's table of them.

A test reports a fault with its row, one of `ROWS`, and its result.  The run prints the
table, and ``pytest --write-table`` writes it into the README.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

__all__ = ["ROWS", "Thrown", "rows_in"]

README = Path(__file__).parent.parent / "README.md"

# The rows in the order of the table.  A test that uses another name fails.
ROWS: dict[str, str] = {
    "kernel": "an error of the real kernel, each errno of the contract",
    "injection": "a system call that fails, by `strace`: each errno at each occurrence",
    "cancellation": "a cancellation, at each iteration of the loop of each entry point",
    "machine": "a connect with options and faults drawn at random, against a model",
    "fuzzing": "an input drawn at random, to everything that parses",
    "races": "a race: on real packets, or cancelled at a random point",
    "peers": "a known bug of asyncio, uvloop, anyio, trio or aiohappyeyeballs",
    "descriptors": "a connect or a cancel among strangers' reused descriptors",
    "lifetimes": "a fork, thread, shut-down or garbage collection half-way",
    "soak": "an operation of the soak",
}

_MARKS = re.compile(r"(<!-- thrown -->\n).*?(<!-- /thrown -->)", re.DOTALL)


class Thrown:
    """The faults of one run: ``thrown("injection", "connected", 3)``."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {row: Counter() for row in ROWS}

    def __call__(self, row: str, came: str, count: int = 1) -> None:
        """Count *count* faults of *row* that led to the result *came*."""
        self._rows[row][came] += count

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the counts as plain dictionaries, by row."""
        return {row: dict(came) for row, came in self._rows.items()}

    def is_whole(self) -> bool:
        """Tell whether every row has a count."""
        return all(self._rows.values())

    def table(self) -> str:
        """Return the rows as a Markdown table, with the most frequent result first."""
        lines = ["| what was thrown | times | what came of it |", "|---|---:|---|"]
        for row, said in ROWS.items():
            came = self._rows[row]
            if came:
                counts = "; ".join(f"{what}: {n:,}" for what, n in came.most_common())
                lines.append(f"| {said} | {came.total():,} | {counts} |")
        return "\n".join(lines)

    def write(self, readme: Path = README) -> None:
        """Write the table into *readme*, between its marks."""
        text, found = _MARKS.subn(
            lambda marks: f"{marks[1]}{self.table()}\n{marks[2]}", readme.read_text()
        )
        if found != 1:
            raise pytest.UsageError(f"{readme} has no place for the table")
        readme.write_text(text)


def rows_in(readme: Path = README) -> list[str]:
    """Return the faults in the rows of the table in *readme*."""
    found = _MARKS.search(readme.read_text())
    assert found, f"{readme} has no place for the table"
    return [line.split(" | ")[0][2:] for line in found[0].splitlines()[3:-1]]

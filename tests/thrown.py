"""Count the faults that the fault suite injects, and write the table of them.

A test reports a fault with its row, one of `ROWS`, and its result.  The run prints the
table, and ``pytest --write-table`` writes it into ``docs/explanation/faults.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

__all__ = ["ROWS", "Thrown", "rows_in"]

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "faults.md"

# The rows in the order of the table.  A test that uses another name fails.
ROWS: dict[str, str] = {
    "kernel": "an error of the real kernel: each `errno` that the contract names",
    "injection": "a system call that fails, by `strace`: each `errno`, at each call",
    "cancellation": "a cancellation at each turn of the loop, of each kind of call",
    "machine": "a connect with random options and faults, compared with a model",
    "fuzzing": "a random input to everything that parses",
    "races": "a race with real packets, or cancelled at a random point",
    "peers": "a known bug of asyncio, uvloop, anyio, trio or aiohappyeyeballs",
    "descriptors": "a connect or a cancellation beside descriptors that others reuse",
    "lifetimes": "a fork, thread, shut-down or garbage collection during a call",
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
        lines = ["| what was thrown | times | results |", "|---|---:|---|"]
        for row, said in ROWS.items():
            came = self._rows[row]
            if came:
                counts = "; ".join(f"{what}: {n:,}" for what, n in came.most_common())
                lines.append(f"| {said} | {came.total():,} | {counts} |")
        return "\n".join(lines)

    def write(self, page: Path = PAGE) -> None:
        """Write the table into *page*, between its marks."""
        text, found = _MARKS.subn(
            lambda marks: f"{marks[1]}{self.table()}\n{marks[2]}", page.read_text()
        )
        if found != 1:
            raise pytest.UsageError(f"{page} has no place for the table")
        page.write_text(text)


def rows_in(page: Path = PAGE) -> list[str]:
    """Return the faults in the rows of the table in *page*."""
    found = _MARKS.search(page.read_text())
    assert found, f"{page} has no place for the table"
    return [line.split(" | ")[0][2:] for line in found[0].splitlines()[3:-1]]

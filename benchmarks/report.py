"""Show stored results again: ``python -m benchmarks.report [--draw] [directory]``.

Prints the table of the bounds as Markdown, as ``docs/explanation/cost.md`` has it.  The
results are those in ``benchmarks/results``, or in the directory that is named.  With
``--draw`` the pictures there are drawn again, too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .bounds import Verdict, judge
from .results import DIRECTORY, Outcome, load
from .running import ASYNCIO, NONE

__all__ = ["main", "markdown"]


def markdown(outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield the lines of the table; values within their bound are bold."""
    yield "| ratio: measured, of at most (floor) | asyncio | uvloop |"
    yield "|---|---|---|"
    rows: dict[str, dict[str, str]] = {}
    for verdict in judge(outcomes):
        rows.setdefault(verdict.bound.what, {})[verdict.loop] = _cell(verdict)
    for what, cells in rows.items():
        # What has no loop is the same with either.
        both = (cells.get(loop, cells.get(NONE, "")) for loop in ASYNCIO)
        yield f"| {what} | {' | '.join(both)} |"


def _cell(verdict: Verdict) -> str:
    if verdict.ratio is None:
        return f"none: {verdict.why}"
    ratio = f"{verdict.ratio:.2f}"
    floor = "" if verdict.floor is None else f" ({verdict.floor:.2f})"
    return (
        f"{f'**{ratio}**' if verdict.is_met else ratio} of {verdict.limit:.2f}{floor}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and draw the pictures if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report")
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY)
    parser.add_argument("--draw", action="store_true", help="draw the pictures there")
    given = parser.parse_args(arguments)
    directory: Path = given.directory
    outcomes = {path.stem: load(path) for path in sorted(directory.glob("*.json"))}
    print(*markdown(outcomes), sep="\n")
    if given.draw:
        from .pictures import pictures  # needs an extra, and the table does not

        for path in pictures(directory, outcomes):
            print(f"drawn: {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

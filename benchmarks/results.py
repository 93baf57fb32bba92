"""What a case measured, as values and as the JSON files in ``benchmarks/results``.

A file has one `Outcome`: where, when and with what it was measured, and measures of
rows.  Every row is a contestant on a loop; its samples are one for each round, in the
order of the rounds, so that samples of the same round can be compared.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "DIRECTORY",
    "Measure",
    "Outcome",
    "Row",
    "load",
    "measure_of",
    "rounded",
    "row_of",
    "save",
]

DIRECTORY = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """What one contestant took on one loop, *at* a size if there are several."""

    contestant: str
    loop: str
    samples: tuple[float, ...] = ()
    failed: str | None = None
    at: float | None = None

    @property
    def median(self) -> float:
        """The middle of the samples."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The first and the third quartile; the extremes of fewer than four."""
        if len(self.samples) < 4:
            return min(self.samples), max(self.samples)
        first, _, third = statistics.quantiles(self.samples, method="inclusive")
        return first, third


@dataclass(frozen=True, slots=True)
class Measure:
    """Rows of one thing that was measured, in *unit*: s, bytes, calls, ..."""

    name: str
    unit: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a case; *skipped* or *failed* say why there is nothing."""

    case: str
    title: str
    command: str
    date: str
    seconds: float
    quick: bool
    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    skipped: str | None = None
    failed: str | None = None

    def measure(self, name: str) -> Measure | None:
        """Return the measure of that *name*."""
        return next((one for one in self.measures if one.name == name), None)


def rounded(samples: Sequence[float]) -> tuple[float, ...]:
    """Return *samples* with four digits, which is more than they are worth."""
    return tuple(float(f"{sample:.4g}") for sample in samples)


def save(outcome: Outcome, directory: Path) -> Path:
    """Write *outcome* to its file in *directory*, a line for each row."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{outcome.case}.json"
    fields = asdict(outcome)
    measures = []
    for measure in fields.pop("measures"):
        rows = ",\n".join(f"   {json.dumps(row)}" for row in measure.pop("rows"))
        measures.append(f'{json.dumps(measure)[:-1]}, "rows": [\n{rows}\n  ]}}')
    head = json.dumps(fields, indent=1).removesuffix("\n}")
    path.write_text(f'{head},\n "measures": [{", ".join(measures)}]\n}}\n')
    return path


def load(path: Path) -> Outcome:
    """Read what `save` wrote.

    Raises:
        TypeError, KeyError: It is something else.
    """
    fields: dict[str, Any] = json.loads(path.read_text())
    fields["measures"] = tuple(map(measure_of, fields["measures"]))
    return Outcome(**fields)


def measure_of(fields: Mapping[str, Any]) -> Measure:
    """Return the measure whose *fields* JSON had."""
    rows = tuple(map(row_of, fields["rows"]))
    return Measure(fields["name"], fields["unit"], rows)


def row_of(fields: Mapping[str, Any]) -> Row:
    """Return the row whose *fields* JSON had."""
    return Row(**{**fields, "samples": tuple(fields["samples"])})

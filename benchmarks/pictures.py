"""The pictures that people look for, of the cases that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .charts import WIDTH, Canvas, Panel, bars
from .results import Measure, Outcome, Row
from .running import NONE
from .table import text_of

__all__ = ["pictures"]

Outcomes = Mapping[str, Outcome]


def pictures(directory: Path, outcomes: Outcomes) -> list[Path]:
    """Draw those for which there is something; return where they are."""
    drawn = {
        "cost": _panels(
            "What a connect costs",
            outcomes,
            connect="a socket, one address",
            streams="streams, one address",
        ),
        "slow": _panels(
            "Time to connect when something is slow",
            outcomes,
            silent="two addresses, the first is silent",
            aaaa="a name with A at once, and AAAA late",
            names="a name, while 64 others hang",
        ),
        "pending": _panels(
            "A connect that gets no answer",
            outcomes,
            pending="memory that it holds, bytes",
        ),
        "retry": _panels(
            "Waiting for a server", outcomes, retry="CPU of a refused attempt"
        ),
        "growth": _growth(outcomes),
        "herd": _herd(outcomes),
    }
    return [
        canvas.save(directory / f"{name}.svg")
        for name, canvas in drawn.items()
        if canvas is not None
    ]


def _measured(outcomes: Outcomes, case: str) -> Measure | None:
    outcome = outcomes.get(case)
    return outcome.measures[0] if outcome and outcome.measures else None


def _below(outcomes: Outcomes, cases: Sequence[str]) -> str:
    """Return what made the picture, and where."""
    shown = [outcomes[case] for case in cases if case in outcomes]
    one = shown[0]
    quick = " --quick" if one.quick else ""
    command = f"python -m benchmarks {' '.join(each.case for each in shown)}{quick}"
    where = f"Python {one.versions['python']}, {one.machine['cores']} cores"
    return f"{command}   ({where}, {one.date[:10]})"


def _panels(title: str, outcomes: Outcomes, **headings: str) -> Canvas | None:
    panels = [
        Panel(heading, measure.unit, measure.rows)
        for case, heading in headings.items()
        if (measure := _measured(outcomes, case))
    ]
    return bars(title, _below(outcomes, list(headings)), panels) if panels else None


LEFT, TOP, HEIGHT, LABELS = 62.0, 44.0, 270.0, 250.0


def _growth(outcomes: Outcomes) -> Canvas | None:
    """Draw the cost of a connect against how many there are at once."""
    measure = _measured(outcomes, "concurrency")
    rows = [row for row in measure.rows if row.samples] if measure else []
    sizes = sorted({row.at for row in rows if row.at is not None})
    if len(sizes) < 2:
        return None
    canvas = Canvas(
        "Cost of a connect, by how many are made at once",
        _below(outcomes, ["concurrency"]),
        TOP + HEIGHT + 60,
    )
    canvas.text("both scales are logarithmic", WIDTH - 12, 22, "small", "end")
    low, high = min(row.median for row in rows), max(row.median for row in rows)
    across = (WIDTH - LEFT - LABELS) / math.log10(sizes[-1] / sizes[0])
    up = HEIGHT / math.log10(high / low)

    def spot(row: Row) -> tuple[float, float]:
        x = LEFT + math.log10((row.at or 1) / sizes[0]) * across
        return x, TOP + HEIGHT - math.log10(row.median / low) * up

    for size in sizes:
        x = LEFT + math.log10(size / sizes[0]) * across
        canvas.line(x, TOP, x, TOP + HEIGHT, "grid")
        canvas.text(f"{size:,.0f}", x, TOP + HEIGHT + 16, "small", "middle")
    for value in (n * 10.0**e for e in range(-6, 0) for n in (1, 2, 5)):
        if low <= value <= high:
            y = TOP + HEIGHT - math.log10(value / low) * up
            canvas.line(LEFT, y, WIDTH - LABELS, y, "grid")
            canvas.text(text_of(value, "s"), LEFT - 6, y + 4, "small", "end")
    _curves(canvas, rows, spot)
    return canvas


def _curves(
    canvas: Canvas, rows: Sequence[Row], spot: Callable[[Row], tuple[float, float]]
) -> None:
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        lines.setdefault((row.contestant, row.loop), []).append(spot(row))
    below = TOP - 14.0
    for (name, loop), points in sorted(lines.items(), key=lambda line: line[1][-1][1]):
        is_ours = name.startswith("aioconnect")
        canvas.curve(points, loop, 2.4 if is_ours else 1.0)
        x, y = points[-1]
        # Each label is below the one above it.
        below = max(y + 4, below + 13)
        kind = "small ours" if is_ours else "small"
        text = name if loop == NONE else f"{name}, {loop}"
        canvas.text(text, x + 8, below, kind)


COLUMNS, TALL = 60, 70.0


def _herd(outcomes: Outcomes) -> Canvas | None:
    """Draw when the clients of a herd come."""
    outcome = outcomes.get("herd")
    if outcome is None or not outcome.measures:
        return None
    arrived, dropped, _ = outcome.measures
    rows = [row for row in arrived.rows if row.samples]
    if not rows:
        return None
    canvas = Canvas(
        "When a herd that waits reaches a server that begins to listen",
        _below(outcomes, ["herd"]),
        60 + len(rows) * (TALL + 34) + 40,
    )
    last = max(row.samples[-1] for row in rows)
    shares = [_shares(row.samples, last) for row in rows]
    most = max(map(max, shares))
    scale = f"the highest column: {most:.0%} of those that came"
    canvas.text(scale, WIDTH - 28, 52, "small", "end")
    lost = {
        (row.contestant, row.loop): row.median for row in dropped.rows if row.samples
    }
    for row, columns in zip(rows, shares, strict=True):
        gone = lost.get((row.contestant, row.loop), 0.0)
        text = f"{row.contestant}, {row.loop}: {gone:,.0f} dropped by a full queue"
        canvas.text(text, 12, canvas.y + 12)
        canvas.y += 22
        _columns(canvas, [share / most for share in columns], row.loop)
    for part in range(5):
        x = 12 + part / 4 * (WIDTH - 40)
        canvas.text(
            f"{last * part / 4:.2f} s",
            x,
            canvas.y + 8,
            "small",
            "middle" if part else "start",
        )
    return canvas


def _shares(samples: Sequence[float], last: float) -> list[float]:
    """Return which part of *samples* is in each column; the last one has its end."""
    shares = [0.0] * COLUMNS
    for at in samples:
        shares[min(int(at / last * COLUMNS), COLUMNS - 1)] += 1 / len(samples)
    return shares


def _columns(canvas: Canvas, heights: Sequence[float], kind: str) -> None:
    wide = (WIDTH - 40) / COLUMNS
    canvas.line(12, canvas.y + TALL, WIDTH - 28, canvas.y + TALL, "grid")
    for number, height in enumerate(heights):
        if height:
            high = height * TALL
            canvas.box(12 + number * wide, canvas.y + TALL - high, wide - 1, high, kind)
    canvas.y += TALL + 12

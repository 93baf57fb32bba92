"""The bounds: limits on the ratio of two contestants of one run, and the verdicts.

Each bound has a floor: the ratio of the least work that any connect has to do.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .results import Measure, Outcome, Row
from .running import ASYNCIO, NONE

__all__ = ["BOUNDS", "Bound", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that *ours* may take, as a ratio to *theirs*, on each loop.

    *at* are the sizes at which the two are compared.
    """

    what: str
    case: str
    measure: str
    ours: str
    theirs: str
    limits: Mapping[str, float]
    floor: str
    at: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a bound.  Without a *ratio*, *why* gives the reason."""

    bound: Bound
    loop: str
    limit: float
    ratio: float | None
    floor: float | None
    why: str = ""

    @property
    def is_met(self) -> bool:
        """Whether there is a ratio within the limit."""
        return self.ratio is not None and self.ratio <= self.limit


def _on_both(limit: float) -> Mapping[str, float]:
    return dict.fromkeys(ASYNCIO, limit)


CONNECT = "time of a connect"
CALLS = "the checked system calls"
LEAST = "a task, a future, a watcher"
LATE = "CPU of a connect that is answered later"
HANDED = "the loop, a checked socket"
WAITED = "a task, a future, a watcher, checked"
HANDED_LATE = "the loop, a socket that waited"
OPEN = "aioconnect.open_connection"
THEIRS = "asyncio.open_connection"

BOUNDS: Sequence[Bound] = (
    Bound(
        "connect / loop.sock_connect",
        "connect",
        CONNECT,
        "aioconnect.connect",
        "loop.sock_connect",
        {"asyncio": 0.40, "uvloop": 0.45},
        CALLS,
    ),
    Bound(
        "connect / a blocking socket.connect",
        "connect",
        CONNECT,
        "aioconnect.connect",
        "blocking socket.connect",
        _on_both(1.00),
        CALLS,
    ),
    Bound(
        "open_connection / the loop's own",
        "streams",
        CONNECT,
        OPEN,
        THEIRS,
        {"asyncio": 0.75, "uvloop": 1.10},
        HANDED,
    ),
    Bound(
        "answered later: connect / loop.sock_connect",
        "answered",
        LATE,
        "aioconnect.connect",
        "loop.sock_connect",
        {"asyncio": 0.97, "uvloop": 0.72},
        WAITED,
    ),
    Bound(
        "answered later: open_connection / the loop's own",
        "answered",
        LATE,
        OPEN,
        THEIRS,
        {"asyncio": 0.97, "uvloop": 1.35},
        HANDED_LATE,
    ),
    Bound(
        "answered later, within a timeout: the same",
        "answered",
        LATE,
        f"{OPEN}(timeout=5)",
        f"{THEIRS}, timeout(5)",
        {"asyncio": 0.95, "uvloop": 1.30},
        HANDED_LATE,
    ),
    Bound(
        "connect_unix / loop.sock_connect",
        "unix",
        CONNECT,
        "aioconnect.connect_unix",
        "loop.sock_connect",
        _on_both(0.90),
        CALLS,
    ),
    Bound(
        "open_unix_connection / the loop's own",
        "unix",
        CONNECT,
        "aioconnect.open_unix_connection",
        "asyncio.open_unix_connection",
        _on_both(1.10),
        HANDED,
    ),
    Bound(
        "open_connection over TLS / the loop's own",
        "tls",
        CONNECT,
        OPEN,
        THEIRS,
        _on_both(1.02),
        HANDED,
    ),
    Bound(
        "three addresses, the first answers / aiohappyeyeballs",
        "three",
        CONNECT,
        "aioconnect.connect_any",
        "aiohappyeyeballs",
        _on_both(0.35),
        CALLS,
    ),
    Bound(
        "open_connection / anyio.connect_tcp",
        "streams",
        CONNECT,
        OPEN,
        "anyio.connect_tcp",
        _on_both(0.30),
        HANDED,
    ),
    Bound(
        "a name that a resolver knows / a number",
        "resolver",
        CONNECT,
        "aioconnect.connect, a resolver",
        "aioconnect.connect",
        _on_both(1.6),
        "a task, the checked system calls",
    ),
    Bound(
        "a name in /etc/hosts / open_connection",
        "hosts",
        CONNECT,
        "aioconnect.connect",
        THEIRS,
        _on_both(0.70),
        "getaddrinfo, the checked system calls",
    ),
    Bound(
        "memory of a pending connect / open_connection's",
        "pending",
        "memory of a pending connect",
        "aioconnect.connect",
        THEIRS,
        _on_both(0.38),
        LEAST,
    ),
    Bound(
        "CPU of a pending connect, made and cancelled / the same",
        "pending",
        "CPU of a pending connect",
        "aioconnect.connect",
        THEIRS,
        _on_both(0.60),
        LEAST,
    ),
    Bound(
        "CPU of a refused attempt / tenacity, open_connection",
        "retry",
        "CPU of a refused attempt",
        "aioconnect.open_connection(retry=...)",
        "tenacity, asyncio.open_connection",
        _on_both(0.28),
        "the system calls and a sleep",
    ),
    Bound(
        "a connect among 10,000 at once / alone",
        "concurrency",
        CONNECT,
        "aioconnect.connect",
        "aioconnect.connect",
        _on_both(1.3),
        CALLS,
        at=(10_000, 1),
    ),
    Bound(
        "import aioconnect / import asyncio",
        "import",
        "CPU of an import",
        "aioconnect",
        "asyncio",
        {NONE: 0.33},
        "the standard library's part of it",
    ),
)


def judge(outcomes: Mapping[str, Outcome]) -> Iterator[Verdict]:
    """Yield the verdict on each bound whose case is among *outcomes*."""
    for bound in BOUNDS:
        outcome = outcomes.get(bound.case)
        if outcome is None:
            continue
        measure = outcome.measure(bound.measure)
        for loop, limit in bound.limits.items():
            if measure is None:
                why = outcome.skipped or outcome.failed or "it was not measured"
                yield Verdict(bound, loop, limit, None, None, why)
            elif _has(measure, loop):
                yield _verdict(bound, measure, loop, limit)


def _has(measure: Measure, loop: str) -> bool:
    return any(row.loop == loop for row in measure.rows)


def _verdict(bound: Bound, measure: Measure, loop: str, limit: float) -> Verdict:
    ours = _row(measure, bound.ours, loop, bound.at[0])
    theirs = _row(measure, bound.theirs, loop, bound.at[1])
    for row in (ours, theirs):
        if isinstance(row, str):
            return Verdict(bound, loop, limit, None, None, row)
    # The floor of growth is its own, not that of what grows.
    least = _row(measure, bound.floor, loop, bound.at[0])
    over = (
        theirs if bound.at[0] is None else _row(measure, bound.floor, loop, bound.at[1])
    )
    return Verdict(bound, loop, limit, _ratio(ours, theirs), _ratio(least, over))


def _row(measure: Measure, name: str, loop: str, at: float | None) -> Row | str:
    """Return the row on *loop*, or the one without a loop; a text if there is none."""
    rows = [one for one in measure.rows if (one.contestant, one.at) == (name, at)]
    for row in sorted(rows, key=lambda one: one.loop == NONE):
        if row.loop in (loop, NONE):
            return f"{name}: {row.failed}" if row.failed else row
    return f"{name}{'' if at is None else f' at {at:,.0f}'} was not measured"


def _ratio(one: Row | str, other: Row | str) -> float | None:
    """Return the median of the ratios of samples of the same round."""
    if isinstance(one, str) or isinstance(other, str):
        return None
    pairs = zip(one.samples, other.samples, strict=False)
    return statistics.median(a / b for a, b in pairs)

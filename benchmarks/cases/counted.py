"""Count what a connect makes: system calls, and instructions where they are counted.

Each program is run without a connect and with some; the difference is the connects'.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ..machine import CLIENT, pin
from ..results import Measure
from ..running import Contestant, Loops, Plan, Skipped, take_turns
from ..servers import Endpoint, serving
from ..tracing import calls_of, is_traceable
from .connects import SOCKETS, STREAMS

__all__ = ["calls", "instructions"]

CONTESTANTS = (*SOCKETS, *(one for one in STREAMS if one not in SOCKETS))

Count = Callable[[], float]


def calls(plan: Plan) -> Sequence[Measure]:
    """Count by ``strace -c``."""
    if not is_traceable():
        raise Skipped("strace is not installed, or may not trace")
    return _counted("system calls of a connect", "calls", _straced, 50, 1, plan)


def instructions(plan: Plan) -> Sequence[Measure]:
    """Count by ``perf stat``."""
    if shutil.which("perf") is None:
        raise Skipped("perf is not installed")
    try:
        _perf("true")
    except RuntimeError as exc:
        raise Skipped(str(exc)) from exc
    return _counted("instructions of a connect", "instructions", _perf, 1000, 3, plan)


def _counted(
    name: str,
    unit: str,
    count: Callable[..., float],
    connects: int,
    rounds: int,
    plan: Plan,
) -> Sequence[Measure]:
    pin(CLIENT)
    names = ("aioconnect.connect", "loop.sock_connect", "the checked system calls")
    chosen = [
        one
        for one in plan.of(CONTESTANTS)
        if not plan.quick or (one.name in names and one.loop != "uvloop")
    ]

    def measure(loops: Loops, contestant: Contestant, opens: object) -> float:  # noqa: ARG001
        number = str(CONTESTANTS.index(contestant))
        program = (
            sys.executable,
            "-m",
            f"{__package__}.some",
            number,
            str(endpoint.port),
        )
        few, many = (count(*program, str(n)) for n in (10, 10 + connects))
        return max(many - few, 0.0) / connects

    with serving(Endpoint()) as endpoint:
        rows = take_turns(chosen, endpoint, rounds, measure, warm=False)
    return [Measure(name, unit, tuple(rows))]


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def _straced(*program: str) -> float:
    return calls_of(*program).total()


def _perf(*program: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        table = Path(directory, "counted")
        _run(
            "perf", "stat", "-x", ",", "-e", "instructions", "-o", str(table), *program
        )
        lines = table.read_text().splitlines()
    line = next(line for line in lines if "instructions" in line)
    value = line.partition(",")[0]
    if not value.isdigit():
        raise RuntimeError(f"this machine counts no instructions: perf says {value}")
    return float(value)

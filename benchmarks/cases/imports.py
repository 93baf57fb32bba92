"""Import what connects, in new processes, where asyncio has been imported before."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from ..machine import CLIENT, end_with_parent, pin
from ..results import Measure
from ..running import NONE, Contestant, Loops, Plan, take_turns
from ..servers import Endpoint

__all__ = ["imports"]

MODULES = (
    "aiohappyeyeballs",
    "async_stagger",
    "anyio",
    "stamina",
    "tenacity",
    "trio",
    "uvloop",
)

# What is printed last are the seconds of CPU.
TIMED = """
import {before}
import sys, time
{also}
started = time.process_time()
{timed}
print(time.process_time() - started)
"""

# What it imports of the standard library, beyond what asyncio does.
NEEDED = """
import asyncio, sys
before = set(sys.modules)
import aioconnect
names = sys.stdlib_module_names
print(*(m for m in sys.modules if m not in before and m.partition(".")[0] in names))
"""


def _timed(
    timed: str, before: str = "asyncio"
) -> Callable[[Endpoint], Callable[[], float]]:
    program = TIMED.format(before=before, also="", timed=timed)

    def make(endpoint: Endpoint) -> Callable[[], float]:  # noqa: ARG001  # as all
        def opens() -> float:
            return float(_run(program))

        return opens

    return make


def _needed(endpoint: Endpoint) -> Callable[[], float]:
    needed = _run(NEEDED).split()
    return _timed("\n".join(f"import {name}" for name in needed) or "pass")(endpoint)


def _run(program: str) -> str:
    command = (sys.executable, "-c", program)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=end_with_parent,  # there are no threads
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout


def _nothing(connection: object) -> None:
    """Close nothing."""


CONTESTANTS = (
    Contestant("asyncio", NONE, _timed("import asyncio", "sys"), _nothing),
    Contestant("aioconnect", NONE, _timed("import aioconnect"), _nothing),
    Contestant("the standard library's part of it", NONE, _needed, _nothing),
    *(
        Contestant(module, NONE, _timed(f"import {module}"), _nothing)
        for module in MODULES
    ),
)


def imports(plan: Plan) -> Sequence[Measure]:
    """Import each, warm."""
    pin(CLIENT)
    # Warm is with the bytecode, wherever it may be written.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PYTHONPYCACHEPREFIX"] = directory
        rows = take_turns(CONTESTANTS, Endpoint(), 2 if plan.quick else 15, _spent)
    return [Measure("CPU of an import", "s", tuple(rows))]


def _spent(loops: Loops, contestant: Contestant, opens: Any) -> float:  # noqa: ARG001
    spent: float = opens()
    return spent

"""Count the system calls of a connect, and the modules of an import, from outside.

Needs nothing but the standard library, `aioconnect` and, for system calls, strace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from aioconnect.testing import listening

__all__ = ["STRACED", "calls", "calls_of", "is_traceable", "modules"]

# So many connects.
TIMES = 64

# What only strace can count.
STRACED = (
    "system calls of a connect",
    "checks of the peer of a connect",
    "getpid of a connect",
)


def is_traceable() -> bool:
    """Tell whether strace is there, and allowed to trace."""
    if shutil.which("strace") is None:
        return False
    probe = subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return probe.returncode == 0


IMPORTED = """
import asyncio, sys
before = set(sys.modules)
import aioconnect
print(*set(sys.modules) - before)
"""


def modules() -> dict[str, float]:
    """Return how many modules importing aioconnect adds to asyncio's."""
    names = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = [name for name in names if name.partition(".")[0] == "aioconnect"]
    return {
        "modules of the package": len(ours),
        "modules of the standard library": len(names) - len(ours),
    }


CONNECTING = """
import asyncio, sys, aioconnect
async def main(port, times):
    for _ in range(times):
        (await aioconnect.connect("127.0.0.1", port)).close()
asyncio.run(main(*map(int, sys.argv[1:])))
"""


def calls() -> dict[str, float]:
    """Return the system calls of a connect, by the difference of two programs."""
    with listening(backlog=2 * TIMES) as server:
        program = (sys.executable, "-c", CONNECTING, str(server.port))
        few, many = (calls_of(*program, str(n)) for n in (1, 1 + TIMES))
    # Leave out calls that the interpreter itself makes now and then.
    differences = (many - few).items()
    own = {name: n / TIMES for name, n in differences if n >= TIMES / 4}
    checks = own.pop("getsockname", 0) + own.pop("getpeername", 0)
    pids = own.pop("getpid", 0)
    own.pop("close", 0)
    return dict(zip(STRACED, (sum(own.values()), checks, pids), strict=True))


def calls_of(*program: str) -> Counter[str]:
    """Return how often *program* made each system call.

    Raises:
        RuntimeError: It failed.
    """
    with tempfile.TemporaryDirectory() as directory:
        table = Path(directory, "calls")
        strace = ("strace", "-f", "-c", "-o", str(table))
        done = subprocess.run(
            [*strace, *program], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        text = table.read_text()
    # % time, seconds, usecs/call, calls, errors (or none), name
    row = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)
    return Counter({name: int(n) for n, name in row.findall(text) if name != "total"})

"""Nothing grows in two minutes of everything at once (run an hour of it by hand)."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from thrown import Thrown

SOAK = Path(__file__).parent.parent.parent / "benchmarks" / "soak.py"
LOOPS = ("asyncio", "uvloop")


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_soak(tmp_path: Path, thrown: Thrown) -> None:
    """Memory, descriptors, threads and tasks do not grow in a minute on each loop."""
    with ExitStack() as stack:
        running = {loop: stack.enter_context(soak(loop, tmp_path)) for loop in LOOPS}
        said = {loop: one.communicate(timeout=500)[0] for loop, one in running.items()}
    for loop, one in running.items():
        assert one.returncode == 0, said[loop]
        counts = json.loads((tmp_path / loop).read_text())[loop]["counts"]
        for came, count in counts.items():
            thrown("soak", came, count)


def soak(loop: str, directory: Path) -> subprocess.Popen[str]:
    """Start the minute of *loop*, which writes its samples into *directory*."""
    options = ("--minutes", "1", "--loop", loop, "--json", str(directory / loop))
    return subprocess.Popen(
        (sys.executable, str(SOAK), *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

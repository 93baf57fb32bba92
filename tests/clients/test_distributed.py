"""A fleet is checked from the workers of a distributed cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients
pytest.importorskip("distributed")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_fleet(loop: str) -> None:
    """What 200 targets are like is seen by two workers, and comes home, quietly."""
    python = (sys.executable, "-X", "dev", "-W", "error")
    script = Path(__file__).parent / "fleet.py"
    done = subprocess.run(
        [*python, str(script), loop],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""Two minutes of everything at once: nothing grows (an hour of it is for by hand)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from programs import run_script
from thrown import Thrown

SOAK = Path(__file__).parent.parent.parent / "benchmarks" / "soak.py"


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_soak(loop: str, tmp_path: Path, thrown: Thrown) -> None:
    """Memory, descriptors, threads and tasks are the same at the end."""
    samples = tmp_path / "samples.json"
    options = ("--minutes", "1", "--loop", loop, "--json", str(samples))
    print(run_script(sys.executable, str(SOAK), *options, timeout=500))
    for came, count in json.loads(samples.read_text())[loop]["counts"].items():
        thrown("soak", came, count)

"""A fleet is checked from the workers of a distributed cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.clients
pytest.importorskip("distributed")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_fleet(loop: str, tmp_path: Path) -> None:
    """What 200 targets are like is seen by two workers, and comes home, quietly."""
    python = (sys.executable, "-X", "dev", "-W", "error")
    config = {
        "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": loop,
        # On a slow machine a worker's heartbeat may meet the cluster's end.
        "DASK_LOGGING__DISTRIBUTED": "critical",
        "DASK_TEMPORARY_DIRECTORY": str(tmp_path),
    }
    done = subprocess.run(
        [*python, str(Path(__file__).parent / "fleet.py")],
        env=os.environ | config,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

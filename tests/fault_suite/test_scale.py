"""Many connects succeed: at the same time, in a row, and under a storm of signals."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
from programs import run_script

LOOPS = ["asyncio", "uvloop"]

SCRIPTS = Path(__file__).parent.parent / "scripts"


@pytest.mark.parametrize("loop", LOOPS)
def test_storm_of_signals(loop: str) -> None:
    """2,000 connects all succeed while a signal arrives every millisecond."""
    run_script(sys.executable, str(SCRIPTS / "signal_storm.py"), loop, "2000")


@pytest.mark.parametrize("loop", LOOPS)
def test_many_at_once(loop: str) -> None:
    """10,000 concurrent connects to one server all succeed."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 10_200:
        pytest.skip("needs RLIMIT_NOFILE of 10,200")
    run_script(sys.executable, str(SCRIPTS / "many.py"), loop, "concurrent", "10000")


@pytest.mark.parametrize("loop", LOOPS)
def test_many_in_a_row(loop: str) -> None:
    """100,000 sequential connects do not grow the memory."""
    run_script(sys.executable, str(SCRIPTS / "many.py"), loop, "sequential", "100000")

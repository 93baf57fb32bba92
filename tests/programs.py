"""Run programs, which must succeed."""

from __future__ import annotations

import subprocess

__all__ = ["run_script"]


def run_script(*command: str, timeout: float = 100.0) -> str:
    """Run *command*, which must succeed; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout

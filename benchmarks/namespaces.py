"""Run a module of the benchmarks in namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from .running import Plan, Skipped

__all__ = ["in_namespace"]

TUN = Path("/dev/net/tun")


def in_namespace(module: str, *arguments: str, plan: Plan) -> Any:
    """Return what ``python -m benchmarks.MODULE ARGUMENTS QUICK LOOP...`` prints.

    It has its own network and mounts, and prints JSON.

    Raises:
        Skipped: There are no namespaces here, or tools are missing.
    """
    for tool in ("unshare", "ip", "mount"):
        if shutil.which(tool) is None:
            raise Skipped(f"{tool} is not installed")
    # Who is not root can be, in a namespace of users, where those are allowed.
    rooted = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshared = ["unshare", *rooted, "-n", "-m"]
    probe = subprocess.run(
        [*unshared, "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        raise Skipped(f"namespaces are not allowed here: {probe.stderr.strip()}")
    command = (sys.executable, "-m", f"{__package__}.{module}")
    asked = (*arguments, str(plan.quick), *plan.loops)
    done = subprocess.run(
        [*unshared, *command, *asked], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)

"""Names whose DNS is slow or silent, in a namespace where that can be arranged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from ..results import Measure, Row
from ..running import Plan, Skipped

__all__ = ["hung", "slow_aaaa"]


def slow_aaaa(plan: Plan) -> Sequence[Measure]:
    """Connect to a name whose AAAA takes 1 s, and whose A is there."""
    return [Measure("time to connect", "s", _in_namespace("aaaa", plan))]


def hung(plan: Plan) -> Sequence[Measure]:
    """Connect to a name while 64 others hang, whose DNS server is silent."""
    return [Measure("time to connect", "s", _in_namespace("names", plan))]


def _in_namespace(case: str, plan: Plan) -> tuple[Row, ...]:
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
    module = (sys.executable, "-m", "benchmarks.own_dns")
    asked = (case, str(plan.quick), *plan.loops)
    done = subprocess.run(
        [*unshared, *module, *asked], stdout=subprocess.PIPE, text=True, check=True
    )
    return tuple(
        Row(**{**row, "samples": tuple(row["samples"])})
        for row in json.loads(done.stdout)
    )

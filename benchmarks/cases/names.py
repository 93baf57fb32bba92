"""Names: known, slow or silent.  What DNS does is arranged in a namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from .. import ways_names
from ..machine import CLIENT, pin
from ..results import Measure, Row
from ..running import Plan, Skipped, in_batches, take_turns
from ..servers import Endpoint, serving

__all__ = ["hung", "in_hosts", "known", "many_hung", "no_answer", "slow_aaaa"]

CONNECT = "time of a connect"
LATE = "time to connect"


def known(plan: Plan) -> Sequence[Measure]:
    """Connect to a name whose address a resolver of the caller's knows."""
    rounds, size = (2, 20) if plan.quick else (40, 200)
    with serving(Endpoint()) as endpoint:
        pin(CLIENT)
        contestants = plan.of(ways_names.KNOWN)
        rows = take_turns(contestants, endpoint, rounds, in_batches(size))
    return [Measure(CONNECT, "s", tuple(rows))]


def in_hosts(plan: Plan) -> Sequence[Measure]:
    """Connect to a name that the system knows from /etc/hosts."""
    return [Measure(CONNECT, "s", _in_namespace("hosts", plan))]


def slow_aaaa(plan: Plan) -> Sequence[Measure]:
    """Connect to a name whose AAAA takes 1 s, and whose A is there."""
    return [Measure(LATE, "s", _in_namespace("aaaa", plan))]


def no_answer(plan: Plan) -> Sequence[Measure]:
    """Connect to a name of which one family never comes, and the other is there."""
    return [
        Measure("time to connect, no AAAA", "s", _in_namespace("no-aaaa", plan)),
        Measure("time to connect, no A", "s", _in_namespace("no-a", plan)),
    ]


def hung(plan: Plan) -> Sequence[Measure]:
    """Connect to a name while 64 others hang, whose DNS server is silent."""
    return [Measure(LATE, "s", _in_namespace("names", plan))]


def many_hung(plan: Plan) -> Sequence[Measure]:
    """Connect to a name while 300 others hang."""
    return [
        Measure(LATE, "s", _in_namespace("many", plan)),
        Measure("time to connect, /etc/hosts", "s", _in_namespace("many-hosts", plan)),
    ]


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

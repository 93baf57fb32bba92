"""A thundering herd: many tasks that wait for the same server."""

from __future__ import annotations

import json
import math
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.thorough

# As in scripts/herd.py.
TASKS = 2000
MAXIMUM = 2.0
BACKLOG = 256

# A client or a server that was this late (seconds) had a hundred come at once that
# were not to, which is much of the backlog.
STALLED = 0.05


def herd(in_namespace: Callable[..., str], loop: str) -> dict[str, Any]:
    """Return what came of a herd; of another one, if a stall made it overflow."""
    for _ in range(3):
        came: dict[str, Any] = json.loads(in_namespace("herd.py", loop, "1.0"))
        is_full = came["queue"] > BACKLOG or came["overflows"]
        if not is_full or came["late"] < STALLED:
            break
    return came


@pytest.mark.namespace
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_herd_with_jitter(in_namespace: Callable[..., str], loop: str) -> None:
    """2,000 tasks reach a late server one by one, in the time of the longest delay.

    None is refused once it listens, none waits for more than a delay, and there are
    never more of them at once than the server's backlog.
    """
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < TASKS + 200:
        pytest.skip(f"needs RLIMIT_NOFILE of {TASKS + 200:,}")
    came = herd(in_namespace, loop)
    assert came["accepted"] == TASKS
    assert min(came["connected"]) > -1.0  # nobody's is unset
    assert came["refused_late"] == 0
    # When they were to come, and, which is the machine's, when they came.
    assert max(came["due"]) < MAXIMUM + 0.5
    assert max(came["connected"]) < MAXIMUM + 5.0
    tenths = Counter(math.floor(at / MAXIMUM * 10) for at in came["due"])
    assert max(tenths.values()) <= TASKS / 3, tenths
    assert 0 < came["queue"] <= BACKLOG
    assert came["overflows"] == 0

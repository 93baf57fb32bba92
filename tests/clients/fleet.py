"""Check a fleet from the workers of a cluster, and judge what they have seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypeAlias

from distributed import Client, LocalCluster

from aioconnect import Connector, ConnectRefusedError, ConnectTimeoutError
from aioconnect.testing import (
    BlackHole,
    RefusingPort,
    Server,
    black_hole,
    listening,
    refusing,
)

Target: TypeAlias = tuple[str, int]
Report: TypeAlias = dict[Target, float | BaseException]

CONNECTOR = Connector(timeout=30, attempt_timeout=0.3, retry=(0.1, 0.2))


async def check(connector: Connector, targets: Sequence[Target]) -> Report:
    """Say of each target in how many seconds it was up, or why it was not."""
    waits = (connector.wait_until_up(*target) for target in targets)
    seen = await asyncio.gather(*waits, return_exceptions=True)
    return dict(zip(targets, seen, strict=True))


def check_all(fleet: Sequence[Target]) -> Report:
    """Have two workers check half of the *fleet* each."""
    # Without an address the dashboard is where another cluster has its own.
    with (
        LocalCluster(n_workers=2, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(lambda sent: sent, CONNECTOR).result() == CONNECTOR
        halves = client.map(check, [CONNECTOR] * 2, [fleet[::2], fleet[1::2]])
        first, second = client.gather(halves)
    return {**first, **second}


def main() -> None:
    """Make the fleet, and judge the report."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        up = [where(enter(listening())) for _ in range(170)]
        down = [where(enter(refusing())) for _ in range(25)]
        silent = [where(enter(black_hole())) for _ in range(5)]
        report = check_all([*silent, *down, *up])
    assert report.keys() == {*silent, *down, *up}
    assert all(isinstance(report[target], float) for target in up), report
    for kind, targets in ((ConnectRefusedError, down), (ConnectTimeoutError, silent)):
        for target in targets:
            error = report[target]
            assert isinstance(error, kind), error
            assert (error.host, error.port) == target
            assert [attempt.round for attempt in error.attempts] == [1, 2, 3]


def where(server: Server | RefusingPort | BlackHole) -> Target:
    """Return what is asked for."""
    return server.host, server.port


if __name__ == "__main__":
    main()

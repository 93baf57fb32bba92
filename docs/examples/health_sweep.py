"""Check many servers at once, print a table, and exit with 1 if one is not up.

A target is ``host:port``, ``unix:/path``, or the URL of a service, which is then asked.
Run: python docs/examples/health_sweep.py db:5432 redis://cache http://web:8000/health
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable
from typing import NamedTuple

import aioconnect

AT_ONCE = 100  # checks, so that descriptors never run out


class Health(NamedTuple):
    """What a check of a target found.  *reason* is empty if it is up."""

    target: str
    seconds: float
    reason: str = ""


def never(_: OSError) -> bool:
    """Refuse another attempt: one check is enough for a sweep."""
    return False


async def check(target: str, connector: aioconnect.Connector, timeout: float) -> Health:
    """Check *target* once."""
    started = asyncio.get_running_loop().time()
    try:
        return Health(target, await connector.wait_until_up(target, timeout=timeout))
    except (aioconnect.ConnectError, ValueError) as error:  # or it is no target
        elapsed = asyncio.get_running_loop().time() - started
        return Health(target, elapsed, str(error))


async def sweep(targets: Iterable[str], timeout: float = 3) -> list[Health]:
    """Check all *targets*, and return what was found, in their order."""
    connector = aioconnect.Connector(retry_on=never)
    slots = asyncio.Semaphore(AT_ONCE)

    async def in_turn(target: str) -> Health:
        async with slots:
            return await check(target, connector, timeout)

    return await asyncio.gather(*map(in_turn, targets))


def table(found: list[Health]) -> str:
    """Return a line for each target."""
    width = max((len(one.target) for one in found), default=0)
    return "\n".join(
        f"{one.target:{width}}  {'DOWN' if one.reason else 'up':4}"
        f"  {one.seconds * 1000:7.1f} ms  {one.reason}".rstrip()
        for one in found
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--timeout", type=float, default=3, help="seconds per target")
    given = parser.parse_args()
    healths = asyncio.run(sweep(given.targets, given.timeout))
    print(table(healths))
    sys.exit(any(one.reason for one in healths))

"""Wait until a name has an address, and connect to none."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from .._sansio.deadline import Deadline
from .._sansio.endpoints import Endpoint
from .._sansio.error_predicates import is_unknown_name
from .connect import ConnectOperation
from .options import Options
from .wait_for_server import with_wait_defaults

__all__ = ["look_up_name", "until_resolved"]


async def until_resolved(options: Options, name: str) -> float:
    """Wait until *name* exists and has an address; return the seconds that it took.

    Raises:
        ConnectError: The policy has given up, or the time is up.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    options = with_wait_defaults(options)
    retry_on = is_unknown_name | options.retry_on
    await look_up_name(replace(options, ready=None, retry_on=retry_on), name)
    return loop.time() - started


async def look_up_name(options: Options, name: str) -> None:
    """Look up the addresses of *name*, under *options*, and connect to none.

    Raises:
        ConnectError: It has none, the policy has given up, or the time is up.
    """
    await _NameLookup(options, (Endpoint(name, None),)).run()


class _NameLookup(ConnectOperation):
    """A call that ends when its endpoint's name has an address."""

    __slots__ = ()

    async def _try(
        self,
        endpoint: Endpoint,
        turn: Deadline,
        started: float,  # noqa: ARG002  # of an attempt, and there is none
    ) -> tuple[()] | None:
        return () if await self.look_up(endpoint, turn) else None

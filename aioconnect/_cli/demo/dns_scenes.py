"""The demo's scenes with names: an address that is silent, and an answer that is late.

`aioconnect.testing` makes both on loopback, without root.  asyncio and aioconnect ask
the same scripted resolver.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

from ..._api import connect
from ..._timeline import Timeline
from ...testing import Lookup, ScriptedResolver, black_hole, listening, on_one_port
from .stage import ASYNCIO_TIMEOUT, Stage, UntrueError

__all__ = [
    "RESOLVER",
    "STAGGER",
    "STALLED",
    "ScriptedDNSLoop",
    "half_silent",
    "silent_ipv6",
    "slow_answer",
]

_SILENT, _SLOW = "silent.example", "slow.example"
STALLED = "stalled.example"

_ANSWER_DELAY = 1.0  # seconds until the slow answer
STAGGER = 0.25  # RFC 8305's Connection Attempt Delay, and aioconnect's default

RESOLVER = ScriptedResolver(
    {
        (_SILENT, socket.AF_INET6): Lookup(["::1"]),
        (_SILENT, socket.AF_INET): Lookup(["127.0.0.1"]),
        (STALLED, socket.AF_INET6): Lookup(["::1"]),
        (STALLED, socket.AF_INET): Lookup(["127.0.0.1"]),
        (_SLOW, socket.AF_INET6): Lookup([], delay=_ANSWER_DELAY),
        (_SLOW, socket.AF_INET): Lookup(["127.0.0.1"]),
    }
)


class ScriptedDNSLoop(asyncio.SelectorEventLoop):
    """asyncio's event loop, which asks the demo's resolver."""

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Return one answer for both families, as the system's getaddrinfo does."""
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        found = await RESOLVER(str(host), int(port))
        return [(address.family, *kind, address.sockaddr) for address in found]


@contextlib.contextmanager
def half_silent() -> Generator[int]:
    """Yield a port that drops every SYN on ::1, and accepts on 127.0.0.1.

    Raises:
        OSError: There is no IPv6.
    """
    with on_one_port(lambda: black_hole("::1"), lambda port: listening(port=port)) as (
        _,
        server,
    ):
        yield server.port


async def silent_ipv6(stage: Stage, port: int) -> None:
    """Show how to connect to *port* of a name whose IPv6 address does not answer.

    Raises:
        UntrueError: A check failed.
    """
    addresses = "::1 never answers, and 127.0.0.1 accepts"
    stage.say(f"{_SILENT} has two addresses: {addresses}.")
    result = await stage.connect_by_asyncio(_SILENT, port)
    if result.error is None:
        raise UntrueError("::1 should be silent, but asyncio connected")
    one = "It tries one address after the other"
    stage.say(f"asyncio.open_connection: {result}. {one}.")
    raced = await stage.connect_by_asyncio(_SILENT, port, happy_eyeballs_delay=STAGGER)
    stage.say(f"The same, with happy_eyeballs_delay={STAGGER}: {raced}.")
    await _show_connect(stage, _SILENT, port)


async def slow_answer(stage: Stage, port: int) -> None:
    """Show how to connect to *port* of a name whose AAAA answer is late, and empty.

    Raises:
        UntrueError: A check failed.
    """
    late = f"It has no IPv6 address, but DNS takes {_ANSWER_DELAY:g} s to say so"
    stage.say(f"{_SLOW} is 127.0.0.1. {late}.")
    result = await stage.connect_by_asyncio(_SLOW, port, happy_eyeballs_delay=STAGGER)
    if result.error is not None or result.elapsed < _ANSWER_DELAY:
        raise UntrueError(f"asyncio.open_connection should wait, but: {result}")
    whole = "It waits for the answers of both families"
    stage.say(f"asyncio.open_connection: {result}. {whole}.")
    await _show_connect(stage, _SLOW, port)


async def _show_connect(stage: Stage, host: str, port: int) -> None:
    stage.say("aioconnect.connect, with its default delays:")
    timeline = Timeline()
    connecting = connect(
        host, port, timeout=ASYNCIO_TIMEOUT, resolver=RESOLVER, observer=timeline
    )
    (await stage.show_connecting(connecting, timeline)).close()
    outcomes = [step["outcome"] for step in timeline.to_dict()["steps"]]
    if "dropped" not in outcomes:
        raise UntrueError("nothing was slower than the connect")

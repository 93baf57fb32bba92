"""The demo's other scenes: an address that is silent, and an answer that is late.

Both are made on loopback, without root, by `aioconnect.testing`; asyncio and we ask the
same resolver.
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
from .stage import PATIENCE, Stage, UntrueError

__all__ = ["NamedLoop", "half_silent", "silent_ipv6", "slow_answer"]

_SILENT, _SLOW = "silent.example", "slow.example"

_DELAY = 1.0  # seconds until the slow answer
_STAGGER = 0.25  # RFC 8305's Connection Attempt Delay, our default

_RESOLVER = ScriptedResolver(
    {
        (_SILENT, socket.AF_INET6): Lookup(["::1"]),
        (_SILENT, socket.AF_INET): Lookup(["127.0.0.1"]),
        (_SLOW, socket.AF_INET6): Lookup([], delay=_DELAY),
        (_SLOW, socket.AF_INET): Lookup(["127.0.0.1"]),
    }
)


class NamedLoop(asyncio.SelectorEventLoop):
    """asyncio's loop, whose names are the demo's."""

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Give one answer for both families, as the system's does."""
        families = (socket.AF_INET6, socket.AF_INET)
        asked = (_RESOLVER(str(host), int(port), family=family) for family in families)
        answers = await asyncio.gather(*asked)
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(one.family, *kind, one.sockaddr) for found in answers for one in found]


@contextlib.contextmanager
def half_silent() -> Generator[int]:
    """Give a port that drops every SYN on ::1, and accepts on 127.0.0.1.

    Raises:
        OSError: There is no IPv6.
    """
    with on_one_port(lambda: black_hole("::1"), lambda port: listening(port=port)) as (
        _,
        server,
    ):
        yield server.port


async def silent_ipv6(stage: Stage, port: int) -> None:
    """Show how a name is reached at *port* whose IPv6 address does not answer.

    Raises:
        UntrueError: It was not as the demo says.
    """
    stage.say(f"{_SILENT} is ::1, which drops what is sent to it, and 127.0.0.1.")
    theirs = await stage.theirs(_SILENT, port)
    if theirs.error is None:
        raise UntrueError("::1 was to be silent, and asyncio was connected")
    one = "it tries one address after the other"
    stage.say(f"asyncio.open_connection: {theirs}, as {one}.")
    raced = await stage.theirs(_SILENT, port, happy_eyeballs_delay=_STAGGER)
    stage.say(f"The same with happy_eyeballs_delay={_STAGGER}: {raced}.")
    await _ours(stage, _SILENT, port)


async def slow_answer(stage: Stage, port: int) -> None:
    """Show how a name is reached at *port* whose AAAA answer is late, and empty.

    Raises:
        UntrueError: It was not as the demo says.
    """
    late = f"the answer that there is no AAAA takes {_DELAY:g} s"
    stage.say(f"{_SLOW} is 127.0.0.1; {late}.")
    theirs = await stage.theirs(_SLOW, port, happy_eyeballs_delay=_STAGGER)
    if theirs.error is not None or theirs.elapsed < _DELAY:
        raise UntrueError(f"asyncio.open_connection was to wait, and: {theirs}")
    whole = "it has one answer for both families"
    stage.say(f"asyncio.open_connection: {theirs}, as {whole}.")
    await _ours(stage, _SLOW, port)


async def _ours(stage: Stage, host: str, port: int) -> None:
    stage.say("aioconnect.connect, as it is:")
    timeline = Timeline()
    connecting = connect(
        host, port, timeout=PATIENCE, resolver=_RESOLVER, observer=timeline
    )
    (await stage.ours(connecting, timeline)).close()
    outcomes = [step["outcome"] for step in timeline.to_dict()["steps"]]
    if "dropped" not in outcomes:
        raise UntrueError("something was to be slower than the connect, and was not")

"""Draw the waterfalls that the documentation shows: real calls to staged servers.

``python -m benchmarks.waterfalls DIRECTORY [NAME ...]`` makes all of them, or those
that are named.  Those of the documentation are in ``docs/pictures``.  The servers are
on loopback and need IPv6.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aioconnect
from aioconnect.testing import (
    Lookup,
    ScriptedResolver,
    StaticResolver,
    black_hole,
    echoing,
    late,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
)

__all__ = ["PICTURES", "WATERFALLS", "draw", "main"]

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"

_NAME = "db.example"
_BOTH = StaticResolver({_NAME: ["::1", "127.0.0.1"]})


async def _late(timeline: aioconnect.Timeline) -> None:
    """Wait for a server that starts after half a second."""
    with late(0.5) as server:
        sock = await aioconnect.connect(
            server.host,
            server.port,
            timeout=5,
            retry=(0.1, 0.2, 0.4),
            observer=timeline,
        )
        sock.close()


async def _deadline(timeline: aioconnect.Timeline) -> None:
    """Give up when the time is over: the last delay is cut short for a last look."""
    with refusing() as port, contextlib.suppress(aioconnect.ConnectTimeoutError):
        await aioconnect.connect(
            port.host,
            port.port,
            timeout=1,
            retry=(0.1, 0.2, 0.4, 0.8),
            observer=timeline,
        )


async def _silent(timeline: aioconnect.Timeline) -> None:
    """Race two addresses, of which the first is silent."""
    with on_one_port(
        lambda: black_hole("::1"), lambda port: listening(port=port)
    ) as two:
        sock = await aioconnect.connect(
            _NAME, two[0].port, timeout=5, resolver=_BOTH, observer=timeline
        )
        sock.close()


async def _refused(timeline: aioconnect.Timeline) -> None:
    """Go on to the next address at once when one refuses."""
    with listening() as server:
        sock = await aioconnect.connect(
            _NAME, server.port, timeout=5, resolver=_BOTH, observer=timeline
        )
        sock.close()


async def _six(timeline: aioconnect.Timeline) -> None:
    """Have at most six attempts at a time: the seventh replaces the oldest."""
    silent = [f"127.0.0.{number}" for number in range(2, 9)]
    resolver = StaticResolver({_NAME: [*silent, "::1"]})
    with on_one_port(
        lambda: black_hole("0.0.0.0"),  # noqa: S104  # all of 127.0.0.0/8
        lambda port: listening("::1", port=port),
    ) as two:
        sock = await aioconnect.connect(
            _NAME,
            two[0].port,
            timeout=5,
            resolver=resolver,
            interleave=0,
            observer=timeline,
        )
        sock.close()


async def _slow_dns(timeline: aioconnect.Timeline) -> None:
    """Begin with one family when the answer for both is late."""
    resolver = ScriptedResolver(
        {
            (_NAME, socket.AF_INET6): Lookup([], delay=1.0),
            (_NAME, socket.AF_INET): Lookup(["127.0.0.1"], delay=0.02),
        }
    )
    with listening() as server:
        sock = await aioconnect.connect(
            _NAME, server.port, timeout=5, resolver=resolver, observer=timeline
        )
        sock.close()


async def _tls(timeline: aioconnect.Timeline) -> None:
    """Pass over an address that accepts, and then never answers the handshake."""
    with on_one_port(
        lambda: tls_echoing(names=[_NAME]), lambda port: listening("::1", port=port)
    ) as (server, _):
        _, writer = await aioconnect.open_connection(
            _NAME,
            server.port,
            ssl=server.client_context,
            timeout=5,
            resolver=_BOTH,
            observer=timeline,
        )
        writer.transport.abort()


async def _certificate(timeline: aioconnect.Timeline) -> None:
    """Fail where the certificate is another name's: no other round would help."""
    with (
        tls_echoing(wrong_name=True) as server,
        contextlib.suppress(aioconnect.ConnectCertificateError),
    ):
        await aioconnect.open_connection(
            server.host,
            server.port,
            ssl=server.client_context,
            timeout=5,
            retry=(0.1, 0.2),
            observer=timeline,
        )


async def _ready(timeline: aioconnect.Timeline) -> None:
    """Pass over a server that says no, and take the one that says yes."""

    async def is_primary(sock: socket.socket) -> bool:
        await asyncio.sleep(0.02)  # as long as a question to the server takes
        return sock.family == socket.AF_INET

    with on_one_port(listening, lambda port: listening("::1", port=port)) as two:
        sock = await aioconnect.connect(
            _NAME,
            two[0].port,
            timeout=5,
            resolver=_BOTH,
            ready=is_primary,
            observer=timeline,
        )
        sock.close()


async def _history(timeline: aioconnect.Timeline) -> None:
    """Try what was silent a moment ago last, as a `History` remembers it."""
    connector = aioconnect.Connector(
        timeout=5, resolver=_BOTH, history=aioconnect.History(), observer=timeline
    )
    with on_one_port(
        lambda: black_hole("::1"), lambda port: listening(port=port)
    ) as two:
        for _ in range(2):  # the picture is of the second
            sock = await connector.connect(_NAME, two[0].port)
            sock.close()


async def _servers(timeline: aioconnect.Timeline) -> None:
    """Try one server after the other, of which the first two are down."""
    with refusing() as one, black_hole() as two, echoing() as three:
        sock = await aioconnect.connect_any(
            [(each.host, each.port) for each in (one, two, three)],
            attempt_timeout=0.5,
            timeout=5,
            observer=timeline,
        )
        sock.close()


async def _servers_raced(timeline: aioconnect.Timeline) -> None:
    """Race the same three servers."""
    with refusing() as one, black_hole() as two, echoing() as three:
        sock = await aioconnect.connect_any(
            [(each.host, each.port) for each in (one, two, three)],
            race=True,
            timeout=5,
            observer=timeline,
        )
        sock.close()


Scene = Callable[[aioconnect.Timeline], Awaitable[None]]

# By the name of the file, without its ending.
WATERFALLS: dict[str, Scene] = {
    "late-server": _late,
    "deadline": _deadline,
    "race-silent": _silent,
    "race-refused": _refused,
    "race-six": _six,
    "race-history": _history,
    "slow-dns": _slow_dns,
    "tls-stalls": _tls,
    "tls-wrong-name": _certificate,
    "ready": _ready,
    "servers": _servers,
    "servers-raced": _servers_raced,
}


def draw(name: str) -> str:
    """Play the scene *name*; return its waterfall as SVG."""
    target = "one of three servers" if name.startswith("servers") else None
    timeline = aioconnect.Timeline(target)

    async def play() -> None:
        await WATERFALLS[name](timeline)

    asyncio.run(play())
    return timeline.to_svg()


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the waterfalls that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waterfalls")
    parser.add_argument("directory", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    given = parser.parse_args(arguments)
    directory: Path = given.directory
    names: list[str] = given.names or list(WATERFALLS)
    if unknown := set(names) - set(WATERFALLS):
        parser.error(f"no waterfall {', '.join(sorted(unknown))}")
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = directory / f"{name}.svg"
        path.write_text(draw(name))
        print(f"drawn: {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

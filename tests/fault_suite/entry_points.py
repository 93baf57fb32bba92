"""List what can be awaited: against which server, and whether it ends by itself.

A new entry point is one more line of `ENTRY_POINTS`, whose name begins with the
function's; test_cancellation.py cancels it at each iteration of the loop, and
test_abandoned.py closes it and lets it be collected there.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aioconnect
from aioconnect import Address, Resolver
from aioconnect.testing import (
    BlackHole,
    FullBacklog,
    Lookup,
    ScriptedResolver,
    Server,
    TLSEchoServer,
    black_hole,
    echoing,
    full_backlog,
    refusing,
    tls_echoing,
    unix_listening,
)

__all__ = ["ENTRY_POINTS", "EntryPoint", "discard"]


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A call that *start* makes to what *serve* gives.

    One that *ends* does so by itself, and well; *release* lets one that waits for
    its peer succeed.
    """

    serve: Callable[[], AbstractContextManager[Any]]
    start: Callable[[Any], Coroutine[Any, Any, Any]]
    ends: bool = True
    release: Callable[[Any], Server | None] | None = None


async def discard(made: Any) -> None:
    """Close what a call returned: a socket, streams, or a transport."""
    if isinstance(made, tuple):
        transport: Any = getattr(made[1], "transport", made[0])
        transport.abort()
        await asyncio.sleep(0)
    elif made is not None:
        made.close()


@contextmanager
def tls_on_unix(silent: bool = False) -> Generator[TLSEchoServer]:
    """Serve echo over TLS on a Unix path."""
    with (
        tempfile.TemporaryDirectory() as directory,
        tls_echoing(path=Path(directory) / "tls", silent=silent) as server,
    ):
        yield server


async def own_socket(address: Address) -> socket.socket:
    """Connect a socket of the caller's."""
    sock = socket.socket(address.family, address.type)
    try:
        sock.setblocking(False)
        await aioconnect.connect_sock(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def given_socket(address: Address) -> Any:
    """Make streams of a socket of the caller's."""
    sock = await aioconnect.connect_address(address)
    try:
        return await aioconnect.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


@contextmanager
def two_silent() -> Generator[Resolver]:
    """Give a resolver of a name with two addresses, which are silent."""
    with black_hole() as four, black_hole("::1") as six:

        async def resolver(
            host: str, port: int, *, family: int, proto: int, flags: int
        ) -> list[Address]:
            await asyncio.sleep(0)
            return [one.address for one in (six, four) if one.address.family == family]

        yield resolver


@contextmanager
def no_answer() -> Generator[Resolver]:
    """Give a resolver that never answers."""
    yield ScriptedResolver({"two": Lookup(never=True)})


_connect = aioconnect.connect
_unix = aioconnect.connect_unix
_streams = aioconnect.open_connection
_unix_streams = aioconnect.open_unix_connection
_transport = partial(aioconnect.create_connection, asyncio.Protocol)
_unix_transport = partial(aioconnect.create_unix_connection, asyncio.Protocol)

# What holds for every call that waits for its peer.
_silent = partial(EntryPoint, black_hole, ends=False, release=BlackHole.open)
_full = partial(EntryPoint, full_backlog, ends=False, release=FullBacklog.free_slot)
_tls = partial(EntryPoint, tls_echoing)
_no_handshake = partial(EntryPoint, partial(tls_echoing, silent=True), ends=False)
_unix_tls = partial(EntryPoint, tls_on_unix)
_no_unix_handshake = partial(EntryPoint, partial(tls_on_unix, silent=True), ends=False)

_PACKETS = socket.SOCK_SEQPACKET
_AT_ONCE = (0,) * 500

ENTRY_POINTS: dict[str, EntryPoint] = {
    # Sockets.
    "connect": EntryPoint(echoing, lambda at: _connect(at.host, at.port)),
    "connect: a name": EntryPoint(echoing, lambda at: _connect("localhost", at.port)),
    "connect: from a name": EntryPoint(
        echoing, lambda at: _connect(at.host, at.port, local_addr=("localhost", 0))
    ),
    "connect: no answer": _silent(lambda at: _connect(at.host, at.port, timeout=60)),
    "connect: each attempt too long": EntryPoint(
        black_hole,
        lambda at: _connect(at.host, at.port, attempt_timeout=1e-4, retry=_AT_ONCE),
        ends=False,
    ),
    "connect: round after round": EntryPoint(
        refusing, lambda at: _connect(at.host, at.port, retry=_AT_ONCE), ends=False
    ),
    "connect: between two rounds": EntryPoint(
        refusing, lambda at: _connect(at.host, at.port, retry=(60,)), ends=False
    ),
    "connect: a race": EntryPoint(
        two_silent,
        lambda resolver: _connect(
            "two", 1, resolver=resolver, happy_eyeballs_delay=0.01, timeout=60
        ),
        ends=False,
    ),
    "connect: a look-up": EntryPoint(
        no_answer, lambda resolver: _connect("two", 1, resolver=resolver), ends=False
    ),
    "connect_address": EntryPoint(
        echoing, lambda at: aioconnect.connect_address(at.address)
    ),
    "connect_address: no answer": _silent(
        lambda at: aioconnect.connect_address(at.address)
    ),
    "connect_sock": EntryPoint(echoing, lambda at: own_socket(at.address)),
    "connect_sock: no answer": _silent(lambda at: own_socket(at.address)),
    "connect_unix": EntryPoint(unix_listening, lambda at: _unix(at.path)),
    "connect_unix: backlog full": _full(lambda at: _unix(at.path, timeout=60)),
    "connect_unix: backlog of packets full": EntryPoint(
        partial(full_backlog, kind=_PACKETS),
        lambda at: _unix(at.path, kind=_PACKETS),
        ends=False,
        release=FullBacklog.free_slot,
    ),
    # Streams.
    "open_connection": EntryPoint(echoing, lambda at: _streams(at.host, at.port)),
    "open_connection: a name": EntryPoint(
        echoing, lambda at: _streams("localhost", at.port)
    ),
    "open_connection: no answer": _silent(lambda at: _streams(at.host, at.port)),
    "open_connection: a given socket": EntryPoint(
        echoing, lambda at: given_socket(at.address)
    ),
    "open_connection: TLS": _tls(
        lambda at: _streams(at.host, at.port, ssl=at.client_context)
    ),
    "open_connection: no handshake": _no_handshake(
        lambda at: _streams(at.host, at.port, ssl=at.client_context, timeout=60)
    ),
    "open_unix_connection": EntryPoint(
        unix_listening, lambda at: _unix_streams(at.path)
    ),
    "open_unix_connection: backlog full": _full(lambda at: _unix_streams(at.path)),
    "open_unix_connection: TLS": _unix_tls(
        lambda at: _unix_streams(at.path, **_local_tls(at))
    ),
    "open_unix_connection: no handshake": _no_unix_handshake(
        lambda at: _unix_streams(at.path, **_local_tls(at))
    ),
    # Transports.
    "create_connection": EntryPoint(echoing, lambda at: _transport(at.host, at.port)),
    "create_connection: no answer": _silent(lambda at: _transport(at.host, at.port)),
    "create_connection: TLS": _tls(
        lambda at: _transport(at.host, at.port, ssl=at.client_context)
    ),
    "create_connection: no handshake": _no_handshake(
        lambda at: _transport(at.host, at.port, ssl=at.client_context)
    ),
    "create_unix_connection": EntryPoint(
        unix_listening, lambda at: _unix_transport(at.path)
    ),
    "create_unix_connection: backlog full": _full(lambda at: _unix_transport(at.path)),
    "create_unix_connection: TLS": _unix_tls(
        lambda at: _unix_transport(at.path, **_local_tls(at))
    ),
    "create_unix_connection: no handshake": _no_unix_handshake(
        lambda at: _unix_transport(at.path, **_local_tls(at))
    ),
}


def _local_tls(server: TLSEchoServer) -> Any:
    return {"ssl": server.client_context, "server_hostname": "localhost"}

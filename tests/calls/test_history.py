"""The option history, on real sockets: a broken address costs its delay once."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import aioconnect
from aioconnect import Connector, History
from aioconnect.testing import (
    Recorder,
    StaticResolver,
    black_hole,
    listening,
    on_one_port,
    refusing,
)

NAMES = StaticResolver({"name": ["::1", "127.0.0.1"]})


def tried(recorder: Recorder) -> list[int]:
    started = recorder.of(aioconnect.AttemptStarted)
    recorder.clear()
    return [event.address.family for event in started]


@pytest.mark.parametrize("first", [black_hole, refusing])
async def test_the_second_time(first: Any) -> None:
    """What was silent, or has failed, is not tried before the one that works."""
    recorder = Recorder()
    history = History()
    connector = Connector(
        history=history, resolver=NAMES, observer=recorder, happy_eyeballs_delay=0.1
    )
    with on_one_port(lambda: first("::1"), lambda port: listening(port=port)) as (
        _,
        server,
    ):
        (await connector.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET6, socket.AF_INET]
        (await connector.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET]
        # Another connector knows it, too; one without a history does not.
        other = Connector(history=history, resolver=NAMES, observer=recorder)
        (await other.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET]
        plain = Connector(resolver=NAMES, observer=recorder)
        (await plain.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET6, socket.AF_INET]


async def test_a_handshake_that_stalls() -> None:
    """Nor one that connects, and is not usable."""
    recorder = Recorder()

    async def stalls(sock: socket.socket) -> None:
        if sock.family == socket.AF_INET6:
            await sock_never(sock)

    connector = Connector(
        history=History(),
        resolver=NAMES,
        observer=recorder,
        happy_eyeballs_delay=0.05,
        ready=stalls,
    )
    with on_one_port(lambda: listening("::1"), lambda port: listening(port=port)) as (
        _,
        server,
    ):
        (await connector.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET6, socket.AF_INET]
        (await connector.connect("name", server.port)).close()
        assert tried(recorder) == [socket.AF_INET]


async def sock_never(sock: socket.socket) -> None:
    """Wait for what the peer never sends."""
    import asyncio

    await asyncio.get_running_loop().sock_recv(sock, 1)


async def test_one_address() -> None:
    """It is remembered as well, and tried again whatever is known."""
    history = History()
    with listening() as server:
        address = server.address
        for _ in range(2):
            sock = await aioconnect.connect(server.host, server.port, history=history)
            sock.close()
        known = history.recall(address, 0.0)
        assert known is not None
        assert known.round_trip is not None
        assert not known.has_failed
    with pytest.raises(aioconnect.ConnectRefusedError):
        await aioconnect.connect(server.host, server.port, history=history)
    known = history.recall(address, 0.0)
    assert known is not None
    assert known.has_failed


async def test_what_never_reached_the_peer_is_not_remembered() -> None:
    history = History()
    with listening() as server, pytest.raises(aioconnect.AddressBlockedError):
        await aioconnect.connect(
            server.host, server.port, history=history, allow=aioconnect.only_public
        )
    assert history.recall(server.address, 0.0) is None


def test_it_is_an_option_like_others() -> None:
    """A value of one type only, that hashes, and that a copy of the options shares."""
    history = History()
    connector = Connector(history=history)
    assert connector == Connector(history=history)
    assert connector != Connector(history=History())
    assert hash(connector) == hash(Connector(history=history))
    value: Any = {}
    with pytest.raises(TypeError, match=r"history must be a History\(\), not \{\}"):
        Connector(history=value)

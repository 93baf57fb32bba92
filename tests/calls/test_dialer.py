"""What is done before an address is dialled, and with a connected socket."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from calls.resolvers import V4, Answering

import aioconnect
from aioconnect import Address
from aioconnect.testing import (
    Recorder,
    black_hole,
    full_backlog,
    listening,
    tls_echoing,
)


async def test_hook_that_raises() -> None:
    """A bug in prepare comes through when others of the race are under way."""

    def hook(sock: socket.socket, address: Address) -> None:
        if address.family == V4:
            raise ZeroDivisionError("a bug")

    with black_hole("::1") as hole, listening() as server:
        resolver = Answering(hole.address, server.address)
        options: Any = {"prepare": [hook], "happy_eyeballs_delay": 0.01}
        with pytest.raises(ZeroDivisionError):
            await aioconnect.connect("two", 1, resolver=resolver, **options)


async def test_guard_in_a_race() -> None:
    """A blocked address is an attempt that failed, and was never tried."""
    asked: list[tuple[str, int]] = []

    def allow(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        asked.append((str(ip), port))
        return ip.version == 4

    recorder = Recorder()
    with (
        listening("::1") as six,
        listening() as four,
        await aioconnect.connect(
            "two",
            1,
            resolver=Answering(six.address, four.address),
            allow=allow,
            observer=recorder,
        ) as sock,
    ):
        assert sock.getpeername() == four.sockaddr
    assert asked == [("::1", six.port), ("127.0.0.1", four.port)]
    assert recorder.only(aioconnect.AttemptFailed).attempt.phase == "guard"
    assert len(recorder.of(aioconnect.AttemptStarted)) == 1


async def test_asynchronous_guard() -> None:
    """A coroutine is true, whatever it would say: it lets nothing through."""

    async def never(ip: object, port: int) -> bool:
        raise AssertionError("nobody awaits it")

    with listening() as server, pytest.raises(TypeError, match="allow"):
        await aioconnect.connect(server.host, server.port, allow=never)  # type: ignore[arg-type]  # as said


async def test_guard_sees_no_scope_that_the_kernel_ignores() -> None:
    """An address is refused by its numbers, however they are written."""
    asked: list[str] = []

    def refuse(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        asked.append(str(ip))
        return False

    for host in ("::1%1", "fe80::1%1"):
        with pytest.raises(aioconnect.AddressBlockedError):
            await aioconnect.connect(host, 80, allow=refuse)
    assert asked == ["::1", "fe80::1%1"]


async def test_sockets_of_another_kind() -> None:
    """A datagram socket has a peer at once, even if nothing listens there."""

    async def datagrams(host: str, port: int, **_: int) -> list[Address]:
        return [Address(V4, ("127.0.0.1", port), 0, socket.SOCK_DGRAM)]

    with pytest.raises(TypeError, match="stream"):
        await aioconnect.connect("name", 80, resolver=datagrams)


async def test_everything_blocked() -> None:
    """Numbers, names, Unix sockets: what only_public refuses is never dialled."""
    public = aioconnect.Connector(allow=aioconnect.only_public, retry=(0, 0))
    with listening() as server, full_backlog() as full:
        resolver = Answering(server.address)
        named = aioconnect.Connector(allow=aioconnect.only_public, resolver=resolver)
        for call in (
            public.connect("127.0.0.1", server.port),
            public.connect("localhost", server.port),
            named.connect("name", server.port),
            public.open_connection("127.0.0.1", server.port),
            public.connect_unix(full.path),
            public.connect_address(server.address),
            public.connect_any([server.address, str(full.address)]),
            public.connect_any([server.address, str(full.address)], race=True),
            public.wait_until_up("127.0.0.1", server.port, timeout=30),
            public.wait_until_down("127.0.0.1", server.port, timeout=30),
            anext(public.reconnecting("127.0.0.1", server.port)),
            anext(public.reconnecting_unix(full.path)),
        ):
            with pytest.raises(aioconnect.AddressBlockedError) as caught:
                await call
            assert isinstance(caught.value, PermissionError)
            assert {one.phase for one in caught.value.attempts} == {"guard"}
            assert caught.value.rounds == 1, "tried again"
        with pytest.raises(TimeoutError):
            server.accept(timeout=0)


async def test_local_address_of_the_family() -> None:
    """A family without a local address is skipped, and the error says so."""
    with listening("::1") as six, listening() as four:
        recorder = Recorder()
        with await aioconnect.connect(
            "two",
            1,
            resolver=Answering(six.address, four.address),
            local_addr=("127.0.0.1", 0),
            observer=recorder,
        ) as sock:
            assert sock.getsockname()[0] == "127.0.0.1"
    failed = recorder.only(aioconnect.AttemptFailed).attempt
    assert failed.phase == "bind"
    assert "IPv6" in str(failed.error)


async def test_tls_of_the_winner() -> None:
    """An address that is silent has no handshake, and the other one wins."""
    with tls_echoing() as server, black_hole("::1") as hole:
        _, writer = await aioconnect.open_connection(
            "localhost",
            1,
            resolver=Answering(hole.address, server.address),
            happy_eyeballs_delay=0.01,
            ssl=server.client_context,
        )
        assert writer.get_extra_info("peername") == server.sockaddr
        writer.transport.abort()

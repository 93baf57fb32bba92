"""Each parameter of asyncio's means here what it means there: both are asked."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import pytest

import aioconnect
from aioconnect.testing import (
    EchoServer,
    Server,
    TLSEchoServer,
    refusing,
    tls_echoing,
)

Open = Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Arguments = Callable[[Any], dict[str, Any]]


def context(
    server: TLSEchoServer, *protocols: str, checks: bool = True
) -> ssl.SSLContext:
    """Return a context of its own that trusts *server*."""
    made = ssl.create_default_context()
    cast("Callable[[ssl.SSLContext], None]", server.ca.configure_trust)(made)
    made.check_hostname = checks
    if protocols:
        made.set_alpn_protocols(protocols)
    return made


def connected(server: TLSEchoServer) -> socket.socket:
    sock = socket.create_connection((server.host, server.port))
    sock.setblocking(False)
    return sock


def at(**more: Any) -> Arguments:
    """Return the arguments of a call for localhost, with *more*."""
    return lambda server: {"host": "localhost", "port": server.port, **more}


def tls(host: str = "localhost", *protocols: str, **more: Any) -> Arguments:
    """Return those of a call with a context, with *more*."""
    return lambda server: {
        "host": host,
        "port": server.port,
        "ssl": context(server, *protocols, checks=more.get("server_hostname") != ""),
        **more,
    }


OVER_TLS: dict[str, Arguments] = {
    "the host is the name that is verified": tls(),
    "also in numbers": tls("127.0.0.1"),
    "another name": tls("127.0.0.1", server_hostname="localhost"),
    "no name": tls(server_hostname=""),
    "timeouts": tls(ssl_handshake_timeout=30, ssl_shutdown_timeout=30),
    "ALPN that the server does not speak": tls("localhost", "h2", "http/1.1"),
    "a socket": lambda server: {
        "sock": connected(server),
        "ssl": context(server),
        "server_hostname": "localhost",
    },
}


def no_name_to_check(server: TLSEchoServer) -> dict[str, Any]:
    """Return arguments that ask for a check of the name, and give none."""
    return {**tls()(server), "server_hostname": ""}


PLAIN: dict[str, Arguments] = {
    "nothing": at(),
    "a limit": at(limit=1000),
    "ssl is None": at(ssl=None, server_hostname=None, sock=None),
    "ssl is False": at(ssl=False),
    "family, proto and flags": at(
        family=socket.AF_INET, proto=socket.IPPROTO_TCP, flags=socket.AI_ADDRCONFIG
    ),
    "local_addr": at(family=socket.AF_INET, local_addr=("127.0.0.3", 0)),
    "a race": at(happy_eyeballs_delay=0.1, interleave=1),
    "a socket": lambda server: {"sock": connected(server)},
}

BAD: dict[str, Arguments] = {
    "nothing is trusted": at(ssl=True),
    "a certificate for others": tls(server_hostname="other.example"),
    "a name without TLS": at(server_hostname="localhost"),
    "a handshake's time without TLS": at(ssl_handshake_timeout=1),
    "a goodbye's time without TLS": at(ssl_shutdown_timeout=1),
    "a socket and a host": lambda server: {
        "sock": connected(server),
        **at()(server),
    },
    "a datagram socket": lambda _: {"sock": socket.socket(type=socket.SOCK_DGRAM)},
    "nowhere": lambda _: {},
    "no room": at(limit=0),
    "another family": lambda server: {
        "host": "127.0.0.1",
        "port": server.port,
        "family": socket.AF_INET6,
    },
    "nobody's address to connect from": at(
        family=socket.AF_INET, local_addr=("192.0.2.1", 0)
    ),
    "a parameter that there is not": at(timeouts=1),
}

# Python refuses it since 3.14.8.
(BAD if sys.version_info >= (3, 14, 8) else OVER_TLS)["no name to check"] = (
    no_name_to_check
)


def facts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[Any]:
    """Return the facts about a connection to compare."""
    known = [
        reader._limit,  # type: ignore[attr-defined]  # nobody else says
        writer.get_extra_info("sockname")[0],
        writer.get_extra_info("peername"),
    ]
    over = writer.get_extra_info("ssl_object")
    if over is not None:
        known += [over.version(), over.server_hostname, over.selected_alpn_protocol()]
        known += [over.context.verify_mode, over.context.check_hostname]
    return known


async def seen(open_connection: Open, arguments: dict[str, Any]) -> list[Any]:
    """Return the facts of what is made, which echoes."""
    reader, writer = await open_connection(**arguments)
    try:
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        return facts(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


def of_asyncio(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the function of the running loop takes of *arguments*."""
    loop = asyncio.get_running_loop()
    # uvloop has no race, and with eager tasks asyncio's own fails.
    if type(loop).__module__ != "uvloop" and loop.get_task_factory() is None:
        return arguments
    ours = ("happy_eyeballs_delay", "interleave")
    return {name: value for name, value in arguments.items() if name not in ours}


@pytest.mark.parametrize("arguments", PLAIN.values(), ids=PLAIN)
async def test_plain(arguments: Arguments, echo_server: EchoServer) -> None:
    theirs = of_asyncio(arguments(echo_server))
    assert await seen(aioconnect.open_connection, arguments(echo_server)) == await seen(
        asyncio.open_connection, theirs
    )


@pytest.mark.parametrize("arguments", OVER_TLS.values(), ids=OVER_TLS)
async def test_over_tls(arguments: Arguments, tls_echo_server: TLSEchoServer) -> None:
    theirs = await seen(asyncio.open_connection, arguments(tls_echo_server))
    ours = await seen(aioconnect.open_connection, arguments(tls_echo_server))
    assert ours == theirs


async def error(open_connection: Open, arguments: dict[str, Any]) -> Exception:
    """Return what a call raises, which closes no socket of the caller's."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  # which one is the test
        await open_connection(**arguments)
    sock = arguments.get("sock")
    if sock is not None:
        assert sock.fileno() != -1
        sock.close()
    return caught.value


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD)
async def test_bad(arguments: Arguments, tls_echo_server: TLSEchoServer) -> None:
    """Who catches what asyncio raises catches what is raised here."""
    loop = asyncio.get_running_loop()
    noting = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, __: None)  # uvloop says more than it raises
    theirs = await error(asyncio.open_connection, arguments(tls_echo_server))
    loop.set_exception_handler(noting)
    ours = await error(aioconnect.open_connection, arguments(tls_echo_server))
    assert isinstance(ours, type(theirs)), (ours, theirs)


async def test_handshake_that_takes_too_long() -> None:
    with tls_echoing(silent=True) as server:
        arguments = tls(ssl_handshake_timeout=0.1)
        theirs = await error(asyncio.open_connection, arguments(server))
        ours = await error(aioconnect.open_connection, arguments(server))
    assert isinstance(ours, type(theirs))
    assert isinstance(ours, ConnectionAbortedError)


async def test_goodbye_that_takes_too_long(tls_echo_server: TLSEchoServer) -> None:
    """A peer that says none is waited for as long as was said: it reaches the loop."""
    arguments = tls(ssl_shutdown_timeout=0.125)
    for open_connection in (asyncio.open_connection, aioconnect.open_connection):
        _, writer = await open_connection(**arguments(tls_echo_server))
        protocol: Any = writer.transport
        if type(asyncio.get_running_loop()).__module__ != "uvloop":  # which shows none
            assert protocol._ssl_protocol._ssl_shutdown_timeout == 0.125
        writer.close()
        await writer.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has it since 3.12")
async def test_all_errors(refused_port: int) -> None:
    """A group of what each attempt raised."""
    if type(asyncio.get_running_loop()).__module__ == "uvloop":
        pytest.skip("uvloop does not have it")
    arguments = {"host": "127.0.0.1", "port": refused_port, "all_errors": True}
    theirs = await error(asyncio.open_connection, arguments)
    ours = await error(aioconnect.open_connection, arguments)
    assert isinstance(theirs, ExceptionGroup)
    assert isinstance(ours, ExceptionGroup)
    assert [type(one) for one in theirs.exceptions] == [ConnectionRefusedError]
    assert isinstance(ours.exceptions[0], ConnectionRefusedError)


async def test_socket_that_is_not_connected() -> None:
    """Here asyncio makes streams whose first use fails: that is not meant."""
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(OSError, match="not connected") as caught:
            await aioconnect.open_connection(sock=sock)
        assert caught.value.errno == errno.ENOTCONN
        assert sock.fileno() != -1


async def by_hand(host: str, port: int) -> asyncio.StreamWriter:
    sock = await aioconnect.connect(host, port)
    _, writer = await asyncio.open_connection(sock=sock)
    return writer


async def by(open_connection: Open, host: str, port: int) -> asyncio.StreamWriter:
    _, writer = await open_connection(host, port)
    return writer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
@pytest.mark.parametrize(
    "make",
    [
        partial(by, asyncio.open_connection),
        partial(by, aioconnect.open_connection),
        by_hand,
    ],
    ids=["asyncio", "aioconnect", "by hand"],
)
async def test_small_writes_are_sent_at_once(
    make: Callable[[str, int], Awaitable[asyncio.StreamWriter]],
    host: str,
    request: pytest.FixtureRequest,
) -> None:
    """Nobody waits for the last one's acknowledgement first, on either loop."""
    name = "ipv6_listener" if host == "::1" else "listener"
    server: Server = request.getfixturevalue(name)
    writer = await make(host, server.port)
    sock = writer.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    writer.close()
    await writer.wait_closed()


async def race(host: str, port: int) -> socket.socket:
    return await aioconnect.connect_any([(host, port)] * 2, race=True)


@pytest.mark.parametrize(
    "connect",
    [
        asyncio.open_connection,
        aioconnect.open_connection,
        aioconnect.connect,
        partial(aioconnect.connect, timeout=0),
        race,
    ],
    ids=["asyncio", "streams", "a socket", "no time", "a race"],
)
async def test_a_call_that_fails_lets_others_run(
    connect: Callable[[str, int], Awaitable[object]],
) -> None:
    """Else no timeout would end a loop that tries again at once."""
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    with (
        refusing() as port,
        pytest.raises(OSError, match=r"refused|Connect call|within 0 s"),
    ):
        await connect(port.host, port.port)
    assert ran

"""The name that TLS sends and verifies, in every form and from every source."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from anyio.streams.tls import TLSAttribute
from http_pairs import PAIRS, Pair
from proxies import proxying

import aioconnect
from aioconnect import Connector
from aioconnect._io.tls import server_name, tls_options
from aioconnect.contrib import proxy
from aioconnect.contrib.anyio import Connectable
from aioconnect.testing import (
    Server,
    StaticResolver,
    TLSEchoServer,
    refusing,
    tls_echoing,
)

# As it is written, and as it stands in a certificate.
NAMES = {
    "localhost": "localhost",
    "localhost.": "localhost",
    "localhost\u3002": "localhost",
    "fe80::1": "fe80::1",
    "fe80::1%lo": "fe80::1",
    "fe80::1%7": "fe80::1",
    "[::1]": "::1",
    "[fe80::1%lo]": "fe80::1",
    "127.0.0.1": "127.0.0.1",
}


@pytest.mark.parametrize(("written", "name"), NAMES.items())
def test_server_name(written: str, name: str) -> None:
    assert server_name(written) == name


@pytest.mark.parametrize("written", ["", "a.example", "a..", "%lo", "a%lo", "[", "]"])
def test_what_is_no_zone_and_no_final_dot_stays(written: str) -> None:
    """One dot is taken, the root's: what is wrong with a name is for others to say."""
    assert server_name(written) == written.removesuffix(".")


ODD_NAMES = ["[]", "[.]", ".", "[\u3002]", "%a::b", "[%a::b]", "[example.com]", "[::1"]


@pytest.mark.parametrize("written", ODD_NAMES)
async def test_an_odd_name_is_verified(written: str) -> None:
    """It is refused or fails to verify, and never becomes no name at all."""
    assert server_name(written) == written
    with tls_echoing(wrong_name=True) as server:
        options: Any = {"ssl": server.client_context, "server_hostname": written}
        with pytest.raises((ValueError, ssl.SSLCertVerificationError)):
            await aioconnect.open_connection(server.host, server.port, **options)


async def test_the_context_of_a_server() -> None:
    """It is refused before anything is open, each time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            await aioconnect.open_connection("127.0.0.1", 1, ssl=context)


# U+2024 is a dot to IDNA, which then finds an empty label.
@pytest.mark.parametrize("name", ["x" * 64, ".example.org", "\u2024example.org"])
async def test_a_name_that_tls_refuses(name: str) -> None:
    """It is refused before anything is open, also if the context was used before."""
    context = ssl.create_default_context()
    for used, error in (("example.org", aioconnect.ConnectError), (name, ValueError)):
        with refusing() as server, pytest.raises(error):
            await aioconnect.open_connection(
                server.host, server.port, ssl=context, server_hostname=used
            )


class Choosy(ssl.SSLContext):
    """Takes a name once; *names* are those that it was asked for."""

    names: tuple[str | None, ...] = ()

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        name = options.get("server_hostname")
        if name in self.names:
            raise ValueError("once is enough")
        self.names += (name,)
        return super().wrap_bio(*args, **options)


async def test_a_context_that_looks_at_the_name(port: int) -> None:
    """A subclass is asked before anything is open, each time."""
    context = Choosy(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("one.example", "two.example"):
        # Nobody listens: the second question, the loop's, does not come.
        with refusing() as server, pytest.raises(aioconnect.ConnectError):
            await aioconnect.open_connection(
                server.host, server.port, ssl=context, server_hostname=name
            )
    with pytest.raises(ValueError, match=r"not a name to verify: once is enough"):
        await aioconnect.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="two.example"
        )


@pytest.fixture
async def quiet() -> None:
    """Drop what uvloop says of a context that fails."""
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)


@pytest.mark.usefixtures("quiet")
async def test_a_context_that_fails_in_the_loop(listener: Server) -> None:
    """What the loop has not given to a transport is closed."""
    context = Choosy(ssl.PROTOCOL_TLS_CLIENT)
    kept: list[socket.socket] = []
    with pytest.raises(ValueError, match="once is enough"):
        await aioconnect.open_connection(
            listener.host,
            listener.port,
            ssl=context,
            server_hostname="example.org",
            prepare=[lambda sock, _: kept.append(sock)],
        )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [sock.fileno() for sock in kept] == [-1]


@pytest.mark.usefixtures("quiet")
async def test_a_context_that_fails_over_the_caller_s_socket(listener: Server) -> None:
    """It is the loop's to close then, as for uvloop, and asyncio since 3.14.8."""
    context = Choosy(ssl.PROTOCOL_TLS_CLIENT)
    is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop)
    stays = is_asyncio and sys.version_info < (3, 14, 8)
    with await aioconnect.connect(listener.host, listener.port) as sock:
        with pytest.raises(ValueError, match="once is enough"):
            await aioconnect.open_connection(
                sock=sock, ssl=context, server_hostname="example.org"
            )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (sock.fileno() != -1) == stays


def streams_name(streams: Any) -> str:
    """Return the name that these have verified, and close them."""
    name: str = streams[1].get_extra_info("ssl_object").server_hostname
    streams[1].transport.abort()
    return name


async def derived(there: TLSEchoServer, name: str, **options: Any) -> str:
    return streams_name(
        await aioconnect.open_connection(
            name, there.port, ssl=there.client_context, **options
        )
    )


async def given(there: TLSEchoServer, name: str, **_: Any) -> str:
    return streams_name(
        await aioconnect.open_connection(
            there.host, there.port, ssl=there.client_context, server_hostname=name
        )
    )


async def given_with_a_socket(there: TLSEchoServer, name: str, **_: Any) -> str:
    sock = await aioconnect.connect_any([there.address])
    return streams_name(
        await aioconnect.open_connection(
            sock=sock, ssl=there.client_context, server_hostname=name
        )
    )


async def of_a_transport(there: TLSEchoServer, name: str, **options: Any) -> str:
    transport, _ = await aioconnect.create_connection(
        asyncio.Protocol, name, there.port, ssl=there.client_context, **options
    )
    verified: str = transport.get_extra_info("ssl_object").server_hostname
    transport.abort()
    return verified


async def reconnecting(there: TLSEchoServer, name: str, **options: Any) -> str:
    iterator = aioconnect.reconnecting(
        name, there.port, ssl=there.client_context, **options
    )
    verified = streams_name(await anext(iterator))
    await iterator.aclose()
    return verified


async def through_a_proxy(there: TLSEchoServer, name: str, **options: Any) -> str:
    with proxying() as server:  # which is asked for what is looked up here
        return streams_name(
            await proxy.open_connection(
                name,
                there.port,
                proxy=server.url(),
                ssl=there.client_context,
                **options,
            )
        )


async def over_anyio(there: TLSEchoServer, name: str, **options: Any) -> str:
    connectable = Connectable(
        there.address,
        Connector(**options),
        tls=True,
        ssl_context=there.client_context,
        tls_hostname=name,
    )
    async with await connectable.connect() as stream:
        return str(stream.extra(TLSAttribute.ssl_object).server_hostname)


async def over_httpcore(
    pair: Pair, there: TLSEchoServer, name: str, **options: Any
) -> str:
    backend = pair.backend(Connector(**options))
    plain = await backend.connect_tcp(there.host, there.port)
    stream = await plain.start_tls(there.client_context, name)
    verified: str = stream.get_extra_info("ssl_object").server_hostname
    await stream.aclose()
    return verified


DERIVED: dict[str, Callable[..., Awaitable[str]]] = {
    "streams": derived,
    "transport": of_a_transport,
    "reconnecting": reconnecting,
    "through a proxy": through_a_proxy,
}
GIVEN: dict[str, Callable[..., Awaitable[str]]] = {
    "streams": given,
    "with a socket": given_with_a_socket,
    "anyio": over_anyio,
    "httpcore": partial(over_httpcore, PAIRS["httpx"]),
    "httpcore2": partial(over_httpcore, PAIRS["httpx2"]),
}


@pytest.fixture(scope="module")
def there() -> Iterator[TLSEchoServer]:
    """Give a server whose certificate is for each of the names."""
    with tls_echoing(names=tuple({*NAMES.values()})) as server:
        yield server


@pytest.mark.parametrize("way", DERIVED)
async def test_a_name_that_is_derived(way: str, there: TLSEchoServer) -> None:
    """RFC 6066, section 3: the name is sent "without a trailing dot"."""
    names = {written: name for written, name in NAMES.items() if ":" not in written}
    resolver = StaticResolver({name: ["127.0.0.1"] for name in names})
    for written, name in names.items():
        assert await DERIVED[way](there, written, resolver=resolver) == name, written


@pytest.mark.parametrize("way", GIVEN)
async def test_a_name_that_is_given(way: str, there: TLSEchoServer) -> None:
    """It is an address, too: no certificate has a zone id, or brackets."""
    for written, name in NAMES.items():
        assert await GIVEN[way](there, written) == name, written


@pytest.mark.parametrize("written", NAMES)
async def test_whose_name_is_derived(written: str) -> None:
    """The zone of an address is part of where to connect, and not of the name."""
    context = ssl.create_default_context()
    assert (
        tls_options({"ssl": context}).for_host(written).server_hostname
        == NAMES[written]
    )


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_httpx(pair: Pair, there: TLSEchoServer) -> None:
    """A URL may have the final dot: the connection is made, and then it is no HTTP."""
    connector = Connector(family=socket.AF_INET)
    async with pair.client(connector, verify=there.client_context) as client:
        with pytest.raises(pair.httpx.RemoteProtocolError):
            await client.get(f"https://localhost.:{there.port}/")


def test_a_loop_of_ours(
    there: TLSEchoServer, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    resolver = StaticResolver({name: ["127.0.0.1"] for name in NAMES})
    connector = Connector(resolver=resolver)

    async def connect(written: str) -> str:
        return streams_name(
            await asyncio.open_connection(written, there.port, ssl=there.client_context)
        )

    factory = aioconnect.loop_factory(connector, base=loop_factory)
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(connect("localhost.")) == "localhost"

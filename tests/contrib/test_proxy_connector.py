"""A `ProxyConnector` is a `Connector`: all that takes one goes through the proxy."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aiohttp
import pytest
from echoes import answers
from http_pairs import PAIRS, Pair
from proxies import ProxyServer, proxying

from aioconnect import (
    Address,
    AddressBlockedError,
    ConnectError,
    Connector,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResolveError,
    SRVRecord,
    loop_factory,
    only_public,
)
from aioconnect.contrib.aiohttp import ConnectorTCPConnector
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import (
    EchoServer,
    Recorder,
    StaticResolver,
    echoing,
    leak_check,
    refusing,
    tls_echoing,
    unix_listening,
    unused_port,
)


@dataclass
class Scene:
    """A *server* that only the *proxy* knows by the name ``db.test``."""

    server: EchoServer
    proxy: ProxyServer
    through: ProxyConnector


@contextmanager
def scene(**options: Any) -> Iterator[Scene]:
    with (
        echoing() as server,
        proxying(names={"db.test": server.host, "no.test": "127.0.0.9"}) as served,
    ):
        url = served.url(scheme="socks5h")
        # No name is looked up here.
        resolver = StaticResolver({})
        through = ProxyConnector(proxy=url, resolver=resolver, timeout=60, **options)
        yield Scene(server, served, through)


async def echoes(sock: socket.socket) -> bool:
    """Tell whether the other end of *sock* echoes, and close it."""
    loop = asyncio.get_running_loop()
    with sock:
        await loop.sock_sendall(sock, b"hello")
        return await loop.sock_recv(sock, 5) == b"hello"


async def transport_echoes(pair: Any) -> bool:
    pair[0].abort()
    await asyncio.sleep(0)
    return True


async def first_of(connections: Any) -> Any:
    streams = await anext(connections)
    assert await answers(streams)
    await connections.aclose()
    return True


async def anyio_stream(through: ProxyConnector, port: int) -> bool:
    stream = await Connectable(("db.test", port), through).connect()
    async with stream:
        await stream.send(b"hello")
        return await stream.receive() == b"hello"


async def httpcore_stream(pair: Pair, through: ProxyConnector, port: int) -> bool:
    stream = await pair.backend(through).connect_tcp("db.test", port, timeout=30)
    await stream.write(b"hello")
    said: bytes = await stream.read(5)
    await stream.aclose()
    return said == b"hello"


async def aiohttp_request(through: ProxyConnector, port: int) -> bool:
    connector = ConnectorTCPConnector(through)
    async with aiohttp.ClientSession(connector=connector) as session:
        try:
            await session.get(f"http://db.test:{port}/")
        except aiohttp.ClientConnectorError as exc:
            raise exc.os_error from None
        except aiohttp.ClientResponseError as exc:  # it echoes the request
            return "GET / HTTP/1.1" in str(exc)
    return False


async def taken(answer: Awaitable[Any], check: Callable[[Any], Any]) -> bool:
    return bool(await check(await answer))


Way = Callable[[ProxyConnector, int], Awaitable[bool]]

# Each way to get from a connector to ``db.test`` at a port.
WAYS: dict[str, Way] = {
    "connect": lambda by, port: taken(by.connect("db.test", port), echoes),
    "open_connection": lambda by, port: taken(
        by.open_connection("db.test", port), answers
    ),
    "create_connection": lambda by, port: taken(
        by.create_connection(asyncio.Protocol, "db.test", port), transport_echoes
    ),
    "connect_any": lambda by, port: taken(
        by.connect_any([("no.test", port), f"db.test:{port}"]), echoes
    ),
    "reconnecting": lambda by, port: first_of(by.reconnecting("db.test", port)),
    "anyio": anyio_stream,
    "aiohttp": aiohttp_request,
    **{
        pair.httpcore.__name__: partial(httpcore_stream, pair)
        for pair in PAIRS.values()
    },
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_goes_through(way: str) -> None:
    with scene() as it:
        async with leak_check():
            assert await WAYS[way](it.through, it.server.port)
        assert it.proxy.asked[-1] == ("db.test", it.server.port)
        assert it.server.connections == 1


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_is_guarded(way: str) -> None:
    """`allow` is asked on this way, too: nothing is connected, not even the proxy."""
    with scene(allow=only_public) as it:
        error: Any = (AddressBlockedError, Exception)
        with pytest.raises(error, match="guard: the proxy looks it up"):
            await WAYS[way](it.through, it.server.port)
        assert not it.proxy.connections


async def test_addresses() -> None:
    """A resolved address goes through the proxy like any other target."""
    with scene() as it:
        address = Address(socket.AF_INET, (it.server.host, it.server.port))
        assert await echoes(await it.through.connect_address(address))
        assert await echoes(await it.through.connect_any([address]))
        with socket.socket() as sock:
            sock.setblocking(False)
            await it.through.connect_sock(sock, address.sockaddr)
            assert sock.getpeername() == (it.proxy.host, it.proxy.port)
            await asyncio.get_running_loop().sock_sendall(sock, b"hello")
            assert await asyncio.get_running_loop().sock_recv(sock, 5) == b"hello"
        assert it.proxy.asked == [(it.server.host, it.server.port)] * 3


async def test_a_socket_stays_the_callers() -> None:
    """Who gave it closes it, also when the proxy refuses."""
    with scene() as it, refusing() as nobody, socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectRefusedError, match="proxy: connection refused by"):
            await it.through.connect_sock(sock, (nobody.host, nobody.port))
        assert sock.fileno() != -1


async def test_no_datagrams() -> None:
    """They are refused at once, and the proxy's host gets no credentials in one."""
    with scene() as it, socket.socket(type=socket.SOCK_DGRAM) as heard:
        heard.bind((it.proxy.host, it.proxy.port))
        heard.setblocking(False)
        through = ProxyConnector(proxy=it.proxy.url("user:secret"), timeout=1)
        at = (it.server.host, it.server.port)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            with pytest.raises(ValueError, match="a proxy carries streams only"):
                await through.connect_sock(sock, at)
        address = Address(socket.AF_INET, at, type=socket.SOCK_DGRAM)
        with pytest.raises(ValueError, match="a proxy carries streams only"):
            await through.connect_address(address)
        with pytest.raises(BlockingIOError):
            heard.recv(1)
        assert not it.proxy.connections


async def test_a_socket_of_another_family() -> None:
    """An IPv6 socket cannot connect to an IPv4 proxy, also if the target is IPv6."""
    with scene() as it, socket.socket(socket.AF_INET6) as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectError, match="a proxy of another family than sock"):
            await it.through.connect_sock(sock, ("::1", it.server.port))
        assert not it.proxy.connections


async def test_a_bad_certificate_is_one_targets() -> None:
    """The other targets behind the same proxy are tried, and this one never again."""
    asked: list[str] = []

    async def ready(sock: socket.socket) -> None:
        host, _ = it.proxy.asked[-1]
        asked.append(host)
        if host == "bad.test":
            raise ssl.SSLCertVerificationError(1, "wrong certificate")

    with scene(ready=ready) as it:
        it.proxy.names["bad.test"] = it.server.host
        hosts = ("bad.test", "bad.test", "db.test")
        targets = [(host, it.server.port) for host in hosts]
        assert await echoes(await it.through.connect_any(targets))
    assert asked == ["bad.test", "db.test"]


async def test_waiting_for_a_target() -> None:
    """It waits while the proxy says that nobody listens."""
    with proxying() as served, unused_port() as port:
        events = Recorder()

        def observe(event: Any) -> None:
            events(event)
            if type(event).__name__ == "AttemptFailed" and not opened:
                opened.append(port.listen())

        opened: list[object] = []
        through = ProxyConnector(proxy=served.url(), retry=(0,) * 9, observer=observe)
        await through.wait_until_up(port.host, port.port, timeout=60, settle=0.01)
        assert len(served.asked) == 2


async def test_what_a_wait_cannot_know() -> None:
    through = ProxyConnector(proxy="http://127.0.0.1:1")
    with pytest.raises(
        ValueError, match="wait_until_down: a proxy does not tell whether"
    ):
        await through.wait_until_down("x.test", 80, timeout=1)


async def test_no_race_of_targets() -> None:
    """Nor of the hosts of a service, which are not known yet."""
    through = ProxyConnector(proxy="http://127.0.0.1:1", resolver=Services([]))
    for targets in (["x.test:1", "y.test:1"], ["srv:_x._tcp.test"]):
        with pytest.raises(ValueError, match="race: a proxy connects to one target"):
            await through.connect_any(targets, race=True)


class Services:
    """A resolver that knows services only."""

    def __init__(self, hosts: list[tuple[str, int]]) -> None:
        self._hosts = hosts

    async def __call__(self, host: str, port: int, **_: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def services(self, service: str) -> list[SRVRecord]:
        return [
            SRVRecord(number, 1, port, host)
            for number, (host, port) in enumerate(self._hosts)
        ]


async def test_a_service() -> None:
    """Its records are looked up here, and its hosts by the proxy."""
    with scene() as it:
        hosts = [("127.1", 1), ("db.test", it.server.port)]
        through = ProxyConnector(proxy=it.through.proxy, resolver=Services(hosts))
        assert await echoes(await through.connect_any(["srv:_x._tcp.test"]))
        assert it.proxy.asked == [("db.test", it.server.port)]
        through = ProxyConnector(proxy=it.through.proxy, resolver=Services(hosts[:1]))
        with pytest.raises(ConnectError, match="proxy: host: neither a name nor"):
            await through.connect_any(["srv:_x._tcp.test"])


async def test_what_is_on_this_machine(unix_listener: Any) -> None:
    """A Unix path, this machine, and a socket that is connected need no proxy."""
    with echoing() as echo:
        through = ProxyConnector(proxy="http://127.0.0.1:1")
        (await through.connect_unix(unix_listener.path)).close()
        (await through.connect_any([f"unix:{unix_listener.path}"])).close()
        assert await answers(await through.open_connection(None, echo.port))
        sock = socket.create_connection((echo.host, echo.port))
        sock.setblocking(False)
        assert await answers(await through.open_connection(sock=sock))


@pytest.fixture
def unix_listener(tmp_path: Any) -> Iterator[Any]:
    """Give a Unix listener."""
    with unix_listening(tmp_path / "s") as server:
        yield server


def test_a_copy_with_another_connector() -> None:
    """`replace` would mix the options of two connectors: the error says what works."""
    made = ProxyConnector(proxy="http://127.0.0.1:1", connector=Connector(timeout=1))
    change: Any = {"connector": Connector(timeout=2)}
    with pytest.raises(
        TypeError, match=r"make another: ProxyConnector\(proxy="
    ) as told:
        replace(made, **change)
    assert "timeout" not in str(told.value)
    other = ProxyConnector(proxy=made.proxy, connector=Connector(timeout=2))
    assert replace(made, timeout=2) == other


def test_bad_targets_at_once() -> None:
    """Also where the connect comes later."""
    through = ProxyConnector(proxy="socks4://127.0.0.1:1")
    with pytest.raises(ValueError, match="socks4 does not support IPv6"):
        through.reconnecting("::1", 80)


# Loops.


def on_loop(
    base: Callable[[], Any], by: Connector, call: Callable[[], Awaitable[Any]]
) -> Any:
    """Return the result of *call* on a loop that connects as *by* says."""

    async def main() -> Any:
        async with leak_check():
            return await call()

    factory = loop_factory(by, base=base)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


async def by_sock_connect(host: str, port: int, **kind: Any) -> bool:
    loop = asyncio.get_running_loop()
    sock = socket.socket(**kind)
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return await echoes(sock)


async def by_streams(host: str, port: int) -> bool:
    return await answers(await asyncio.open_connection(host, port))


@pytest.mark.parametrize("call", [by_streams, by_sock_connect])
def test_a_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], call: Callable[..., Any]
) -> None:
    """Names and addresses, by streams and by a socket of the code's own."""
    with scene() as it:
        at = (it.server.host, it.server.port)
        assert on_loop(loop_factory, it.through, partial(call, *at))
        by_name = partial(call, "db.test", it.server.port)
        assert on_loop(loop_factory, it.through, by_name)
        assert it.proxy.asked == [at, ("db.test", it.server.port)]


def test_a_proxy_by_name_on_a_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """The proxy needs an address of the socket's family."""
    with scene() as it:
        resolver = StaticResolver({"proxy.test": ["::1", it.proxy.host]})
        url = f"socks5h://proxy.test:{it.proxy.port}"
        through = ProxyConnector(proxy=url, resolver=resolver)
        call = partial(by_sock_connect, "db.test", it.server.port)
        assert on_loop(loop_factory, through, call)
        # Here, there is none.
        with pytest.raises(ResolveError):
            on_loop(loop_factory, it.through, partial(call, family=socket.AF_INET6))


def test_ready_on_a_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """It gets the socket when the proxy has connected to the target."""
    seen: list[bytes] = []

    async def ready(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"?")
        seen.append(await loop.sock_recv(sock, 1))

    with scene(ready=ready) as it:
        assert on_loop(
            loop_factory, it.through, partial(by_streams, "db.test", it.server.port)
        )
    assert seen == [b"?"]


# A proxy's scheme, and a host that it cannot connect to.
NO_WAY = [("socks4", "[::1]"), ("socks5h", "a.0x7f.1")]


@pytest.mark.parametrize(("scheme", "host"), NO_WAY)
@pytest.mark.parametrize("call", [by_streams, by_sock_connect])
def test_what_no_proxy_can_do_on_a_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    call: Callable[..., Any],
    scheme: str,
    host: str,
) -> None:
    """Existing code catches the loop's own error for a bad host."""
    through = ProxyConnector(proxy=f"{scheme}://127.0.0.1:1")
    host = host.strip("[]")
    kind: dict[str, Any] = {}
    if call is by_sock_connect and ":" in host:
        kind["family"] = socket.AF_INET6
    with pytest.raises(socket.gaierror, match="host: ") as caught:
        on_loop(loop_factory, through, partial(call, host, 80, **kind))
    assert isinstance(caught.value, ValueError)


# Clients.


@pytest.mark.parametrize(("scheme", "host"), NO_WAY)
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_what_no_proxy_can_do_for_httpx(
    pair: Pair, scheme: str, host: str
) -> None:
    """A redirect may lead there, so the client raises its own error."""
    async with pair.client(ProxyConnector(proxy=f"{scheme}://127.0.0.1:1")) as http:
        with pytest.raises(pair.httpx.ConnectError, match="host: "):
            await http.get(f"http://{host}/")


@pytest.mark.parametrize(("scheme", "host"), NO_WAY)
async def test_what_no_proxy_can_do_for_aiohttp(scheme: str, host: str) -> None:
    """Likewise."""
    connector = ConnectorTCPConnector(ProxyConnector(proxy=f"{scheme}://127.0.0.1:1"))
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.InvalidUrlClientError, match="host: "):
            await session.get(f"http://{host}/")


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
async def test_httpx(pair: Pair) -> None:
    """A request goes through the proxy, which looks up the name."""
    httpx = pair.httpx
    with tls_echoing(silent=True) as silent, scene() as it:
        async with pair.client(it.through) as http:
            url = f"http://db.test:{it.server.port}"
            with pytest.raises(httpx.RemoteProtocolError):  # it echoes the request
                await http.get(url)
            assert it.proxy.asked == [("db.test", it.server.port)]
            # TLS that is late is not tried again through the same proxy.
            with pytest.raises(httpx.ConnectTimeout):
                await http.get(f"https://db.test:{silent.port}", timeout=0.6)
            assert silent.connections == 1


# Errors.


async def test_several_targets() -> None:
    """The error names each with its proxy."""
    with refusing() as nobody, proxying() as served:
        through = ProxyConnector(proxy=served.url())
        targets = [(nobody.host, nobody.port), ("127.0.0.8", nobody.port)]
        with pytest.raises(ConnectRefusedError) as caught:
            await through.connect_any(targets)
        at = f"{served.host}:{served.port}"
        assert str(caught.value).startswith(
            f"cannot connect to any of {nobody.host}:{nobody.port} through {at},"
            f" 127.0.0.8:{nobody.port} through {at}: {at}: proxy: "
        )
        assert caught.value.errno == errno.ECONNREFUSED


async def test_the_time_of_a_wait() -> None:
    """A wait's own *timeout* replaces the option, and the proxy is kept."""
    with proxying(answers=(b"",) * 99, ending="wait") as served:
        through = ProxyConnector(proxy=served.url(), timeout=60)
        with pytest.raises(ConnectTimeoutError, match=r"within 0\.05 s .*through"):
            await through.wait_until_up("192.0.2.1", 1, timeout=0.05)

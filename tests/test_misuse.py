"""What is said wrongly is answered with what is right, before anything connects."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import ipaddress
import socket
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

import aioconnect
from aioconnect import Backoff, ConnectError, Connector, Timeline, log_events
from aioconnect.contrib import proxy
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.contrib.anyio import Connectable
from aioconnect.sockopts import keepalive, nodelay
from aioconnect.testing import Server, tls_echoing


async def coroutine(*what: Any) -> None:
    """Be ready."""


def nothing(sock: socket.socket) -> None:
    """Forget the async."""


def constant(*what: object) -> Any:
    return True


def compares(sock: socket.socket) -> Any:
    return sock.fileno() != -1


def negates(sock: socket.socket) -> Any:
    return not sock.fileno()


def yields(sock: socket.socket) -> Iterator[None]:
    yield


async def yields_too(sock: socket.socket) -> AsyncIterator[None]:
    yield


def hands_on(sock: socket.socket) -> Any:
    return coroutine(sock)


def hands_on_or_not(sock: socket.socket) -> Any:
    given: Any = coroutine(sock)
    return given or None


@types.coroutine
def an_old_one(sock: socket.socket) -> Iterator[None]:
    yield


class Awaited:
    async def __call__(self, sock: socket.socket) -> None: ...


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"attempt_timeot": 1}, "did you mean 'attempt_timeout'"),
    ({"retries": 3}, "did you mean 'retry'"),
    ({"prepaer": (), "timeot": 1}, "did you mean 'prepare'.*did you mean 'timeout'"),
    ({"nonsense": 1}, "no such option: 'nonsense'; .* timeout"),
    ({"prepare": [nodelay]}, r"nodelay has to be called: prepare=\[nodelay\(\)\]"),
    ({"prepare": nodelay}, r"nodelay has to be called: prepare=\[nodelay\(\)\]"),
    ({"prepare": [keepalive]}, r"prepare=\[keepalive\(\.\.\.\)\]"),
    ({"prepare": nodelay()}, r"prepare=\[aioconnect.sockopts.nodelay\(\)\]"),
    ({"observer": Timeline}, r"the class Timeline: observer=Timeline\(\)"),
    ({"observer": log_events}, r"log_events\(logger\)"),
    ({"observer": 5}, r"observer=Timeline\(\)"),
    ({"retry": 3}, r"not 3: retry=Backoff\(attempts=3\)"),
    ({"retry": 0.5}, r"retry=\(0.5,\)"),
    ({"retry": Backoff}, r"retry=Backoff\(\)"),
    ({"retry": True}, r"not True: retry=Backoff\(\)"),
    ({"retry": "0.1"}, r"retry=\(0.1, 0.5\)"),
    ({"resolver": AiodnsResolver}, r"resolver=AiodnsResolver\(\)"),
    ({"allow": True}, "allow=only_public"),
    ({"retry_on": OSError}, "the class OSError: retry_on=is_refused"),
    ({"timeout": "5"}, "timeout=5, not '5'"),
    ({"ready": True}, "async def"),
    ({"ready": nothing}, "ready must be a coroutine function.* async def"),
    ({"ready": constant}, "make it an async def"),
    ({"ready": compares}, "make it an async def"),
    ({"ready": negates}, "make it an async def"),
    ({"ready": lambda _: True}, "make it an async def"),
    ({"ready": yields}, "ready must return, and not yield"),
    ({"ready": yields_too}, "ready must return, and not yield"),
]


@pytest.mark.parametrize(("options", "says"), OPTIONS, ids=range(len(OPTIONS)))
async def test_options(options: dict[str, Any], says: str) -> None:
    """A function, a Connector, a copy of one and a proxy's call say it alike."""
    connector = Connector()
    calls: list[Callable[[], Any]] = [
        lambda: Connector(**options),
        lambda: dataclasses.replace(connector, **options),
        lambda: proxy.ProxyConnector(
            proxy="http://x:1", connector=Connector(**options)
        ),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=says):
            call()
    for awaited in (
        aioconnect.connect("192.0.2.1", 1, **options),
        aioconnect.wait_until_up("192.0.2.1", 1, **{"timeout": 1, **options}),
        proxy.connect("192.0.2.1", 1, proxy="http://192.0.2.1:1", **options),
    ):
        with pytest.raises(TypeError, match=says):
            await awaited


def raises(sock: socket.socket) -> None:
    raise ConnectionResetError


@pytest.mark.parametrize(
    "ready",
    [
        *(coroutine, hands_on, hands_on_or_not, an_old_one, Awaited(), print),
        *(functools.partial(nothing), lambda sock: hands_on(sock)),  # noqa: PLW0108  # that is the test
        raises,
    ],
)
def test_ready_that_may_be_awaited(ready: Any) -> None:
    """What is not seen to be wrong is taken."""
    assert Connector(ready=ready).ready is ready


async def test_ready_that_is_found_out_when_it_is_called(port: int) -> None:
    """It says what it returned, and nothing is left open (as each test checks)."""
    ready: Any = functools.partial(constant)
    with pytest.raises(TypeError, match="it returned True, which cannot be awaited"):
        await aioconnect.open_connection("127.0.0.1", port, ready=ready)


async def test_ready_that_was_called() -> None:
    """And the coroutine is not said to be never awaited, too."""
    ready: Any = coroutine()
    with pytest.raises(TypeError, match="give the function, without calling it"):
        Connector(ready=ready)


def test_by_name_alone() -> None:
    """What was given is not shown: a URL has a password in it."""
    make: Any = Connector
    with pytest.raises(TypeError, match=r"by name: Connector\(timeout=\.\.\.\)"):
        make(5)
    make = proxy.ProxyConnector
    with pytest.raises(TypeError, match="positional") as caught:
        make("socks5://user:secret@x:1")
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="missing 1 required"):
        make()


async def test_arguments_of_tls() -> None:
    """Where there is TLS they are proposed, and where there is none, it is said."""
    connector: Any = Connector()
    misspelt: dict[str, Any] = {"server_hostnam": "x"}
    calls: list[tuple[Coroutine[Any, Any, Any], str]] = [
        (
            connector.open_connection("x", 1, **misspelt),
            "did you mean 'server_hostname'",
        ),
        (
            aioconnect.open_connection("x", 1, **misspelt),
            "did you mean 'server_hostname'",
        ),
        (connector.open_connection("x", 1, timeout=1), "options are the Connector's"),
        (aioconnect.connect("x", 1, ssl=True), "'ssl'; TLS is for open_connection"),  # type: ignore[call-arg]  # that is the test
    ]
    for call, says in calls:
        with pytest.raises(TypeError, match=says):
            await call


HOSTS = [
    ("127.0.0.1:9000", r"has a port in it.*'127.0.0.1' and '9000'"),
    ("[::1]:80", "has a port in it"),
    ("host:80", "has a port in it"),
    ("host:", "has a port in it"),
    ("[x]:80", "has a port in it"),
    ("http://host", "not a URL"),
    ("http://user:secret@host:80/x", "not a URL"),
    ("user:secret@host", "not a URL"),
]


async def awaited(call: Callable[[], Any]) -> None:
    """Await what *call* returns: it may raise at once, too."""
    await call()


@pytest.mark.parametrize(("host", "says"), HOSTS, ids=[host for host, _ in HOSTS])
async def test_hosts_that_say_more(host: str, says: str) -> None:
    """Wherever a host is given; and no password is shown."""
    through = proxy.ProxyConnector(proxy="http://127.0.0.1:1")
    calls: list[Callable[[], Any]] = [
        lambda: aioconnect.connect(host, 9000),
        lambda: aioconnect.open_connection(host, 9000),
        lambda: aioconnect.create_connection(asyncio.Protocol, host, 9000),
        lambda: aioconnect.wait_until_up(host, 9000, timeout=1),
        lambda: aioconnect.wait_until_down(host, 9000, timeout=1),
        lambda: aioconnect.connect_any([(host, 9000)]),
        lambda: aioconnect.reconnecting(host, 9000),
        lambda: aioconnect.Target(host, 9000),
        lambda: Connector(local_addr=(host, 0)),
        lambda: through.connect(host, 9000),
        lambda: Connectable((host, 9000)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=says) as caught:
            await awaited(call)
        assert "secret" not in str(caught.value)


async def test_brackets(ipv6_listener: Server) -> None:
    """``[::1]`` is ``::1`` in every argument, and for every hook."""
    asked: list[object] = []

    def allow(address: ipaddress.IPv6Address, port: int) -> bool:
        asked.append(address)
        return True

    host, port = "[::1]", ipv6_listener.port
    connector = Connector(allow=allow, local_addr=(host, 0))  # type: ignore[arg-type]  # of one kind here
    (await connector.connect(host, port)).close()
    (await connector.connect_any([(host, port)])).close()
    (await connector.connect(b"[::1%1]", port)).close()  # type: ignore[arg-type]  # taken too
    await connector.wait_until_up(host, port, timeout=10)
    assert {str(one).partition("%")[0] for one in asked} == {"::1"}
    assert aioconnect.Target(host, 80) == aioconnect.parse_target("[::1]:80")


async def test_brackets_and_tls() -> None:
    """The certificate is verified for ``::1``."""
    with tls_echoing("::1") as server:
        for name in (None, "[::1]"):
            _, writer = await aioconnect.open_connection(
                "[::1]", server.port, ssl=server.client_context, server_hostname=name
            )
            writer.close()
            await writer.wait_closed()


FACTORIES = [asyncio.Protocol(), None, "Protocol"]


@pytest.mark.parametrize("factory", FACTORIES)
async def test_factories_that_cannot_be_called(factory: Any, listener: Server) -> None:
    """They are refused before anything connects."""
    seen: list[object] = []
    connector = Connector(prepare=[lambda sock, _: seen.append(sock)])
    where = (listener.host, listener.port)
    through = proxy.ProxyConnector(proxy="http://127.0.0.1:1", connector=connector)
    for call in (
        connector.create_connection(factory, *where),
        connector.create_unix_connection(factory, "/no/such"),
        through.create_connection(factory, *where),
    ):
        with pytest.raises(TypeError, match="give the protocol's class, or a lambda"):
            await call
    assert not seen


@pytest.mark.parametrize("factory", FACTORIES)
def test_factories_on_a_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    factory: Any,
    listener: Server,
) -> None:
    seen: list[object] = []
    connector = Connector(prepare=[lambda sock, _: seen.append(sock)])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (
            loop.create_connection(factory, listener.host, listener.port),
            loop.create_unix_connection(factory, "/no/such"),
        ):
            with pytest.raises(TypeError, match="give the protocol's class"):
                await call

    made = aioconnect.loop_factory(connector, base=loop_factory)
    with asyncio.Runner(loop_factory=made) as runner:
        runner.run(main())
    assert not seen


async def test_a_place_is_named_once(refused_port: int) -> None:
    """In the text, and in what the exception is made of."""
    for host, where in (("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]")):
        with pytest.raises(ConnectError) as caught:
            await aioconnect.connect(host, refused_port)
        for text in (str(caught.value), str(caught.value.args)):
            assert text.count(f"{where}:{refused_port}") == 1, text
    with pytest.raises(ConnectError) as caught:
        await aioconnect.connect_unix("/no/such")
    assert str(caught.value).count("/no/such") == 1
    # Of a name's addresses each is named.
    with pytest.raises(ConnectError) as caught:
        await aioconnect.connect("localhost", refused_port, family=socket.AF_INET)
    assert f"127.0.0.1:{refused_port}: connection refused" in str(caught.value)

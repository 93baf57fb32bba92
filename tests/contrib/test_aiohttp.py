"""Connectors for aiohttp whose connections a `Connector` makes."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import socket
import ssl
import subprocess
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientTimeout, Fingerprint, TraceConfig, web
from proxies import CREDENTIALS, PASSWORD, SECRETS, USER, proxying

import aioconnect
from aioconnect import (
    Address,
    AddressBlockedError,
    AttemptFailed,
    Backoff,
    Connected,
    ConnectError,
    Connector,
    ConnectRefusedError,
    ConnectTimeoutError,
    Event,
    ResolveError,
    RetryScheduled,
    only_public,
)
from aioconnect._io.tls import TLSOptions
from aioconnect.contrib import _aiohttp_version
from aioconnect.contrib import aiohttp as contrib_aiohttp
from aioconnect.contrib.aiohttp import ConnectorTCPConnector, ConnectorUnixConnector
from aioconnect.testing import (
    BlackHole,
    Recorder,
    Server,
    StaticResolver,
    echoing,
    full_backlog,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
    unused_port,
)

Factory = Callable[[], asyncio.AbstractEventLoop]

# Longer, in seconds, than anything here takes.
PATIENCE = 60.0


class HTTPServer:
    """A server of aiohttp, which answers with the number of the connection.

    /to?URL redirects.  *targets* lists the requested URLs.
    """

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.transports: list[asyncio.Transport | None] = []
        self._runner: web.AppRunner | None = None

    async def listen(self, *where: Any, context: ssl.SSLContext | None = None) -> None:
        """Listen on a host and a port, a bound socket, or a path."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        site: web.BaseSite
        if len(where) == 2:
            site = web.TCPSite(runner, *where, ssl_context=context)
        elif isinstance(where[0], socket.socket):
            site = web.SockSite(runner, where[0], ssl_context=context)
        else:
            site = web.UnixSite(runner, where[0])
        await site.start()

    async def _answer(self, request: web.Request) -> web.Response:
        self.targets.append(str(request.url))
        if request.transport not in self.transports:
            self.transports.append(request.transport)
        if request.path == "/to":
            raise web.HTTPFound(request.query_string)
        return web.Response(text=f"{self.transports.index(request.transport) + 1}")

    async def kill(self) -> None:
        """Close all connections, and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()


@asynccontextmanager
async def serving(
    *where: Any, context: ssl.SSLContext | None = None
) -> AsyncGenerator[HTTPServer]:
    """Yield a server, and kill it at the end.  With no address it does not listen."""
    server = HTTPServer()
    try:
        if where:
            await server.listen(*where, context=context)
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def local_server() -> AsyncGenerator[tuple[HTTPServer, str]]:
    """Yield a server and the beginning of its URLs."""
    with unused_port() as held:
        async with serving(held.host, held.port) as server:
            yield server, f"http://{held.host}:{held.port}"


@asynccontextmanager
async def session(
    connector: Connector | None = None,
    *,
    timeout: ClientTimeout | None = None,
    traces: list[TraceConfig] | None = None,
    **arguments: Any,
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a session over a `ConnectorTCPConnector` with *arguments*."""
    async with aiohttp.ClientSession(
        connector=ConnectorTCPConnector(connector or Connector(), **arguments),
        timeout=timeout or ClientTimeout(total=PATIENCE),
        trace_configs=traces,
    ) as made:
        yield made


async def text_of(http: aiohttp.ClientSession, url: str, **options: Any) -> str:
    """Return the body of the answer to a GET."""
    async with http.get(url, **options) as response:
        return await response.text()


def server_context(certified: Any, *names: str) -> ssl.SSLContext:
    """Return a context of a server with a certificate that *certified*'s CA signs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certified.ca.issue_cert(*(names or ("localhost",))).configure_cert(context)
    return context


def fingerprint_of(context: ssl.SSLContext) -> Fingerprint:
    """Return the fingerprint of the certificate of a server's *context*."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    client = unverified.wrap_bio(outgoing, incoming)
    for side in (client, server) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    certificate = client.getpeercert(binary_form=True)
    assert certificate is not None
    return Fingerprint(sha256(certificate).digest())


@contextmanager
def bound(port: int) -> Generator[socket.socket]:
    """Yield a socket that listens on *port* of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", port)) as sock:
        yield sock


def racing(first: str, **options: Any) -> Connector:
    """Return a connector to localhost: its first address is *first*, then 127.0.0.1."""
    resolver = StaticResolver({"localhost": [first, "127.0.0.1"]})
    options = {"happy_eyeballs_delay": 0.01, "timeout": PATIENCE, **options}
    return Connector(resolver=resolver, **options)


def only_one_came(first: Server) -> None:
    """Check that the server, which says nothing, was connected to once."""
    first.accept().close()
    with pytest.raises(TimeoutError):
        first.accept(timeout=0)


def allowing(
    *servers: tuple[str, int],
) -> Callable[[IPv4Address | IPv6Address, int], bool]:
    """Return a guard that allows *servers*, and public addresses."""
    return lambda ip, port: (str(ip), port) in servers or only_public(ip, port)


def allowing_none(ip: IPv4Address | IPv6Address, port: int) -> bool:
    """Refuse every address."""
    return False


# What works.


async def test_requests() -> None:
    """A connection is kept alive; a name and an address work."""
    async with local_server() as (_, url), session() as http:
        assert await text_of(http, url) == "1"
        assert await text_of(http, url) == "1"
        by_name = url.replace("127.0.0.1", "localhost.")
        assert await text_of(http, by_name) == "2"
        assert await text_of(http, by_name.replace("localhost.", "localhost..")) == "3"


async def test_ipv6(ipv6_listener: Server) -> None:
    with unused_port("::1") as held:
        async with serving(held.host, held.port), session() as http:
            assert await text_of(http, f"http://[::1]:{held.port}") == "1"


def test_the_loop_is_another_connectors(loop_factory: Factory) -> None:
    """The connector of the session connects, and not that of the loop."""

    async def main() -> None:
        async with local_server() as (_, url), session() as http:
            assert await text_of(http, url) == "1"
            assert await text_of(http, url.replace("127.0.0.1", "localhost")) == "2"

    refusing_all = Connector(allow=allowing_none)
    factory = aioconnect.loop_factory(refusing_all, base=loop_factory)
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def test_arguments_of_aiohttp() -> None:
    """*family*, *local_addr* and the race's replace options; the rest is aiohttp's."""
    connector = Connector(family=socket.AF_INET6, happy_eyeballs_delay=1, interleave=2)
    tcp = ConnectorTCPConnector(
        connector,
        family=socket.AF_INET,
        local_addr=("127.0.0.5", 0),
        happy_eyeballs_delay=None,
        interleave=0,
        limit=7,
        limit_per_host=3,
        use_dns_cache=False,  # type: ignore[call-arg]  # it is true, and so it passes
    )
    ours = tcp._aioconnect_connector
    assert ours.local_addr == ("127.0.0.5", 0)
    assert (ours.happy_eyeballs_delay, ours.interleave) == (None, 0)
    assert (tcp.family, tcp.limit, tcp.limit_per_host) == (socket.AF_INET, 7, 3)
    assert not tcp.use_dns_cache
    async with (
        local_server() as (server, url),
        aiohttp.ClientSession(connector=tcp) as http,
    ):
        assert await text_of(http, url.replace("127.0.0.1", "localhost")) == "1"
        (transport,) = server.transports
        assert transport is not None
        assert transport.get_extra_info("peername")[0] == "127.0.0.5"


async def test_defaults_of_aiohttp_leave_the_options() -> None:
    connector = Connector(
        family=socket.AF_INET, local_addr=("127.0.0.5", 0), interleave=2
    )
    tcp = ConnectorTCPConnector(
        connector, family=socket.AF_UNSPEC, local_addr=None, interleave=None
    )
    assert tcp._aioconnect_connector == connector
    assert (tcp.family, tcp.use_dns_cache) == (socket.AF_INET, False)
    await tcp.close()


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ({"resolver": aiohttp.ThreadedResolver}, r"Connector\(resolver=...\)"),
        ({"socket_factory": socket.socket}, r"Connector\(prepare=\[...\]\)"),
        ({"use_dns_cache": True}, "nothing is cached here"),
        ({"ttl_dns_cache": 10}, "nothing is cached here"),
        ({"dns_cache_max_size": 10}, "nothing is cached here"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
async def test_arguments_without_effect(argument: Any, instead: str) -> None:
    (name,) = argument
    with pytest.raises(TypeError, match=f"^{name} would have no effect: .*{instead}"):
        ConnectorTCPConnector(Connector(), **argument)


async def test_bad_arguments(tmp_path: Path) -> None:
    tcp: Any = ConnectorTCPConnector
    unix: Any = ConnectorUnixConnector
    for bad in (None, {"timeout": 1}, aiohttp.ThreadedResolver):
        with pytest.raises(TypeError, match="connector must be a Connector"):
            tcp(bad)
        with pytest.raises(TypeError, match="connector must be a Connector"):
            unix(str(tmp_path / "web"), bad)
    with pytest.raises(TypeError, match="nonsense"):
        tcp(Connector(), nonsense=1)
    with pytest.raises(ValueError, match="happy_eyeballs_delay must"):
        tcp(Connector(), happy_eyeballs_delay=-1)
    with pytest.raises(ValueError, match="path"):
        unix("")


async def test_many_requests() -> None:
    """A pool makes no more connections than it may, and answers all."""
    async with local_server() as (server, url), session(limit=10) as http:
        answers = await asyncio.gather(*(text_of(http, url) for _ in range(100)))
        assert len(answers) == 100
        assert len(server.transports) <= 10


@pytest.mark.parametrize("must_wait", [False, True])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_tracing(name: str, must_wait: bool) -> None:
    """Aiohttp's signals are sent, those of DNS for names only."""
    seen: list[str] = []
    config = TraceConfig()
    for signal in (
        "on_dns_resolvehost_start",
        "on_dns_resolvehost_end",
        "on_connection_create_start",
        "on_connection_create_end",
        "on_connection_reuseconn",
    ):

        async def note(*_: Any, signal: str = signal) -> None:
            await asyncio.sleep(0)
            seen.append(signal.removeprefix("on_"))

        getattr(config, signal).append(note)
    known = StaticResolver({"localhost": ["127.0.0.1"]})

    def plain(host: str, port: int, **_: int) -> list[Address]:
        return [Address(socket.AF_INET, ("127.0.0.1", port))]

    resolver: Any = known if must_wait else plain
    async with (
        local_server() as (_, url),
        session(Connector(resolver=resolver), traces=[config]) as http,
    ):
        for _ in range(2):
            await text_of(http, url.replace("127.0.0.1", name))
    names = ["dns_resolvehost_start", "dns_resolvehost_end"]
    created = ["connection_create_start", "connection_create_end"]
    middle = names if name == "localhost" else []
    assert seen == [created[0], *middle, created[1], "connection_reuseconn"]


# A server that is late, killed, slow.


async def test_a_server_that_is_late_and_comes_back() -> None:
    """It starts after the first request, is killed, and starts after the next one."""
    with unused_port() as held:
        await late_and_back(
            ConnectorTCPConnector,
            f"http://{held.host}:{held.port}",
            held.host,
            held.port,
        )


async def test_a_path_that_is_late_and_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "web")
    await late_and_back(partial(ConnectorUnixConnector, path), "http://web", path)


async def late_and_back(make: Callable[..., Any], url: str, *where: Any) -> None:
    """Ask a server that starts late, and again after it was killed."""
    recorder = Recorder()
    started = asyncio.Event()

    def observer(event: Event) -> None:
        recorder(event)
        if isinstance(event, RetryScheduled):
            started.set()

    async def asked() -> str:
        started.clear()
        asking = asyncio.create_task(text_of(http, url))
        await started.wait()
        await server.listen(*where)
        return await asking

    waiting = Connector(timeout=PATIENCE, retry=Backoff(maximum=0.1), observer=observer)
    timeout = ClientTimeout(total=PATIENCE)
    async with (
        serving() as server,
        aiohttp.ClientSession(
            connector=make(connector=waiting), timeout=timeout
        ) as http,
    ):
        assert await asked() == "1"
        await server.kill()
        assert await asked() == "2"
    recorder.assert_in_order(RetryScheduled, Connected, RetryScheduled, Connected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(0.05, None), (None, 0.05), (0.05, 60.0), (60.0, 0.05), (0.05, 0)],
)
async def test_the_lower_timeout_wins(
    black_hole: BlackHole, ours: float | None, theirs: float | None
) -> None:
    """The cause of aiohttp's error lists the attempts."""
    timeout = ClientTimeout(total=PATIENCE, sock_connect=theirs)
    url = f"http://{black_hole.host}:{black_hole.port}"
    connector = Connector(timeout=ours, retry=Backoff())
    async with session(connector, timeout=timeout) as http:
        with pytest.raises(aiohttp.ConnectionTimeoutError) as caught:
            await text_of(http, url)
    assert isinstance(caught.value, aiohttp.ServerTimeoutError)
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)
    assert "within 0.05 s" in str(caught.value.__cause__)


async def test_the_lower_timeout_wins_for_a_path() -> None:
    """A server whose backlog is full is waited for until then."""
    timeout = ClientTimeout(total=PATIENCE, sock_connect=0.05)
    with full_backlog() as server:
        unix = ConnectorUnixConnector(str(server.path), Connector(timeout=PATIENCE))
        async with aiohttp.ClientSession(connector=unix, timeout=timeout) as http:
            with pytest.raises(aiohttp.ConnectionTimeoutError) as caught:
                await text_of(http, "http://web")
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)


@pytest.mark.parametrize("limit", ["total", "connect"])
async def test_timeouts_of_the_session(black_hole: BlackHole, limit: str) -> None:
    """They end a connect that goes on retrying."""
    url = f"http://{black_hole.host}:{black_hole.port}"
    connector = Connector(attempt_timeout=0.01, retry=Backoff())
    arguments: dict[str, Any] = {"total": PATIENCE, limit: 0.1}
    async with session(connector, timeout=ClientTimeout(**arguments)) as http:
        with pytest.raises(TimeoutError):
            await text_of(http, url)


@pytest.mark.parametrize("serve", [listening, partial(tls_echoing, silent=True)])
async def test_requests_that_are_cancelled(serve: Any) -> None:
    """Nothing is left, wherever they wait: for an answer, or for a handshake."""

    async def ask() -> None:
        async with session() as http:
            await text_of(http, f"{scheme}://localhost:{server.address.sockaddr[1]}")

    scheme = "http" if serve is listening else "https"
    with serve() as server:
        for iterations in range(0, 40, 3):
            async with leak_check(ignore_threads=["aioconnect-"]):
                task = asyncio.create_task(ask())
                for _ in range(iterations):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task


# The race to the first usable connection, and TLS.


async def test_https() -> None:
    """With the context of the connector, of the request, another name, and none."""
    with tls_echoing() as certified, unused_port() as held:
        context = server_context(certified, "other.test")
        url, name = f"https://{held.host}:{held.port}", "other.test"
        trusting = certified.client_context
        async with serving(held.host, held.port, context=context):
            async with session(ssl=trusting) as http:
                assert await text_of(http, url, server_hostname=name) == "1"
                assert await text_of(http, url, ssl=False) == "2"
            async with session() as http:
                answer = await text_of(http, url, ssl=trusting, server_hostname=name)
                assert answer == "3"
            async with session(ssl=False) as http:
                assert await text_of(http, url) == "4"


@pytest.mark.skipif(
    "ssl_shutdown_timeout" not in inspect.signature(aiohttp.TCPConnector).parameters,
    reason="this aiohttp has no such argument",
)
async def test_the_shutdown_timeout_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float | None] = []
    arguments = TLSOptions.arguments

    def note(options: TLSOptions, remaining: float | None) -> dict[str, Any]:
        seen.append(options.ssl_shutdown_timeout)
        return arguments(options, remaining)

    monkeypatch.setattr(TLSOptions, "arguments", note)
    with tls_echoing() as certified, unused_port() as held:
        context = server_context(certified)
        async with serving(held.host, held.port, context=context):
            with pytest.warns(DeprecationWarning, match="ssl_shutdown_timeout"):
                tcp = ConnectorTCPConnector(ssl=False, ssl_shutdown_timeout=0.5)
            async with aiohttp.ClientSession(connector=tcp) as http:
                await text_of(http, f"https://localhost:{held.port}")
    assert seen == [0.5]


@pytest.mark.parametrize("ready", [None, "ready"])
async def test_https_whose_first_address_stalls(ready: str | None) -> None:
    """The second address is used, also with a *ready* hook."""

    async def is_ready(transport: asyncio.Transport, protocol: object) -> bool:
        return isinstance(protocol, asyncio.Protocol)

    with (
        tls_echoing() as certified,
        on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
            held,
            first,
        ),
    ):
        context, hook = server_context(certified), is_ready if ready else None
        async with (
            serving(held.host, held.port, context=context) as server,
            session(
                racing(first.host, ready=hook), ssl=certified.client_context
            ) as http,
        ):
            assert await text_of(http, f"https://localhost:{held.port}") == "1"
            assert await text_of(http, f"https://localhost:{held.port}") == "1"
            assert len(server.transports) == 1
        only_one_came(first)


async def test_http_whose_first_address_is_not_ready() -> None:
    """A request goes to the second address, if the first accepts for nobody."""
    never = asyncio.get_running_loop().create_future()

    async def ready(transport: asyncio.Transport, protocol: object) -> None:
        if transport.get_extra_info("peername")[0] == first.host:
            await never

    with on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
        held,
        first,
    ):
        async with (
            serving(held.host, held.port),
            session(racing(first.host, ready=ready)) as http,
        ):
            assert await text_of(http, f"http://localhost:{held.port}") == "1"
        only_one_came(first)


async def test_the_first_address_has_a_wrong_certificate() -> None:
    """The second one is used: of a name, and of a fingerprint."""
    wrong = partial(tls_echoing, "127.0.0.2", wrong_name=True)
    with on_one_port(wrong, bound) as (first, sock):
        context = server_context(first)
        url = f"https://localhost:{first.echo.port}"
        async with (
            serving(sock, context=context),
            session(racing(first.host)) as http,
        ):
            assert await text_of(http, url, ssl=first.client_context) == "1"
            assert await text_of(http, url, ssl=fingerprint_of(context)) == "2"


async def test_fingerprint() -> None:
    """Aiohttp's error is raised for a wrong one, once *ready* was not even asked."""
    asked: list[object] = []

    async def ready(transport: object, protocol: object) -> bool:
        asked.append(protocol)
        return len(asked) < 2

    with tls_echoing() as certified, unused_port() as held:
        context = server_context(certified)
        url = f"https://{held.host}:{held.port}"
        async with (
            serving(held.host, held.port, context=context),
            session(Connector(ready=ready, retry=(0, 0))) as http,
        ):
            other = f"https://{certified.host}:{certified.echo.port}"
            with pytest.raises(aiohttp.ServerFingerprintMismatch) as caught:
                await text_of(http, other, ssl=Fingerprint(bytes(32)))
            assert not asked
            at = certified.host, certified.echo.port
            assert (caught.value.host, caught.value.port) == at
            assert isinstance(caught.value.__cause__, ConnectError)
            # A server is not tried again for it.
            assert "fingerprint" in str(caught.value.__cause__)
            assert caught.value.__cause__.attempt_count == 1
            right = fingerprint_of(context)
            assert await text_of(http, url, ssl=right) == "1"
            assert len(asked) == 1
        async with (
            serving(held.host, held.port, context=context),
            session(Connector(ready=ready), ssl=fingerprint_of(context)) as http,
        ):
            with pytest.raises(aiohttp.ClientConnectorError, match="ready"):
                await text_of(http, url)


async def test_fingerprint_and_an_address_that_refuses() -> None:
    """The wrong fingerprint is the answer, and no reason for another round."""
    resolver = StaticResolver({"localhost": ["127.0.0.1", "127.0.0.3"]})
    connector = Connector(resolver=resolver, retry=(0, 0))
    with tls_echoing() as server:
        url = f"https://localhost:{server.port}"
        async with session(connector, ssl=Fingerprint(bytes(32))) as http:
            with pytest.raises(aiohttp.ServerFingerprintMismatch) as caught:
                await text_of(http, url)
    error = caught.value.__cause__
    assert isinstance(error, ConnectError)
    assert error.attempt_count == 2


# Errors.


async def test_the_context_of_a_server(port: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    async with session(ssl=context) as http:
        with pytest.raises(aiohttp.ClientConnectorSSLError, match="TLS_SERVER"):
            await text_of(http, f"https://127.0.0.1:{port}")


@pytest.mark.parametrize("what", ["port", "path"])
async def test_retries_end_with_the_session(what: str, tmp_path: Path) -> None:
    """Nothing is tried again for a session that is closed."""
    recorder = Recorder()
    connector = Connector(retry=Backoff(maximum=0.01), observer=recorder)
    with refusing() as refused:
        pool: aiohttp.BaseConnector = ConnectorTCPConnector(connector)
        if what == "path":
            pool = ConnectorUnixConnector(str(tmp_path / "nothing"), connector)
        http = aiohttp.ClientSession(
            connector=pool, timeout=ClientTimeout(total=None, sock_connect=None)
        )
        url = f"http://{refused.host}:{refused.port}"
        getting = asyncio.ensure_future(text_of(http, url))
        async with asyncio.timeout(PATIENCE):
            while not recorder.of(RetryScheduled):
                await asyncio.sleep(0.01)
            await http.close()
            with pytest.raises(aiohttp.ClientConnectorError):
                await getting


async def test_refused() -> None:
    """The text is this package's; the error and its cause have every attempt."""
    with refusing() as refused:
        async with session(Connector(retry=(0,))) as http:
            with pytest.raises(aiohttp.ClientConnectorError, match="refused") as caught:
                await text_of(http, f"http://{refused.host}:{refused.port}")
    error = caught.value.os_error
    assert isinstance(error, ConnectRefusedError)
    assert error is caught.value.__cause__
    assert error.attempt_count == 2
    assert (caught.value.host, caught.value.port) == (refused.host, refused.port)


async def test_an_unknown_name() -> None:
    async with session(Connector(resolver=StaticResolver({}))) as http:
        with pytest.raises(aiohttp.ClientConnectorDNSError) as caught:
            await text_of(http, "http://nowhere.test/")
    assert isinstance(caught.value.os_error, ResolveError)
    assert caught.value.__cause__ is caught.value.os_error


@pytest.mark.parametrize("wrong", ["wrong_name", "expired"])
async def test_a_wrong_certificate(wrong: str) -> None:
    flags: dict[str, Any] = {wrong: True}
    with tls_echoing(**flags) as server:
        url = f"https://localhost:{server.echo.port}"
        async with session(ssl=server.client_context) as http:
            with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
                await text_of(http, url)
    assert isinstance(caught.value.certificate_error, ConnectError)
    assert isinstance(caught.value, ssl.SSLCertVerificationError | ssl.CertificateError)


async def test_a_certificate_that_ready_refuses(port: int) -> None:
    """Whatever the cause of its error is, the error is one of a certificate."""

    async def ready(transport: object, protocol: object) -> None:
        raise ssl.SSLCertVerificationError(1, "revoked") from ValueError("serial")

    async with session(Connector(ready=ready)) as http:
        with pytest.raises(aiohttp.ClientConnectorCertificateError, match="revoked"):
            await text_of(http, f"http://127.0.0.1:{port}")


async def test_a_server_without_tls() -> None:
    with echoing() as server:
        async with session() as http:
            with pytest.raises(aiohttp.ClientConnectorSSLError) as caught:
                await text_of(http, f"https://localhost:{server.port}")
    assert isinstance(caught.value.os_error, ConnectError)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "256.0.0.1"])
async def test_a_number_that_is_no_address(host: str, port: int) -> None:
    """The system would take it for one: aiohttp and this package refuse it."""
    async with session() as http:
        with pytest.raises(aiohttp.InvalidURL, match=host.partition(".")[0]):
            await text_of(http, f"http://{host}:{port}/")


async def test_a_redirect_to_a_bad_host() -> None:
    async with local_server() as (_, url), session() as http:
        with pytest.raises(aiohttp.InvalidURL, match="a\\.\\.b"):
            await text_of(http, f"{url}/to?http://a..b/")


async def test_errors_of_the_program_are_themselves(port: int) -> None:
    def hook(sock: socket.socket, address: object) -> None:
        raise ZeroDivisionError

    async with session(Connector(prepare=[hook])) as http:
        with pytest.raises(ZeroDivisionError):
            await text_of(http, f"http://127.0.0.1:{port}")


async def test_a_path_without_a_server(tmp_path: Path) -> None:
    path = str(tmp_path / "nothing")
    for connector, text in (
        (Connector(), "no such file"),
        (Connector(allow=only_public), "not allowed"),
    ):
        unix = ConnectorUnixConnector(path, connector)
        async with aiohttp.ClientSession(connector=unix) as http:
            with pytest.raises(aiohttp.ClientConnectorError, match=text) as caught:
                await text_of(http, "http://web")
        assert isinstance(caught.value.os_error, ConnectError)
        assert path in str(caught.value)


# The guard.


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0x7f.0.0.1",
    ],
)
async def test_a_private_target(host: str, port: int) -> None:
    """It is refused, also if it is a literal, which aiohttp asks no resolver about."""
    async with session(Connector(allow=only_public)) as http:
        with pytest.raises(aiohttp.ClientConnectorError, match="not allowed") as caught:
            await text_of(http, f"http://{host}:{port}/")
    assert isinstance(caught.value.os_error, AddressBlockedError)


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "[::1]", "name.test"])
async def test_a_redirect_to_a_private_target(host: str) -> None:
    resolver = StaticResolver({"localhost": ["127.0.0.2"], "name.test": ["10.0.0.1"]})
    with on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
        held,
        private,
    ):
        guarded = Connector(
            allow=allowing((held.host, held.port)), resolver=resolver, timeout=PATIENCE
        )
        async with serving(held.host, held.port), session(guarded) as http:
            url = f"http://{held.host}:{held.port}/to?http://{host}:{held.port}/"
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await text_of(http, url)
        assert isinstance(caught.value.os_error, AddressBlockedError)
        with pytest.raises(TimeoutError):
            private.accept(timeout=0)


async def test_aiohttp_looks_up_nothing() -> None:
    """If a version did, it would get no answer that the guard has not seen."""
    async with session() as http:
        tcp: Any = http.connector
        with pytest.raises(AssertionError, match=r"name\.test"):
            await tcp._resolver.resolve("name.test", 80)
        await tcp._resolver.close()


# Proxies.


async def test_through_a_proxy() -> None:
    """A request goes through the proxy, and TLS is spoken with the target."""
    with tls_echoing() as certified, unused_port() as held, proxying("http") as proxy:
        context = server_context(certified)
        proxy.names["localhost"] = held.host
        async with (
            serving(held.host, held.port, context=context),
            session(Connector(timeout=PATIENCE), ssl=certified.client_context) as http,
        ):
            url = f"https://localhost:{held.port}"
            assert await text_of(http, url, proxy=proxy.url()) == "1"
            assert await text_of(http, url, proxy=proxy.url()) == "1"
        assert proxy.asked == [("localhost", held.port)]


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Connect as an HTTP client asks, and carry both ways until both have ended."""
    asked = await reader.readuntil(b"\r\n\r\n")
    host, _, port = asked.split()[1].decode().rpartition(":")
    back, forth = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.gather(carry(reader, forth), carry(back, writer))


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Forward everything from *source* to *sink*, and close it."""
    with contextlib.suppress(OSError):
        while data := await source.read(2**16):
            sink.write(data)
    sink.close()
    with contextlib.suppress(OSError):
        await sink.wait_closed()


async def test_tls_through_a_proxy_with_tls() -> None:
    """The handshake with the proxy is raced: its first address stalls."""
    with (
        tls_echoing() as certified,
        unused_port() as held,
        on_one_port(unused_port, lambda port: listening("127.0.0.2", port=port)) as (
            at,
            first,
        ),
    ):
        context = server_context(certified)
        proxy = await asyncio.start_server(tunnel, at.host, at.port, ssl=context)
        target = server_context(certified, "127.0.0.1")
        async with (
            proxy,
            serving(held.host, held.port, context=target),
            session(racing(first.host), ssl=certified.client_context) as http,
        ):
            url = f"https://{held.host}:{held.port}"
            through = f"https://localhost:{at.port}"
            assert await text_of(http, url, proxy=through) == "1"
        only_one_came(first)


async def test_plain_http_through_a_proxy() -> None:
    async with local_server() as (server, proxy), session() as http:
        assert await text_of(http, "http://name.test/a", proxy=proxy) == "1"
        assert server.targets == ["http://name.test/a"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_guard_and_a_proxy(scheme: str) -> None:
    """It is asked about both, and refuses a name that the proxy would look up."""
    allowed = ("127.0.0.9", 7)
    recorder = Recorder()
    with proxying("http") as proxy:
        at, targets = (proxy.host, proxy.port), f"{scheme}://127.0.0.9"
        for allow, url, why in (
            (allowing(at, allowed), f"{targets}:8/", "not allowed"),
            (
                allowing(at, allowed),
                f"{scheme}://a.test/",
                "the proxy would look it up",
            ),
            (allowing(at, allowed), f"{scheme}://0x7f.0.0.9:7/", "would look it up"),
            (allowing(allowed), f"{targets}:7/", "not allowed"),
        ):
            recorder.clear()
            connector = Connector(allow=allow, timeout=PATIENCE, observer=recorder)
            async with session(connector) as http:
                with pytest.raises(aiohttp.ClientConnectorError, match=why) as caught:
                    await text_of(http, url, proxy=proxy.url(CREDENTIALS["http"]))
            assert len(recorder.of(AttemptFailed)) == 1
            assert isinstance(caught.value.os_error, AddressBlockedError)
            for secret in SECRETS:
                assert secret not in repr(caught.value)
        assert not proxy.asked
        assert proxy.connections == 0


async def test_what_the_guard_allows_goes_through_a_proxy() -> None:
    with (
        tls_echoing() as certified,
        unused_port() as held,
        proxying("http", credentials=(USER, PASSWORD)) as proxy,
    ):
        context = server_context(certified)
        allow = allowing((proxy.host, proxy.port), (held.host, held.port))
        async with (
            serving(held.host, held.port, context=context),
            session(Connector(allow=allow), ssl=False) as http,
        ):
            url = f"https://{held.host}:{held.port}"
            through = proxy.url(CREDENTIALS["http"])
            assert await text_of(http, url, proxy=through) == "1"
        assert proxy.asked == [(held.host, held.port)]


@pytest.mark.parametrize("allow", [None, allowing_none])
async def test_credentials_of_a_proxy_are_not_shown(allow: Any) -> None:
    """They are in no error, nor among the local variables of this package's frames."""
    told: list[str] = []
    with refusing() as refused:
        proxy = f"http://{CREDENTIALS['http']}@{refused.host}:{refused.port}"
        async with session(Connector(allow=allow)) as http:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await text_of(http, "https://a.test/", proxy=proxy)
    error: BaseException | None = caught.value
    while error is not None:
        told += [repr(error), str(error), repr(vars(error))]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if "aioconnect" in Path(frame.f_code.co_filename).parts:
                told += map(repr, frame.f_locals.values())
        error = error.__cause__
    for secret in SECRETS:
        assert not [text for text in told if secret in text]


async def test_a_proxy_that_refuses() -> None:
    """Its error is aiohttp's own; the connect to it was tried again."""
    with refusing() as refused:
        async with session(Connector(retry=(0,))) as http:
            with pytest.raises(aiohttp.ClientProxyConnectionError) as caught:
                await text_of(
                    http,
                    "https://a.test/",
                    proxy=f"http://{refused.host}:{refused.port}",
                )
    assert isinstance(caught.value.os_error, ConnectRefusedError)
    assert caught.value.os_error.attempt_count == 2


async def test_a_proxy_that_does_not_answer(listener: Server) -> None:
    """The connector's timeout limits the tunnel, too."""
    proxy = f"http://{listener.host}:{listener.port}"
    async with session(Connector(timeout=0.1)) as http:
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await text_of(http, "https://a.test/", proxy=proxy)
    listener.accept().close()


async def test_a_proxy_that_cannot_be_reached(black_hole: BlackHole) -> None:
    """The limit is the same, and the error lists the attempts."""
    proxy = f"http://{black_hole.host}:{black_hole.port}"
    async with session(Connector(timeout=0.1)) as http:
        with pytest.raises(aiohttp.ConnectionTimeoutError) as caught:
            await text_of(http, "https://a.test/", proxy=proxy)
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)


async def test_a_resolver_that_sends_requests_itself() -> None:
    """Its connections leave the limit of the tunnel alone, which is being made."""
    limits: list[float | None] = []

    async def resolver(host: str, port: int, **asked: int) -> list[Address]:
        async with session(Connector(timeout=PATIENCE)) as http:
            await text_of(http, url)
        limits.append(contrib_aiohttp._tunnel_limit.get().when())
        return [Address(socket.AF_INET, (proxy.host, port))]

    with tls_echoing() as certified, unused_port() as held, proxying("http") as proxy:
        context = server_context(certified)
        async with (
            local_server() as (_, url),
            serving(held.host, held.port, context=context),
            session(Connector(resolver=resolver), ssl=False) as http,
        ):
            through = f"http://proxy.test:{proxy.port}"
            target = f"https://{held.host}:{held.port}"
            assert await text_of(http, target, proxy=through) == "1"
    assert limits == [None]


# The page.


async def test_the_guard_of_the_page() -> None:
    """It refuses an address of this machine."""
    page = Path(__file__).parents[2] / "docs" / "howto" / "aiohttp.md"
    blocks = re.findall(
        r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL
    )
    (guarded,) = (block for block in blocks if "only_public" in block)
    scope: dict[str, Any] = {}
    exec(guarded, scope)  # noqa: S102  # the page is this package's
    async with local_server() as (_, url):
        with pytest.raises(aiohttp.ClientConnectorError, match="not allowed"):
            await scope["fetch"](url)


# The version of aiohttp.


@pytest.mark.parametrize(
    ("version", "is_tested"),
    [
        ("3.11.18", False),
        ("3.12.0", True),
        ("3.14.99", True),
        ("3.15.0", False),
        ("3.15.0a1", False),
        ("4.0", False),
    ],
)
def test_versions(version: str, is_tested: bool) -> None:
    if is_tested:
        _aiohttp_version.check_aiohttp(version)
        return
    range_ = re.escape("needs aiohttp>=3.12,<3.15")
    with pytest.raises(ImportError, match=f"{range_}, but {version} is installed"):
        _aiohttp_version.check_aiohttp(version)


@pytest.mark.parametrize(
    "name", [*_aiohttp_version._OVERRIDDEN, *_aiohttp_version._CALLED]
)
def test_a_hook_that_changes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed at import, before a request could pass by the guard."""
    kind, method = name.split(".")
    monkeypatch.setattr(getattr(aiohttp, kind), method, partial(text_of, url=""))
    with pytest.raises(ImportError, match=f"has another {name}: .*pip install"):
        _aiohttp_version.check_aiohttp(aiohttp.__version__)
    monkeypatch.setattr(getattr(aiohttp, kind), method, None)
    with pytest.raises(ImportError, match=f"has another {name}"):
        _aiohttp_version.check_aiohttp(aiohttp.__version__)


def test_importing_with_another_version() -> None:
    program = (
        "import aiohttp; aiohttp.__version__ = '3.15';"
        " import aioconnect.contrib.aiohttp"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ImportError: aioconnect.contrib.aiohttp needs aiohttp>=3.12" in done.stderr

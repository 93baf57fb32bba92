"""Every address that `connect(2)` gets was allowed before, as an audit hook sees it.

Python calls its audit hooks with the address of each connect and bind.  An audit hook
cannot be removed, so there is one, which listens only while a test does.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fault_suite.entry_points import discard
from http_pairs import PAIRS, Pair
from proxies import proxying

import aioconnect
from aioconnect import Address, Connector, SRVRecord, Target
from aioconnect._loops.subclass import convert_loop
from aioconnect.contrib.aiohttp import ConnectorTCPConnector, ConnectorUnixConnector
from aioconnect.contrib.anyio import Connectable
from aioconnect.contrib.proxy import ProxyConnector
from aioconnect.testing import UnixServer, listening

INET = (socket.AF_INET, socket.AF_INET6)

SERVICE = "_a._tcp.b.test"


@dataclass
class Audit:
    """A record of what `allow` was asked and what this thread connected and bound.

    *approved* are the allowed endpoints.  Datagram sockets are not recorded: they ask
    the kernel for the source address it would use (`source_addresses`), and send
    nothing.
    """

    approved: set[tuple[str, int]]
    log: list[tuple[str, Any]] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def allow(self, ip: IPv4Address | IPv6Address, port: int) -> bool:
        """Record a question to the ``allow`` option, and answer it."""
        self.log.append(("asked", (str(ip), port)))
        return (str(ip), port) in self.approved

    def hear(self, event: str, sock: socket.socket, sockaddr: Any) -> None:
        """Record an event of the audit hook."""
        if threading.get_ident() == self.thread and sock.type == socket.SOCK_STREAM:
            self.log.append((event, sockaddr))

    def all_of(self, event: str) -> list[Any]:
        """Return the arguments of each *event*."""
        return [what for kind, what in self.log if kind == event]

    def check(self) -> None:
        """Check that everything dialled was allowed before, and is a plain address."""
        asked: set[tuple[str, int]] = set()
        for event, what in self.log:
            if event == "asked":
                asked.add(what)
            elif event == "socket.connect":
                check_plain(what)
                assert what[:2] in asked & self.approved, self.log


def check_plain(sockaddr: Any) -> None:
    """Check that *sockaddr* shows the same values to Python code and to C."""
    assert type(sockaddr) is tuple, sockaddr
    assert {type(one) for one in sockaddr} == {str, int}, sockaddr


_audits: list[Audit] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _audits and event in ("socket.connect", "socket.bind"):
        _audits[-1].hear(event, *arguments)


@contextmanager
def auditing(*approved: Address) -> Generator[Audit]:
    """Yield an audit that allows the *approved* endpoints, and check it at the end."""
    if _hook not in _installed:
        sys.addaudithook(_hook)
        _installed.append(_hook)
    audit = Audit({(str(one.sockaddr[0]), int(one.sockaddr[1])) for one in approved})
    _audits.append(audit)
    try:
        yield audit
    finally:
        _audits.remove(audit)
    audit.check()


_installed: list[Callable[..., None]] = []


class Fickle(Address):
    """An address that changes with each look, through all of *turns*."""

    def __init__(self, *turns: Address) -> None:
        for name in ("family", "proto", "type"):
            object.__setattr__(self, name, getattr(turns[0], name))
        object.__setattr__(self, "turns", list(turns))

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def sockaddr(self) -> Any:
        """The address, for now."""
        turns: list[Address] = vars(self)["turns"]
        return (turns.pop(0) if len(turns) > 1 else turns[0]).sockaddr


class LyingTuple(tuple[Any, ...]):
    """A pair that shows *said* to Python code, and other values to C."""

    said: tuple[Any, ...]

    def __getitem__(self, at: Any) -> Any:
        return self.said[at]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.said)


class LyingText(str):
    """A str that claims anything about itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "8.8.8.8"

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class LyingPort(int):
    """An int that claims anything about itself."""

    def __int__(self) -> int:
        return 53

    __index__ = __int__


def lying(said: Address, meant: Address) -> tuple[Any, ...]:
    """Return a pair that shows *said* to Python code and *meant* to C."""
    pair = LyingTuple(meant.sockaddr)
    pair.said = tuple(said.sockaddr)
    return pair


def forged(said: Address, meant: Address) -> Address:
    """Return an exact `Address`, and no subclass, with a lying field."""
    address = Address(said.family, said.sockaddr)
    object.__setattr__(address, "sockaddr", lying(said, meant))
    return address


def dressed(said: Address, meant: Address) -> Address:
    """Return an address made of a lying text and number, which mean *said*."""
    address = Address(said.family, said.sockaddr)
    dress = LyingText(said.sockaddr[0]), LyingPort(said.sockaddr[1])
    object.__setattr__(address, "sockaddr", dress)
    return address


def plain(said: Address, meant: Address) -> Address:
    """Return *said*."""
    return said


LIARS: dict[str, Callable[[Address, Address], Address]] = {
    "forged": forged,
    "fickle": Fickle,
    "dressed": dressed,
    "plain": plain,
}


class Resolver:
    """A resolver that returns one address, and services that lie too."""

    def __init__(self, make: Callable[[], Address]) -> None:
        self._make = make

    def __call__(self, host: str, port: int, **asked: int) -> Sequence[Address]:
        """Do what a resolver does."""
        return [self._make()]

    def services(self, service: str) -> Sequence[SRVRecord]:
        """Return the one record there is."""
        return [
            SRVRecord(LyingPort(0), LyingPort(0), LyingPort(9), LyingText("a.test"))
        ]


@dataclass
class Scene:
    """The endpoint of an entry point: a name that resolves to *make*, or itself."""

    connector: Connector
    make: Callable[[], Address]
    host: str = "two.test"
    port: int = 9

    @property
    def at(self) -> tuple[str, int]:
        """The name and the port."""
        return self.host, self.port


class FickleTarget(Target):
    """A target with another *address* for each look."""

    def __init__(self, make: Callable[[], Address]) -> None:
        for name in ("host", "port", "service"):
            object.__setattr__(self, name, None)
        object.__setattr__(self, "make", make)

    __hash__ = object.__hash__

    @property
    def address(self) -> Address:
        """The address, for now."""
        made: Address = vars(self)["make"]()
        return made


async def own(scene: Scene, connect: Callable[..., Awaitable[None]], to: Any) -> Any:
    """Connect the caller's own socket with *connect*."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        await connect(sock, to)
    except BaseException:
        sock.close()
        raise
    return sock


async def over_loop(scene: Scene, start: Callable[[Any], Awaitable[Any]]) -> Any:
    """Turn the running loop into a factory's loop for this block."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    convert_loop(loop, scene.connector)
    try:
        return await start(loop)
    finally:
        loop.__class__ = kind


async def first(connections: aioconnect.Reconnecting) -> Any:
    """Return the first connection."""
    return await anext(connections)


async def request(pair: Pair, scene: Scene) -> None:
    """Request a page, although no server answers."""
    async with pair.transport(scene.connector) as transport:
        url = f"http://{scene.host}:{scene.port}/"
        timeouts = {"timeout": {"connect": 20.0, "read": 0.01}}
        with suppress(pair.httpx.ReadTimeout):
            await transport.handle_async_request(
                pair.httpx.Request("GET", url, extensions=timeouts)
            )


async def over_httpcore(pair: Pair, scene: Scene) -> Any:
    """Connect as a pool of httpcore does."""
    return await pair.backend(scene.connector).connect_tcp(*scene.at)


async def request_of_aiohttp(
    connector: aiohttp.BaseConnector, url: str = "http://web"
) -> None:
    """Request a page, although no server answers."""
    timeout = aiohttp.ClientTimeout(sock_connect=20, sock_read=0.01)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        with suppress(aiohttp.SocketTimeoutError):
            await session.get(url)


def options(scene: Scene) -> dict[str, Any]:
    """Return the connector's options as keyword arguments."""
    said = scene.connector
    return {"allow": said.allow, "resolver": said.resolver, "timeout": said.timeout}


async def suppressed(wait: Awaitable[float]) -> None:
    """Await *wait*: the server is up, and no Redis."""
    with suppress(aioconnect.ConnectTimeoutError, aioconnect.ConnectAbortedError):
        await wait


def look(scene: Scene) -> dict[str, Any]:
    """Return the options for a wait that looks once more and gives up."""
    return {**options(scene), "retry": (0,)}


Start = Callable[[Scene], Awaitable[Any]]

_PROTOCOL = asyncio.Protocol

# Each is called by name, with a resolver's answer, and by address, from the caller.
# Before the colon is the function of the package, which calls the `Connector`'s method.
ENTRIES: dict[str, Start] = {
    "connect": lambda to: aioconnect.connect(*to.at, **options(to)),
    "open_connection": lambda to: aioconnect.open_connection(*to.at, **options(to)),
    "create_connection": lambda to: aioconnect.create_connection(
        _PROTOCOL, *to.at, **options(to)
    ),
    "connect_any": lambda to: aioconnect.connect_any([to.at], **options(to)),
    "connect_any: raced": lambda to: aioconnect.connect_any(
        [to.at, to.at], race=True, **options(to)
    ),
    "connect_any: a service": lambda to: aioconnect.connect_any(
        [f"srv:{SERVICE}"], **options(to)
    ),
    "connect_any: a service, raced": lambda to: aioconnect.connect_any(
        [f"srv:{SERVICE}"], race=True, **options(to)
    ),
    "connect_any: an address": lambda to: aioconnect.connect_any(
        [to.make()], **options(to)
    ),
    "connect_any: a target": lambda to: aioconnect.connect_any(
        [Target(address=to.make())], **options(to)
    ),
    "connect_any: a target that lies": lambda to: aioconnect.connect_any(
        [FickleTarget(to.make)], **options(to)
    ),
    "wait_until_up": lambda to: aioconnect.wait_until_up(*to.at, **look(to)),
    "wait_until_up: a URL": lambda to: suppressed(
        aioconnect.wait_until_up(
            f"redis://{to.host}:{to.port}", attempt_timeout=0.05, **look(to)
        )
    ),
    "wait_until_down": lambda to: aioconnect.wait_until_down(*to.at, **look(to)),
    "reconnecting": lambda to: first(aioconnect.reconnecting(*to.at, **look(to))),
    # These two functions have no option *allow*, but the methods have.
    "connect_address": lambda to: to.connector.connect_address(to.make()),
    "connect_sock": lambda to: own(to, to.connector.connect_sock, to.make().sockaddr),
    "loop.create_connection": lambda to: over_loop(
        to, lambda loop: loop.create_connection(_PROTOCOL, *to.at)
    ),
    "loop.sock_connect": lambda to: over_loop(
        to, lambda loop: own(to, loop.sock_connect, to.make().sockaddr)
    ),
    "loop.sock_connect: a name": lambda to: over_loop(
        to, lambda loop: own(to, loop.sock_connect, to.at)
    ),
    "aiohttp": lambda to: request_of_aiohttp(
        ConnectorTCPConnector(to.connector), f"http://{to.host}:{to.port}/"
    ),
    "anyio": lambda to: Connectable(to.at, to.connector).connect(),
    "anyio: an address": lambda to: Connectable(to.make(), to.connector).connect(),
}
for name, pair in PAIRS.items():
    ENTRIES[name] = partial(request, pair)
    ENTRIES[pair.httpcore.__name__] = partial(over_httpcore, pair)

CONNECT_ERRORS = (
    OSError,
    *(pair.httpcore.ConnectError for pair in PAIRS.values()),
    *(pair.httpx.ConnectError for pair in PAIRS.values()),
)


@pytest.mark.parametrize("entry", ENTRIES)
async def test_what_is_dialled_was_allowed(entry: str) -> None:
    """The dialled address is the one that `allow` was asked about, even if it lies."""
    with listening() as good, listening("127.0.0.2") as bad:
        for liar, (said, meant) in pairs(good.address, bad.address):
            make = partial(LIARS[liar], said, meant)
            with auditing(good.address) as audit:
                connector = Connector(
                    allow=audit.allow, resolver=Resolver(make), timeout=20
                )
                with suppress(*CONNECT_ERRORS):
                    await discard(await ENTRIES[entry](Scene(connector, make)))
            assert audit.all_of("asked"), liar
            if liar == "plain":
                assert bool(audit.all_of("socket.connect")) is (said == good.address)


def pairs(good: Address, bad: Address) -> Iterator[tuple[str, tuple[Address, Address]]]:
    """Yield each lying value with what it says and what it means, both ways round."""
    return itertools.product(LIARS, [(good, bad), (bad, good)])


async def over_httpcore_unix(pair: Pair, by: Connector, path: Path) -> Any:
    """Connect as a pool of httpcore with a Unix path does."""
    return await pair.backend(by).connect_unix_socket(str(path))


UNIX_ENTRIES: dict[str, Callable[[Connector, Path], Awaitable[Any]]] = {
    "connect_unix": lambda by, path: by.connect_unix(path),
    "open_unix_connection": lambda by, path: by.open_unix_connection(path),
    "create_unix_connection": lambda by, path: by.create_unix_connection(
        _PROTOCOL, path
    ),
    "wait_until_up_unix": lambda by, path: by.wait_until_up_unix(path),
    "wait_until_down_unix": lambda by, path: by.wait_until_down_unix(path),
    "reconnecting_unix": lambda by, path: first(by.reconnecting_unix(path)),
    "connect_any": lambda by, path: by.connect_any([f"unix:{path}"]),
    "aiohttp": lambda by, path: request_of_aiohttp(
        ConnectorUnixConnector(str(path), by)
    ),
    "anyio": lambda by, path: Connectable(f"unix:{path}", by).connect(),
    **{
        pair.httpcore.__name__: partial(over_httpcore_unix, pair)
        for pair in PAIRS.values()
    },
}


@pytest.mark.parametrize("entry", UNIX_ENTRIES)
async def test_no_path_is_dialled(entry: str, unix_listener: UnixServer) -> None:
    """A guard can only judge IPv4 and IPv6, so a path is refused."""
    with auditing() as audit:
        connector = Connector(allow=audit.allow, timeout=20)
        path = Path(str(unix_listener.path))
        with pytest.raises(CONNECT_ERRORS, match="not allowed"):
            await UNIX_ENTRIES[entry](connector, path)
    assert not audit.log


def test_every_entry_point_is_here() -> None:
    """A new entry point of the package cannot be forgotten here."""
    entries = {name.partition(":")[0] for name in (*ENTRIES, *UNIX_ENTRIES)}
    methods = {name for name in dir(Connector) if callable(getattr(Connector, name))}
    methods = {name for name in methods if not name.startswith("_")}
    assert {*aioconnect._api.__all__, *methods} <= entries
    # Two of them do not connect, and the proxy has its own test.
    contrib = Path(aioconnect.__file__).parent / "contrib"
    partners = {path.stem for path in contrib.glob("[!_]*.py")}
    assert partners <= {*entries, "aiodns", "opentelemetry", "proxy"}


async def test_what_a_proxy_is_asked_for_was_allowed() -> None:
    """The proxy gets the address and the port that `allow` was asked about."""
    with listening() as good, listening("127.0.0.2") as bad, proxying() as served:
        at = Address(socket.AF_INET, (served.host, served.port))
        for liar, (said, meant) in pairs(good.address, bad.address):
            served.asked.clear()
            make = partial(LIARS[liar], said, meant)
            with auditing(good.address, at) as audit:
                connector = Connector(
                    allow=audit.allow, resolver=Resolver(make), timeout=20
                )
                through = ProxyConnector(proxy=served.url(), connector=connector)
                with suppress(aioconnect.ConnectError):
                    # The resolver decides on the port, and returns another one.
                    (await through.connect("two.test", 9)).close()
            assert {*served.asked} <= {good.sockaddr} & {*audit.all_of("asked")}, liar
            if liar == "plain":
                assert bool(served.asked) is (said == good.address)


@pytest.mark.parametrize("entry", ["connect", "loop"])
async def test_what_is_bound_was_given(entry: str, port: int) -> None:
    """A local address is bound as it was checked, even over a factory's loop."""
    given = ("127.0.0.5", 0)
    pair: Any = LyingTuple(given)
    pair.said = (LyingText("127.0.0.5"), 0)
    at = Address(socket.AF_INET, ("127.0.0.1", port))
    with auditing(at) as audit:
        connector = Connector(allow=audit.allow, local_addr=pair, timeout=20)
        if entry == "connect":
            made: Any = await connector.connect("127.0.0.1", port)
        else:
            scene = Scene(connector, lambda: at, "127.0.0.1", port)
            made = await ENTRIES["loop.create_connection"](scene)
        await discard(made)
    assert audit.all_of("socket.bind") == [given]
    for sockaddr in audit.all_of("socket.bind"):
        check_plain(sockaddr)

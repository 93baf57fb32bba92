"""A factory's loop: which methods connect, with which options, and what stays."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import pickle
import selectors
import socket
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

import aioconnect
from aioconnect import Address, Connected, Connector, only_public
from aioconnect._io.tls import TLSArguments
from aioconnect._loops import subclass
from aioconnect.testing import (
    BlackHole,
    Lookup,
    Recorder,
    ScriptedResolver,
    Server,
    StaticResolver,
    UnixServer,
    flaky,
    full_backlog,
    late,
    leak_check,
    listening,
    tls_echoing,
)

Factory = Callable[[], asyncio.AbstractEventLoop]

POOLS = ("asyncio_", "aioconnect-resolver")

OURS = {"create_connection", "create_unix_connection", "sock_connect"}


def run(
    base: Factory,
    connector: Connector,
    main: Callable[[], Coroutine[Any, Any, None]],
    *,
    debug: bool = True,
) -> None:
    """Run *main* on a factory's loop, and check that it leaves nothing."""

    async def checked() -> None:
        async with leak_check(patience=0, ignore_threads=POOLS):
            await main()
            for _ in range(3):
                await asyncio.sleep(0)

    factory = aioconnect.loop_factory(connector, base=base)
    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        runner.run(checked())


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def unconnected(family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.setblocking(False)
    return sock


def test_streams(loop_factory: Factory, port: int, unix_listener: UnixServer) -> None:
    """The streams of asyncio connect through the loop, without any change."""
    seen = Recorder()

    async def main() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=99)
        assert reader._limit == 99  # type: ignore[attr-defined]  # nobody else says
        await close(writer)
        _, writer = await asyncio.open_unix_connection(unix_listener.path)
        await close(writer)
        with tls_echoing() as server:
            reader, writer = await asyncio.open_connection(
                server.host, server.port, ssl=server.client_context
            )
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            await close(writer)

    run(loop_factory, Connector(observer=seen), main)
    assert len(seen.of(Connected)) == 3


@pytest.mark.parametrize("base", [asyncio.SelectorEventLoop, uvloop.Loop])
def test_class_as_base(base: type[asyncio.AbstractEventLoop], port: int) -> None:
    seen = Recorder()

    async def main() -> None:
        assert isinstance(asyncio.get_running_loop(), base)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await close(writer)

    run(base, Connector(observer=seen), main)
    seen.only(Connected)


def test_nothing_else_is_changed(loop_factory: Factory) -> None:
    """Except for three methods, the loop is as its maker made it."""
    plain = loop_factory()
    loop = aioconnect.loop_factory(base=loop_factory)()
    try:
        assert isinstance(loop, type(plain))
        assert type(loop).__name__ == f"Connecting{type(plain).__name__}"
        assert type(loop).__module__ == type(plain).__module__
        added = set(type(loop).__mro__) - set(type(plain).__mro__)
        names = {name for kind in added for name in vars(kind) if name[:2] != "__"}
        assert names == OURS | {"_aioconnect_connector"}
        assert vars(loop).keys() == vars(plain).keys()
    finally:
        loop.close()
        plain.close()


def test_base_keeps_its_settings() -> None:
    selector = selectors.PollSelector()
    base = lambda: asyncio.SelectorEventLoop(selector)  # noqa: E731  # as users do
    loop = aioconnect.loop_factory(base=base)()
    assert loop._selector is selector  # type: ignore[attr-defined]  # asyncio's own
    loop.close()


@pytest.mark.parametrize("name", sorted(OURS))
def test_parameters(name: str) -> None:
    """Every parameter of asyncio's method exists here too."""
    loop = aioconnect.loop_factory()()
    ours = set(inspect.signature(getattr(loop, name)).parameters)
    loop.close()
    if "tls" in ours:
        ours |= set(TLSArguments.__annotations__)
    theirs = inspect.signature(getattr(asyncio.SelectorEventLoop, name)).parameters
    assert theirs.keys() - {"self"} <= ours


def test_server_that_is_late(loop_factory: Factory) -> None:
    """Code without retries gets the connector's retry."""

    async def main() -> None:
        with late(0.05) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            await close(writer)

    run(loop_factory, Connector(timeout=60, retry=(0.02,) * 1000), main)


def test_full_backlog(loop_factory: Factory) -> None:
    """K1: asyncio and uvloop report a connection where nothing has begun."""

    async def main() -> None:
        with full_backlog() as full, pytest.raises(TimeoutError):
            await asyncio.open_unix_connection(full.path)

    run(loop_factory, Connector(timeout=0.1), main)


def test_arguments_of_the_call_win(loop_factory: Factory, port: int) -> None:
    """An argument of the call wins; the connector's option applies otherwise."""
    asked = StaticResolver({"here": ["127.0.0.1"]})
    connector = Connector(local_addr=("127.0.0.9", 0), resolver=asked, flags=4)

    async def source(**said: Any) -> str:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            asyncio.Protocol, "here", port, **said
        )
        transport.close()
        host: str = transport.get_extra_info("sockname")[0]
        return host

    async def main() -> None:
        assert await source() == "127.0.0.9"
        assert await source(local_addr=("127.0.0.8", 0)) == "127.0.0.8"
        # A library passes these on if its caller has set nothing.
        unsaid: dict[str, Any] = {"local_addr": None, "family": 0, "flags": 0}
        assert await source(**unsaid, proto=0, interleave=None) == "127.0.0.9"
        calls = [(call.family, call.flags) for call in asked.calls]
        assert calls == [(socket.AF_UNSPEC, 4)] * 3
        del asked.calls[:]
        await source(family=socket.AF_INET, flags=8)
        (only,) = asked.calls
        assert (only.family, only.flags) == (socket.AF_INET, 8)

    run(loop_factory, connector, main)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "interleave=2"),
        ({"interleave": None, "proto": 0, "local_addr": None}, "interleave=2"),
        ({"interleave": 0}, "interleave=0"),
        ({"happy_eyeballs_delay": 1}, "happy_eyeballs_delay=1, interleave=2"),
        ({"happy_eyeballs_delay": None}, "happy_eyeballs_delay=None, interleave=2"),
        ({"proto": 6}, "interleave=2, proto=6"),
        ({"family": 2, "flags": 4}, "interleave=2, family=2, flags=4"),
    ],
)
def test_options_of_a_call(
    said: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: list[object] = []

    async def connected(connector: Connector, *what: Any, **more: Any) -> None:
        options.append(connector)

    monkeypatch.setattr(subclass, "connect_endpoint", connected)
    loop: Any = aioconnect.loop_factory(Connector(interleave=2))()
    create = loop.create_connection(asyncio.Protocol, "localhost", 80, **said)
    loop.run_until_complete(create)
    loop.close()
    assert repr(options) == f"[Connector({told})]"


def test_one_address_at_a_time(
    loop_factory: Factory, port: int, black_hole: BlackHole
) -> None:
    """``happy_eyeballs_delay=None`` is not the default here, and changes something."""
    silent = black_hole.address

    def both(*where: object, **options: object) -> list[Address]:
        return [silent, Address(socket.AF_INET, ("127.0.0.1", port))]

    async def main() -> None:
        create = asyncio.get_running_loop().create_connection
        transport, _ = await create(asyncio.Protocol, "both", port)
        transport.close()
        with pytest.raises(TimeoutError):
            await create(asyncio.Protocol, "both", port, happy_eyeballs_delay=None)
        options: dict[str, Any] = {"happy_eyeballs_delay": 0.02, "interleave": 1}
        transport, _ = await create(asyncio.Protocol, "both", port, **options)
        transport.close()

    options: dict[str, Any] = {"resolver": both, "happy_eyeballs_delay": 0.01}
    run(loop_factory, Connector(timeout=1, **options), main)


def test_all_errors(loop_factory: Factory, refused_port: int) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()  # typeshed has no all_errors on 3.11
        what = (asyncio.Protocol, "127.0.0.1", refused_port)
        with pytest.raises(ExceptionGroup):
            await loop.create_connection(*what, all_errors=True)
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(*what)

    run(loop_factory, Connector(), main)


def test_given_socket(loop_factory: Factory, port: int) -> None:
    async def main() -> None:
        sock = await aioconnect.connect("127.0.0.1", port)
        _, writer = await asyncio.open_connection(sock=sock)
        await close(writer)
        with pytest.raises(ValueError, match="host/port and sock"):
            await asyncio.open_connection("127.0.0.1", port, sock=sock)

    run(loop_factory, Connector(), main)


def test_ready_has_the_socket(loop_factory: Factory, unix_listener: UnixServer) -> None:
    """A protocol is made only after *ready*: asyncio's streams have just one."""
    given: list[object] = []

    async def echoes(sock: socket.socket) -> bool:
        given.append(sock)
        if sock.family == socket.AF_UNIX:
            return True
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"?")
        return await loop.sock_recv(sock, 1) == b"?"

    with flaky(["accept_close", "accept"]) as server:

        async def over_tcp() -> None:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            await close(writer)

        options: dict[str, Any] = {"prepare": [server], "retry": (0,)}
        run(loop_factory, Connector(ready=echoes, **options), over_tcp)
        assert server.log == ["accept_close", "accept"]

    async def over_unix() -> None:
        _, writer = await asyncio.open_unix_connection(unix_listener.path)
        await close(writer)

    run(loop_factory, Connector(ready=echoes), over_unix)
    assert [type(one) for one in given] == [socket.socket] * 3


@pytest.mark.parametrize("is_asked", [False, True], ids=["TLS", "ready and TLS"])
def test_the_first_address_stalls(loop_factory: Factory, is_asked: bool) -> None:
    """The second is used; the factory is called once, and *ready* for each socket."""
    made: list[asyncio.Protocol] = []
    given: list[str] = []

    def factory() -> asyncio.Protocol:
        made.append(asyncio.Protocol())
        return made[-1]

    async def ready(sock: socket.socket) -> None:
        given.append(sock.getpeername()[0])

    async def main() -> None:
        with tls_echoing(silent=True) as silent, tls_echoing() as server:
            addresses.extend([silent.address, server.address])
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(
                factory, "localhost", 1, ssl=server.client_context
            )
            assert made == [protocol]
            assert transport.get_extra_info("peername") == server.sockaddr
            transport.abort()
            silent.wait_for_connections(1)
            assert (silent.connections, server.connections) == (1, 1)

    addresses: list[Address] = []

    async def resolver(*_: Any, **__: Any) -> list[Address]:
        return addresses

    connector = Connector(
        resolver=resolver,
        happy_eyeballs_delay=0.01,
        timeout=60,
        ready=ready if is_asked else None,
    )
    run(loop_factory, connector, main)
    assert given == ["127.0.0.1"] * 2 * is_asked


def test_ready_is_called_once(loop_factory: Factory, port: int) -> None:
    """A socket that this loop has connected before is not passed to *ready* again."""
    given: list[socket.socket] = []

    async def prove(sock: socket.socket) -> None:
        given.append(sock)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = unconnected()
        await loop.sock_connect(sock, ("127.0.0.1", port))
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
        assert given == [sock]
        transport.close()

    run(loop_factory, Connector(ready=prove), main)


def test_guard_holds(
    loop_factory: Factory, port: int, unix_listener: UnixServer
) -> None:
    """Each way to connect over the loop calls *allow*, with the very address."""
    resolver = StaticResolver({"public.example": ["127.0.0.1"]})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sock = unconnected()
        ways: list[Coroutine[Any, Any, Any]] = [
            asyncio.open_connection("127.0.0.1", port),
            asyncio.open_connection("public.example", port),
            asyncio.open_unix_connection(unix_listener.path),
            loop.sock_connect(sock, ("127.0.0.1", port)),
            loop.sock_connect(sock, ("public.example", port)),
        ]
        for way in ways:
            with pytest.raises(PermissionError) as caught:
                await way
            assert isinstance(caught.value, aioconnect.AddressBlockedError)
        sock.close()

    run(loop_factory, Connector(allow=only_public, resolver=resolver), main)


def test_sock_connect(
    loop_factory: Factory, listener: Server, unix_listener: UnixServer
) -> None:
    """It connects the caller's socket to numbers, names, service names and paths.

    It takes the other forms that asyncio takes as well.
    """
    seen = Recorder()
    addresses: list[Any] = [
        ("127.0.0.1", listener.port),
        ("localhost", listener.port),
        ("localhost", str(listener.port)),
        ("127.0.0.1", str(listener.port)),
        ("127.0.0.1", listener.port, 0, 0),
        (None, listener.port),
        ["127.0.0.1", listener.port],
        (b"127.0.0.1", listener.port),
        (b"localhost", str(listener.port).encode()),
    ]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for address in addresses:
            with unconnected() as sock:
                await loop.sock_connect(sock, address)
                assert sock.getpeername() == addresses[0]
        with unconnected(socket.AF_UNIX) as sock:
            await loop.sock_connect(sock, unix_listener.path)
            assert sock.getpeername() == unix_listener.path

    run(loop_factory, Connector(observer=seen), main)
    assert len(seen.of(Connected)) == len(addresses) + 1


def test_sock_connect_with_a_scope(
    loop_factory: Factory, ipv6_listener: Server
) -> None:
    """All four items of the address count; a scope's name is looked up."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in ("::1", "::1%1", "::1%lo"):
            with unconnected(socket.AF_INET6) as sock:
                await loop.sock_connect(sock, (host, ipv6_listener.port, 0, 0))
                assert sock.getpeername()[0] == "::1"

    run(loop_factory, Connector(), main)


def test_sock_connect_is_one_attempt(loop_factory: Factory, refused_port: int) -> None:
    """A socket that failed cannot be used again, and still belongs to the caller."""
    resolver = StaticResolver({"two": ["127.0.0.1", "127.0.0.2"]})
    connector = Connector(retry=(0.0,) * 3, resolver=resolver)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in ("127.0.0.1", "two"):
            with unconnected() as sock:
                with pytest.raises(ConnectionRefusedError) as caught:
                    await loop.sock_connect(sock, (host, refused_port))
                assert isinstance(caught.value, aioconnect.ConnectError)
                assert caught.value.attempt_count == 1
                assert caught.value.host == host
                assert sock.fileno() != -1
        (only,) = resolver.calls
        assert only.family == socket.AF_INET  # that of the socket

    run(loop_factory, connector, main)


def test_sock_connect_to_no_name(loop_factory: Factory) -> None:
    """A look-up that fails or hangs is reported as such."""
    resolver = ScriptedResolver(
        {"hung": Lookup(never=True), "none": Lookup(), "six": Lookup(["::1"])}
    )

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with unconnected() as sock:
            for host in ("none", "::1", "six"):
                with pytest.raises(socket.gaierror, match=r"IPv4|[Aa]ddress"):
                    await loop.sock_connect(sock, (host, 80))
            with pytest.raises(TimeoutError, match="resolver did not answer"):
                await loop.sock_connect(sock, ("hung", 80))

    run(loop_factory, Connector(timeout=0.5, resolver=resolver), main)


def test_sockets_that_are_in_use(
    loop_factory: Factory, port: int, black_hole: BlackHole
) -> None:
    """The error is an `OSError`, as the system's would be, for code that expects it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with unconnected() as sock:
            await loop.sock_connect(sock, ("127.0.0.1", port))
            with pytest.raises(OSError, match="connected already") as caught:
                await loop.sock_connect(sock, ("127.0.0.1", port))
            assert caught.value.errno == errno.EISCONN
            assert isinstance(caught.value, ValueError)
        with pytest.raises(OSError, match="closed") as caught:
            await loop.sock_connect(sock, ("127.0.0.1", port))
        assert caught.value.errno == errno.EBADF
        with unconnected() as sock:
            where = ("127.0.0.1", black_hole.port)
            pending = asyncio.ensure_future(loop.sock_connect(sock, where))
            await asyncio.sleep(0)
            with pytest.raises(OSError, match="under way") as caught:
                await loop.sock_connect(sock, where)
            assert caught.value.errno == errno.EALREADY
            pending.cancel()
            await asyncio.wait([pending])

    run(loop_factory, Connector(), main)


def test_raw_sockets_go_to_the_base() -> None:
    """They do not connect to a peer, so the error is asyncio's."""
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError as exc:
        pytest.skip(f"no raw sockets: {exc}")

    async def main() -> None:
        with sock:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            with pytest.raises(socket.gaierror):
                await loop.sock_connect(sock, ("127.0.0.1", 17))

    # Not on uvloop, which connects it.
    run(asyncio.new_event_loop, Connector(allow=only_public), main)


def test_datagram_sockets_go_to_the_base(loop_factory: Factory) -> None:
    """They do not connect to a peer: there is nothing to race, retry or forbid."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            with socket.socket(type=socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, peer.getsockname())
                assert sock.getpeername() == peer.getsockname()

    run(loop_factory, Connector(allow=only_public), main)


def test_bad_sockets(loop_factory: Factory, port: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        address = ("127.0.0.1", port)
        for host in ("127.0.0.1", "localhost"):
            with socket.socket() as sock, pytest.raises(ValueError, match="blocking"):
                await loop.sock_connect(sock, (host, port))
        context = ssl.create_default_context()
        with (
            socket.create_connection(address) as plain,
            context.wrap_socket(
                plain, server_hostname="localhost", do_handshake_on_connect=False
            ) as wrapped,
            pytest.raises(TypeError, match="SSLSocket"),
        ):
            await loop.sock_connect(wrapped, address)
        with unconnected() as sock:
            for bad in (("127.0.0.1",), "127.0.0.1", ("", 80), ("a b", 80)):
                with pytest.raises((TypeError, ValueError)):
                    await loop.sock_connect(sock, bad)

    run(loop_factory, Connector(), main)


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_sockets_that_block(
    loop_factory: Factory, port: int, black_hole: BlackHole, timeout: float | None
) -> None:
    """A blocking socket does not block the loop, and is blocking again at the end."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.settimeout(timeout)
            await loop.sock_connect(sock, ("localhost", port))
            assert sock.gettimeout() == timeout
        with socket.socket() as sock:
            sock.settimeout(timeout)
            where = ("127.0.0.1", black_hole.port)
            pending = asyncio.ensure_future(loop.sock_connect(sock, where))
            await asyncio.sleep(0)  # this would not return if the connect blocked
            pending.cancel()
            await asyncio.wait([pending])
            assert sock.gettimeout() == timeout
        sock = socket.socket()
        sock.settimeout(timeout)
        pending = asyncio.ensure_future(loop.sock_connect(sock, where))
        await asyncio.sleep(0)
        sock.close()
        pending.cancel()
        await asyncio.wait([pending])
        assert pending.cancelled()

    run(loop_factory, Connector(), main, debug=False)


def test_a_timeout_of_the_socket(loop_factory: Factory, black_hole: BlackHole) -> None:
    """A timeout of the socket limits the connect, unless the connector's is shorter."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        where = ("127.0.0.1", black_hole.port)
        for timeout, shorter in ((0.05, "0.05"), (60.0, "0.1")):
            with socket.socket() as sock:
                sock.settimeout(timeout)
                with pytest.raises(TimeoutError, match=f"within {shorter} s"):
                    await loop.sock_connect(sock, where)

    run(loop_factory, Connector(timeout=0.1), main, debug=False)


def test_closed_socket(loop_factory: Factory) -> None:
    """The error is the system's own, and comes before anything else is done."""
    with socket.socket() as sock, socket.socket(socket.AF_UNIX) as unix:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for call in (
            asyncio.open_connection(sock=sock),
            asyncio.open_unix_connection(sock=unix),
            loop.sock_connect(sock, ("127.0.0.1", 1)),
            aioconnect.open_connection(sock=sock),
            aioconnect.create_unix_connection(asyncio.Protocol, sock=unix),
            aioconnect.connect_sock(sock, ("127.0.0.1", 1)),
        ):
            with pytest.raises(OSError, match="Bad file descriptor") as caught:
                await call
            assert caught.value.errno == errno.EBADF

    run(loop_factory, Connector(), main)


def test_factory_of_a_factory(loop_factory: Factory, port: int) -> None:
    """The outer connector connects, and the inner one has nothing to do."""
    inner, outer = Recorder(), Recorder()

    async def main() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await close(writer)

    base = aioconnect.loop_factory(Connector(observer=inner), base=loop_factory)
    run(base, Connector(observer=outer), main)
    outer.only(Connected)
    inner.assert_none(Connected)


def test_factory_is_a_value() -> None:
    """A factory can be pickled, for processes that need such loops."""
    factory = aioconnect.loop_factory(Connector(timeout=3), base=uvloop.new_event_loop)
    loop = pickle.loads(pickle.dumps(factory))()
    assert type(loop).__name__ == "ConnectingLoop"
    loop.close()


class Blind(asyncio.BaseEventLoop):
    """A loop that watches no descriptors, like the default loop of Windows."""

    def _process_events(self, event_list: list[Any]) -> None: ...


class Rigid(asyncio.SelectorEventLoop):
    """A loop whose class cannot be changed, like one that is written in C."""

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse a new class, as C does."""
        if name == "__class__":
            raise TypeError("object layout differs")
        super().__setattr__(name, value)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((uvloop.new_event_loop, None), TypeError, "loops as base="),
        ((None, None), TypeError, "connector must be a Connector, not None"),
        (
            (Connector(), Connector()),
            TypeError,
            "a function such as uvloop",
        ),
        ((Connector(), None), TypeError, "base must be a function such as"),
        ((Connector(), int), TypeError, "or a class of event loops"),
        ((Connector(), Blind), NotImplementedError, "Blind has no add_writer"),
    ],
)
def test_bad(arguments: tuple[Any, Any], error: type[Exception], text: str) -> None:
    connector, base = arguments
    with pytest.raises(error, match=text):
        aioconnect.loop_factory(connector, base=base)


def test_base_that_makes_no_loop() -> None:
    """A mistake that only a call of the base shows leaves no loop open."""
    factory: Any = aioconnect.loop_factory(base=lambda: 5)  # type: ignore[arg-type, return-value]  # bad
    with pytest.raises(TypeError, match="base must make an event loop, not 5"):
        factory()
    blind, rigid = Blind(), Rigid()
    with pytest.raises(NotImplementedError, match="Blind has no add_writer"):
        aioconnect.loop_factory(base=lambda: blind)()
    assert blind.is_closed()
    with pytest.raises(TypeError, match=r"a Rigid cannot be changed.* give its class"):
        aioconnect.loop_factory(base=lambda: rigid)()
    assert rigid.is_closed()
    aioconnect.loop_factory(base=Rigid)().close()


def test_no_host(loop_factory: Factory) -> None:
    """None as the host stands for this machine, as in asyncio."""

    async def main() -> None:
        with listening("127.0.0.1") as server:
            _, writer = await asyncio.open_connection(None, server.port)
            await close(writer)

    run(loop_factory, Connector(), main)


def test_no_path(loop_factory: Factory, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(FileNotFoundError):
            await asyncio.open_unix_connection(tmp_path / "none")

    run(loop_factory, Connector(), main)

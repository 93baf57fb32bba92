"""The drop-ins: streams and transports over a connected socket, TLS included."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import inspect
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import aioconnect
from aioconnect import Connector
from aioconnect._io.socket_ownership import Handover
from aioconnect._io.tls import TLSOptions
from aioconnect._io.transports import TransportWrap, discard_connection
from aioconnect._sansio.errors import AttemptError
from aioconnect.testing import (
    BlackHole,
    Server,
    TLSEchoServer,
    UnixServer,
    flaky,
    leak_check,
    tls_echoing,
    unix_listening,
)


class Client(asyncio.Protocol):
    """A protocol that keeps what is called."""

    def __init__(self) -> None:
        self.transport: asyncio.BaseTransport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_streams(listener: Server, port: int) -> None:
    reader, writer = await aioconnect.open_connection("127.0.0.1", port, limit=1000)
    assert reader._limit == 1000  # type: ignore[attr-defined]  # nobody else says
    with listener.accept() as peer:
        peer.send(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.write(b"there")
        await writer.drain()
        await asyncio.sleep(0)  # uvloop before 0.23 writes at the end of a turn
        assert peer.recv(16) == b"there"
    assert await reader.read() == b""
    await close(writer)


async def test_transport(listener: Server, port: int) -> None:
    transport, protocol = await aioconnect.create_connection(Client, "127.0.0.1", port)
    assert protocol.transport is transport
    assert transport.get_extra_info("peername") == listener.sockaddr
    transport.close()
    await protocol.lost


async def test_unix(unix_listener: UnixServer) -> None:
    path = Path(unix_listener.path)
    reader, writer = await aioconnect.open_unix_connection(path)
    with unix_listener.accept() as peer:
        peer.send(b"hello\n")
        assert await reader.readline() == b"hello\n"
    await close(writer)
    transport, protocol = await aioconnect.create_unix_connection(Client, path)
    transport.close()
    await protocol.lost


async def test_abstract_name(tmp_path: Path) -> None:
    """An abstract name works with streams on both loops (K4)."""
    with unix_listening(f"\0aioconnect-{tmp_path}"[:100]) as server:
        _, writer = await aioconnect.open_unix_connection(server.path)
        await close(writer)


async def test_tls(tls_echo_server: TLSEchoServer) -> None:
    server = tls_echo_server
    reader, writer = await aioconnect.open_connection(
        "localhost", server.port, ssl=server.client_context, timeout=20
    )
    writer.write(b"hello\n")
    assert await reader.readline() == b"hello\n"
    assert writer.get_extra_info("ssl_object").version()
    await close(writer)
    transport, protocol = await aioconnect.create_connection(
        Client,
        "127.0.0.1",
        server.port,
        ssl=server.client_context,
        server_hostname="localhost",
        ssl_handshake_timeout=20,
        ssl_shutdown_timeout=20,
    )
    transport.close()
    await protocol.lost


@pytest.mark.parametrize("wrong", ["wrong_name", "expired"])
async def test_certificate_that_does_not_verify(wrong: str) -> None:
    """It comes through as itself, and is never tried again, whatever retry_on says."""
    with (
        tls_echoing(**{wrong: True}) as server,  # type: ignore[arg-type]  # both bool
        pytest.raises(aioconnect.ConnectCertificateError) as caught,
    ):
        await aioconnect.open_connection(
            "127.0.0.1",
            server.port,
            ssl=server.client_context,
            retry=(0, 0),
            retry_on=lambda _: True,
        )
    assert isinstance(caught.value, ssl.SSLCertVerificationError)
    assert caught.value.verify_code
    assert "certificate verify failed" in str(caught.value).lower()
    (attempt,) = caught.value.attempts
    assert attempt.phase == "tls"
    assert isinstance(attempt.error, ssl.SSLCertVerificationError)


async def test_tls_against_a_server_that_speaks_another(
    listener: Server, port: int
) -> None:
    context = ssl.create_default_context()
    connecting = asyncio.ensure_future(
        aioconnect.open_connection("127.0.0.1", port, ssl=context)
    )
    await asyncio.sleep(0)
    with listener.accept() as peer:
        peer.send(b"SSH-2.0-hello\r\n")
        with pytest.raises(aioconnect.ConnectTLSError) as caught:
            await connecting
    assert isinstance(caught.value, ssl.SSLError)
    assert not isinstance(caught.value, PermissionError)


async def test_server_that_speaks_no_protocol_of_ours(
    listener: Server, port: int
) -> None:
    """What it says comes through as itself, in the history, and is not tried again."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    connecting = asyncio.ensure_future(
        aioconnect.open_connection("127.0.0.1", port, ssl=context, retry=(0,) * 3)
    )
    await asyncio.sleep(0)
    with listener.accept() as peer:
        peer.setblocking(False)
        hello = await asyncio.get_running_loop().sock_recv(peer, 4096)
        assert b"postgresql" in hello
        # RFC 8446, section 6.2: a fatal alert, no_application_protocol.
        peer.send(b"\x15\x03\x03\0\2\2\x78")
        with pytest.raises(aioconnect.ConnectTLSError) as caught:
            await connecting
    (attempt,) = caught.value.attempts
    assert attempt.phase == "tls"
    assert isinstance(attempt.error, ssl.SSLError)
    assert "no application protocol" in str(attempt.error)
    assert "no application protocol" in str(caught.value)


async def test_handshake_is_in_the_deadline() -> None:
    with tls_echoing(silent=True) as server:
        context = server.client_context
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.open_connection(
                "localhost", server.port, ssl=context, timeout=1
            )
        assert caught.value.attempts[-1].phase == "tls"
        with pytest.raises(aioconnect.ConnectAbortedError) as aborted:
            await aioconnect.open_connection(
                "127.0.0.1", server.port, ssl=context, ssl_handshake_timeout=0.2
            )
        assert aborted.value.attempts[-1].phase == "tls"


async def test_handshake_over_a_path_is_in_the_deadline(
    unix_listener: UnixServer,
) -> None:
    """Uvloop's `create_connection` would take the socket, and no time-out."""
    for given in ({"timeout": 0.5}, {"ssl_handshake_timeout": 0.5}):
        arguments: dict[str, Any] = {"ssl": True, "server_hostname": "a.test", **given}
        with pytest.raises(aioconnect.ConnectError) as caught:
            await asyncio.wait_for(
                aioconnect.open_unix_connection(unix_listener.path, **arguments), 30
            )
        assert caught.value.attempts[-1].phase == "tls"


async def test_handshake_cut_short_is_retried() -> None:
    """A handshake that fails is retried only if retry_on accepts its error."""
    context = ssl.create_default_context()
    with flaky(["accept_close"]) as server:
        with pytest.raises(aioconnect.ConnectError) as caught:
            await aioconnect.open_connection(
                "127.0.0.1", server.port, ssl=context, retry=(0, 0)
            )
        assert [attempt.phase for attempt in caught.value.attempts] == ["tls"] * 3
        server.wait_for_connections(3)


class Bare(asyncio.SelectorEventLoop):
    """A loop that connects, and makes no transport."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError


def test_a_loop_that_makes_no_transport(port: int) -> None:
    """One sentence says what is missing, and what works."""

    async def main() -> None:
        (await aioconnect.connect("127.0.0.1", port)).close()
        said = r"Bare has no create_connection\(sock=.* aioconnect.connect returns"
        with pytest.raises(NotImplementedError, match=said):
            await aioconnect.open_connection("127.0.0.1", port)
        with pytest.raises(NotImplementedError, match=said):
            await aioconnect.create_connection(asyncio.Protocol, "127.0.0.1", port)

    def unfinished() -> asyncio.Protocol:
        raise NotImplementedError("the factory's own")

    async def of_the_factory() -> None:
        with pytest.raises(NotImplementedError, match="the factory's own"):
            await aioconnect.create_connection(unfinished, "127.0.0.1", port)

    with asyncio.Runner(loop_factory=Bare) as runner, leak_check():
        runner.run(main())
        runner.run(of_the_factory())


def test_the_caller_s_socket_keeps_its_reader(port: int) -> None:
    """It is still the caller's where no transport was made of it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with await aioconnect.connect("127.0.0.1", port) as sock:
            loop.add_reader(sock, print)
            with pytest.raises(NotImplementedError):
                await aioconnect.open_connection(sock=sock)
            assert loop.remove_reader(sock)

    with asyncio.Runner(loop_factory=Bare) as runner:
        runner.run(main())


@pytest.mark.parametrize("given", [False, True])
async def test_factory_that_raises(port: int, given: bool) -> None:
    """K5: a bug in a factory comes through; our socket is closed, yours is not."""

    def breaks() -> asyncio.Protocol:
        raise ZeroDivisionError

    if not given:
        with pytest.raises(ZeroDivisionError):
            await aioconnect.create_connection(breaks, "127.0.0.1", port)
        return
    with await aioconnect.connect("127.0.0.1", port) as sock:
        with pytest.raises(ZeroDivisionError):
            await aioconnect.create_connection(breaks, sock=sock)
        assert sock.fileno() != -1
        assert sock.getpeername()


@pytest.mark.parametrize("made", [None, 3, asyncio.Protocol])
async def test_factory_that_makes_no_protocol(port: int, made: Any) -> None:
    """A transport of asyncio would fail half-made, and leave the socket open."""
    with pytest.raises(TypeError, match=r"must return a protocol, not (None|3|<class)"):
        await aioconnect.create_connection(lambda: made, "127.0.0.1", port)


async def test_given_socket_that_blocks(port: int) -> None:
    """It is made non-blocking before anything is asked of it."""
    modes: list[float | None] = []

    async def look(reader: Any, writer: asyncio.StreamWriter) -> None:
        modes.append(writer.get_extra_info("socket").gettimeout())

    sock = socket.create_connection(("127.0.0.1", port))
    _, writer = await aioconnect.open_connection(sock=sock, ready=look)
    assert modes == [0.0]
    await close(writer)


@pytest.mark.parametrize("ticks", range(8))
async def test_cancelled_while_the_peer_resets_the_handshake(ticks: int) -> None:
    """The loop logs nothing about the error that comes afterwards."""
    logged: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: logged.append(context))
    with flaky(["reset"]) as server:
        task = loop.create_task(
            aioconnect.open_connection(
                server.host,
                server.port,
                ssl=ssl.create_default_context(),
                server_hostname="db.test",
            )
        )
        for _ in range(ticks):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task
    # The server has reset it by now, and the loop sees that in its next turns.
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    loop.set_exception_handler(before)
    assert not logged


async def test_factory_that_raises_an_os_error(port: int) -> None:
    """It is the factory's own too: it comes through once, as it is."""
    raised: list[OSError] = []

    def breaks() -> asyncio.Protocol:
        raised.append(FileNotFoundError(2, "my configuration"))
        raise raised[-1]

    with pytest.raises(FileNotFoundError) as caught:
        await aioconnect.create_connection(breaks, "127.0.0.1", port, retry=(0, 0))
    assert [caught.value] == raised


async def test_bad_limit(port: int) -> None:
    """The error comes before anything is open."""
    for limit, error in ((0, ValueError), (-1, ValueError), ("1", TypeError)):
        with pytest.raises(error, match="limit must be"):
            await aioconnect.open_connection("127.0.0.1", port, limit=limit)  # type: ignore[arg-type]  # that is the test


async def test_context_that_cannot_be_made(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ssl=True makes a context, which can fail: before anything is open."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    kept = []
    for _ in range(3):
        with pytest.raises(FileNotFoundError) as caught:
            await aioconnect.open_connection("localhost", port, ssl=True, retry=(0,))
        kept.append(caught.value)
        assert not isinstance(caught.value, aioconnect.ConnectError)


async def test_context_of_no_client(port: int) -> None:
    """The error comes before a transport exists, not from the loop."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError, match="PROTOCOL_TLS_SERVER"):
        await aioconnect.open_connection("localhost", port, ssl=server_side)


async def test_name_in_bytes(tls_echo_server: TLSEchoServer) -> None:
    _, writer = await aioconnect.open_connection(
        "127.0.0.1",
        tls_echo_server.port,
        ssl=tls_echo_server.client_context,
        server_hostname=b"localhost",  # type: ignore[arg-type]  # asyncio takes it
    )
    assert writer.get_extra_info("ssl_object").server_hostname == "localhost"
    await close(writer)


async def test_given_socket(port: int) -> None:
    sock = await aioconnect.connect("127.0.0.1", port)
    _, writer = await aioconnect.open_connection(sock=sock)
    await close(writer)
    sock = await aioconnect.connect("127.0.0.1", port)
    transport, protocol = await aioconnect.create_connection(Client, sock=sock)
    transport.close()
    await protocol.lost


async def test_given_socket_and_tls() -> None:
    with tls_echoing(silent=True) as server:
        sock = await aioconnect.connect("127.0.0.1", server.port)
        with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
            await aioconnect.open_connection(
                sock=sock,
                ssl=server.client_context,
                server_hostname="localhost",
                timeout=0.2,
            )
        assert caught.value.attempts[0].phase == "tls"


async def test_no_host_is_this_machine(port: int) -> None:
    """host=None means what it means to asyncio."""
    _, writer = await aioconnect.open_connection(None, port, family=socket.AF_INET)
    assert writer.get_extra_info("peername") == ("127.0.0.1", port)
    await close(writer)


async def test_all_errors(refused_port: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await aioconnect.open_connection("127.0.0.1", refused_port, all_errors=True)
    (error,) = caught.value.exceptions
    assert isinstance(error, ConnectionRefusedError)
    with pytest.raises(aioconnect.ConnectTimeoutError):  # a deadline is a timeout
        await aioconnect.open_connection(
            "127.0.0.1", refused_port, all_errors=True, retry=(60,), timeout=1
        )
    with pytest.raises(socket.gaierror):  # as in asyncio
        await aioconnect.open_connection("no.such.invalid", 1, all_errors=True)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, ValueError, "host and port was not specified and no sock"),
    (
        {"host": "x", "port": 1, "sock": 1},
        ValueError,
        "can not be specified at the same",
    ),
    (
        {"host": "x", "port": 1, "server_hostname": "x"},
        ValueError,
        "only meaningful with",
    ),
    (
        {"host": "x", "port": 1, "ssl_handshake_timeout": 1},
        ValueError,
        "only meaningful",
    ),
    (
        {"host": "x", "port": 1, "ssl_shutdown_timeout": 1},
        ValueError,
        "only meaningful",
    ),
    ({"port": 1, "ssl": True}, ValueError, "You must set server_hostname"),
    ({"host": "x", "port": 1, "ssl": 1}, TypeError, "ssl must be an SSLContext"),
    (
        {"host": "x", "port": 1, "ssl": True, "ssl_handshake_timeout": 0},
        ValueError,
        "ssl_handshake_timeout must be more than 0",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "says"), BAD, ids=range(len(BAD)))
async def test_bad(
    arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        await aioconnect.open_connection(**arguments)
    with pytest.raises(error, match=says):
        await aioconnect.create_connection(asyncio.Protocol, **arguments)


async def test_unknown_argument(port: int) -> None:
    """Also one that is None."""
    with pytest.raises(TypeError, match="no such argument: 'bogus'"):
        await Connector().open_connection("127.0.0.1", port, bogus=None)  # type: ignore[call-arg]  # that is the test


async def test_bad_sockets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no path and sock were specified"):
        await aioconnect.open_unix_connection()
    with socket.socket() as tcp, pytest.raises(ValueError, match="A UNIX Domain"):
        await aioconnect.create_unix_connection(asyncio.Protocol, sock=tcp)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="A Stream Socket was expected"):
            await aioconnect.open_connection(sock=sock)
        with pytest.raises(ValueError, match="path and sock can not"):
            await aioconnect.open_unix_connection(tmp_path, sock=sock)


async def test_timeout(black_hole: BlackHole) -> None:
    with pytest.raises(TimeoutError):
        await Connector(timeout=0.05).open_connection("127.0.0.1", black_hole.port)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (aioconnect.open_connection, asyncio.open_connection),
        (aioconnect.open_unix_connection, asyncio.open_unix_connection),
        (aioconnect.create_connection, asyncio.BaseEventLoop.create_connection),
        (
            aioconnect.create_unix_connection,
            asyncio.SelectorEventLoop.create_unix_connection,
        ),
    ],
)
def test_parameters(ours: Any, theirs: Any) -> None:
    """Every parameter of asyncio's function is a parameter or an option here."""
    known = set(inspect.signature(ours).parameters)
    known |= set(aioconnect.ConnectorOptions.__annotations__)
    asked = set(inspect.signature(theirs).parameters)
    if "open" in theirs.__name__:
        creates = (
            asyncio.SelectorEventLoop.create_unix_connection
            if "unix" in theirs.__name__
            else asyncio.BaseEventLoop.create_connection
        )
        asked |= set(inspect.signature(creates).parameters) - {"protocol_factory"}
    assert asked - {"self", "kwds"} <= known


class Pausing(Client):
    """A protocol that does not read yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.pause_reading()  # type: ignore[attr-defined]  # it is no base class


async def test_second_to_be_usable() -> None:
    """It wins if the first one fails after all, and its protocol may pause at once."""
    loop = asyncio.get_running_loop()
    with tls_echoing() as server:
        tls = TLSOptions(server.client_context, "localhost", None, None)
        wrap = TransportWrap(Pausing, tls)
        connections = []
        for _ in range(2):
            sock = await aioconnect.connect(server.host, server.port)
            connections.append(await wrap(Handover(loop, sock, None, may_lose=True)))
        first, second = connections
        assert wrap.may_win(first)
        assert not wrap.may_win(second)
        discard_connection(first)
        wrap.winner = None
        transport, protocol = await wrap.adopt(loop, second, None)
        assert protocol.transport is transport is second[0]
        assert not transport.is_reading()
        transport.resume_reading()
        transport.abort()
        async with asyncio.timeout(5):
            await protocol.lost


async def test_first_to_be_usable_is_cancelled() -> None:
    """It is closed, and the next one wins."""
    loop = asyncio.get_running_loop()
    made: list[Client] = []

    def factory() -> Client:
        made.append(Client())
        if len(made) == 1:
            calling.cancel()
        return made[-1]

    with tls_echoing() as server:
        tls = TLSOptions(server.client_context, "localhost", None, None)
        wrap = TransportWrap(factory, tls)
        sock = await aioconnect.connect(server.host, server.port)
        calling = asyncio.ensure_future(wrap(Handover(loop, sock, None, may_lose=True)))
        with pytest.raises(asyncio.CancelledError):
            await calling
        sock = await aioconnect.connect(server.host, server.port)
        connection = await wrap(Handover(loop, sock, None, may_lose=True))
        assert wrap.may_win(connection)
        transport, protocol = await wrap.adopt(loop, connection, None)
        assert made[1:] == [protocol]
        transport.abort()
        async with asyncio.timeout(5):
            for one in made:
                await one.lost


async def test_second_to_be_usable_is_lost() -> None:
    """Then there is nothing to hand out, and the factory is not called again."""
    loop = asyncio.get_running_loop()
    made: list[Client] = []

    def factory() -> Client:
        made.append(Client())
        return made[-1]

    with tls_echoing() as server:
        tls = TLSOptions(server.client_context, "localhost", None, None)
        wrap = TransportWrap(factory, tls)
        connections = []
        for _ in range(2):
            sock = await aioconnect.connect(server.host, server.port)
            connections.append(await wrap(Handover(loop, sock, None, may_lose=True)))
        for connection in connections:
            discard_connection(connection)
        wrap.winner = None
        with pytest.raises(AttemptError) as caught:
            await wrap.adopt(loop, connections[1], None)
        assert caught.value.error.errno == errno.ECONNRESET
        assert len(made) == 1
        async with asyncio.timeout(5):
            await made[0].lost


async def test_connection_that_is_lost_before_it_has_won() -> None:
    """Its protocol is told both, and the transport is the one that was raced."""
    with tls_echoing() as server:
        tls = TLSOptions(server.client_context, "localhost", None, None)
        wrap = TransportWrap(Client, tls)
        loop = asyncio.get_running_loop()
        sock = await aioconnect.connect(server.host, server.port)
        connection = await wrap(Handover(loop, sock, None, may_lose=True))
        raced, _ = connection
        raced.abort()
        for _ in range(5):
            await asyncio.sleep(0)
        transport, protocol = await wrap.adopt(loop, connection, None)
        assert transport is raced
        assert protocol.transport is raced
        async with asyncio.timeout(5):
            await protocol.lost

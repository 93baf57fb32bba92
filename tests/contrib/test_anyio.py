"""Connectables for anyio: its own streams and cancel scopes, and errors of both."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pickle
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import (
    AnyByteStreamConnectable,
    ByteStream,
    SocketAttribute,
    SocketStream,
    UNIXSocketStream,
)
from anyio.streams.tls import TLSAttribute, TLSConnectable, TLSStream

import aioconnect
from aioconnect import (
    Address,
    AttemptFailed,
    Backoff,
    ConnectCertificateError,
    Connected,
    ConnectError,
    Connector,
    ConnectRefusedError,
    ConnectResetError,
    ConnectTimeoutError,
    ConnectTLSError,
    Event,
    PhaseStarted,
    RetryScheduled,
    parse_target,
)
from aioconnect._io.socket_ownership import Handover
from aioconnect._sansio.errors import AttemptError
from aioconnect.contrib import _anyio_streams
from aioconnect.contrib import anyio as contrib
from aioconnect.contrib.anyio import Connectable
from aioconnect.testing import (
    BlackHole,
    Recorder,
    Server,
    StaticResolver,
    TLSEchoServer,
    Word,
    echoing,
    flaky,
    full_backlog,
    leak_check,
    refusing,
    tls_echoing,
    unix_listening,
    unused_port,
)

# More iterations of the loop than a connect takes here, except for handshakes.
ITERATIONS = 12


async def echoed(stream: ByteStream) -> bytes:
    """Return an echo server's answer to a word, and close the stream."""
    async with stream:
        await stream.send(b"word")
        return await stream.receive()


def over_tls(server: TLSEchoServer, **more: Any) -> Connectable:
    """Return a connectable to *server* that trusts it."""
    name = None if server.host else "localhost"
    options = {"ssl_context": server.client_context, "tls_hostname": name} | more
    return Connectable(server.address, tls=True, **options)


async def test_tcp() -> None:
    """It connects to an address or a name, wherever anyio takes a connectable."""

    async def asking(remote: AnyByteStreamConnectable) -> Any:
        return await remote.connect()

    with echoing() as server:
        for remote in (server.address, ("localhost", server.port)):
            connectable = Connectable(remote)
            assert anyio.as_connectable(connectable) is connectable
            stream = await asking(connectable)
            assert isinstance(stream, SocketStream)
            assert stream.extra(SocketAttribute.remote_port) == server.port
            assert await echoed(stream) == b"word"


async def test_unix(tmp_path: Path) -> None:
    path = tmp_path / "echo"
    with echoing(path=path):
        stream = await Connectable(f"unix:{path}").connect()
        assert isinstance(stream, UNIXSocketStream)
        assert await echoed(stream) == b"word"


async def test_tls(tmp_path: Path) -> None:
    """The verified name is the requested host, or the given name."""
    with tls_echoing(path=tmp_path / "tls") as unix, tls_echoing() as server:
        for connectable, name in (
            (over_tls(unix), "localhost"),
            (over_tls(server), "127.0.0.1"),
            (over_tls(server, tls_hostname="localhost"), "localhost"),
            (over_tls(server, tls_standard_compatible=False), "127.0.0.1"),
        ):
            stream = await connectable.connect()
            assert isinstance(stream, TLSStream)
            assert stream.extra(TLSAttribute.ssl_object).server_hostname == name
            is_standard = stream.extra(TLSAttribute.standard_compatible)
            assert is_standard is connectable.tls_standard_compatible
            assert await echoed(stream) == b"word"


async def test_tls_of_anyios_own() -> None:
    """Inside anyio's own TLS connectable, the handshake is outside the timeouts."""
    with tls_echoing() as server:
        plain = Connectable(server.address)
        context = server.client_context
        wrapped = TLSConnectable(plain, hostname="localhost", ssl_context=context)
        assert await echoed(await wrapped.connect()) == b"word"


async def test_tls_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's certificates are trusted, and a cut-off stream raises an error."""
    create = ssl.create_default_context

    def as_before_3_11_4() -> ssl.SSLContext:
        context = create()
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
        return context

    monkeypatch.setattr(ssl, "create_default_context", as_before_3_11_4)
    with tls_echoing() as server:
        # With another address, which refuses, not all would agree on the certificate.
        connector = Connector(resolver=StaticResolver({"localhost": [server.host]}))
        connectable = Connectable(("localhost", server.port), connector, tls=True)
        with pytest.raises(ConnectCertificateError):
            await connectable.connect()
        server.ca.cert_pem.write_to_path(str(tmp_path / "trusted"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted"))
        stream = await connectable.connect()
        context = stream.extra(TLSAttribute.ssl_object).context
        assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
        assert await echoed(stream) == b"word"


async def test_a_name_beyond_ascii() -> None:
    """It is verified as it is looked up, with IDNA 2003, whatever anyio would do."""
    with tls_echoing(names=["fass.test"]) as server:
        connectable = over_tls(server, tls_hostname="faß.test")
        assert await echoed(await connectable.connect()) == b"word"


async def test_no_name_is_verified_if_the_context_says_so(tmp_path: Path) -> None:
    with tls_echoing(path=tmp_path / "tls") as server:
        server.client_context.check_hostname = False
        stream = await over_tls(server, tls_hostname=None).connect()
        assert await echoed(stream) == b"word"


def test_a_connectable_is_a_value() -> None:
    """It is hashable, comparable and picklable, in every form of the target."""
    connector = Connector(timeout=1, retry=(0.1,))
    one = Connectable("localhost:80", connector, tls=True)
    other = Connectable(("localhost", "http"), connector, tls=True)
    assert one == other == pickle.loads(pickle.dumps(one))
    assert len({one, other, Connectable("localhost:80")}) == 2
    assert one.remote == parse_target("localhost:80")


CONTEXT = ssl.create_default_context()


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        ({"remote": "/run/x.sock"}, ValueError, "unix:/run/x.sock"),
        ({"remote": "localhost"}, ValueError, "port"),
        ({"remote": ("localhost", 65536)}, ValueError, "port"),
        ({"remote": 80}, TypeError, "target"),
        ({"remote": "srv:_a._b.c"}, ValueError, "AiodnsResolver"),
        (
            {"remote": Address(socket.AF_UNIX, "/x", type=socket.SOCK_SEQPACKET)},
            ValueError,
            "remote",
        ),
        ({"connector": 5.0}, TypeError, "connector"),
        ({"tls": CONTEXT}, TypeError, "tls"),
        ({"tls_standard_compatible": None}, TypeError, "tls_standard_compatible"),
        ({"tls": True, "ssl_context": True}, TypeError, "ssl_context"),
        ({"ssl_context": CONTEXT}, ValueError, r"ssl_context.*tls=True"),
        ({"tls_hostname": "x"}, ValueError, r"tls_hostname.*tls=True"),
        ({"tls": True, "tls_hostname": "a b"}, ValueError, "tls_hostname"),
        ({"tls": True, "tls_hostname": 1}, TypeError, "tls_hostname"),
        ({"remote": "unix:/x", "tls": True}, ValueError, "tls_hostname"),
        (
            {"remote": "unix:/x", "tls": True, "ssl_context": CONTEXT},
            ValueError,
            "tls_hostname",
        ),
    ],
)
def test_bad_options_are_refused_at_once(
    arguments: dict[str, Any], kind: type[Exception], named: str
) -> None:
    with pytest.raises(kind, match=named):
        Connectable(**({"remote": "localhost:80"} | arguments))


def test_another_backend() -> None:
    """The error says which backend would work."""
    pytest.importorskip("trio")
    connectable = Connectable(("127.0.0.1", 1))
    with pytest.raises(RuntimeError, match=r"trio.*backend=\"asyncio\".*use_uvloop"):
        anyio.run(connectable.connect, backend="trio")


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_anyio_runs_it(use_uvloop: bool) -> None:
    async def main() -> bytes:
        return await echoed(await Connectable(server.address).connect())

    with echoing() as server:
        options = {"use_uvloop": use_uvloop}
        assert anyio.run(main, backend_options=options) == b"word"


@pytest.mark.parametrize(
    "kind", [OSError, ConnectionRefusedError, ConnectRefusedError, ConnectError]
)
async def test_refused(kind: type[Exception]) -> None:
    """Code that catches anyio's error, the builtin or this package's has caught it."""
    with refusing() as refused:
        connectable = Connectable(refused.address)
        with pytest.raises(anyio.ConnectionFailed) as caught:
            await connectable.connect()
    error = caught.value
    assert isinstance(error, kind)
    assert error.errno == errno.ECONNREFUSED
    assert isinstance(error, ConnectError)
    assert error.port == refused.port
    assert error.attempt_count == len(error.attempts) == 1
    assert isinstance(error.__cause__, ConnectionRefusedError)
    assert error.__context__ is None


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for name in aioconnect.__all__
        if isinstance(kind := getattr(aioconnect, name), type)
        and issubclass(kind, ConnectError)
    ],
)
def test_each_error_is_anyios_too(kind: type[ConnectError]) -> None:
    """It keeps all its fields, also after pickling."""
    error = kind(errno.EIO, "the text")
    error.host, error.rounds = "localhost", 2
    failed = contrib._as_connection_failed(error)
    for one in (failed, pickle.loads(pickle.dumps(failed))):
        assert isinstance(one, kind)
        assert isinstance(one, anyio.ConnectionFailed)
        assert type(one) is type(failed)
        assert (type(one).__name__, type(one).__module__) == (
            kind.__name__,
            "aioconnect",
        )
        assert (one.args, one.host, one.rounds) == (error.args, "localhost", 2)
        assert str(one) == "the text"


def test_an_error_without_an_errno() -> None:
    """It has a text even where the attempts do not agree on an errno."""
    error = ConnectError("the text")
    error.strerror = "the text"
    failed = contrib._as_connection_failed(error)
    assert (failed.errno, failed.strerror) == (None, "the text")


@pytest.mark.parametrize("is_expired", [False, True])
async def test_a_wrong_certificate(is_expired: bool) -> None:
    """It is in the history, and is not retried."""
    with (
        tls_echoing(wrong_name=not is_expired, expired=is_expired) as server,
        pytest.raises(ConnectCertificateError) as caught,
    ):
        await over_tls(server, connector=Connector(retry=(0, 0))).connect()
    assert isinstance(caught.value, anyio.ConnectionFailed)
    assert [attempt.phase for attempt in caught.value.attempts] == ["tls"]
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_no_tls_at_all() -> None:
    with echoing() as server:
        connectable = Connectable(server.address, tls=True)
        with pytest.raises(ConnectTLSError) as caught:
            await connectable.connect()
    assert [attempt.phase for attempt in caught.value.attempts] == ["tls"]


@pytest.mark.parametrize("is_standard", [True, False])
async def test_the_peer_ends_the_handshake(is_standard: bool) -> None:
    """It may be temporary and is retried, however anyio reports the end."""
    with flaky(["accept_close"] * 2) as server:
        connectable = Connectable(
            server.address,
            Connector(prepare=[server], retry=(0,)),
            tls=True,
            tls_standard_compatible=is_standard,
        )
        with pytest.raises(ConnectResetError) as caught:
            await connectable.connect()
    assert [attempt.phase for attempt in caught.value.attempts] == ["tls"] * 2


async def test_no_handshake() -> None:
    """The deadline includes the handshake, and the history says so."""
    with tls_echoing(silent=True) as server:
        connectable = over_tls(server, connector=Connector(timeout=0.5))
        with pytest.raises(ConnectTimeoutError, match="handshake") as caught:
            await connectable.connect()
        assert [attempt.phase for attempt in caught.value.attempts] == ["tls"]
        connectable = over_tls(
            server, connector=Connector(attempt_timeout=0.05, retry=(0,))
        )
        with pytest.raises(ConnectTimeoutError) as caught:
            await connectable.connect()
    assert caught.value.rounds == 2


# What the first address does once it has accepted.
BROKEN: tuple[Word, ...] = ("accept_silent", "accept_close", "reset", "accept")


@pytest.mark.parametrize("word", BROKEN)
async def test_a_first_address_without_a_handshake(word: Word) -> None:
    """It stalls, closes, resets or echoes; the second address is used."""
    with flaky([word], "127.0.0.2") as broken, tls_echoing() as server:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [broken.address, server.address]

        recorder = Recorder()
        connector = Connector(
            resolver=resolver,
            prepare=[broken],
            # Only silence is waited for.
            happy_eyeballs_delay=0.01 if word == "accept_silent" else 2.0,
            timeout=60,
            observer=recorder,
        )
        connectable = Connectable(
            ("localhost", 1), connector, tls=True, ssl_context=server.client_context
        )
        async with leak_check():
            stream = await connectable.connect()
            assert isinstance(stream, TLSStream)
            assert recorder.only(Connected).address == server.address
            assert await echoed(stream) == b"word"
        assert (broken.log, server.connections) == ([word], 1)


async def test_two_streams_to_be_ready() -> None:
    """The first never is: it is closed, and the second is the caller's."""
    streams: list[ByteStream] = []

    async def ready(stream: ByteStream) -> bool:
        streams.append(stream)
        await stream.send(b"ping")
        return await stream.receive() == b"ping"

    with flaky(["accept_silent"], "127.0.0.2") as broken, echoing() as server:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [broken.address, server.address]

        connector = Connector(
            resolver=resolver, prepare=[broken], ready=ready, timeout=60
        )
        async with leak_check():
            stream = await Connectable(("localhost", 1), connector).connect()
            assert streams[1] is stream
            with pytest.raises(anyio.ClosedResourceError):
                await streams[0].send(b"word")
            assert await echoed(stream) == b"word"
        assert (broken.log, server.connections) == (["accept_silent"], 1)


async def test_a_scope_that_ends_while_two_shake_hands() -> None:
    """A cancel scope ends both handshakes, and nothing is left."""
    recorder = Recorder()
    is_second = asyncio.Event()

    def observe(event: Event) -> None:
        recorder(event)
        if len(recorder.of(PhaseStarted)) == 2:
            is_second.set()

    with tls_echoing(silent=True) as one, tls_echoing("::1", silent=True) as other:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [one.address, other.address]

        connector = Connector(
            resolver=resolver, happy_eyeballs_delay=0.01, observer=observe
        )
        connectable = Connectable(
            ("localhost", 1), connector, tls=True, ssl_context=one.client_context
        )
        async with leak_check(), anyio.create_task_group() as group:
            group.start_soon(connectable.connect)
            await is_second.wait()
            group.cancel_scope.cancel()
        for server in (one, other):
            server.wait_for_connections(1)
            assert server.connections == 1
    recorder.assert_none(Connected, AttemptFailed)


async def test_a_scope_that_is_cancelled_while_a_loser_ends() -> None:
    """It knows the cancellation as its own, and the winner is closed as well."""
    is_second = asyncio.Event()
    socks: list[socket.socket] = []

    async def ready(sock: socket.socket) -> None:
        socks.append(sock)
        if len(socks) == 2:
            is_second.set()
            return
        await is_second.wait()
        try:
            await anyio.sleep_forever()
        finally:
            scope.cancel()
            for _ in range(3):
                await asyncio.sleep(0)

    with flaky(["accept_silent"], "127.0.0.2") as silent, echoing() as server:

        async def resolver(*_: Any, **__: Any) -> list[Address]:
            return [silent.address, server.address]

        connector = Connector(
            resolver=resolver, prepare=[silent], ready=ready, happy_eyeballs_delay=0.01
        )
        async with leak_check():
            with anyio.CancelScope() as scope:
                await connector.connect("localhost", 1)
        assert scope.cancelled_caught
        assert [sock.fileno() for sock in socks] == [-1, -1]


async def test_a_server_that_is_late() -> None:
    recorder = Recorder()

    def begin(event: Event) -> None:
        recorder(event)
        if isinstance(event, RetryScheduled):
            held.listen()

    with unused_port() as held:
        connector = Connector(timeout=30, retry=Backoff(), observer=begin)
        stream = await Connectable(held.address, connector).connect()
        await stream.aclose()
    recorder.assert_in_order(RetryScheduled, Connected)


async def test_ready_is_given_the_stream() -> None:
    seen: list[ByteStream] = []

    async def answers(stream: ByteStream) -> bool:
        seen.append(stream)
        await stream.send(b"ping")
        return await stream.receive() == b"ping" and len(seen) > 1

    with tls_echoing() as server:
        connector = Connector(ready=answers, retry=(0,))
        stream = await over_tls(server, connector=connector).connect()
        assert stream is seen[1]
        assert await echoed(stream) == b"word"


async def test_ready_has_closed_it(listener: Server) -> None:
    async def closing(stream: ByteStream) -> None:
        await stream.aclose()

    connector = Connector(ready=closing)
    with pytest.raises(ConnectError, match="closed during the check"):
        await Connectable(listener.address, connector).connect()


async def test_ready_with_scopes_of_its_own(listener: Server) -> None:
    """A scope inside it ends inside it; a scope around it is not swallowed."""

    async def patient(stream: ByteStream) -> None:
        with anyio.move_on_after(0.01):
            await stream.receive()

    async def stubborn(stream: ByteStream) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await stream.receive()

    connector = Connector(ready=patient, timeout=60)
    await (await Connectable(listener.address, connector).connect()).aclose()
    with anyio.move_on_after(0.01) as scope:
        await Connectable(listener.address, Connector(ready=stubborn)).connect()
    assert scope.cancelled_caught


async def test_ready_is_no_coroutine_function(listener: Server) -> None:
    connector = Connector(ready=print)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match="ready must be a coroutine function"):
        await Connectable(listener.address, connector).connect()


@pytest.mark.parametrize("is_unix", [False, True])
async def test_an_observer_that_fails(is_unix: bool, listener: Server) -> None:
    """Its error is raised, and the connected socket is closed."""

    def observer(event: Event) -> None:
        if isinstance(event, Connected):
            raise ZeroDivisionError

    with unix_listening() as unix:
        remote = unix.address if is_unix else listener.address
        with pytest.raises(ZeroDivisionError):
            await Connectable(remote, Connector(observer=observer)).connect()


async def test_a_scope_that_is_cancelled_before(listener: Server) -> None:
    """Then nothing is dialled, even where nothing would have to wait."""
    dialled: list[Address] = []
    connector = Connector(prepare=[lambda _, address: dialled.append(address)])
    with unix_listening() as unix:
        for remote in (unix.address, listener.address):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await Connectable(remote, connector).connect()
            assert scope.cancelled_caught
    assert not dialled


async def test_scopes_that_end_in_time(black_hole: BlackHole) -> None:
    """They end the wait for an address, a slot or a handshake that never comes."""
    with tls_echoing(silent=True) as server, full_backlog() as full:
        for connectable in (
            Connectable(black_hole.address, Connector(timeout=60)),
            Connectable(full.address, Connector(retry=Backoff())),
            over_tls(server),
            over_tls(server, connector=Connector(timeout=60, attempt_timeout=50)),
        ):
            with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.02):
                await connectable.connect()
            assert not isinstance(caught.value, ConnectError)
            with anyio.move_on_after(0.02) as scope:
                await connectable.connect()
            assert scope.cancelled_caught


async def test_a_connect_within_its_scope(listener: Server) -> None:
    with anyio.fail_after(60), anyio.move_on_after(50) as scope:
        stream = await Connectable(listener.address, Connector(timeout=40)).connect()
        await stream.aclose()
    assert not scope.cancel_called


@pytest.mark.parametrize("kind", ["tcp", "unix", "tls", "silent", "black hole"])
async def test_cancelled_by_a_scope_at_each_iteration(
    kind: str, black_hole: BlackHole, tmp_path: Path
) -> None:
    """The scope recognises its cancellation at each one, and nothing is left behind."""
    came: list[bool] = []

    async def connect(connectable: Connectable, scope: anyio.CancelScope) -> None:
        with scope:
            stream = await connectable.connect()
            await anyio.aclose_forcefully(stream)
        came.append(scope.cancelled_caught)

    with tls_echoing(silent=kind == "silent") as server, unix_listening() as unix:
        connectable = {
            "tcp": Connectable(server.address),
            "unix": Connectable(unix.address),
            "black hole": Connectable(black_hole.address, Connector(timeout=60)),
        }.get(kind) or over_tls(server, connector=Connector(timeout=60))
        for iterations in range(ITERATIONS):
            async with leak_check(ignore_threads=["aioconnect-"]):
                scope = anyio.CancelScope()
                async with anyio.create_task_group() as group:
                    group.start_soon(connect, connectable, scope)
                    for _ in range(iterations):
                        await anyio.sleep(0)
                    scope.cancel()
    assert came[0]
    assert len(came) == ITERATIONS
    if kind in ("silent", "black hole"):
        assert all(came)


def a_reset_socket() -> socket.socket:
    """Return a connected socket that its peer has reset."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
    sock.setblocking(False)
    return sock


async def test_reset_before_anyio_has_it() -> None:
    """What anyio calls no socket at all is reported as a reset."""
    loop = asyncio.get_running_loop()
    sock = a_reset_socket()
    with pytest.raises(AttemptError, match="adopt") as caught:
        await _anyio_streams.to_stream(Handover(loop, sock, None), None)
    assert isinstance(caught.value.error, ConnectionResetError)
    assert sock.fileno() == -1


class WithoutMemory(asyncio.SelectorEventLoop):
    """A loop that cannot make a transport."""

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Fail, as epoll_ctl(2) can."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_loop_fails(listener: Server) -> None:
    """The attempt has then failed, and the socket is closed."""
    connectable = Connectable(listener.address)
    with (
        asyncio.Runner(loop_factory=WithoutMemory) as runner,
        pytest.raises(ConnectError, match="adopt: no space left") as caught,
    ):
        runner.run(connectable.connect())
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("name", ["anyio", "httpcore", "httpcore2", "httpx", "httpx2"])
def test_without_the_package_it_says_what_to_install(name: str) -> None:
    program = (
        f"import sys; sys.modules[{name!r}] = None; import aioconnect.contrib.{name}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert f"needs {name}: in a checkout, pip install '.[{name}]'" in done.stderr

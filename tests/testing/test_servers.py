"""Servers listen, refuse and echo as they should, and leave nothing open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from aioconnect._sansio.addresses import Address
from aioconnect.testing import (
    black_hole,
    dns_server,
    echoing,
    flaky,
    full_backlog,
    late,
    leak_check,
    listening,
    on_one_port,
    refusing,
    tls_echoing,
    unix_listening,
    unused_port,
)
from aioconnect.testing._connection_scripts import ScriptedConnections
from aioconnect.testing._server_thread import server_thread

HOSTS = ["127.0.0.1", "::1"]
KINDS = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET]


def dial(address: Address, timeout: float = 5.0) -> socket.socket:
    """Return a blocking socket that is connected to *address*."""
    sock = socket.socket(address.family, address.type)
    try:
        sock.settimeout(timeout)
        sock.connect(address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def time_waits(port: int, clients: Collection[int]) -> int:
    """Return how many connections of *clients*' ports to *port* are in TIME_WAIT.

    All are on 127.0.0.1. Other connections belong to an earlier user of *port*.
    """
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    host = int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
    ours = {f"{host:08X}:{client:04X}" for client in clients}
    server = f"{host:08X}:{port:04X}"
    ended = [line.split()[1:3] for line in lines if line.split()[3] == "06"]
    return sum(server in ends and not ours.isdisjoint(ends) for ends in ended)


@pytest.mark.parametrize("host", HOSTS)
def test_listening_completes_handshakes_and_accepts_when_told(host: str) -> None:
    with leak_check(), listening(host, backlog=2) as server:
        clients = [dial(server.address) for _ in range(3)]
        assert server.host == host
        assert server.port == server.sock.getsockname()[1]
        assert not server.sock.get_inheritable()
        with server.accept() as conn:
            assert conn.gettimeout() is None
            clients[0].sendall(b"hello")
            assert conn.recv(5) == b"hello"
        for client in clients:
            client.close()


def test_listening_reports_that_nobody_came() -> None:
    with (
        listening() as server,
        pytest.raises(TimeoutError, match=rf"nobody .*{server.port} within 0\.01 s"),
    ):
        server.accept(0.01)


def test_listening_on_a_port_again() -> None:
    with listening() as server:
        port = server.port
        client = dial(server.address)
        server.accept().close()
    with client, listening(port=port) as again:
        assert again.port == port


def test_two_servers_on_one_port() -> None:
    """If the second server cannot have the port, both take another one."""
    with refusing() as taken:
        ports = [taken.port]
        with on_one_port(
            # A client may have the next port, too.
            lambda: listening("::1", port=ports.pop() if ports else 0),
            lambda port: listening(port=port),
        ) as (first, second):
            assert first.port == second.port != taken.port
            for server in (first, second):
                dial(server.address).close()
            with listening("::1", port=taken.port):
                pass
    assert not ports


def test_a_port_that_the_second_never_has() -> None:
    """The error says so in the end; any other error is raised at once."""
    with refusing() as taken, leak_check():
        pair = on_one_port(
            lambda: listening("::1", port=taken.port), lambda port: listening(port=port)
        )
        with pytest.raises(OSError, match="in use"), pair:
            pass
        with (
            pytest.raises(ValueError, match="not an address"),
            on_one_port(listening, lambda port: listening("two", port=port)),
        ):
            pass


@pytest.mark.parametrize("host", ["localhost", "", "127.1", "example.com:80"])
def test_a_host_that_is_a_name_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not an address in numbers"):
        listening(host).__enter__()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["own", "path", "abstract"])
def test_unix_listening(kind: int, where: str, tmp_path: Path) -> None:
    paths = {
        "own": None,
        "path": tmp_path / "s",
        "abstract": f"\0aioconnect-test-{os.getpid()}",
    }
    with leak_check(), unix_listening(paths[where], kind=kind) as server:
        assert server.address.type == kind
        with dial(server.address) as client, server.accept() as conn:
            client.send(b"x")
            assert conn.recv(1) == b"x"
        path = server.path
    assert path.startswith("\0") is (where == "abstract")
    if where != "abstract":
        assert not os.path.exists(path)
    if where == "own":
        assert not os.path.exists(os.path.dirname(path))


def test_unix_listening_checks_its_path_and_leaves_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bytes long"):
        unix_listening(str(tmp_path / ("x" * 200))).__enter__()
    with pytest.raises(ValueError, match="kind"):
        unix_listening(kind=socket.SOCK_DGRAM).__enter__()


@pytest.mark.parametrize("host", HOSTS)
def test_refusing_refuses_a_thousand_times(host: str) -> None:
    """Every connect gets ECONNREFUSED; none connects to itself."""
    with leak_check(), refusing(host) as refused:
        for _ in range(1000):
            with pytest.raises(ConnectionRefusedError):
                dial(refused.address)


def test_refusing_keeps_the_port_to_itself() -> None:
    with refusing() as refused, socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use") as caught:
            thief.bind(refused.sockaddr)
        assert caught.value.errno == errno.EADDRINUSE


NARROW = """
import contextlib, errno, socket, sys
from collections.abc import Collection
from pathlib import Path
from aioconnect.testing import refusing, unused_port
Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40003")
answers = set()
for held in (refusing, unused_port):
    with held() as port:
        assert 40000 <= port.port <= 40003, port
        for _ in range(500):
            with socket.socket() as sock:
                answers.add(sock.connect_ex(port.sockaddr))
with contextlib.ExitStack() as stack:
    ports = {stack.enter_context(unused_port()).port for _ in range(4)}
    assert len(ports) == 4, ports
    try:
        stack.enter_context(unused_port())
    except OSError as exc:
        assert exc.errno == errno.EADDRINUSE
    else:
        raise AssertionError("a port was held twice")
# Without a holder, the same range connects to itself.
own = 0
for _ in range(500):
    with socket.socket() as sock:
        own += sock.connect_ex(("127.0.0.1", 40000)) == 0
print(answers == {errno.ECONNREFUSED}, own > 0)
"""


def test_a_held_port_is_never_a_clients_own() -> None:
    """Even with only four ports to choose from, K2 cannot happen."""
    program = ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$0" -c "$1"']
    try:
        run = subprocess.run(
            [*program, sys.executable, NARROW],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if "unshare failed" in run.stderr or "not permitted" in run.stderr:
        pytest.skip("network namespaces need root")
    assert run.stdout.split() == ["True", "True"], run.stderr


def test_unused_port_can_be_listened_on_later_and_refused_again() -> None:
    with leak_check(), unused_port() as held:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                dial(held.address)
            server = held.listen()
            assert server.port == held.port
            with dial(held.address), server.accept():
                pass
            with dial(held.address), dial(held.address):
                held.refuse()
        with pytest.raises(ConnectionRefusedError):
            dial(held.address)


def test_unused_port_is_listened_on_once() -> None:
    with leak_check(), unused_port() as held:
        held.listen()
        with pytest.raises(OSError, match="in use"):
            held.listen()


def test_every_server_shows_its_address() -> None:
    """The repr has it, for the messages of assertions."""
    with (
        listening() as server,
        unix_listening() as unix,
        unused_port() as held,
        echoing() as echo,
        tls_echoing() as tls,
        black_hole() as hole,
        full_backlog() as full,
        flaky(["accept"]) as script,
        dns_server({}) as names,
    ):
        for given in (server, unix, held, echo, hole, full, script, names):
            assert str(given.address) in repr(given)
        assert str(tls.address) in repr(tls)
        assert (tls.host, tls.port) == tls.sockaddr


async def test_unused_port_gives_way_to_a_server_of_asyncio() -> None:
    """A test's own server can listen where its client was refused before."""
    with unused_port() as held:

        async def end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(end, held.host, held.port)
        reader, writer = await asyncio.open_connection(held.host, held.port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()


def test_unused_port_is_not_given_to_anybody_by_chance() -> None:
    with (
        unused_port() as held,
        socket.socket() as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(held.sockaddr)


@pytest.mark.parametrize("host", HOSTS)
def test_echoing_many_connections(host: str) -> None:
    with leak_check():
        with echoing(host) as server:
            clients = [dial(server.address) for _ in range(50)]
            for number, client in enumerate(clients):
                client.sendall(b"%d" % number)
            for number, client in enumerate(clients):
                assert client.recv(10) == b"%d" % number
            server.wait_for_connections(50)
            assert server.connections == 50
        ports = [client.getsockname()[1] for client in clients]
        for client in clients:
            with client, pytest.raises(ConnectionResetError):
                client.recv(1)
    if host == "127.0.0.1":
        assert time_waits(server.port, ports) == 0


def test_echoing_more_than_the_buffers_hold() -> None:
    """A client that writes without reading waits, and loses nothing."""
    data = os.urandom(1 << 16) * 128
    with leak_check(), echoing() as server, dial(server.address, 30.0) as client:
        received = bytearray()

        def read() -> None:
            while len(received) < len(data):
                received.extend(client.recv(1 << 16))

        reader = threading.Thread(target=read)
        client.sendall(data[:100_000])
        reader.start()
        client.sendall(data[100_000:])
        reader.join(30.0)
        assert received == data
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_echoing_makes_a_client_wait_that_never_reads() -> None:
    """The server keeps a limited amount for a client that never reads."""
    with leak_check(), echoing() as server, dial(server.address) as client:
        client.setblocking(False)
        poller = select.poll()
        poller.register(client, select.POLLOUT)
        sent = 0
        # The kernel's buffers hold some megabytes.
        while sent < 1 << 28 and poller.poll(500):
            with contextlib.suppress(BlockingIOError):
                sent += client.send(bytes(1 << 16))
        assert sent < 1 << 28


def test_echoing_on_a_unix_path(tmp_path: Path) -> None:
    with leak_check(), echoing(path=tmp_path / "echo") as server:
        assert (server.host, server.port) == ("", 0)
        assert server.path == str(tmp_path / "echo")
        with dial(server.address) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
    assert not (tmp_path / "echo").exists()


def test_echoing_resets_its_connections_when_told() -> None:
    with echoing() as server, dial(server.address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        server.reset_connections()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with dial(server.address) as again:
            again.sendall(b"y")
            assert again.recv(1) == b"y"


def test_echoing_counts_its_connections() -> None:
    with (
        echoing() as server,
        pytest.raises(TimeoutError, match=r"0 connections within 0\.01 s, not 1"),
    ):
        server.wait_for_connections(1, 0.01)


async def test_echoing_with_a_running_loop() -> None:
    loop = asyncio.get_running_loop()
    with echoing() as server, socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockaddr)
        await loop.sock_sendall(sock, b"hello")
        assert await loop.sock_recv(sock, 5) == b"hello"


def test_a_block_that_raises_cleans_up_too() -> None:
    def fail(address: Address) -> None:
        with dial(address):
            raise KeyError(address)

    for server in (echoing, tls_echoing, unused_port, listening, refusing):
        with (
            leak_check(),
            pytest.raises((KeyError, ConnectionRefusedError)),
            server() as running,
        ):
            fail(running.address)


@pytest.mark.parametrize("host", HOSTS)
def test_late_refuses_and_then_echoes(host: str) -> None:
    """It refuses for the whole time, on the port that it listens on later."""
    with leak_check():
        begun = time.monotonic()
        with late(1.0, host) as server:
            refused = 0
            while True:
                try:
                    client = dial(server.address)
                except ConnectionRefusedError:
                    refused += 1
                    select.poll().poll(1)
                else:
                    break
            assert time.monotonic() - begun >= 1.0
            assert refused
            with client:
                client.sendall(b"hello")
                assert client.recv(5) == b"hello"


def test_late_can_end_before_it_begins() -> None:
    with leak_check(), late(3600) as server, pytest.raises(ConnectionRefusedError):
        dial(server.address)


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_late_refuses_an_infinite_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        late(seconds).__enter__()
    with pytest.raises(TypeError, match="seconds must be a number of seconds"):
        late("1").__enter__()  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("host", HOSTS)
def test_tls_echoing(host: str) -> None:
    with leak_check(), tls_echoing(host) as server:
        context = server.client_context
        with context.wrap_socket(
            dial(server.address), server_hostname="localhost"
        ) as client:
            client.sendall(b"x" * 300_000)
            received = bytearray()
            while len(received) < 300_000:
                received += client.recv(1 << 16)
            assert received == b"x" * 300_000
            client.unwrap().close()
        server.wait_for_connections(1)
        assert server.connections == 1
        assert server.ca.cert_pem.bytes().startswith(b"-----BEGIN CERT")


@pytest.mark.parametrize("silent", [False, True])
def test_tls_echoing_on_a_unix_path(tmp_path: Path, silent: bool) -> None:
    path = tmp_path / "tls"
    with leak_check(), tls_echoing(path=path, silent=silent) as server:
        assert (server.host, server.port, server.path) == ("", 0, str(path))
        with dial(server.address, 0.2 if silent else 5.0) as sock:
            expected = (
                pytest.raises(TimeoutError) if silent else contextlib.nullcontext()
            )
            with (
                expected,
                server.client_context.wrap_socket(
                    sock, server_hostname="localhost"
                ) as client,
            ):
                client.sendall(b"hello")
                assert client.recv(5) == b"hello"
    assert not path.exists()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"wrong_name": True}, "ostname mismatch"),
        ({"expired": True}, "expired"),
        ({"names": ["other.test"]}, "ostname mismatch"),
    ],
)
def test_tls_echoing_with_a_certificate_that_does_not_verify(
    bad: dict[str, bool], message: str
) -> None:
    with (
        leak_check(),
        tls_echoing(**bad) as server,  # type: ignore[arg-type]  # a table of options
        dial(server.address) as sock,
        pytest.raises(ssl.SSLCertVerificationError, match=message),
    ):
        server.client_context.wrap_socket(sock, server_hostname="localhost")


def test_tls_echoing_that_never_answers() -> None:
    with (
        leak_check(),
        tls_echoing(silent=True) as server,
        dial(server.address, 0.2) as sock,
        pytest.raises(TimeoutError),
    ):
        server.client_context.wrap_socket(sock, server_hostname="localhost")


def test_tls_echoing_survives_clients_that_speak_no_tls() -> None:
    with leak_check(), tls_echoing() as server:
        for _ in range(20):
            with dial(server.address) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                # It sends an alert, unless the reset for unread data is faster.
                with contextlib.suppress(ConnectionResetError):
                    sock.recv(100)
        with server.client_context.wrap_socket(
            dial(server.address), server_hostname="localhost"
        ) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"


async def test_tls_echoing_with_a_running_loop() -> None:
    with tls_echoing() as server:
        reader, writer = await asyncio.open_connection(
            server.host,
            server.port,
            ssl=server.client_context,
            server_hostname="localhost",
        )
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()


def test_without_trustme_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['trustme'] = None\n"
        "from aioconnect.testing import tls_echoing\n"
        "try: tls_echoing().__enter__()\n"
        "except ModuleNotFoundError as exc: print(exc)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "in a checkout, pip install '.[test]'" in run.stdout


def test_a_connection_that_comes_at_the_end_is_reset() -> None:
    """A connection that is accepted while the server ends is not forgotten."""
    with server_thread("aioconnect-test") as thread, listening() as server:
        connections = ScriptedConnections(thread)
        connections.close()
        with dial(server.address) as client:
            connections.serve(server.accept(), "accept")
            with pytest.raises(ConnectionResetError):
                client.recv(1)

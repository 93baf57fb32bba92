"""One connect(2): what it returns is connected, what it raises leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from socket_endpoints import settled, tcp

import aioconnect
from aioconnect import Address, Connector
from aioconnect._io import sockets
from aioconnect._io.fd_watchers import check_loop, is_readable
from aioconnect._loops.subclass import convert_loop
from aioconnect._sansio.errors import AttemptError
from aioconnect.testing import (
    BlackHole,
    Server,
    echoing,
    listening,
    unix_listening,
)

# linux/vm_sockets.h: this host, and how long a connect may take.
LOCAL_CID, CONNECT_TIMEOUT = 1, 6


async def test_connected(listener: Server, port: int) -> None:
    """The socket is connected, non-blocking, close-on-exec, and the caller's."""
    with await aioconnect.connect_address(tcp(port)) as sock:
        assert sock.getpeername() == listener.sockaddr
        assert sock.gettimeout() == 0.0
        assert not sock.get_inheritable()
        assert not os.get_inheritable(sock.fileno())
        with listener.accept() as peer:
            assert peer.getpeername() == sock.getsockname()
            peer.send(b"hello")
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(sock, 5) == b"hello"


async def test_refused(refused_port: int) -> None:
    with pytest.raises(aioconnect.ConnectRefusedError) as caught:
        await aioconnect.connect_address(tcp(refused_port))
    assert caught.value.errno == errno.ECONNREFUSED
    assert isinstance(caught.value, ConnectionRefusedError)


async def test_ipv6_scope(ipv6_listener: Server) -> None:
    """A scope id reaches the kernel (K4); an interface's name does too."""
    index, port = socket.if_nametoindex("lo"), ipv6_listener.port
    for host in ("::1", f"::1%{index}", "::1%lo"):
        with await aioconnect.connect(host, port) as sock:
            assert sock.getpeername()[:2] == ("::1", port)
    with pytest.raises(aioconnect.ResolveError, match="no interface nosuch0"):
        await aioconnect.connect("fe80::1%nosuch0", port)
    # Link-local without one is EINVAL, with one that is not there ENODEV & co.
    with pytest.raises(aioconnect.ConnectError):
        await aioconnect.connect("fe80::1%4000000000", port)


async def test_datagrams() -> None:
    """The type is the socket's: TCP is the protocol of streams alone."""
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        name = peer.getsockname()
        address = Address(socket.AF_INET, name, type=socket.SOCK_DGRAM)
        with await aioconnect.connect_address(address) as sock:
            assert sock.type == socket.SOCK_DGRAM
            assert sock.getpeername() == name


async def test_mptcp(port: int) -> None:
    """IPPROTO_MPTCP is the socket's protocol alone; names resolve all the same (K4)."""
    mptcp = 262
    try:
        socket.socket(proto=mptcp).close()
    except OSError as exc:
        pytest.skip(f"no MPTCP here: {exc}")
    for host in ("127.0.0.1", "localhost"):
        with await aioconnect.connect(
            host, port, proto=mptcp, family=socket.AF_INET
        ) as sock:
            assert sock.proto == mptcp


async def test_vsock() -> None:
    """An AF_VSOCK address gets to the kernel, on both loops (K4)."""
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as exc:
        pytest.skip(f"no vsock here: {exc}")
    # A CID that belongs to nobody: the answer is the kernel's, whatever it is.
    address = Address(socket.AF_VSOCK, (0x7FFFFFF0, 1))
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect_address(address, timeout=2)
    assert "vsock:2147483632:1" in str(caught.value)


async def test_vsock_fails() -> None:
    """Nobody answers at an AF_VSOCK address: the kernel's word for it is the last."""

    def hurry(sock: socket.socket, address: Address) -> None:
        soon = struct.pack("@ll", 0, 50_000)
        # Of a socket that it knows to be of this family, Python takes but numbers.
        with socket.socket(socket.AF_INET, fileno=os.dup(sock.fileno())) as same:
            same.setsockopt(socket.AF_VSOCK, CONNECT_TIMEOUT, soon)

    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            code = sock.connect_ex((LOCAL_CID, 1))
    except OSError as exc:
        pytest.skip(f"no vsock here: {exc}")
    if code != errno.EINPROGRESS:
        pytest.skip(f"no vsock to this host: {os.strerror(code)}")
    address = Address(socket.AF_VSOCK, (LOCAL_CID, 1))
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect_address(address, timeout=10, prepare=[hurry])
    assert caught.value.errno in (errno.ETIMEDOUT, errno.ECONNRESET)
    assert caught.value.elapsed < 8  # the kernel's timeout, not the call's


@pytest.mark.parametrize("form", ["str", "bytes", "path", "abstract"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
async def test_unix(tmp_path: Path, form: str, kind: socket.SocketKind) -> None:
    path: Any = tmp_path / "unix"
    if form == "abstract":
        path = f"\0aioconnect-{os.getpid()}-{tmp_path.name}"
    elif form != "path":
        path = str(path) if form == "str" else os.fsencode(path)
    with (
        unix_listening(path, kind=kind) as server,
        await aioconnect.connect_unix(path, kind=kind) as sock,
        server.accept() as peer,
    ):
        assert sock.type == kind
        sock.send(b"packet")
        assert peer.recv(16) == b"packet"


async def test_unix_errors(tmp_path: Path) -> None:
    with pytest.raises(aioconnect.ConnectNotFoundError) as caught:
        await aioconnect.connect_unix(tmp_path / "missing")
    assert isinstance(caught.value, FileNotFoundError)
    plain = tmp_path / "plain"
    plain.write_text("")
    with pytest.raises(aioconnect.ConnectRefusedError):
        await aioconnect.connect_unix(plain)
    with pytest.raises(aioconnect.ConnectNotDirectoryError):
        await aioconnect.connect_unix(plain / "below")
    with (
        unix_listening(kind=socket.SOCK_SEQPACKET) as server,
        pytest.raises(aioconnect.ConnectError) as other,
    ):
        await aioconnect.connect_unix(server.path)
    assert other.value.errno == errno.EPROTOTYPE


async def test_connects_from_a_given_address(port: int) -> None:
    """local_addr, with the port left to connect(2) (K9)."""
    with await aioconnect.connect_address(
        tcp(port), local_addr=("127.0.0.5", 0)
    ) as sock:
        assert sock.getsockname()[0] == "127.0.0.5"
        assert sock.getsockopt(socket.IPPROTO_IP, 24) == 1  # IP_BIND_ADDRESS_NO_PORT
    several = [("::1", 0), ("127.0.0.6", 0), ("127.0.0.7", 0)]
    with await aioconnect.connect_address(tcp(port), local_addr=several) as sock:
        assert sock.getsockname()[0] == "127.0.0.6"
    for local in (("localhost", 0), (None, None), (b"127.0.0.1", 0), ("127.0.0.1", 0)):
        with await aioconnect.connect(
            "127.0.0.1",
            port,
            local_addr=local,  # type: ignore[arg-type]  # what asyncio takes too
        ) as sock:
            assert sock.getsockname()[0] == "127.0.0.1"
    both: Any = [("127.0.0.8", 0), ("::1", 0, 0, 0)]
    with await aioconnect.connect(
        "127.0.0.1", port, family=socket.AF_INET, local_addr=both
    ) as sock:
        assert sock.getsockname()[0] == "127.0.0.8"


async def test_nothing_to_bind_to(port: int) -> None:
    """An attempt whose family has no local address fails in phase bind."""
    with pytest.raises(aioconnect.ConnectError, match="no IPv4 address") as caught:
        await aioconnect.connect_address(tcp(port), local_addr=("::1", 0))
    assert caught.value.attempts[0].phase == "bind"
    assert caught.value.errno == errno.EADDRNOTAVAIL
    # 192.0.2.0/24 is for documentation: nobody here has such an address.
    with pytest.raises(aioconnect.ConnectError, match=r"cannot bind to 192\.0\.2\.1"):
        await aioconnect.connect_address(tcp(port), local_addr=("192.0.2.1", 0))


async def test_the_first_that_can_be_bound(port: int) -> None:
    """Of several local addresses each is tried, in their order."""
    several = [("198.51.100.1", 0), ("::1", 0), ("127.0.0.6", 0), ("127.0.0.7", 0)]
    with await aioconnect.connect_address(tcp(port), local_addr=several) as sock:
        assert sock.getsockname()[0] == "127.0.0.6"
    several = [("198.51.100.1", 0), ("::1", 0), ("198.51.100.2", 0)]
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect_address(tcp(port), local_addr=several)
    said = "cannot bind to {}:0: Cannot assign requested address"
    both = "; ".join(said.format(host) for host in ("198.51.100.1", "198.51.100.2"))
    assert f"bind: {both} (" in str(caught.value)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.namespace
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_local_name_of_several_addresses(
    in_namespace: Callable[..., str], loop: str
) -> None:
    """The first address that can be bound is used; if none can, the error has each."""
    in_namespace("local_names.py", loop)


@pytest.fixture
def own_port() -> tuple[str, int]:
    """Give a local address with a port that only this test uses, by its own host."""
    host = f"127.77.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}"
    with socket.socket() as sock:
        sock.bind((host, 0))
        return host, sock.getsockname()[1]


async def test_a_race_with_a_fixed_port(
    own_port: tuple[str, int], black_hole: BlackHole
) -> None:
    """Attempts at several addresses have the same local port at the same time."""
    with listening("127.0.0.2") as server:

        def resolver(host: str, port: int, **asked: int) -> list[Address]:
            return [black_hole.address, server.address]

        with await aioconnect.connect(
            "two.test",
            1,
            resolver=resolver,
            happy_eyeballs_delay=0.01,
            local_addr=own_port,
            timeout=30,
        ) as sock:
            assert sock.getpeername() == server.sockaddr
            assert sock.getsockname() == own_port


async def test_a_fixed_port_after_a_connection(own_port: tuple[str, int]) -> None:
    """One that was closed (TIME_WAIT) does not keep the port from the next one."""
    loop = asyncio.get_running_loop()
    kind = type(loop)
    with listening() as first, listening("127.0.0.2") as second:
        for server in (first, second):
            sock = await aioconnect.connect(*server.sockaddr, local_addr=own_port)
            server.accept().close()
            sock.close()
        convert_loop(loop, Connector(timeout=30))
        try:
            with listening("127.0.0.3") as third:
                _, writer = await asyncio.open_connection(
                    *third.sockaddr, local_addr=own_port
                )
                assert writer.get_extra_info("sockname") == own_port
                writer.close()
                await writer.wait_closed()
        finally:
            loop.__class__ = kind


async def test_reconnecting_from_a_fixed_port(own_port: tuple[str, int]) -> None:
    """To the same server it comes back when the kernel lets it have the port again."""
    reuse = Path("/proc/sys/net/ipv4/tcp_tw_reuse")
    if not reuse.exists() or reuse.read_text().strip() == "0":
        pytest.skip("net.ipv4.tcp_tw_reuse is 0: a port is free after a minute")
    peers: list[Any] = []
    with echoing() as server:
        async for _, writer in aioconnect.reconnecting(
            *server.sockaddr, local_addr=own_port, stable_after=0, timeout=60
        ):
            peers.append(writer.get_extra_info("sockname"))
            if len(peers) == 2:
                break
    assert peers == [own_port] * 2


async def test_a_fixed_port_that_a_listener_has(own_port: tuple[str, int]) -> None:
    """It may be free soon: the call goes on, with a retry policy."""
    with listening() as server, contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server(own_port))

        def free(event: aioconnect.Event) -> None:
            if isinstance(event, aioconnect.RetryScheduled):
                stack.close()

        with await aioconnect.connect(
            *server.sockaddr, local_addr=own_port, retry=(0, 0), observer=free
        ) as sock:
            assert sock.getsockname() == own_port


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list to which each ``connect(2)`` adds its destination."""
    looks: list[Any] = []

    def connect_ex(sock: socket.socket, sockaddr: Any) -> int:
        looks.append(sockaddr)
        return super(socket.socket, sock).connect_ex(sockaddr)

    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
    return looks


def calls_of_a_connect(address: Address, looks: list[Any]) -> tuple[int, int]:
    """Start a connect; return how many calls it made, and what they said at last."""
    looks.clear()
    sock, code = sockets.open_and_connect(address, (), None)
    sock.close()
    return len(looks), code


def test_a_late_address_is_seldom_looked_at_again(
    black_hole: BlackHole, looks: list[Any]
) -> None:
    """Who was late is asked a second time in 1 of 16 connects, until it is in time."""
    address = tcp(black_hole.port)
    calls = [calls_of_a_connect(address, looks)[0] for _ in range(33)]
    assert calls == [2, *[1] * 15, 2, *[1] * 15, 2]
    black_hole.open()
    looked = [calls_of_a_connect(address, looks) for _ in range(18)]
    assert [calls for calls, _ in looked] == [*[1] * 15, 2, 2, 2]
    assert [code for calls, code in looked if calls == 2] == [0, 0, 0]


def test_an_address_in_time_is_looked_at_again(port: int, looks: list[Any]) -> None:
    """Over loopback the second call has the answer, in each connect."""
    calls = [calls_of_a_connect(tcp(port), looks) for _ in range(3)]
    assert calls == [(2, 0)] * 3


def test_an_interrupted_connect_is_always_asked_again(
    black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EINTR says nothing, also not of an address that is late."""
    address = tcp(black_hole.port)
    sockets.open_and_connect(address, (), None)[0].close()
    answers = [errno.EINTR, errno.EALREADY]
    monkeypatch.setattr(socket.socket, "connect_ex", lambda _, __: answers.pop(0))
    sock, code = sockets.open_and_connect(address, (), None)
    sock.close()
    assert (answers, code) == ([], errno.EALREADY)


def test_few_late_addresses_are_remembered(
    black_hole: BlackHole, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is forgotten for a new one, and for no other."""
    monkeypatch.setattr(sockets, "_late", dict.fromkeys(range(512), 1))
    for _ in range(3):
        sockets.open_and_connect(tcp(black_hole.port), (), None)[0].close()
    assert [*sockets._late] == [*range(1, 512), black_hole.sockaddr]


@pytest.mark.parametrize(("was_sent", "tries"), [(False, 2), (True, 1)])
def test_spurious_is_only_what_was_not_sent(
    was_sent: bool, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EADDRNOTAVAIL is tried once more if the kernel found no port for it (K9)."""
    tried: list[int] = []

    def start(sock: socket.socket, address: Address) -> int:
        tried.append(sock.fileno())
        raise sockets.connect_failed(errno.EADDRNOTAVAIL, sent=was_sent)

    monkeypatch.setattr(sockets, "start_connect", start)
    with pytest.raises(AttemptError):
        sockets.open_and_connect(tcp(1), (), None)
    assert len(tried) == tries


async def test_prepare(port: int) -> None:
    """The hooks get the socket before it is bound and connected."""
    seen: list[Any] = []

    def hook(sock: socket.socket, address: Address) -> None:
        assert sock.getsockname() == ("0.0.0.0", 0)
        assert sock.gettimeout() == 0.0
        seen.append(address)

    address = tcp(port)
    (await aioconnect.connect_address(address, prepare=[hook, hook])).close()
    assert seen == [address, address]


async def test_prepare_that_closes(port: int) -> None:
    """What a hook did to the socket is the attempt's failure, as all it raises is."""

    def closes(sock: socket.socket, address: Address) -> None:
        sock.close()

    with pytest.raises(aioconnect.ConnectError, match="socket: bad file") as caught:
        await aioconnect.connect_address(tcp(port), prepare=[closes])
    assert caught.value.errno == errno.EBADF


async def test_prepare_fails(port: int) -> None:
    """An OSError of a hook is an attempt's failure; a bug comes through as itself."""

    def denies(sock: socket.socket, address: Address) -> None:
        raise PermissionError(errno.EPERM, "not today")

    def breaks(sock: socket.socket, address: Address) -> None:
        raise ZeroDivisionError

    with pytest.raises(aioconnect.ConnectPermissionError, match="not today") as caught:
        await aioconnect.connect_address(tcp(port), prepare=[denies])
    assert caught.value.attempts[0].phase == "socket"
    with pytest.raises(ZeroDivisionError):
        await aioconnect.connect_address(tcp(port), prepare=[breaks])


async def test_no_descriptor_left(port: int) -> None:
    """K14: with none left, the error says so, and nothing has to be imported."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                while True:
                    stack.enter_context(socket.socket())
            for host, count in (("127.0.0.1", 1), ("localhost", 2)):
                with pytest.raises(aioconnect.ConnectError) as caught:
                    await aioconnect.connect(host, port, retry=(0,) * 3)
                assert caught.value.errno == errno.EMFILE
                assert caught.value.attempt_count == count
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_unreachable() -> None:
    """An answer at once is the error now: poll would say "connected" (K15 too)."""
    with pytest.raises(aioconnect.ConnectError) as caught:
        await aioconnect.connect("255.255.255.255", 80)
    assert caught.value.errno == errno.ENETUNREACH
    assert caught.value.attempts[0].sent is False


async def test_connect_sock(listener: Server) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        assert await aioconnect.connect_sock(sock, listener.sockaddr) is None  # type: ignore[func-returns-value]  # that is the test
        assert sock.getpeername() == listener.sockaddr


async def test_connect_sock_under_way(listener: Server, black_hole: BlackHole) -> None:
    """A socket whose connect is under way is not connected a second time."""
    with socket.socket() as sock:
        sock.setblocking(False)
        connecting = asyncio.ensure_future(
            aioconnect.connect_sock(sock, black_hole.sockaddr)
        )
        await settled(connecting)
        for sockaddr in (black_hole.sockaddr, listener.sockaddr):
            with pytest.raises(ValueError, match="has a connect under way already"):
                await aioconnect.connect_sock(sock, sockaddr)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        with pytest.raises(ValueError, match="has a connect under way already"):
            await aioconnect.connect_sock(sock, listener.sockaddr)


@pytest.mark.parametrize("stranger", ["transport", "writer"])
async def test_strangers_on_the_reused_descriptor(
    listener: Server, black_hole: BlackHole, stranger: str
) -> None:
    """K11: the new owner of the descriptor keeps it, and the cancel arrives.

    (If a descriptor was closed while it was watched, asyncio does not poll it for a new
    owner that registers it before the cleanup.  Only the caller can avoid that.)
    """
    loop = asyncio.get_running_loop()
    first = socket.socket()
    first.setblocking(False)
    fd = first.fileno()
    connecting = asyncio.ensure_future(
        aioconnect.connect_sock(first, black_hole.sockaddr)
    )
    await settled(connecting)
    first.close()
    with socket.create_connection((listener.host, listener.port)) as second:
        if isinstance(loop, asyncio.SelectorEventLoop):
            assert second.fileno() == fd
        second.setblocking(False)
        if stranger == "transport":
            loop.set_exception_handler(lambda *_: None)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=second)
        else:
            loop.add_writer(second, lambda: None)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        if stranger == "transport":
            transport.abort()
            await asyncio.sleep(0)
        else:
            assert loop.remove_writer(second) is not False, (
                "a stranger's watcher was removed"
            )


async def test_connect_sock_keeps_the_socket(
    refused_port: int, black_hole: BlackHole
) -> None:
    """The caller's socket stays the caller's, and open, whatever happens."""
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(ConnectionRefusedError):
            await aioconnect.connect_sock(sock, ("127.0.0.1", refused_port))
        assert sock.fileno() != -1
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(TimeoutError):
            await aioconnect.connect_sock(sock, black_hole.sockaddr, timeout=0.01)
        assert sock.fileno() != -1


async def test_connect_sock_refuses(port: int) -> None:
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="sock is blocking"):
            await aioconnect.connect_sock(sock, ("127.0.0.1", port))
        sock.setblocking(False)
        with pytest.raises(ValueError, match="not an IPv4 address in numbers"):
            await aioconnect.connect_sock(sock, ("localhost", port))
        with pytest.raises(TypeError, match="sockaddr"):
            await aioconnect.connect_sock(sock, "127.0.0.1")
        await aioconnect.connect_sock(sock, ("127.0.0.1", port))
        with pytest.raises(ValueError, match="sock is connected already"):
            await aioconnect.connect_sock(sock, ("127.0.0.1", port))
    with pytest.raises(ValueError, match="sock is closed"):
        await aioconnect.connect_sock(sock, ("127.0.0.1", port))
    with pytest.raises(TypeError, match=r"sock must be a socket\.socket"):
        await aioconnect.connect_sock(7, ("127.0.0.1", port))  # type: ignore[arg-type]  # that is the test


async def test_reused_descriptor(black_hole: BlackHole) -> None:
    """K12: cancel, close, and connect on the reused descriptor in one tick."""
    loop = asyncio.get_running_loop()
    is_asyncio = isinstance(loop, asyncio.SelectorEventLoop)
    reused = 0
    for _ in range(100):
        first = socket.socket()
        first.setblocking(False)
        old = first.fileno()
        connecting = asyncio.ensure_future(
            aioconnect.connect_sock(first, black_hole.sockaddr)
        )
        await settled(connecting)
        connecting.cancel()
        first.close()
        # The stranger: on asyncio it gets the very descriptor, and is pending too.
        second = socket.socket()
        second.setblocking(False)
        reused += second.fileno() == old
        again = asyncio.ensure_future(
            aioconnect.connect_sock(second, black_hole.sockaddr, timeout=0.02)
        )
        with pytest.raises(asyncio.CancelledError):
            await connecting
        with pytest.raises(TimeoutError):
            await again
        second.close()
    assert reused == (100 if is_asyncio else 0)  # uvloop defers the close


async def test_reused_descriptor_is_polled(black_hole: BlackHole) -> None:
    """K12: the watcher on the reused descriptor is woken."""
    first = socket.socket()
    first.setblocking(False)
    connecting = asyncio.ensure_future(
        aioconnect.connect_sock(first, black_hole.sockaddr)
    )
    await settled(connecting)
    connecting.cancel()
    first.close()
    with socket.socket() as second:
        second.setblocking(False)
        later = asyncio.ensure_future(
            aioconnect.connect_sock(second, black_hole.sockaddr)
        )
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await settled(later)
        black_hole.open()
        await asyncio.wait_for(later, 30)
        assert second.getpeername() == black_hole.sockaddr


async def test_close_before_the_cleanup(black_hole: BlackHole) -> None:
    """A socket that is closed while it is watched leaves no watcher behind (K11)."""
    for close_first in (True, False):
        sock = socket.socket()
        sock.setblocking(False)
        connecting = asyncio.ensure_future(
            aioconnect.connect_sock(sock, black_hole.sockaddr)
        )
        await settled(connecting)
        if close_first:
            sock.close()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        sock.close()


class _NoWriters(asyncio.AbstractEventLoop):
    """A loop like Windows' proactor: it has no add_writer of its own."""


def test_loops_that_cannot_watch() -> None:
    with pytest.raises(NotImplementedError, match=r"_NoWriters .* uvloop"):
        check_loop(_NoWriters.__new__(_NoWriters))  # type: ignore[type-abstract]  # that is the test


@pytest.mark.parametrize("error", [NotImplementedError(), OSError(errno.ENOSPC, "no")])
def test_watching_that_fails(black_hole: BlackHole, error: Exception) -> None:
    """A loop that says only when asked that it cannot watch leaves nothing either."""

    class Loop(asyncio.SelectorEventLoop):
        def add_writer(self, *_: Any) -> Any:  # type: ignore[override]  # enough
            raise error

    with (
        asyncio.Runner(loop_factory=Loop) as runner,
        pytest.raises((NotImplementedError, OSError)) as caught,
    ):
        runner.run(aioconnect.connect("127.0.0.1", black_hole.port, timeout=5))
    if isinstance(error, NotImplementedError):
        assert "Loop has no add_writer" in str(caught.value)
    else:
        assert isinstance(caught.value, aioconnect.ConnectError)
        assert caught.value.errno == errno.ENOSPC


def test_outside_a_loop() -> None:
    coroutine = aioconnect.connect("127.0.0.1", 1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_wait_to_read_that_outlives_its_loop(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """Thrown away when the loop is closed, it asks nothing of that."""
    loop = loop_factory()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        waiting = is_readable(loop, ours, None)
        waiting.send(None)
        loop.remove_reader(ours)  # uvloop does not let it be closed else
        loop.close()
        waiting.close()


class Late:
    """A socket whose connect is under way."""

    def connect_ex(self, sockaddr: Any) -> int:
        return errno.EALREADY


class SharedMemory(dict[Any, int]):
    """A dict from which another thread removes the oldest entry at a bad moment."""

    def __iter__(self) -> Iterator[Any]:
        keys = list(self.keys())
        self.pop(keys[0])
        return iter(keys)


def test_threads_share_the_memory_of_late_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No connect fails because two threads make room for an address at once."""
    sock: Any = Late()
    late = SharedMemory(dict.fromkeys(range(sockets._MOST_LATE), 1))
    monkeypatch.setattr(sockets, "_late", late)
    sockaddr = ("192.0.2.1", 80)
    assert sockets._look_again(sock, sockaddr, errno.EINPROGRESS) == errno.EALREADY
    assert late[sockaddr] == 1


def test_the_memory_of_late_addresses_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What threads added at the same time, beyond the limit, goes with the next one."""
    sock: Any = Late()
    late: dict[Any, int] = dict.fromkeys(range(sockets._MOST_LATE + 50), 1)
    monkeypatch.setattr(sockets, "_late", late)
    sockets._look_again(sock, ("192.0.2.1", 80), errno.EINPROGRESS)
    assert len(late) == sockets._MOST_LATE

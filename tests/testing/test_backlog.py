"""A full queue stays full until the test frees it."""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from pathlib import Path

import pytest

from aioconnect.testing import black_hole, full_backlog, leak_check
from aioconnect.testing._backlog import _fill_accept_queue
from aioconnect.testing._ports import bound_socket

KINDS = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET]


def is_answered(sock: socket.socket, timeout: float) -> bool:
    """Tell whether the pending connect of *sock* has ended within *timeout*."""
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return bool(poller.poll(timeout * 1000))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_black_hole_gives_no_answer_until_it_is_opened(host: str) -> None:
    with leak_check(), black_hole(host) as hole:
        clients = []
        for _ in range(20):
            sock = socket.socket(hole.address.family)
            sock.setblocking(False)
            assert sock.connect_ex(hole.sockaddr) == errno.EINPROGRESS
            clients.append(sock)
        assert not any(is_answered(sock, 0.02) for sock in clients)
        server = hole.open()
        # The SYN is sent again after 1, 2 and 4 seconds.
        for sock in clients:
            assert is_answered(sock, 20.0)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        own = {sock.getsockname()[:2] for sock in clients}
        for _ in clients:
            with server.accept() as conn:
                own.remove(conn.getpeername()[:2])
        assert not own
        for sock in clients:
            sock.close()


def test_black_hole_is_full_every_time() -> None:
    """Its queue is always full before the test gets it."""
    with leak_check():
        for _ in range(100):
            with black_hole() as hole, socket.socket() as sock:
                sock.setblocking(False)
                sock.connect_ex(hole.sockaddr)
                assert not is_answered(sock, 0.005)


def test_a_queue_of_any_length_is_filled() -> None:
    """A kernel may give more room than listen() asked for."""
    fillers: list[socket.socket] = []
    with bound_socket("127.0.0.1") as listener, socket.socket() as sock:
        listener.listen(5)
        _fill_accept_queue(listener, fillers)
        assert len(fillers) == 6
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        assert not is_answered(sock, 0.05)
        for filler in fillers:
            filler.close()


def test_a_queue_that_never_fills_is_an_error() -> None:
    fillers: list[socket.socket] = []
    with bound_socket("127.0.0.1") as listener:
        listener.listen(1000)
        with pytest.raises(TimeoutError, match="does not fill"):
            _fill_accept_queue(listener, fillers)
        for filler in fillers:
            filler.close()


async def test_black_hole_with_a_running_loop() -> None:
    loop = asyncio.get_running_loop()
    with black_hole() as hole, socket.socket() as sock:
        sock.setblocking(False)
        connecting = asyncio.ensure_future(loop.sock_connect(sock, hole.sockaddr))
        done, _ = await asyncio.wait([connecting], timeout=0.1)
        assert not done
        hole.open()
        await connecting


@pytest.mark.parametrize("kind", KINDS)
def test_full_backlog_gives_eagain_then_a_slot(kind: int) -> None:
    with leak_check(), full_backlog(kind=kind) as full:
        for _ in range(5):
            with socket.socket(socket.AF_UNIX, kind) as sock:
                sock.setblocking(False)
                for _ in range(10):
                    assert sock.connect_ex(full.sockaddr) == errno.EAGAIN
                full.free_slot()
                assert sock.connect_ex(full.sockaddr) == 0
                assert sock.getpeername() == full.path


def test_full_backlog_accepts_what_waits() -> None:
    with full_backlog() as full, full.accept():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            assert sock.connect_ex(full.sockaddr) == 0
            with full.accept() as conn:
                sock.send(b"x")
                assert conn.recv(1) == b"x"
        with pytest.raises(BlockingIOError):
            full.free_slot()


@pytest.mark.parametrize("kind", KINDS)
def test_full_backlog_whose_listener_is_closed_refuses(
    kind: int, tmp_path: Path
) -> None:
    with full_backlog(tmp_path / "full", kind=kind) as full:
        full.close_listener()
        with socket.socket(socket.AF_UNIX, kind) as sock:
            assert sock.connect_ex(full.sockaddr) == errno.ECONNREFUSED
        with pytest.raises(OSError, match="Bad file descriptor"):
            full.free_slot()
    assert not (tmp_path / "full").exists()

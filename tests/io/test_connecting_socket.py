"""A connect under way: waited for, polled, and believed only with a peer."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from socket_endpoints import settled, tcp

import aioconnect
from aioconnect import Address, outcome
from aioconnect._io import connect_outcome
from aioconnect._io.connecting_socket import ConnectingSocket
from aioconnect.testing import (
    BlackHole,
    FullBacklog,
)

OUTCOMES = (
    outcome.so_error,
    outcome.peername_so_error,
    outcome.peername_read,
    outcome.zero_length_read,
    outcome.connect_again,
)


@pytest.mark.parametrize("function", OUTCOMES)
async def test_late_answer(
    black_hole: BlackHole, function: Callable[[socket.socket, Any], int]
) -> None:
    """A connect that is answered later succeeds, with every outcome function."""
    address = tcp(black_hole.port)
    connecting = asyncio.ensure_future(
        aioconnect.connect_address(address, outcome=function)
    )
    await settled(connecting)
    black_hole.open()
    with await connecting as sock:
        assert sock.getpeername() == black_hole.sockaddr


@pytest.mark.parametrize("function", OUTCOMES)
async def test_late_failure(
    black_hole: BlackHole, function: Callable[[socket.socket, Any], int]
) -> None:
    """A connect that fails later fails, with every outcome function."""

    def in_a_moment(sock: socket.socket, address: Address) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)

    with pytest.raises(aioconnect.ConnectTimeoutError) as caught:
        await aioconnect.connect_address(
            tcp(black_hole.port), prepare=[in_a_moment], outcome=function
        )
    (attempt,) = caught.value.attempts
    assert attempt.phase == "connect"
    assert isinstance(attempt.error, OSError)
    assert attempt.error.strerror == os.strerror(errno.ETIMEDOUT)  # the kernel's


async def test_denied_success(black_hole: BlackHole) -> None:
    """An outcome that says "pending" of a connected socket cannot keep it so."""

    def denies(sock: socket.socket, sockaddr: Any) -> int:
        return errno.EINPROGRESS

    connecting = asyncio.ensure_future(
        aioconnect.connect_address(tcp(black_hole.port), outcome=denies)
    )
    await settled(connecting)
    black_hole.open()
    with await connecting as sock:
        assert sock.getpeername() == black_hole.sockaddr


async def test_lies_do_not_connect(black_hole: BlackHole) -> None:
    """An outcome that says "connected" of a pending socket is not believed."""
    address = tcp(black_hole.port)
    with pytest.raises(aioconnect.ConnectTimeoutError):
        await aioconnect.connect_address(
            address, timeout=0.05, outcome=outcome.zero_length_read
        )


STREAM, PACKETS = socket.SOCK_STREAM, socket.SOCK_SEQPACKET


@pytest.mark.parametrize(
    ("kind", "proto", "is_believed"),
    [
        (STREAM, 0, True),
        (STREAM, socket.IPPROTO_TCP, True),
        (STREAM, 262, False),  # MPTCP's poll does not look into the error queue
        (PACKETS, 0, False),  # SCTP's says that it can be written to before it connects
    ],
)
def test_one_call_is_believed_of_tcp(
    monkeypatch: pytest.MonkeyPatch,
    black_hole: BlackHole,
    kind: int,
    proto: int,
    is_believed: bool,
) -> None:
    """What only TCP's poll says is not asked of other sockets."""
    monkeypatch.setattr(connect_outcome, "is_established", lambda _: True)
    address = Address(socket.AF_INET, black_hole.sockaddr, proto, kind)
    with socket.socket() as sock:
        sock.setblocking(False)
        code = sock.connect_ex(black_hole.sockaddr)
        pending = ConnectingSocket(sock, address, code, lambda _, __: 0, 0.0)
        assert pending.poll() == is_believed


async def test_full_backlog_is_waited_for(full_backlog: FullBacklog) -> None:
    """K1: a full backlog is never a success, costs next to nothing, and ends."""
    kind = full_backlog.address.type
    spent = time.process_time()
    with pytest.raises(aioconnect.ConnectTimeoutError, match="backlog is still full"):
        await aioconnect.connect_unix(full_backlog.path, kind=kind, timeout=1.0)
    spent = time.process_time() - spent
    # A spin takes all of it; being measured, beside other tests, 30 ms.
    assert spent < 0.1, f"{spent} s of CPU in a second of waiting"
    connecting = asyncio.ensure_future(
        aioconnect.connect_unix(full_backlog.path, kind=kind, timeout=30)
    )
    await settled(connecting)
    full_backlog.free_slot()
    with await connecting as sock:
        assert sock.getpeername() == full_backlog.path


@pytest.mark.parametrize("function", OUTCOMES)
async def test_freed_slot(
    full_backlog: FullBacklog, function: Callable[[socket.socket, Any], int]
) -> None:
    """K1: nothing has begun, so the outcome function is not called."""
    connecting = asyncio.ensure_future(
        aioconnect.connect_unix(
            full_backlog.path,
            kind=full_backlog.address.type,
            timeout=30,
            outcome=function,
        )
    )
    await settled(connecting)
    full_backlog.free_slot()
    (await connecting).close()


async def test_slot_that_is_freed_at_the_deadline(full_backlog: FullBacklog) -> None:
    """When the time is up the kernel is asked once more: the socket wins."""
    connecting = asyncio.ensure_future(
        # Shorter than the first pause: its only end is the deadline.
        aioconnect.connect_unix(
            full_backlog.path, kind=full_backlog.address.type, timeout=0.0005
        )
    )
    await asyncio.sleep(0)
    full_backlog.free_slot()
    (await connecting).close()


async def test_full_backlog_whose_listener_goes(full_backlog: FullBacklog) -> None:
    """A listener that closes meanwhile refuses."""
    connecting = asyncio.ensure_future(
        aioconnect.connect_unix(full_backlog.path, kind=full_backlog.address.type)
    )
    await settled(connecting)
    full_backlog.close_listener()
    with pytest.raises(aioconnect.ConnectRefusedError):
        await connecting


async def test_an_outcome_that_is_no_number(black_hole: BlackHole) -> None:
    """A result that is no number is refused."""
    with pytest.raises(TypeError, match="outcome must return an int, not None"):
        await aioconnect.connect(
            "127.0.0.1",
            black_hole.port,
            timeout=0.1,
            outcome=lambda *_: None,  # type: ignore[arg-type]  # that is the test
        )

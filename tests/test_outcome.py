"""Each function that learns an outcome, on each way that a connect can end."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aioconnect
from aioconnect import outcome, testing
from aioconnect._io.connect_outcome import has_peer, is_established

Case = tuple[socket.socket, Any]

# The answers, lies included, in the order of FUNCTIONS.  The docstring of
# aioconnect.outcome has the same table, with the lies in brackets.
FUNCTIONS = (
    outcome.so_error,
    outcome.peername_so_error,
    outcome.peername_read,
    outcome.zero_length_read,
    outcome.connect_again,
)
_P = "EINPROGRESS"
ANSWERS: dict[str, tuple[str, ...]] = {
    "connected": ("0",) * 5,
    "connected, data": ("0",) * 5,
    "connected, reset": ("ECONNRESET",) * 3 + ("0", "ECONNRESET"),
    "refused": ("ECONNREFUSED",) * 3 + ("0", "ECONNREFUSED"),
    "unreachable": ("0", _P, "ENOTCONN", "0", "ENETUNREACH"),
    "timed out": ("ETIMEDOUT",) * 3 + ("0", "ETIMEDOUT"),
    "still pending": ("0", _P, _P, "0", _P),
    "Unix, connected": ("0",) * 5,
    "Unix, refused": ("0", _P, "EINVAL", "0", "ECONNREFUSED"),
    "Unix, missing": ("0", _P, "EINVAL", "0", "ENOENT"),
    "Unix, backlog full": ("0", _P, "EINVAL", "0", "EAGAIN"),
}
TRUTH = {
    "connected": "0",
    "connected, data": "0",
    "connected, reset": "ECONNRESET",
    "refused": "ECONNREFUSED",
    "unreachable": "ENETUNREACH",
    "timed out": "ETIMEDOUT",
    "still pending": _P,
    "Unix, connected": "0",
    "Unix, refused": "ECONNREFUSED",
    "Unix, missing": "ENOENT",
    "Unix, backlog full": "EAGAIN",
}


# The server that a connect meets in each case, given a path for a Unix socket.
SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Any]]] = {
    "connected": lambda _: testing.listening(),
    "connected, data": lambda _: testing.listening(),
    "connected, reset": lambda _: testing.flaky(["reset"]),
    "refused": lambda _: testing.refusing(),
    # The limited broadcast address: no route, and nothing is sent.
    "unreachable": lambda _: contextlib.nullcontext(
        aioconnect.Address(socket.AF_INET, ("255.255.255.255", 80))
    ),
    "timed out": lambda _: testing.black_hole(),
    "still pending": lambda _: testing.black_hole(),
    "Unix, connected": testing.unix_listening,
    "Unix, refused": testing.full_backlog,
    "Unix, missing": lambda path: contextlib.nullcontext(
        aioconnect.Address(socket.AF_UNIX, str(path))
    ),
    "Unix, backlog full": testing.full_backlog,
}


def _readable(sock: socket.socket) -> None:
    """Wait until poll reports something about *sock*."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    while not any(bits & ~select.POLLOUT for _, bits in poll.poll(5000)):
        pass


def _wait_for(sock: socket.socket, bit: int) -> None:
    """Wait until poll reports *bit*."""
    poll = select.poll()
    poll.register(sock, 0)
    assert [bits & bit for _, bits in poll.poll(5000)] == [bit]


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """Give a socket whose connect has ended as the parameter says, and its address."""
    name: str = request.param
    family = socket.AF_UNIX if name.startswith("Unix") else socket.AF_INET
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(SERVERS[name](tmp_path / "unix"))
        if name == "Unix, refused":
            server.close_listener()
        sock = stack.enter_context(socket.socket(family))
        sock.setblocking(False)
        if name == "timed out":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 100)
        sock.connect_ex(server.sockaddr)
        if name == "connected, data":
            stack.enter_context(server.accept()).send(b"data")
        if name in ("connected, data", "connected, reset", "refused", "timed out"):
            _readable(sock)
        yield sock, server.sockaddr


@pytest.mark.parametrize("column", range(5), ids=[f.__name__ for f in FUNCTIONS])
@pytest.mark.parametrize(("case", "name"), [(n, n) for n in ANSWERS], indirect=["case"])
def test_answers(case: Case, name: str, column: int) -> None:
    """Each function's first answer, for each way that a connect can end."""
    answer = FUNCTIONS[column](*case)
    assert errno.errorcode.get(answer, str(answer)) == ANSWERS[name][column]


@pytest.mark.parametrize(("case", "name"), [(n, n) for n in ANSWERS], indirect=["case"])
def test_only_a_peer_proves_it(case: Case, name: str) -> None:
    """The name of a peer exists on a connected socket, and on no other."""
    connected = name in ("connected", "connected, data", "Unix, connected")
    assert (has_peer(case[0]) == 0) == connected


@pytest.mark.skipif(sys.platform != "linux", reason="other systems poll otherwise")
@pytest.mark.parametrize(
    ("case", "name"),
    [(n, n) for n in ANSWERS if not n.startswith("Unix")],
    indirect=["case"],
)
def test_a_single_call_proves_it(case: Case, name: str) -> None:
    """TCP's socket is writable, and nothing else, if it is connected, and only then."""
    assert is_established(case[0]) == (name in ("connected", "connected, data"))


# linux/net_tstamp.h: note in the error queue when the software sends a packet.
_TX_SOFTWARE, _SOFTWARE, _SO_TIMESTAMPING = 1 << 1, 1 << 4, 37


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such queue")
def test_an_error_queue_that_is_not_empty() -> None:
    """A socket with a peer is not plainly connected while its queue holds something."""
    with testing.listening() as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SOFTWARE | _SOFTWARE)
        sock.connect(server.sockaddr)
        assert is_established(sock)
        sock.send(b"x")
        _wait_for(sock, select.POLLERR)
        assert has_peer(sock) == 0
        assert not is_established(sock)
        sock.recvmsg(0, 0, socket.MSG_ERRQUEUE)
        assert is_established(sock)


def test_a_socket_that_cannot_be_polled() -> None:
    """It is not said to be connected, and no error hides the attempt's."""
    sock = socket.socket()
    sock.close()
    assert not is_established(sock)


def test_docstring() -> None:
    """The docstring's table is the one that was tested on the kernel."""
    assert outcome.__doc__ is not None
    rows = outcome.__doc__.splitlines()
    for name, answers in ANSWERS.items():
        (row,) = (row for row in rows if row.startswith(f"{name} ") and row[19] != ",")
        said = row[19:].split()
        marked = [
            answer if answer == TRUTH[name] else f"[{answer}]" for answer in answers
        ]
        assert said == marked


def test_default() -> None:
    """The default is the function that is right most often."""
    right: dict[Callable[..., int], int] = {
        function: sum(ANSWERS[name][column] == TRUTH[name] for name in ANSWERS)
        for column, function in enumerate(FUNCTIONS)
    }
    assert max(right, key=right.__getitem__) is outcome.default
    assert aioconnect.Connector().outcome is outcome.default


@pytest.mark.parametrize("case", ["refused"], indirect=True)
def test_an_error_is_told_once(case: Case) -> None:
    """Reading SO_ERROR clears it: a second read returns 0."""
    assert outcome.so_error(*case) == errno.ECONNREFUSED
    assert outcome.so_error(*case) == 0


@pytest.mark.parametrize("case", ["connected, data"], indirect=True)
def test_no_data_is_consumed(case: Case) -> None:
    """No function consumes data of a connection that it finds connected."""
    for function in FUNCTIONS:
        assert function(*case) == 0
    assert case[0].recv(16) == b"data"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_closed_socket(function: Callable[..., int]) -> None:
    """A closed descriptor gives an error, and never a success."""
    sock = socket.socket()
    os.close(sock.detach())
    sock = socket.socket()
    sock.close()
    with contextlib.suppress(OSError):
        assert function(sock, ("127.0.0.1", 1)) == errno.EBADF

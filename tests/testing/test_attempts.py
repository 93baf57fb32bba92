"""The client's own socket shows which announced attempts are under way."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable

import pytest

from aioconnect.testing import black_hole, leak_check, listening, refusing
from aioconnect.testing._attempts import AnnouncedAttempts, _has_half_open_handshake
from aioconnect.testing._bpf_filters import drop_everything


def elsewhere(question: Callable[[], bool]) -> bool:
    """Return the answer that another thread gets."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(question()))
    thread.start()
    thread.join()
    return answers[0]


def test_a_connect_without_an_answer_is_under_way_unless_it_shall_hang() -> None:
    with leak_check(), black_hole() as hole, socket.socket() as sock:
        sock.setblocking(False)
        attempts = AnnouncedAttempts(hole.port)
        attempts.announce("refuse", sock)
        assert sock.connect_ex(hole.sockaddr) == errno.EINPROGRESS
        assert attempts.are_under_way()
        attempts.clear()
        assert not attempts.are_under_way()
        attempts.announce("hang", sock)
        assert not attempts.are_under_way()


def test_a_connect_not_made_yet_is_under_way_for_other_threads_only() -> None:
    """Its own thread has skipped it; another thread may be about to make it."""
    attempts = AnnouncedAttempts(1)
    with socket.socket() as sock:
        attempts.announce("accept", sock)
        assert not attempts.are_under_way()
        assert elsewhere(attempts.are_under_way)
        sock.bind(("127.0.0.1", 0))
        assert elsewhere(attempts.are_under_way)
    assert not elsewhere(attempts.are_under_way)


@pytest.mark.parametrize("is_bound", [False, True])
@pytest.mark.parametrize("times_asked", [0, 1, 2])
def test_a_connect_that_was_refused_is_over_for_everybody(
    times_asked: int, is_bound: bool
) -> None:
    """However often the error was read, by a blocking connect or by two others."""
    with refusing() as refused, socket.socket() as sock:
        attempts = AnnouncedAttempts(refused.port)
        attempts.announce("refuse", sock)
        if is_bound:
            sock.bind(("127.0.0.2", 0))
        sock.setblocking(times_asked == 0)
        for _ in range(times_asked or 1):
            sock.connect_ex(refused.sockaddr)
        assert not attempts.are_under_way()
        assert not elsewhere(attempts.are_under_way)


def test_a_connection_is_under_way_until_it_is_taken() -> None:
    with listening() as server, socket.socket() as sock:
        attempts = AnnouncedAttempts(server.port)
        attempts.announce("reset", sock)
        sock.connect(server.sockaddr)
        assert attempts.are_under_way()
        assert attempts.take_script(sock.getsockname()[1]) == "reset"
        assert not attempts.are_under_way()
        assert attempts.take_script(sock.getsockname()[1]) is None


def test_connections_are_told_apart_by_their_ports() -> None:
    with listening() as server, socket.socket() as one, socket.socket() as two:
        attempts = AnnouncedAttempts(server.port)
        attempts.announce("reset", one)
        attempts.announce("accept", two)
        two.connect(server.sockaddr)
        assert attempts.take_script(two.getsockname()[1]) == "accept"
        one.connect(server.sockaddr)
        assert attempts.take_script(one.getsockname()[1]) == "reset"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_handshake_that_lacks_its_end_is_seen(host: str) -> None:
    with listening(host) as server, socket.socket(server.address.family) as sock:
        assert not _has_half_open_handshake(server.port)
        drop_everything(sock)
        sock.setblocking(False)
        sock.connect_ex(server.sockaddr)
        attempts = AnnouncedAttempts(server.port)
        attempts.announce("accept", None)
        assert _has_half_open_handshake(server.port)
        assert attempts.are_under_way()

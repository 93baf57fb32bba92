"""Each attempt gets exactly its word of the script, from any client."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import random
import re
import select
import socket
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from aioconnect._sansio.addresses import Address
from aioconnect.testing import FlakyServer, Word, flaky, leak_check

WORDS: list[Word] = [
    "refuse",
    "reset",
    "hang",
    "accept_close",
    "accept_silent",
    "accept",
]

# How long a hanging connect is watched.  The kernel sends a SYN again after 1 s.
A_MOMENT = 0.02


def outcome(sock: socket.socket, server: FlakyServer) -> str:
    """Connect *sock*, and return the word that it has met."""
    sock.setblocking(False)
    code = sock.connect_ex(server.sockaddr)
    if code == errno.EINPROGRESS and not ready(sock, select.POLLOUT, A_MOMENT):
        # Either slow or hanging: only a hanging connect is still in SYN_SENT.
        is_pending = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 2
        return "hang" if is_pending else outcome_now(sock, server)
    return outcome_now(sock, server)


def outcome_now(sock: socket.socket, server: FlakyServer) -> str:
    """Return the word for the connect of *sock*, which has ended."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code == errno.ECONNREFUSED:
        return "refuse"
    try:
        if code:
            raise OSError(code, "connect")
        sock.send(b"x")
        return answer(sock, server)
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


def answer(sock: socket.socket, server: FlakyServer) -> str:
    """Return the word for the peer's answer to one byte."""
    # A silent server is recognised by silence after all others would have answered.
    # That is when the server's thread has run once, which a slow machine delays.
    for _ in range(5):
        been_around = threading.Event()
        server._connections._thread.call_soon(been_around.set)
        assert been_around.wait(30)
        if ready(sock, select.POLLIN, A_MOMENT):
            return "accept" if sock.recv(1) else "accept_close"
    return "accept_silent"


def ready(sock: socket.socket, event: int, timeout: float) -> bool:
    """Tell whether *event* comes within *timeout* seconds."""
    poller = select.poll()
    poller.register(sock, event)
    return bool(poller.poll(timeout * 1000))


def attempt(server: FlakyServer) -> str:
    """Announce one attempt as a connector does, and return the word it met."""
    with socket.socket(server.address.family) as sock:
        server(sock, server.address)
        return outcome(sock, server)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_script_is_followed_and_its_last_word_repeated(host: str) -> None:
    with leak_check(), flaky(WORDS, host) as server:
        assert [attempt(server) for _ in range(8)] == [*WORDS, "accept", "accept"]
        assert server.log == [*WORDS, "accept", "accept"]
        assert server.connections == 6


@pytest.mark.parametrize("word", WORDS)
def test_each_word_follows_each_other(word: Word) -> None:
    """Nothing of the previous attempt's state is left when the hook returns."""
    script: list[Word] = []
    for other in WORDS:
        script += [word, other]
    with leak_check(), flaky(script) as server:
        assert [attempt(server) for _ in script] == script


STILL = r"stood still after {} attempts: .*prepare=\[server\]"


@pytest.mark.parametrize(
    "script", [["refuse", "accept"], ["accept", "refuse"], ["hang"] * 2]
)
def test_a_script_that_nobody_has_moved(script: list[Word]) -> None:
    """A client that never called the server gets one warning, at the with statement."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with flaky(script):
            pass
    (warning,) = caught
    assert warning.category is RuntimeWarning
    assert re.search(STILL.format(0), str(warning.message))
    assert warning.filename == __file__


def test_a_script_that_accepting_does_not_move() -> None:
    """A server never sees what it refuses, so the script stops there."""
    with (
        pytest.warns(RuntimeWarning, match=STILL.format(1)),
        flaky(["accept_close", "refuse", "accept"]) as server,
        socket.create_connection((server.host, server.port)) as sock,
    ):
        assert sock.recv(1) == b""


@pytest.mark.parametrize("script", [["accept", "hang"], ["reset", "refuse"]])
def test_a_script_that_accepting_moves(script: list[Word]) -> None:
    """A connection that the server has not accepted yet counts too: no warning."""
    with flaky(script) as server, socket.create_connection((server.host, server.port)):
        pass
    assert server.log == script[:1]


@pytest.mark.parametrize("word", ["refuse", "hang", "accept"])
def test_a_script_that_has_nowhere_to_go(word: Word) -> None:
    """A script of one word needs no announced attempt: no warning."""
    with flaky([word]):
        pass


def test_a_script_that_was_announced() -> None:
    with flaky(["refuse", "accept"]) as server:
        server.advance()


def test_a_script_of_a_test_that_fails() -> None:
    """The test's own exception matters: no warning."""
    with pytest.raises(ZeroDivisionError), flaky(["refuse", "accept"]):
        raise ZeroDivisionError


def test_two_hundred_attempts_without_a_pause() -> None:
    """Refused and accepted in turn, as fast as possible; the port is never lost."""
    chance = random.Random(3)
    script: list[Word] = chance.choices(["refuse", "accept", "reset"], k=200)
    with leak_check(), flaky(script) as server:
        assert [attempt(server) for _ in script] == script
        assert server.log == script


def test_a_thousand_refusals_of_a_port_that_was_open() -> None:
    """No connect reaches itself, and none is accepted."""
    with leak_check(), flaky(["accept", "refuse"]) as server:
        assert attempt(server) == "accept"
        assert {attempt(server) for _ in range(1000)} == {"refuse"}


def test_what_is_connected_stays_connected_when_the_port_refuses() -> None:
    with (
        leak_check(),
        flaky(["accept", "refuse", "hang", "accept"]) as server,
        socket.socket() as first,
    ):
        server(first, server.address)
        first.connect(server.sockaddr)
        assert [attempt(server) for _ in range(2)] == ["refuse", "hang"]
        first.sendall(b"hello")
        assert first.recv(5) == b"hello"
        assert attempt(server) == "accept"


def test_a_connect_under_way_keeps_its_word() -> None:
    """A racing client starts each attempt before it announces the next one."""
    chance = random.Random(8)
    script: list[Word] = chance.choices(["refuse", "accept", "reset", "hang"], k=200)
    with leak_check(), flaky(script) as server, contextlib.ExitStack() as stack:
        socks = []
        for _ in script:
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            server(sock, server.address)
            sock.connect_ex(server.sockaddr)
            socks.append(sock)
        found = [
            "hang"
            if not ready(sock, select.POLLOUT, A_MOMENT)
            else outcome_now(sock, server)
            for sock in socks
        ]
        assert found == script


def test_a_hanging_attempt_still_hangs_when_the_port_opens() -> None:
    """The kernel sends the SYN again after a second, and it must not get through."""
    with (
        leak_check(),
        flaky(["hang", "accept", "refuse"]) as server,
        socket.socket() as first,
    ):
        server(first, server.address)
        assert outcome(first, server) == "hang"
        assert attempt(server) == "accept"
        assert not ready(first, select.POLLOUT, 1.3)
        assert attempt(server) == "refuse"
        assert not ready(first, select.POLLOUT, 2.0)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_get_the_words_announced_for_them(threads: int) -> None:
    """200 attempts from threads: each gets its own word, and all words are used."""
    chance = random.Random(threads)
    script: list[Word] = chance.choices(["refuse", "accept", "reset", "hang"], k=200)
    announcing = threading.Lock()

    def run(server: FlakyServer) -> tuple[str, str]:
        with socket.socket() as sock:
            with announcing:
                # The lock only tells this thread's word.  The connects overlap.
                server(sock, server.address)
                given = server.log[-1]
            return given, outcome(sock, server)

    with leak_check(), flaky(script) as server:
        with ThreadPoolExecutor(threads) as pool:
            results = list(pool.map(run, [server] * len(script)))
        assert [given for given, got in results if given != got] == []
        assert sorted(server.log) == sorted(script)


async def test_with_a_running_loop() -> None:
    loop = asyncio.get_running_loop()
    script: list[Word] = ["refuse", "hang", "accept"] * 5
    found = []
    with flaky(script) as server:
        for _ in script:
            with socket.socket() as sock:
                sock.setblocking(False)
                server(sock, server.address)
                # The others come at once, except on a slow machine.
                limit = 0.05 if server.log[-1] == "hang" else 30
                try:
                    async with asyncio.timeout(limit):
                        await loop.sock_connect(sock, server.sockaddr)
                except ConnectionRefusedError:
                    found.append("refuse")
                except TimeoutError:
                    found.append("hang")
                else:
                    await loop.sock_sendall(sock, b"x")
                    found.append("accept" if await loop.sock_recv(sock, 1) else "?")
    assert found == script


def test_advance_does_the_same_for_clients_without_hooks() -> None:
    with leak_check(), flaky(WORDS * 5) as server:
        found = []
        for _ in range(30):
            server.advance()
            with socket.socket() as sock:
                found.append(outcome(sock, server))
        assert found == WORDS * 5


def test_without_a_hook_each_accepted_connection_moves_the_script() -> None:
    script: list[Word] = ["reset", "accept_close", "accept", "accept_silent", "accept"]
    with leak_check(), flaky(script) as server:
        found = []
        for _ in script:
            with socket.socket() as sock:
                found.append(outcome(sock, server))
        assert found == server.log == script


@pytest.mark.parametrize("last", ["refuse", "hang"])
def test_without_a_hook_the_port_is_shut_before_the_next_client(last: Word) -> None:
    """However fast the next client is, it never gets into the queue."""
    for _ in range(4):
        with leak_check(), flaky(["accept", last]) as server:
            with socket.socket() as first, socket.socket() as second:
                first.connect(server.sockaddr)
                second.setblocking(False)
                second.connect_ex(server.sockaddr)
                server.wait_for_connections(1)
                if last == "hang":
                    assert not ready(second, select.POLLOUT, A_MOMENT)
                else:
                    # It connects at once, or when its SYN is sent again.
                    assert ready(second, select.POLLOUT, 20.0)
                    assert outcome_now(second, server) == "refuse"
                first.sendall(b"x")
                assert first.recv(1) == b"x"
            assert server.log == ["accept"]


def test_without_a_hook_nobody_gets_in_while_a_client_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Accepting makes room in the queue, too early for the next client."""
    with (
        leak_check(),
        flaky(["accept", "hang"]) as server,
        socket.socket() as first,
        socket.socket() as second,
    ):
        second.setblocking(False)
        accept = server._switchable_port.accept

        def accept_slowly() -> tuple[socket.socket, int] | None:
            accepted = accept()
            second.connect_ex(server.sockaddr)
            return accepted

        monkeypatch.setattr(server._switchable_port, "accept", accept_slowly)
        first.connect(server.sockaddr)
        server.wait_for_connections(1)
        assert not ready(second, select.POLLOUT, A_MOMENT)
        monkeypatch.undo()


def test_a_refusing_port_stays_until_it_is_called() -> None:
    with leak_check(), flaky(["refuse", "accept"]) as server:
        for _ in range(5):
            with socket.socket() as sock:
                assert outcome(sock, server) == "refuse"
        assert server.log == []
        server.advance()
        server.advance()
        with socket.socket() as sock:
            assert outcome(sock, server) == "accept"


def test_an_attempt_at_another_address_is_not_counted() -> None:
    with flaky(["refuse", "accept"]) as server, socket.socket() as sock:
        server(sock, Address(socket.AF_INET, ("127.0.0.1", 1)))
        server(sock, Address(socket.AF_INET, ("192.0.2.1", server.port)))
        server(sock, Address(socket.AF_UNIX, "/tmp/x"))
        assert server.log == []


def test_an_announced_attempt_that_is_never_made_is_skipped() -> None:
    """Another hook may have refused it, so nothing waits for it."""
    with (
        leak_check(),
        flaky(["accept", "refuse", "accept"]) as server,
        socket.socket() as sock,
    ):
        server(sock, server.address)
        assert attempt(server) == "refuse"
        assert attempt(server) == "accept"


def test_a_client_bound_to_an_address_of_its_own() -> None:
    """``local_addr`` is bound between the hook and the connect."""
    with leak_check(), flaky(["accept", "refuse"] * 10) as server:
        found = []
        for _ in range(20):
            with socket.socket() as sock:
                server(sock, server.address)
                sock.bind(("127.0.0.2", 0))
                found.append(outcome(sock, server))
        assert found == ["accept", "refuse"] * 10


def test_a_client_that_gives_its_descriptor_away() -> None:
    with leak_check(), flaky(["accept_close", "refuse"] * 10) as server:
        found = []
        for _ in range(20):
            sock = socket.socket()
            server(sock, server.address)
            with socket.socket(fileno=sock.detach()) as other:
                found.append(outcome(other, server))
        assert found == ["accept_close", "refuse"] * 10


def test_after_the_end_the_hook_does_nothing() -> None:
    with flaky(["accept"]) as server:
        pass
    with socket.socket() as sock:
        server(sock, server.address)
        assert outcome(sock, server) == "refuse"


def test_an_unknown_word_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match=r"word 1 is 'explode'; .*accept_close.*reset"):
        flaky(["accept", "explode"]).__enter__()  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"script is empty; .*accept"):
        flaky([]).__enter__()
    with pytest.raises(TypeError, match="list of words"):
        flaky("accept").__enter__()  # type: ignore[arg-type]


def test_a_thread_that_comes_after_the_end_opens_nothing() -> None:
    """The thread may wait for the lock while the block is left."""
    with leak_check():
        with flaky(["reset"]) as server:
            pass
        server._on_readable()

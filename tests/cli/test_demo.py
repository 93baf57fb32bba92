"""``aioconnect demo``, as the real program, and scene by scene."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NoReturn

import pexpect
import pytest
from programs import AIOCONNECT, environment, program

import aioconnect
from aioconnect import testing
from aioconnect._cli import main
from aioconnect._cli.demo import command, dns_scenes, late_server_scene, tls_scene
from aioconnect._cli.demo.stage import (
    ASYNCIO_TIMEOUT,
    AsyncioResult,
    Stage,
    UntrueError,
)
from aioconnect.testing import Lookup, ScriptedResolver

SCENES = [
    "== A late server, on asyncio",
    "== A late server, on uvloop",
    "== A silent IPv6 address, on asyncio",
    "== A slow DNS answer, on asyncio",
    "== A TLS handshake that stalls, on asyncio",
]


def test_demo() -> None:
    """It shows each scene: asyncio's result, and aioconnect's waterfall."""
    done = program("demo")
    assert done.returncode == 0, done
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("==")] == SCENES
    text = " ".join(done.stdout.split())
    silent = (
        "asyncio.open_connection: not connected after 2 s. It tries one",
        "The same, with happy_eyeballs_delay=0.25: connected after",
        "- attempt [::1]:",
    )
    for said in (
        "asyncio.open_connection: ConnectionRefusedError after",
        "connection refused",
        "wait for round 2",
        "Streams: the server echoed 38 bytes.",
        *(() if "(There is no IPv6 on loopback" in text else silent),
        "- lookup AAAA slow.example",
        "no answer, dropped",
        "not connected after 2 s. Its race ends as soon as ::1 accepts.",
        "- tls [::1]:",
    ):
        assert said in text
    (slow,) = re.findall(r"asyncio.open_connection: connected after ([\d.]+) s", text)
    assert float(slow) >= 1.0
    assert lines[-1] == "All checks passed."
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout


def test_interrupted() -> None:
    """Ctrl-C ends the demo, and does not reach its server."""
    demo = pexpect.spawn(
        AIOCONNECT[0],
        [*AIOCONNECT[1:], "demo"],
        env={**environment(TERM="dumb")},
        timeout=20,
        encoding="utf-8",
    )
    try:
        demo.expect(r"will listen on .* in 1 s")
        demo.sendintr()
        demo.expect(pexpect.EOF)
        said = demo.before
        demo.close()
    finally:
        demo.close(force=True)
    assert "Traceback" not in said
    assert demo.signalstatus == signal.SIGINT


def test_server_that_nobody_listens_to() -> None:
    """If the demo has ended, its server ends too, without an error message."""
    command = [sys.executable, "-m", "aioconnect._cli.demo.late_server_process", "0"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.stderr == b""


def play(scene: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=dns_scenes.ScriptedDNSLoop) as runner:
        runner.run(scene)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@contextlib.contextmanager
def late() -> Iterator[int]:
    """Give a port that refuses long enough for the first try to see it."""
    with testing.late(1.0) as server:
        yield server.port


@contextlib.contextmanager
def not_late() -> Iterator[int]:
    with testing.echoing() as server:
        yield server.port


def test_late_server(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    with late() as port:
        play(late_server_scene.late_server(stage, port))
    shown = capsys.readouterr().out
    assert "ConnectionRefusedError after" in shown
    assert "✓ attempt" in shown
    assert "A raw socket: the server echoed 38 bytes." in shown


def test_that_is_not_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server does not start late, the demo's first claim is untrue."""
    monkeypatch.setattr(late_server_scene, "starting", not_late)
    assert main(["demo"]) == 1
    said = "CHECK FAILED: asyncio.open_connection was not refused"
    assert said in capsys.readouterr().out


def test_what_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without uvloop and IPv6, the demo says so, and the rest is still true."""

    @contextlib.contextmanager
    def no_ipv6() -> Iterator[NoReturn]:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        yield  # type: ignore[unreachable]  # it is a generator

    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setattr(late_server_scene, "starting", late)
    monkeypatch.setattr(dns_scenes, "half_silent", no_ipv6)
    monkeypatch.setattr(dns_scenes, "_ANSWER_DELAY", 0.9)
    slow = Lookup([], delay=1.0)
    answers: dict[tuple[str, int] | str, Lookup] = {
        ("slow.example", socket.AF_INET6): slow,
        ("slow.example", socket.AF_INET): Lookup(["127.0.0.1"]),
    }
    monkeypatch.setattr(dns_scenes, "RESOLVER", ScriptedResolver(answers))
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if line.startswith("==")] == [
        scene for scene in SCENES if "uvloop" not in scene
    ]
    assert "(uvloop is not installed, so asyncio is the only loop.)" in shown
    assert "(There is no IPv6 on loopback: Cannot assign requested address.)" in shown
    assert shown.endswith("All checks passed.\n")


def test_an_address_that_is_not_silent(stage: Stage) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(testing.listening())
        with pytest.raises(UntrueError, match="::1 should be silent"):
            play(dns_scenes.silent_ipv6(stage, server.port))


@pytest.mark.parametrize(
    ("delay", "timeout", "text"),
    [
        (0.0, 30.0, "should wait, but: connected after"),
        (60.0, 0.1, "not connected after 0.1 s"),
    ],
)
def test_an_answer_that_is_not_slow(
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    delay: float,
    timeout: float,
    text: str,
) -> None:
    """Nor may the answer never come."""
    monkeypatch.setattr("aioconnect._cli.demo.stage.ASYNCIO_TIMEOUT", timeout)
    monkeypatch.setattr(dns_scenes, "_ANSWER_DELAY", 30.0)
    lookup = Lookup(["127.0.0.1"], delay=delay)
    names = ScriptedResolver({"slow.example": lookup})
    monkeypatch.setattr(dns_scenes, "RESOLVER", names)
    with testing.listening() as server, pytest.raises(UntrueError, match=text):
        play(dns_scenes.slow_answer(stage, server.port))


def test_a_handshake_that_does_not_stall(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If asyncio is connected, too, the claim is untrue."""
    names = ScriptedResolver({"stalled.example": Lookup(["127.0.0.1"])})
    monkeypatch.setattr(dns_scenes, "RESOLVER", names)
    with pytest.raises(UntrueError, match="asyncio connected"):
        play(tls_scene.stalled_handshake(stage))


def test_a_handshake_that_was_not_needed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor may aioconnect be connected before anything has stalled."""
    names = ScriptedResolver({"stalled.example": Lookup(["127.0.0.1"])})
    monkeypatch.setattr(tls_scene, "RESOLVER", names)
    with pytest.raises(UntrueError, match="but did not"):
        play(tls_scene.stalled_handshake(stage))


def test_no_handshake_without_certificates(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The scene is left out, and says why."""
    monkeypatch.setattr(tls_scene, "_CIPHERS", "no-such-cipher")
    command._run_tls_scene(stage)
    assert "(This OpenSSL has no TLS without certificates: " in capsys.readouterr().out


def test_nothing_was_slower(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aioconnect's connect must have dropped something that was slower."""
    names = ScriptedResolver({"a.example": Lookup(["127.0.0.1"])})
    monkeypatch.setattr(dns_scenes, "RESOLVER", names)
    with testing.listening() as server, pytest.raises(UntrueError, match="was slower"):
        play(dns_scenes._show_connect(stage, "a.example", server.port))


def test_not_connected(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """If aioconnect does not connect, its timeline is shown; the claim is untrue."""
    timeline = aioconnect.Timeline()
    with testing.refusing() as server:
        connecting = aioconnect.connect(server.host, server.port, observer=timeline)
        with pytest.raises(UntrueError, match="refused"):
            asyncio.run(stage.show_connecting(connecting, timeline))
    assert "not connected, ECONNREFUSED" in capsys.readouterr().out


async def test_other_bytes() -> None:
    """If the server does not echo, the claim about the bytes is untrue."""
    client, peer = socket.socketpair()
    with peer:
        peer.sendall((38).to_bytes(4, "big") + b"x" * 38)
        reader, writer = await asyncio.open_connection(sock=client)
        with pytest.raises(UntrueError, match="streams returned other bytes"):
            await late_server_scene._echo_over_streams(reader, writer)
        await writer.wait_closed()
    with testing.listening() as server:

        def answer() -> None:
            with server.accept() as conn:
                conn.sendall(b"x" * 38)
                conn.recv(38, socket.MSG_WAITALL)

        answering = threading.Thread(target=answer)
        answering.start()
        with pytest.raises(UntrueError, match="socket returned other bytes"):
            await late_server_scene._echo_over_socket(server.port)
        answering.join()


def test_in_one_round(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refused only asyncio was not late."""

    async def refused(*_: object) -> AsyncioResult:
        return AsyncioResult(ConnectionRefusedError(), 0.0)

    monkeypatch.setattr(stage, "connect_by_asyncio", refused)
    with not_late() as port, pytest.raises(UntrueError, match="never refused"):
        play(late_server_scene.late_server(stage, port))


def test_a_port_that_is_taken(
    ipv6_listener: testing.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the port is taken on 127.0.0.1, the scene finds another."""
    taken = [OSError(errno.EADDRINUSE, "taken")]
    listening: Callable[..., Any] = testing.listening

    def once_taken(*args: Any, **kwargs: Any) -> Any:
        if taken:
            raise taken.pop()
        return listening(*args, **kwargs)

    monkeypatch.setattr(dns_scenes, "listening", once_taken)
    with dns_scenes.half_silent() as port:
        assert not taken
        with socket.create_connection(("127.0.0.1", port), 5):
            pass
    taken.append(OSError(errno.EACCES, "forbidden"))
    with pytest.raises(PermissionError), dns_scenes.half_silent():
        pass


def test_asyncio_result() -> None:
    assert str(AsyncioResult(None, 0.25)) == "connected after 250 ms"
    assert str(AsyncioResult(ConnectionResetError(), 1.0)) == (
        "ConnectionResetError after 1.000 s"
    )
    late = f"not connected after {ASYNCIO_TIMEOUT:g} s"
    assert str(AsyncioResult(TimeoutError(), ASYNCIO_TIMEOUT)) == late
    assert str(AsyncioResult(TimeoutError(), 1.0)) == "TimeoutError after 1.000 s"


def test_few_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 40 columns no line is longer, and the waterfall fits."""
    monkeypatch.setenv("COLUMNS", "40")
    with late() as port:
        play(late_server_scene.late_server(Stage(), port))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40

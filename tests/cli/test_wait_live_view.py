"""What ``aioconnect wait`` draws, in terminals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from cli.scripted_server import LOADING, scripted
from cli.wait_process import WAIT
from programs import environment, screen

from aioconnect import testing
from aioconnect._sansio.text_width import display_width


def test_a_terminal_that_goes() -> None:
    """Nothing is drawn without the terminal, and the command runs."""
    master, slave = os.openpty()
    with testing.unused_port() as late, open(master, "rb", buffering=0) as terminal:
        wait = (*WAIT, f"127.0.0.1:{late.port}", "--", "sh", "-c", "exit 7")
        process = subprocess.Popen(
            wait, stderr=slave, env=environment(TERM="xterm"), start_new_session=True
        )
        os.close(slave)
        with process:
            shown = b""
            while b"connection refused" not in shown:
                shown += terminal.read(4096)
            terminal.close()
            late.listen()
            assert process.wait(20) == 7


@pytest.mark.parametrize(
    ("env", "moves", "colors"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_terminals(env: dict[str, str], moves: bool, colors: bool) -> None:
    """Lines are redrawn only if the cursor moves; ^C ends the wait."""
    with testing.refusing() as refusing:
        arguments = [*WAIT[1:], f"127.0.0.1:{refusing.port}"]
        wait = pexpect.spawn(
            WAIT[0], arguments, env={**environment(**env)}, timeout=20, encoding="utf-8"
        )
        try:
            wait.expect("connection refused")
            shown = str(wait.before)
            assert ("\x1b[" in shown) == moves
            assert ("\x1b[33m" in shown) == colors
            wait.sendintr()
            rest = wait.read()
            wait.close()
        finally:
            wait.close(force=True)
    assert wait.signalstatus == signal.SIGINT
    assert "Traceback" not in rest


def without_counts(lines: list[str]) -> list[str]:
    hidden = (re.sub(r"\d+ (tries|try)", "? tries", line) for line in lines)
    return [re.sub(r"\d+ s|after \d.\d+", "? s", line) for line in hidden]


def ends_with(*expected: str) -> Callable[[list[str]], bool]:
    """Return a predicate: a screen ends with *expected*, apart from counts."""
    return lambda lines: without_counts(lines[-len(expected) :]) == [*expected]


def test_screen() -> None:
    """The view fits 80 columns, and 40 after a resize; its last frame stays.

    Earlier output stays, even if the terminal has become narrower and wraps the view.
    """
    with testing.unused_port() as late, testing.black_hole() as silent:
        tcp, hidden = f"127.0.0.1:{late.port}", f"127.0.0.1:{silent.port}"
        unix = "unix:/no/such/directory/of/socket"
        before = ("sh", "-c", 'seq 30; exec "$@"', "sh")
        command = (*WAIT, tcp, hidden, unix, "--any", "--", "echo", "the", "command")
        with screen(*before, *command, rows=12) as terminal:
            width = len(unix)
            drawn = ends_with(
                "30",
                f"{tcp:{width}}  connection refused (? tries)",
                f"{hidden:{width}}  connecting",
                f"{unix}  no such file or directory (? tries)",
                "0 of 3 up, ? s",
            )
            terminal.wait(drawn)
            terminal.run("resize-window", "-x", "40")
            drawn = ends_with(
                "30",
                f"{tcp:20}  connection refuse…",
                f"{hidden:20}  connecting",
                "unix:/no/s…of/socket  no such file or d…",
                "0 of 3 up, ? s",
            )
            terminal.wait(drawn)
            late.listen()
            terminal.wait(lambda lines: "status 0" in lines)
            lines = terminal.lines()[-7:]
            assert lines[0] == "30"
            assert re.fullmatch(rf"{tcp:20}  up after \d.\d\d\d s", lines[1])
            assert lines[4].startswith("1 of 3 up, ")
            assert lines[5:] == ["the command", "status 0"]


@pytest.mark.parametrize("columns", [80, 40])
def test_screen_of_a_service(columns: int) -> None:
    """It shows what the service says, on one line."""
    with scripted(LOADING) as server:
        url = f"redis://{server.where}"
        with screen(*WAIT, url, columns=columns, rows=8) as terminal:
            terminal.wait(lambda lines: lines and "LOADING" in lines[0])
            shown, _ = terminal.lines()
            if columns == 80:
                said = f"{url}  LOADING Redis is loading the dataset in memory ("
                assert shown.startswith(said)
            else:
                assert shown == f"redis://12…{url[-9:]}  LOADING Redis is …"
            server.answer = b"+PONG\r\n"
            terminal.wait(lambda lines: "status 0" in lines)


def test_more_targets_than_lines(tmp_path: Path) -> None:
    """Unfinished targets are shown, as many as there is room for.

    Some of their characters take two columns.
    """
    with testing.unix_listening(tmp_path / "up"):
        paths = [tmp_path / "up", *(Path(f"/no/{n}/{'日本' * 2}") for n in range(20))]
        targets = [f"unix:{path}" for path in paths]
        with screen(*WAIT, *targets, columns=40, rows=8) as terminal:
            lines = terminal.wait(
                lambda lines: lines[-1:] and "1 of 21 up" in lines[-1]
            )
            assert [line.split()[0] for line in lines[:-1]] == targets[1:7]
            assert re.fullmatch(r"1 of 21 up, \d+ s, 15 not shown", lines[-1])
            assert max(map(display_width, lines)) <= 40
            reasons = [line.index("no such file") for line in lines[:-1]]
            starts = zip(lines, reasons, strict=False)
            assert {display_width(line[:at]) for line, at in starts} == {21}


def test_screen_of_what_is_given_up(tmp_path: Path) -> None:
    """The error does not repeat the reasons.  Some terminals can show only ASCII.

    COLUMNS overrides the width of the terminal.
    """
    wrong = "unix:/dev/null/a-long-name-in-no-directory"
    with testing.unix_listening(tmp_path / "up"):
        targets = (f"unix:{tmp_path / 'up'}", wrong)
        command = (*WAIT, *targets, "--settle", "60")
        env = {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
        with screen(*command, columns=80, rows=10, **env) as terminal:
            terminal.wait(lambda lines: "status 1" in lines)
            up, given_up, *rest = terminal.lines()
    assert up.endswith(f"{targets[0][-13:]}  connected, checking")
    assert given_up == "unix:/dev/null...-no-directory  gave up: not a directory"
    shown, *rest = rest
    assert re.fullmatch(r"0 of 2 up, \d+ s", shown)
    assert rest == [f"aioconnect: gave up: {wrong}", "status 1"]

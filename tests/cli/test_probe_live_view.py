"""What ``aioconnect probe`` draws, in terminals."""

from __future__ import annotations

import re
import signal

import pexpect
import pytest
from cli.probe_process import address, shape
from programs import AIOCONNECT, environment, screen

from aioconnect.testing import BlackHole


def test_live(black_hole: BlackHole) -> None:
    """A terminal shows the connect while it goes on, and its result once at the end."""
    where = address(black_hole)
    command = (*AIOCONNECT, "probe", where, "--timeout", "3")
    with screen(*command, columns=80, rows=24) as terminal:
        lines = terminal.wait(
            lambda lines: (
                f"{where}: connecting for" in "".join(lines)
                and lines[-1].endswith("no answer yet")
            )
        )
        _, _, *rest = shape("\n".join(lines))
        assert rest == [f"… attempt {where} ━ T no answer yet"]
        terminal.wait(lambda lines: "status" in "".join(lines))
        assert shape("\n".join(terminal.lines())) == [
            f"{where}: not connected, ETIMEDOUT, after T",
            "0 T",
            f"✗ attempt {where} ━ T no answer yet",
            f"not connected within T to {where}: no answer yet (1 attempt, T)",
            "status 1",
        ]


@pytest.mark.parametrize("columns", [80, 40])
def test_control_c(columns: int, black_hole: BlackHole) -> None:
    """The echo of the key leaves nothing of the drawing on the screen."""
    where = address(black_hole)
    with screen(*AIOCONNECT, "probe", where, columns=columns, rows=24) as terminal:
        terminal.wait(lambda lines: "connecting for" in "".join(lines))
        terminal.run("send-keys", "-t", "0", "C-c")
        terminal.wait(lambda lines: "status" in "".join(lines))
        lines = terminal.lines()
    assert lines[0].startswith(f"{where}: cancelled after ")
    assert "connecting for" not in "".join(lines)


def test_made_narrower(black_hole: BlackHole) -> None:
    """The lines that the terminal wraps are removed; earlier output stays."""
    where = address(black_hole)
    before = ("sh", "-c", 'seq 30; exec "$@"', "sh")
    narrow = [
        "30",
        f"{where}: connecting for T",
        "0 T",
        f"… attempt {where} T",
        "━ no answer yet",
    ]
    with screen(*before, *AIOCONNECT, "probe", where, rows=12) as terminal:
        terminal.wait(lambda lines: "no answer yet" in "".join(lines))
        terminal.run("resize-window", "-x", "40")
        terminal.wait(lambda lines: shape("\n".join(lines[-5:])) == narrow)


@pytest.mark.parametrize("columns", [80, 40])
def test_on_small_screens(refused_port: int, columns: int) -> None:
    """A drawing that is too high is shortened; the result at the end is whole."""
    where = f"127.0.0.1:{refused_port}"
    options = ("--interval", "0.2", "--attempts", "9")
    with screen(
        *AIOCONNECT, "probe", where, *options, columns=columns, rows=7
    ) as terminal:
        terminal.wait(lambda lines: "connecting for" in "".join(lines))
        while "connecting for" in "".join(lines := terminal.lines()):
            assert len(lines) <= 6
        terminal.wait(lambda lines: "status 1" in lines)
        scrolled = terminal.run("capture-pane", "-p", "-S", "-", "-t", "0")
        shown = scrolled.strip().splitlines()
    assert shown[0].startswith(f"{where}: not connected,")
    assert scrolled.count("wait for round") == 5
    assert sum("rounds 4 to 6" in line for line in shown) == 1
    assert "connecting for" not in scrolled
    assert max(map(len, shown)) <= columns


def interrupted(
    where: str, *options: str, number: int = signal.SIGTERM, **env: str
) -> tuple[int | None, str]:
    """Probe in a terminal until a signal; return the signal and the output after it."""
    program, *arguments = (*AIOCONNECT, "probe", where, *options)
    child = pexpect.spawn(
        program,
        arguments,
        env=dict(environment(**{"TERM": "xterm", **env})),
        encoding="utf-8",
        timeout=20,
        dimensions=(24, 80),
    )
    with child:
        child.expect("no answer yet")
        child.kill(number)
        child.expect(pexpect.EOF)
    return child.signalstatus, child.before or ""


def test_interrupted_in_a_terminal(black_hole: BlackHole) -> None:
    """The results so far are shown, and the cursor is visible again."""
    where = address(black_hole)
    status, after = interrupted(where, number=signal.SIGINT)
    assert status == signal.SIGINT
    assert f"{where}: cancelled after" in after
    assert "\x1b[33m" in after
    assert after.rindex("\x1b[?25h") > after.rfind("\x1b[?25l")


def test_no_color(black_hole: BlackHole) -> None:
    """With NO_COLOR the live view has no colors."""
    status, after = interrupted(address(black_hole), NO_COLOR="1")
    assert status == signal.SIGTERM
    assert "cancelled after" in after
    assert not re.search(r"\x1b\[[\d;]*m", after)


def test_dumb_terminal(refused_port: int) -> None:
    """Where the cursor cannot move, only the result is written, without escapes."""
    command = [*AIOCONNECT, "probe", f"127.0.0.1:{refused_port}"]
    child = pexpect.spawn(
        command[0],
        [*command[1:], "--interval", "0.15", "--attempts", "2"],
        env=dict(environment(TERM="dumb")),
        encoding="utf-8",
        timeout=20,
    )
    with child:
        child.expect(pexpect.EOF)
    shown = child.before or ""
    assert "\x1b" not in shown
    assert shown.count("not connected") == 1
    assert "connecting for" not in shown

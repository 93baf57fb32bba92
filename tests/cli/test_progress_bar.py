"""The progress bar of a sweep, in terminals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest
from cli.sweep_process import SWEEP
from programs import environment, screen

from aioconnect.testing import full_backlog

BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"


@pytest.mark.parametrize(
    ("env", "bar", "colors"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_bar(
    env: dict[str, str],
    bar: bool,
    colors: bool,
    silent: str,
    refused: str,
    tmp_path: Path,
) -> None:
    """There is a bar if the cursor moves; after ^C the summary is shown."""
    fleet = tmp_path / "fleet"
    fleet.write_text(f"{silent}\n" + f"{refused}\n" * 20 + "wrong\n")
    sweep = pexpect.spawn(
        SWEEP[0],
        [*SWEEP[1:], str(fleet)],
        env={**environment(**env), "PYTHONIOENCODING": "utf-8"},
        timeout=20,
        encoding="utf-8",
    )
    try:
        sweep.expect("fleet:22: target 'wrong', character 6: a port is missing")
        if bar:
            sweep.expect("20 checked, 20 not connected")
        sweep.sendintr()
        rest = sweep.read()
        sweep.close()
    finally:
        sweep.close(force=True)
    assert sweep.signalstatus == signal.SIGINT
    assert "SIGINT stopped 1 more" in rest
    assert (BAR in rest) == bar or not bar
    assert ("\x1b[31m" in rest) == colors
    assert ("\x1b" in rest) == bar


def test_a_terminal_that_goes(refused: str, tmp_path: Path) -> None:
    """Without its terminal the bar is not drawn, and the sweep ends normally."""
    fleet = tmp_path / "fleet"
    os.mkfifo(fleet)
    master, slave = os.openpty()
    with open(master, "rb", buffering=0) as terminal:
        sweep = subprocess.Popen(
            [*SWEEP, str(fleet)],
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            env=environment(TERM="xterm"),
            start_new_session=True,
        )
        os.close(slave)
        with sweep, open(fleet, "w") as listed:
            shown = b""
            while b"0 checked" not in shown:
                shown += terminal.read(4096)
            terminal.close()
            listed.write(f"no target\n{refused}\n")
            listed.close()
            said, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 2
    assert said.startswith("1 target in ")
    assert said.endswith("1 line is not a target\n")


def test_bar_at_40_columns(refused: str, tmp_path: Path) -> None:
    """The bar is one line, and nothing is left of it at the end."""
    fleet = tmp_path / "fleet"
    with full_backlog() as slow:
        fleet.write_text(f"unix:{slow.path}\n" + f"{refused}\n" * 20)
        with screen(*SWEEP, str(fleet), "--timeout", "60", columns=40) as terminal:
            (line,) = terminal.wait(lambda lines: "20 checked" in "".join(lines))
            slow.free_slot()
            terminal.wait(lambda lines: "status" in "".join(lines))
            first, *rest = terminal.lines()
    bar, words = line.split(" ", 1)
    assert BAR in bar
    assert words == "20 checked, 20 not connected"
    assert first.startswith("21 targets in ")
    assert [line for line in rest if not re.search("p50|p95|max", line)] == [
        f"    {refused} and 19 more",
        "status 1",
    ]


def test_bar_that_is_made_narrower(silent: str, tmp_path: Path) -> None:
    """The bar is one line after that, too, and earlier output stays."""
    fleet = tmp_path / "fleet"
    fleet.write_text(f"{silent}\n")
    before = ("sh", "-c", 'seq 30; exec "$@"', "sh")
    sweep = (*SWEEP, str(fleet), "--timeout", "60")
    with screen(*before, *sweep, rows=12) as terminal:
        terminal.wait(lambda lines: "0 checked" in "".join(lines))
        terminal.run("resize-window", "-x", "40")
        terminal.wait(lambda lines: lines[-2] == "30" and BAR in lines[-1])
        assert "0 checked, 0 not connected" in terminal.lines()[-1]


def test_nothing_is_left_of_the_bar(silent: str, tmp_path: Path) -> None:
    """The echo of ^C behind the bar does not leave a part of it."""
    fleet = tmp_path / "fleet"
    fleet.write_text(f"{silent}\n")
    with screen(*SWEEP, str(fleet), "--timeout", "60") as terminal:
        terminal.wait(lambda lines: "0 checked" in "".join(lines))
        terminal.run("send-keys", "-t", "0", "C-c")
        lines = terminal.wait(lambda lines: "status" in "".join(lines))
    assert [line.partition(" in ")[0] for line in lines] == ["0 targets", "status 130"]


@pytest.mark.parametrize(
    ("then", "bar"), [("", False), ("| cat", False), ("> records", True)]
)
def test_bar_beside_records(
    then: str, bar: bool, silent: str, refused: str, tmp_path: Path
) -> None:
    """There is no bar where the records may go to the same terminal."""
    (tmp_path / "fleet").write_text(f"{silent}\n{refused}\nwrong\n")
    command = shlex.join([*SWEEP, "fleet", "--json", "--timeout", "0.5"])
    sweep = pexpect.spawn(
        "sh",
        ["-c", f"{command} {then}"],
        cwd=str(tmp_path),
        env={**environment(TERM="xterm"), "PYTHONIOENCODING": "utf-8"},
        timeout=20,
        encoding="utf-8",
    )
    try:
        said = sweep.read()
    finally:
        sweep.close(force=True)
    assert (BAR in said) == bar
    assert "fleet:3: target 'wrong'" in said
    assert "2 targets in " in said


def test_typed(refused: str) -> None:
    """A user who types the targets sees no bar between them."""
    sweep = pexpect.spawn(
        SWEEP[0],
        [*SWEEP[1:], "-"],
        env={**environment(TERM="xterm")},
        timeout=20,
        encoding="utf-8",
    )
    try:
        sweep.sendline(f"{refused}\nwrong")
        sweep.expect("<stdin>:2: ")
        sweep.sendeof()
        rest = sweep.read()
        sweep.close()
    finally:
        sweep.close(force=True)
    assert BAR not in rest
    assert "1 line is not a target" in rest
    assert sweep.exitstatus == 2


def test_without_rich(refused: str, tmp_path: Path) -> None:
    """Without rich, a message says why there is no bar, and the rest works."""
    (tmp_path / "rich.py").touch()
    (tmp_path / "fleet").write_text(refused)
    env = {**environment(TERM="xterm"), "PYTHONPATH": str(tmp_path)}
    command = [*SWEEP[1:], str(tmp_path / "fleet")]
    sweep = pexpect.spawn(SWEEP[0], command, env=env, timeout=20, encoding="utf-8")
    try:
        said = sweep.read()
        sweep.close()
    finally:
        sweep.close(force=True)
    assert (
        "no progress bar: it needs rich (in a checkout, pip install '.[cli]')" in said
    )
    assert "1 target in " in said
    assert sweep.exitstatus == 1

"""``aioconnect sweep``, the real program, against real servers and silent ones."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import sys
import termios
import threading
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from cli.sweep_process import read, rows, running, write
from programs import program

from aioconnect._cli import main


def test_summary(up: str, refused: str, silent: str, tmp_path: Path) -> None:
    """It has the count and the times of each outcome, and examples of failures."""
    fleet = tmp_path / "fleet.txt"
    missing = f"unix:{tmp_path}/none"
    lines = ["# a fleet", "", *[up] * 6, f"  {refused}\t # down", silent, missing]
    fleet.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    done = program("sweep", str(fleet), "--timeout", "0.2", COLUMNS="200")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.match(r"9 targets in ([2-9]\d\d ms|\d\.\d+ s), \d+/s\n", done.stdout)
    assert rows(done.stdout) == [
        "connected 6 66.7%",
        *("no such file or directory 1 11.1%", missing),
        *("refused 1 11.1%", refused),
        *("timed out 1 11.1%", silent),
    ]
    assert "\x1b" not in done.stdout


def test_all_are_up(up: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fleet").write_text(f"{up}\n{up}")
    assert main(["sweep", str(tmp_path / "fleet")]) == 0
    assert rows(capfd.readouterr().out) == ["connected 2 100.0%"]


def test_lines_that_are_no_targets(up: str) -> None:
    """Each is reported with its number and the reason; the others are checked."""
    long = f"{'x' * 100_000}:80"
    lines = [up, "db:", "# comment", "srv:_db._tcp.test", long, "#" * 9000, up, "\x1b"]
    lines.append("db:0")
    done = program("sweep", "-", "--resolver", "system", stdin="\n".join(lines))
    assert done.returncode == 2
    escape = r"target '\x1b', character 1: '\x1b' cannot be in a target's text"
    assert done.stderr.splitlines() == [
        "aioconnect: <stdin>:2: target 'db:', character 4: the port is missing",
        "aioconnect: <stdin>:4: a srv: target needs --resolver aiodns",
        "aioconnect: <stdin>:5: longer than 4096 bytes",
        f"aioconnect: <stdin>:8: {escape}",
        "aioconnect: <stdin>:9: target 'db:0': nobody can listen on port 0",
    ]
    assert done.stdout.splitlines()[0].startswith("2 targets in ")
    assert done.stdout.splitlines()[-1] == "5 lines are not targets"


def test_line_that_is_not_utf_8(
    up: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A line that is not UTF-8 is no target."""
    fleet = tmp_path / "fleet"
    fleet.write_bytes(f"{up}\n\n".encode() + b"unix:/caf\xe9\n" + up.encode())
    assert main(["sweep", str(fleet)]) == 2
    said = capfd.readouterr()
    assert said.err == f"aioconnect: {fleet}:3: not UTF-8: byte 10 is 0xe9\n"
    assert rows(said.out) == ["connected 2 100.0%", "1 line is not a target"]


def test_records(up: str, refused: str) -> None:
    """The records are a probe's without steps; the summary is not among them."""
    done = program("sweep", "--json", "-", stdin=f"{up}\n{refused}\nlocalhost:1\n")
    assert done.returncode == 1
    lines = map(json.loads, done.stdout.splitlines())
    found = {record.pop("target"): record for record in lines}
    assert set(found) == {up, refused, "localhost:1"}
    assert 0 <= found[up].pop("elapsed") < 10
    assert found[up] == {
        "schema": 1,
        "outcome": "connected",
        "address": up,
        "error": None,
        "rounds": 1,
    }
    assert found[refused]["outcome"] == "failed"
    assert found[refused]["error"]["type"] == "ConnectRefusedError"
    assert found[refused]["error"]["errno"] == "ECONNREFUSED"
    assert refused in found[refused]["error"]["message"]
    assert done.stderr.startswith("3 targets in ")


def test_options(up: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The flags of a connector apply to each target."""
    (tmp_path / "fleet").write_text(up)
    assert main(["sweep", str(tmp_path / "fleet"), "--only-public"]) == 1
    assert rows(capfd.readouterr().out) == ["not allowed 1 100.0%", up]


UNREADABLE = {
    "missing": "No such file or directory",
    "directory": "Is a directory",
    "empty": "the list has no target",
    "nul\0": "embedded null byte",
}


@pytest.mark.parametrize("name", [*UNREADABLE, "forbidden"])
def test_files_that_are_no_list(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line, and status 2."""
    file = tmp_path / name
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").write_text("# nothing\n\n")
    (tmp_path / "forbidden").touch(mode=0)
    says = {**UNREADABLE, "forbidden": "Permission denied"}
    if name == "forbidden" and os.access(file, os.R_OK):
        pytest.skip("root may read everything")
    assert main(["sweep", str(file), "--timeout", "0.1"]) == 2
    said = capfd.readouterr()
    shown = str(file).replace("\0", "\\x00")
    assert said.err == f"aioconnect: {shown}: {says[name]}\n"
    assert rows(said.out) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
def test_file_that_cannot_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    """The error appears only when the list is read."""
    assert main(["sweep", "/proc/self/mem"]) == 2
    said = capfd.readouterr().err
    assert said == "aioconnect: /proc/self/mem: Input/output error\n"


def test_no_thread_to_read_in(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """``ulimit -u`` may allow the user no more threads."""

    def fail(_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    assert main(["sweep", "/dev/null"]) == 2
    assert capfd.readouterr().err == "aioconnect: /dev/null: can't start new thread\n"


@pytest.mark.parametrize("arguments", [["--limit", "0", "-"], ["--limit", "x"], []])
def test_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *arguments]) == 2
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "see 'aioconnect sweep --help'" in said.err


def test_no_time(capfd: pytest.CaptureFixture[str]) -> None:
    """The error does not suggest that a sweep can have no timeout: it has a default."""
    assert main(["sweep", "-", "--timeout", "0"]) == 2
    text = "argument -t/--timeout: must be more than 0 (see 'aioconnect sweep --help')"
    assert capfd.readouterr().err == f"aioconnect: {text}\n"


def test_terminal_of_few_characters(tmp_path: Path) -> None:
    """A character that the terminal cannot show ends nothing."""
    (tmp_path / "fleet").write_text("unix:/caf\u00e9", encoding="utf-8")
    few = partial(program, PYTHONIOENCODING="ascii", COLUMNS="1")
    done = few("sweep", str(tmp_path / "fleet"))
    assert (done.returncode, done.stderr) == (1, "")
    assert rows(done.stdout)[-1] == "unix:/caf?"


def test_targets_come_when_they_come(up: str, refused: str) -> None:
    """A target is checked before the next line comes, and again if it comes again."""
    # Another program may have made a shell's pipe non-blocking.
    start = partial(os.set_blocking, 0, False)
    with running("--json", "-", start=start) as process:
        for target in (up, refused, up):
            write(process, "", target)
            assert read(process)["target"] == target
        _, said = process.communicate()
    assert said.startswith("3 targets in ")
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(number: signal.Signals, silent: str, refused: str) -> None:
    """A signal ends it at once, with the summary so far; a shell sees 130 or 143."""
    with running("--json", "-", "--timeout", "60") as process:
        write(process, silent, silent, refused)
        assert read(process)["target"] == refused
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()  # its standard input is still open
        assert process.wait() == -number
    assert said.startswith("1 target in ")
    assert f"; {number.name} stopped 2 more\n" in said
    assert "Traceback" not in said


def test_signal_that_is_ignored(refused: str) -> None:
    """A sweep in the background of a shell goes on."""
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with running("--json", "-", start=ignore) as process:
        write(process, refused)
        read(process)
        process.send_signal(signal.SIGINT)
        write(process, refused)
        read(process)
        process.communicate()
    assert process.returncode == 1


def test_reader_that_has_stopped(refused: str) -> None:
    """A full pipe delays the records, and does not block the loop."""
    with running("--json", "-") as process:
        write(process, *[refused] * 400)
        assert process.stdout is not None
        seen: list[int] = []
        while not seen or seen[-1] < 50_000 or len(set(seen[-20:])) > 1:
            size = fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4))
            seen += struct.unpack("i", size)
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        whole = process.stdout.read().splitlines()
    assert 0 < len(whole) < 400
    assert {json.loads(line)["target"] for line in whole} == {refused}


def test_reader_that_has_gone(refused: str) -> None:
    """It ends by SIGPIPE, without an error message."""
    with running("--json", "-") as process:
        assert process.stdout is not None
        process.stdout.close()
        write(process, refused)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == -signal.SIGPIPE


def test_output_that_is_closed(refused: str) -> None:
    """Another file may have taken the descriptor of the closed stream."""
    with running("--json", "-", start=partial(os.close, 1)) as process:
        _, said = process.communicate(refused)
    assert said == "aioconnect: standard output is closed\n"
    assert process.returncode == 1


def test_disk_that_is_full(refused: str) -> None:
    """A full disk ends the sweep, even if more targets may come."""
    with (
        open("/dev/full", "w") as full,
        running("--json", "-", stdout=full) as process,
    ):
        write(process, refused)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == 1
    last = said.splitlines()[-1]
    assert last == "aioconnect: standard output: No space left on device"

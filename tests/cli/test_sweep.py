"""``aioconnect sweep``, the real program, against real servers and silent ones."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import math
import os
import re
import resource
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import pexpect
import pytest
from programs import AIOCONNECT, environment, program, screen

from aioconnect import (
    AddressBlockedError,
    ConnectError,
    ConnectRefusedError,
    ConnectTimeoutError,
    ResolveError,
)
from aioconnect._cli import main
from aioconnect._cli.sweep.fd_limit import fit_to_fd_limit
from aioconnect._cli.sweep.line_reader import Line, read_lines
from aioconnect._cli.sweep.output_writer import OutputWriter
from aioconnect._cli.sweep.summary import CONNECTED, Summary, outcome_of
from aioconnect.testing import BlackHole, Server, full_backlog

SWEEP = (*AIOCONNECT, "sweep")

Limits = tuple[int, int]


@pytest.fixture(autouse=True)
def same_limits() -> Iterator[None]:
    """Give back the limits of this process, where it is the one that sweeps."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def up(listener: Server) -> str:
    """Give a target that is up."""
    return f"127.0.0.1:{listener.port}"


@pytest.fixture
def refused(refused_port: int) -> str:
    """Give a target that refuses."""
    return f"127.0.0.1:{refused_port}"


@pytest.fixture
def silent(black_hole: BlackHole) -> str:
    """Give a target that does not answer."""
    return f"127.0.0.1:{black_hole.port}"


@contextlib.contextmanager
def running(
    *arguments: str,
    start: Callable[[], object] | None = None,
    stdout: int | IO[str] = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """Run a sweep, with pipes, that has ended when this does."""
    with subprocess.Popen(
        [*SWEEP, *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment(),
        preexec_fn=start,  # noqa: PLW1509  # no thread of ours has a lock that it takes
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write(process: subprocess.Popen[str], *lines: str) -> None:
    """Write *lines* to its standard input, and leave that open."""
    assert process.stdin is not None
    process.stdin.write("".join(f"{line}\n" for line in lines))
    process.stdin.flush()


def read(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the next record."""
    assert process.stdout is not None
    record: dict[str, Any] = json.loads(process.stdout.readline())
    return record


def rows(stdout: str) -> list[str]:
    """Return the lines below the first one, without columns and times."""
    lines = [" ".join(line.split()) for line in stdout.splitlines()[1:]]
    return [line.partition(" p50 ")[0] for line in lines]


def test_summary(up: str, refused: str, silent: str, tmp_path: Path) -> None:
    """What ended how, how often and how fast, with examples of what is not up."""
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
    """Each is reported with its number and why, and the others are checked."""
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
    assert done.stdout.splitlines()[-1] == "5 lines are no targets"


def test_line_that_is_not_utf_8(
    up: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is one more that is no target."""
    fleet = tmp_path / "fleet"
    fleet.write_bytes(f"{up}\n\n".encode() + b"unix:/caf\xe9\n" + up.encode())
    assert main(["sweep", str(fleet)]) == 2
    said = capfd.readouterr()
    assert said.err == f"aioconnect: {fleet}:3: not UTF-8: byte 10 is 0xe9\n"
    assert rows(said.out) == ["connected 2 100.0%", "1 line is no target"]


def test_records(up: str, refused: str) -> None:
    """As a probe's, but for the steps; the summary does not come between."""
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
    """Those of a connector hold for each."""
    (tmp_path / "fleet").write_text(up)
    assert main(["sweep", str(tmp_path / "fleet"), "--only-public"]) == 1
    assert rows(capfd.readouterr().out) == ["not allowed 1 100.0%", up]


UNREADABLE = {
    "missing": "No such file or directory",
    "directory": "Is a directory",
    "empty": "there is no target in it",
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
    """What is wrong with it is said when it is, and that is when it is read."""
    assert main(["sweep", "/proc/self/mem"]) == 2
    said = capfd.readouterr().err
    assert said == "aioconnect: /proc/self/mem: Input/output error\n"


def test_no_thread_to_read_in(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A user has as many as ``ulimit -u`` says, perhaps."""

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
    """Without the flag there is a limit, too: nobody is told that there is none."""
    assert main(["sweep", "-", "--timeout", "0"]) == 2
    text = "argument --timeout: must be more than 0 (see 'aioconnect sweep --help')"
    assert capfd.readouterr().err == f"aioconnect: {text}\n"


def test_terminal_of_few_characters(tmp_path: Path) -> None:
    """What it cannot show ends nothing."""
    (tmp_path / "fleet").write_text("unix:/caf\u00e9", encoding="utf-8")
    few = partial(program, PYTHONIOENCODING="ascii", COLUMNS="1")
    done = few("sweep", str(tmp_path / "fleet"))
    assert (done.returncode, done.stderr) == (1, "")
    assert rows(done.stdout)[-1] == "unix:/caf?"


def test_targets_come_when_they_come(up: str, refused: str) -> None:
    """One is checked before the next is there to be read, and again if it is again."""
    # As a shell's pipe is that another program has made non-blocking.
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
    """They end it at once, with the summary so far; a shell says 130 or 143 of it."""
    with running("--json", "-", "--timeout", "60") as process:
        write(process, silent, silent, refused)
        assert read(process)["target"] == refused
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()  # its standard input is open still
        assert process.wait() == -number
    assert said.startswith("1 target in ")
    assert f"; 2 were under way at {number.name}\n" in said
    assert "Traceback" not in said


def test_signal_that_is_ignored(refused: str) -> None:
    """What a shell has in the background goes on."""
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
    """A full pipe keeps the records back, and not the loop."""
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
    """It ends as by SIGPIPE, and says nothing."""
    with running("--json", "-") as process:
        assert process.stdout is not None
        process.stdout.close()
        write(process, refused)
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == -signal.SIGPIPE


def test_output_that_is_closed(refused: str) -> None:
    """Its descriptor is somebody else's by the time that it is written to."""
    with running("--json", "-", start=partial(os.close, 1)) as process:
        _, said = process.communicate(refused)
    assert said == "aioconnect: standard output is closed\n"
    assert process.returncode == 1


def test_disk_that_is_full(refused: str) -> None:
    """It ends, also if more targets may come."""
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


@pytest.mark.parametrize(
    ("limits", "silent_ones", "says"),
    [
        (
            (256, 256),
            32,
            "aioconnect: 16 at once instead of 500: there are no more than",
        ),
        ((64, 8192), 300, "2,000 targets in "),
    ],
)
def test_there_are_always_descriptors(
    limits: Limits, silent_ones: int, says: str, silent: str, refused: str
) -> None:
    """The soft limit is raised; where the hard one is low, fewer are made at once."""
    start = partial(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
    arguments = ("--json", "-", "--limit", "500", "--timeout", "1")
    with running(*arguments, start=start) as process:
        targets = [silent] * silent_ones + [refused] * (2000 - silent_ones)
        out, said = process.communicate("\n".join(targets))
    ended = [json.loads(line)["error"]["errno"] for line in out.splitlines()]
    assert {code: ended.count(code) for code in set(ended)} == {
        "ETIMEDOUT": silent_ones,
        "ECONNREFUSED": 2000 - silent_ones,
    }
    assert said.startswith(says)


def test_limit_that_cannot_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the hard one is none, as on macOS, the kernel has one all the same."""

    def refuse(resource_: int, limits: Limits) -> None:
        raise ValueError("not allowed to raise maximum limit")

    low = (1024, resource.RLIM_INFINITY)
    with monkeypatch.context() as patch:
        patch.setattr(resource, "getrlimit", lambda _: low)
        patch.setattr(resource, "setrlimit", refuse)
        fits, said = fit_to_fd_limit(500)
    assert 40 < fits < 100
    assert said is not None
    assert said.startswith(
        f"{fits} at once instead of 500: there are no more than 1024"
    )


def test_too_few_descriptors(refused: str) -> None:
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (24, 24))
    with running("-", start=few) as process:
        _, said = process.communicate(refused)
    assert said == "aioconnect: 24 descriptors are too few (see ulimit -n)\n"
    assert process.returncode == 2


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
    """There is one where the cursor moves; ^C ends it, and the summary is there."""
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
    assert "1 were under way at SIGINT" in rest
    assert (BAR in rest) == bar or not bar
    assert ("\x1b[31m" in rest) == colors
    assert ("\x1b" in rest) == bar


def test_a_terminal_that_goes(refused: str, tmp_path: Path) -> None:
    """The bar is drawn no more, and the sweep ends as it would have."""
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
    assert said.endswith("1 line is no target\n")


def test_bar_at_40_columns(refused: str, tmp_path: Path) -> None:
    """It is one line, and nothing is left of it."""
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
    """It is one line then, too, and what came before it stays."""
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
    """A ^C that the terminal shows behind it moves no bar up."""
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
    """There is none where a terminal may have the records, too."""
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
    """Whoever types the targets sees no bar between them."""
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
    assert "1 line is no target" in rest
    assert sweep.exitstatus == 2


def test_without_rich(refused: str, tmp_path: Path) -> None:
    """There is no bar, it says why, and all else is there."""
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


async def test_output_in_pieces() -> None:
    """All of it comes, however much there is, and nobody else's in between."""
    reading, writing = os.pipe()
    output = OutputWriter(writing)
    first = asyncio.ensure_future(output.write("a" * 100_000))
    await asyncio.sleep(0)
    found = os.read(reading, 1 << 20)  # while it waits for that
    second = asyncio.ensure_future(output.write("b"))
    while not second.done() or select.select([reading], [], [], 0)[0]:
        await asyncio.sleep(0)
        if select.select([reading], [], [], 0)[0]:
            found += os.read(reading, 1 << 20)
    assert first.done()
    assert found == b"a" * 100_000 + b"b"
    os.close(writing)
    os.close(reading)


class Optimist:
    """A poll to which everything is writable."""

    def poll(self, timeout: float) -> bool:
        return True


async def test_output_that_somebody_else_fills() -> None:
    """A pipe that is shared, and non-blocking, can fill after the poll."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    output: Any = OutputWriter(writing)
    output._poll = Optimist()
    write = asyncio.ensure_future(output.write("mine"))
    await asyncio.sleep(0)
    assert not write.done()
    os.read(reading, 1 << 20)
    await write
    assert os.read(reading, 1 << 20) == b"mine"
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("is_closed", [True, False])
def test_line_that_comes_too_late(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    is_closed: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The thread that waits for it ends with it, and nobody hears of that."""

    async def give_up() -> None:
        found = read_lines(reading, "pipe")
        task = asyncio.ensure_future(anext(found))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def come() -> None:
        (thread,) = (t for t in threading.enumerate() if t.name == "aioconnect-lines")
        os.write(writing, b"late\n")
        thread.join()

    reading, writing = os.pipe()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        # Of a machine that stalls, a loop in debug mode would tell.
        runner.get_loop().slow_callback_duration = math.inf
        runner.run(give_up())
        if not is_closed:
            come()
            runner.run(asyncio.sleep(0))
    if is_closed:
        come()
    os.close(reading)
    os.close(writing)
    assert not caplog.records


async def test_file_without_lines(tmp_path: Path) -> None:
    """What is no line of anybody's is not kept in memory."""
    (tmp_path / "zero").write_bytes(b"x" * 4_000_000 + b"\nlast")
    tracemalloc.start()
    with open(tmp_path / "zero", "rb", buffering=0) as file:
        found = [line async for line in read_lines(file.fileno(), "zero")]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    too_long = "longer than 4096 bytes"
    assert found == [Line(1, "", too_long, 4_000_001), Line(2, "last", "", 5)]
    assert most < 1_000_000


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectRefusedError(errno.ECONNREFUSED, ""), "refused"),
        (ConnectTimeoutError(errno.ETIMEDOUT, ""), "timed out"),
        (ResolveError(socket.EAI_NONAME, ""), "no such name"),
        (ResolveError(socket.EAI_AGAIN, ""), "look-up failed"),
        (AddressBlockedError(errno.EACCES, ""), "not allowed"),
        (ConnectError(errno.EHOSTUNREACH, ""), "no route to host"),
        (ConnectError("many"), "several reasons"),
    ],
)
def test_outcomes(error: ConnectError, said: str) -> None:
    assert outcome_of(error) == said


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_report(width: int) -> None:
    """What is most comes first, after what is well; no line is too wide."""
    tally = Summary()
    tally.add("up", CONNECTED, 0.25)
    for number in range(200):
        tally.add(f"[2001:db8::{number // 2:x}]:65535", "refused", 0.0)
    tally.add("last", "timed out", 10.0)
    assert (tally.count, tally.failed) == (202, 201)
    lines = tally.to_lines(width)
    assert max(map(len, lines)) <= width
    if width >= 40:
        assert " ".join(" ".join(lines).split()) == (
            "connected 1 0.5% p50 250 ms, p95 250 ms, max 250 ms"
            " refused 200 99.0% p50 0, p95 0, max 0 [2001:db8::0]:65535,"
            " [2001:db8::1]:65535, [2001:db8::2]:65535 and 197 more"
            " timed out 1 0.5% p50 10.000 s, p95 10.000 s, max 10.000 s last"
        )
    (first, *_) = tally.to_lines(80, color=True)
    assert first.startswith("  \x1b[32mconnected\x1b[0m ")


def test_percentiles() -> None:
    """They are known to within one in a hundred, of however many."""
    tally = Summary()
    for number in range(1, 10_001):
        tally.add("up", CONNECTED, number)
    seconds = re.findall(r"([\d,]+) s", tally.to_lines(200)[0])
    median, late, longest = (int(one.replace(",", "")) for one in seconds)
    assert median == pytest.approx(5000, rel=0.01)
    assert late == pytest.approx(9500, rel=0.01)
    assert longest == 10_000

"""``aioconnect wait``, as the real program, against real servers."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from programs import AIOCONNECT, environment, program, screen

import aioconnect
from aioconnect import Attempt, AttemptFailed, RetryScheduled, testing
from aioconnect._cli import main
from aioconnect._cli.commands import Parser
from aioconnect._cli.errors import CommandError
from aioconnect._cli.parser import make_parser
from aioconnect._cli.wait.command import _waits_for
from aioconnect._cli.wait.exec_command import find
from aioconnect._cli.wait.log_view import Changes
from aioconnect._cli.wait.target_status import State
from aioconnect._timeline.text_width import display_width

WAIT = (*AIOCONNECT, "wait")


@contextlib.contextmanager
def started(*command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Give a process that runs *command*, with pipes."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that *process* writes to standard error."""
    assert process.stderr is not None
    return process.stderr.readline()


def without_times(text: str) -> str:
    return re.sub(r"\d+\.\d{3} s", "? s", text)


def test_until_all_are_up(tmp_path: Path) -> None:
    """A line for each change; the output, the pid and the status are the command's."""
    path = tmp_path / "socket"
    with testing.unused_port() as late:
        tcp, unix = f"127.0.0.1:{late.port}", f"unix:{path}"
        command = ("sh", "-c", "echo $$ $0 $1; exit 7", "a", "b")
        with started(*WAIT, tcp, unix, "--timeout", "60", "--", *command) as process:
            lines = [line_of(process), line_of(process)]
            assert sorted(lines) == [
                f"{tcp}: connection refused\n",
                f"{unix}: no such file or directory\n",
            ]
            late.listen()
            assert without_times(line_of(process)) == f"{tcp}: up after ? s\n"
            with testing.unix_listening(path):
                out, err = process.communicate(timeout=20)
        assert without_times(err) == f"{unix}: up after ? s\n"
        assert out == f"{process.pid} a b\n"
        assert process.returncode == 7


def test_until_one_is_up_of_any() -> None:
    with testing.refusing() as refusing, testing.listening() as up:
        targets = [f"127.0.0.1:{one.port}" for one in (refusing, up)]
        done = program("wait", *targets, "--any", "--interval", "5")
    assert done.returncode == 0
    assert f"{targets[1]}: up after " in done.stderr
    assert f"{targets[0]}: up" not in done.stderr


def test_until_several_are_up_of_any(tmp_path: Path) -> None:
    """Those that are up at once are no more than enough."""
    paths = [tmp_path / "1", tmp_path / "2"]
    with testing.unix_listening(paths[0]), testing.unix_listening(paths[1]):
        done = program("wait", *(f"unix:{path}" for path in paths), "--any")
    assert done.returncode == 0


def test_until_down() -> None:
    """A server that dies, after the wait has seen it."""
    with testing.unused_port() as held:
        held.listen()
        target = f"127.0.0.1:{held.port}"
        with started(*WAIT, target, "--down") as process:
            assert line_of(process) == f"{target}: it is up\n"
            held.refuse()
            _, err = process.communicate(timeout=20)
    assert without_times(err) == f"{target}: down after ? s\n"
    assert process.returncode == 0


def test_until_the_time_is_up() -> None:
    """Silent, refusing, and closing at once: each with its reason, in time."""
    with (
        testing.refusing() as refusing,
        testing.black_hole() as silent,
        testing.flaky(["accept_close"]) as closing,
    ):
        targets = [f"127.0.0.1:{one.port}" for one in (refusing, silent, closing)]
        settle = ("--settle", "0.2", "--backoff", "0.1,0.1,1,0")
        done = program("wait", *targets, *settle, "--timeout", "3", "--quiet")
    closed = "closed again, and not open for 0.2 s"
    reasons = ("connection refused", "no answer yet", closed)
    named = ", ".join(map("{} ({})".format, targets, reasons))
    assert done.stderr == f"aioconnect: not up within 3 s: {named}\n"
    assert done.returncode == 124


def test_a_long_wait_in_a_log() -> None:
    """It says now and then what it waits for: else nobody sees that it still does."""
    code = (
        "import sys; from aioconnect._cli import main;"
        "from aioconnect._cli.wait import command;"
        "command._BETWEEN_REMINDERS = 0.05; sys.exit(main(sys.argv[1:]))"
    )
    with testing.black_hole() as silent, testing.unused_port() as late:
        targets = [f"127.0.0.1:{one.port}" for one in (silent, late)]
        command = (sys.executable, "-c", code, "wait", *targets, "--any")
        with started(*command, "--quiet", "--timeout", "0.3") as process:
            _, err = process.communicate(timeout=20)
        assert err.count("\n") == 1
        with started(*command) as process:
            assert process.stderr is not None
            named = f"{targets[0]} (no answer yet), {targets[1]} (connection refused)"
            said = re.compile(rf"aioconnect: not up after \d+ s: {re.escape(named)}\n")
            for _ in range(2):
                assert any(said.fullmatch(line) for line in process.stderr)
            late.listen()
            assert process.wait(20) == 0


def test_the_time_is_used_up() -> None:
    """Also where the next try would be due after it: what came before is seen."""
    # A second before the end, and not a twentieth: a machine can be as late as that.
    patient = (
        "import sys; from aioconnect._sansio import retry_schedule;"
        "from aioconnect._cli import main;"
        "retry_schedule._SHORTEST_LAST_ROUND = 1.0; sys.exit(main())"
    )
    with testing.unused_port() as late:
        target = f"127.0.0.1:{late.port}"
        waits = ("wait", target, "--interval", "20", "--timeout", "3")
        with started(sys.executable, "-c", patient, *waits) as process:
            assert line_of(process) == f"{target}: connection refused\n"
            late.listen()
            _, err = process.communicate(timeout=20)
    assert without_times(err) == f"{target}: up after ? s\n"
    assert process.returncode == 0


def test_what_no_wait_mends() -> None:
    """It is given up at once, and another target does not matter."""
    with testing.refusing() as refusing:
        wrong = "unix:/dev/null/socket"
        done = program("wait", wrong, f"127.0.0.1:{refusing.port}")
        assert done.returncode == 1
        error = f"aioconnect: gave up: {wrong} (not a directory)\n"
        assert done.stderr.endswith(error)
        # Of any, the last one has to have failed.
        done = program("wait", wrong, "unix:/dev/null", "--any", "--timeout", "1")
        assert done.returncode == 124
        assert f"{wrong} (not a directory), unix:/dev/null (conn" in done.stderr


@pytest.mark.parametrize(
    ("error", "is_waited_for"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), True),
        (socket.gaierror(socket.EAI_AGAIN, ""), True),
        (socket.gaierror(socket.EAI_FAIL, ""), True),
        (socket.gaierror(socket.EAI_ADDRFAMILY, ""), False),
        (OSError(errno.EACCES, ""), True),
        (OSError(errno.ECONNREFUSED, ""), True),
        (OSError(errno.ENOTDIR, ""), False),
    ],
)
def test_what_may_pass(error: OSError, is_waited_for: bool) -> None:
    """Names to come, and name servers that fail, are waited for."""
    assert _waits_for(error) == is_waited_for


def is_caught(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"SigCgt:\s(\w+)", status)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(number: signal.Signals) -> None:
    """The kernel ends it, whatever it does, and the shell is told by what."""
    with testing.black_hole() as silent, testing.refusing() as refusing:
        targets = [f"127.0.0.1:{one.port}" for one in (refusing, silent)]
        with started(*WAIT, *targets, "--", "echo", "up") as process:
            line_of(process)
            assert not is_caught(process.pid, number)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
    assert process.returncode == -number
    assert out == err == ""


@contextlib.contextmanager
def gone(how: str) -> Iterator[int | None]:
    """Give a descriptor that cannot be written to, in the way that *how* says."""
    if how == "full":
        with open("/dev/full", "w") as file:
            yield file.fileno()
        return
    if how == "closed":
        yield None
        return
    reading, writing = os.openpty() if how == "terminal" else os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


GONE = ("pipe", "terminal", "full", "closed")


def status_without_reader(how: str, *arguments: str) -> int:
    """Return the status of ``aioconnect wait`` whose standard error is *gone*."""
    with gone(how) as fd:
        redirected = ("sh", "-c", 'exec "$@" 2>&-', "sh") if fd is None else ()
        done = subprocess.run(
            [*redirected, *WAIT, *arguments],
            stdin=subprocess.DEVNULL,
            stderr=fd,
            check=False,
            timeout=60,
            env=environment(TERM="xterm"),
        )
    return done.returncode


@pytest.mark.parametrize("how", GONE)
def test_nobody_reads_what_is_said(how: str, tmp_path: Path, port: int) -> None:
    """The command is run all the same, and the status is what it would have been."""
    up, broken = f"127.0.0.1:{port}", script(tmp_path / "broken", "#!/no/such\n")
    for arguments, status in (
        ((up, "--", "sh", "-c", "exit 7"), 7),
        ((up, "--", broken), 127),
        (("unix:/no/such/x", "--timeout", "0.2"), 124),
        (("nonsense",), 2),
    ):
        assert status_without_reader(how, *arguments) == status, arguments


def test_whoever_reads_goes() -> None:
    """The wait goes on.  SIGPIPE ends the command, as it would without a wait."""
    with testing.unused_port() as late:
        wait = (*WAIT, f"127.0.0.1:{late.port}")
        with started(*wait, "--", "sh", "-c", "echo up; echo no >&2") as process:
            line_of(process)
            assert process.stderr is not None
            process.stderr.close()
            late.listen()
            assert process.stdout is not None
            assert process.stdout.read() == "up\n"
            assert process.wait(20) == -signal.SIGPIPE


def test_a_terminal_that_goes() -> None:
    """It is drawn on no more, and the command is run."""
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


INHERITED = "grep ^Sig /proc/self/status; ls /proc/self/fd; env | sort"
LOCALE = ("LANG", "LC_ALL", "LC_CTYPE")


def test_the_command_gets_what_it_would_have_got(port: int) -> None:
    """Signals, descriptors and environment, with or without what comes before."""
    env = {name: one for name, one in environment().items() if name not in LOCALE}
    reading, writing = os.pipe()
    shell = ("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh")
    command = ("sh", "-c", INHERITED)

    def run(*before: str) -> str:
        return subprocess.check_output(
            (*shell, *before, *command), env=env, pass_fds=[reading], text=True
        )

    try:
        before = (*WAIT, f"127.0.0.1:{port}", "--quiet", "--")
        assert run(*before) == run()
    finally:
        os.close(reading)
        os.close(writing)


def children(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(one) for one in listed.split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_process_1(
    first_process: tuple[str, ...], number: signal.Signals
) -> None:
    """The kernel would pass them over; the status is a shell's."""
    with testing.refusing() as refusing:
        target = f"127.0.0.1:{refusing.port}"
        with started(*first_process, *WAIT, target) as process:
            line_of(process)
            (child,) = children(process)
            os.kill(child, number)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert err == ""


def test_the_command_is_process_1(first_process: tuple[str, ...], port: int) -> None:
    command = ("sh", "-c", "echo $$; exit 3")
    wait = (*WAIT, f"127.0.0.1:{port}", "--", *command)
    with started(*first_process, *wait) as process:
        out, _ = process.communicate(timeout=20)
    assert out == "1\n"
    assert process.returncode == 3


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_commands(tmp_path: Path, port: int) -> None:
    """A script without a first line is the shell's, as it is to env(1)."""
    plain = script(tmp_path / "plain", "echo $1; exit 5\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    up = f"127.0.0.1:{port}"
    done = program("wait", up, "--quiet", "--", "plain", "said", PATH=path)
    assert (done.stdout, done.stderr, done.returncode) == ("said\n", "", 5)
    broken = script(tmp_path / "broken", "#!/no/such/interpreter\n")
    done = program("wait", up, "--quiet", "--", broken)
    said = "the interpreter that it names is not there"
    assert done.stderr == f"aioconnect: {broken}: {said}\n"
    assert done.returncode == 127
    assert plain


def other_pythons() -> Iterator[str]:
    """Yield the Pythons of this machine that can run the command line."""
    beside = Path(sys.base_prefix).parent.glob("3*/bin/python3")
    named = (shutil.which(f"python3.{minor}") for minor in range(11, 20))
    for python in {*map(str, beside), *filter(None, named)}:
        code = "import sys; sys.exit(sys.version_info < (3, 11))"
        done = subprocess.run([python, "-c", code], capture_output=True, check=False)
        if done.returncode == 0:
            yield python


def test_a_target_behind_a_flag_is_no_command() -> None:
    """The command is kept from argparse, so that no version can mistake it."""
    commands: Any = make_parser()._subparsers
    wait: Parser = commands._group_actions[0].choices["wait"]
    positional = [one.dest for one in wait._actions if not one.option_strings]
    assert positional == ["targets"]


def test_a_target_behind_a_flag_on_other_pythons(port: int, tmp_path: Path) -> None:
    """From 3.12.8 and 3.13.1 on argparse gave it to the command, which was run."""
    mark = script(tmp_path / "a:1", f"#!/bin/sh\ntouch {tmp_path / 'mark'}\n")
    arguments = ("wait", f"127.0.0.1:{port}", "--any", Path(mark).name, "--quiet")
    root = Path(aioconnect.__file__).parent.parent
    for python in (pythons := [*other_pythons()]):
        path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
        done = subprocess.run(
            [python, "-m", "aioconnect", *arguments, "--", "echo", "the", "command"],
            capture_output=True,
            text=True,
            check=False,
            env=environment(PYTHONPATH=str(root), PATH=path),
        )
        assert (done.stdout, done.stderr) == ("the command\n", ""), python
        assert not (tmp_path / "mark").exists()
    if not pythons:
        pytest.skip("needs another Python 3.11 or later")


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("no-such-command", 127, "command not found: no-such-command"),
        ("/no/such/command", 127, "command not found: /no/such/command"),
        ("", 127, "command not found: ''"),
        ("/dev", 126, "/dev is a directory"),
        ("{}/script", 126, "{}/script is not executable"),
    ],
)
def test_command_that_cannot_be_run(
    command: str,
    status: int,
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is said before the wait, which would never end."""
    script(tmp_path / "script", "", 0o644)
    arguments = ["unix:/no/such/socket", "--", command.format(tmp_path)]
    assert main(["wait", *arguments]) == status
    assert capsys.readouterr().err == f"aioconnect: {says.format(tmp_path)}\n"


def test_command_in_a_directory_that_cannot_be_searched(tmp_path: Path) -> None:
    """It is not known that it is not there: a shell's status is 126."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # who may search all
        os.seteuid(65534)
    try:
        with pytest.raises(CommandError, match="locked/x: Permission denied") as said:
            find(str(locked / "x"))
    finally:
        os.seteuid(user)
    assert said.value.status == 126


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "the following arguments are required: TARGET"),
        ("db", "target 'db', character 3: a port is missing"),
        ("db:1 cache", "target 'cache', character 6: a port is missing"),
        ("db:1 --any cache", "target 'cache', character 6: a port is missing"),
        ("db:1 --any ./run", "a command goes behind --"),
        ("db:1 --any --anything a:b@c:1", "arguments: --anything '***@c:1' (see"),
        ("app:pw@db:1", "target '***@db:1', character 1: a target has no user"),
        ("db:99999", "port must be between 0 and 65535, not '99999'"),
        ("http://db:80", "'http' is no kind of target"),
        ("srv:db", "a service is _service._proto.name, not 'db'"),
        ("srv:_x._tcp.db --resolver system", "a srv: target needs --resolver aiodns"),
        ("db:1 --", "there is no command behind --"),
        ("db:1 --tries 3", "unrecognized arguments: --tries 3 (see 'aioconnect wait"),
        ("db:1 --timeout", "argument --timeout: expected one argument"),
        ("db:1 --timeout 10s", "--timeout: '10s' is not a number of seconds, such as"),
        ("db:1 --timeout -1", "--timeout: '-1' is not a number of seconds"),
        ("db:1 --timeout nan", "--timeout: 'nan' is not a number of seconds"),
        ("db:1 --timeout 0", "argument --timeout: must be more than 0"),
        ("db:1 db:0", "target 'db:0': nobody can listen on port 0"),
        ("db:1 --timeout 2 --settle 2", "--settle 2 does not fit into --timeout 2"),
        ("db:1 --settle 1 --down", "it does not fit --down"),
        ("db:1 --interval 0", "--interval: '0' is no rest between two tries"),
        ("db:1 --backoff 1", "'1' is not INITIAL,MAXIMUM[,FACTOR[,JITTER]], such as"),
        ("db:1 --backoff 1,a", "--backoff: 'a' is not a number of seconds"),
        ("db:1 --backoff 0,5", "'0,5' is no rest between two tries"),
        ("db:1 --backoff 1,5,0.5", "'1,5,0.5': factor must be 1 or more, not 0.5"),
        ("db:1 --backoff 1,5,2,1.5", "jitter must be between 0 and 1, not 1.5"),
        ("db:1 --interval 1 --backoff 1,5", "not allowed with argument --interval"),
        ("db:1 --resolver mine", "invalid choice: 'mine'"),
    ],
)
def test_bad_input(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that says what is wrong, and the status of wrong usage."""
    assert main(["wait", *arguments.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("aioconnect: ")
    assert says in said.err
    assert said.err.count("\n") == 1


def test_control_characters_are_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is said of an argument does not move the cursor."""
    assert main(["wait", "db:1", "--an\x1b[2Jy\n\udcff"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"\x1b[2Jy" in said
    assert r"\udcff" in said


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
    """It is drawn over only where the cursor moves; ^C ends it."""
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
    """Return what tells whether a screen ends with these lines, but for counts."""
    return lambda lines: without_counts(lines[-len(expected) :]) == [*expected]


def test_screen() -> None:
    """What is drawn, at 80 and then at 40 columns, and what is left of it.

    What came before stays, also where the terminal wraps what it has become too
    narrow for.
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


def test_more_targets_than_lines(tmp_path: Path) -> None:
    """Those that are waited for are shown, as many as there is room for.

    Of which some characters take two columns.
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
    """The error does not say the reasons again; ASCII is all that some can show.

    COLUMNS says how wide it is to be.
    """
    wrong = "unix:/dev/null/a-long-name-in-no-directory"
    with testing.unix_listening(tmp_path / "up"):
        targets = (f"unix:{tmp_path / 'up'}", wrong)
        command = (*WAIT, *targets, "--settle", "60")
        env = {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
        with screen(*command, columns=80, rows=10, **env) as terminal:
            terminal.wait(lambda lines: "status 1" in lines)
            up, given_up, *rest = terminal.lines()
    assert up.endswith(f"{targets[0][-13:]}  connected, and watched")
    assert given_up == "unix:/dev/null...-no-directory  gave up: not a directory"
    shown, *rest = rest
    assert re.fullmatch(r"0 of 2 up, \d+ s", shown)
    assert rest == [f"aioconnect: gave up: {wrong}", "status 1"]


def failed(text: str) -> AttemptFailed:
    error = OSError(errno.ECONNREFUSED, text)
    return AttemptFailed(0, Attempt(None, "connect", error, 0, 0, 1))


def test_reasons() -> None:
    """A line for each change of the reasons, which have no order, of a round."""
    stream = io.StringIO()
    state = State("db:1", Changes(stream).changed)
    for said in (("a", "b"), ("b", "a"), ("b",), ("b", "b")):
        for text in said:
            state(failed(text))
        state(RetryScheduled(0, 1, 0))
    assert state.tries == 4
    assert stream.getvalue() == "db:1: a; b\ndb:1: b\n"


def test_it_is_standard_library_only(port: int) -> None:
    """It imports neither an optional partner nor another command."""
    code = (
        "import sys; from aioconnect._cli import main;"
        f"main(['wait', '127.0.0.1:{port}']); print(*sys.modules)"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    top = {name.partition(".")[0] for name in loaded}
    assert not top & {"aiodns", "anyio", "rich", "shtab", "uvloop"}
    assert "aioconnect._cli.wait.command" in loaded
    assert not {"aioconnect._cli.demo.command", "aioconnect._cli.probe.command"} & {
        *loaded
    }


def test_names(in_namespace: Callable[..., str]) -> None:
    """One that comes later is waited for; a service's records say where it is."""
    in_namespace("waited_names.py")

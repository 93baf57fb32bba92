"""``aioconnect wait``, as the real program, against real servers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli.wait_process import WAIT, line_of, script, started, without_times
from programs import environment, program

from aioconnect import testing
from aioconnect._cli.wait.command import _is_worth_waiting


def test_until_all_are_up(tmp_path: Path) -> None:
    """Each change has a line; the command has the pid, the output and the status."""
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
    """Several targets that are up at once are enough, too."""
    paths = [tmp_path / "1", tmp_path / "2"]
    with testing.unix_listening(paths[0]), testing.unix_listening(paths[1]):
        done = program("wait", *(f"unix:{path}" for path in paths), "--any")
    assert done.returncode == 0


def test_until_down() -> None:
    """A server dies after the wait has seen it."""
    with testing.unused_port() as held:
        held.listen()
        target = f"127.0.0.1:{held.port}"
        with started(*WAIT, target, "--down") as process:
            assert line_of(process) == f"{target}: still up\n"
            held.refuse()
            _, err = process.communicate(timeout=20)
    assert without_times(err) == f"{target}: down after ? s\n"
    assert process.returncode == 0


def test_until_the_time_is_up() -> None:
    """Silent, refusing and closing servers: each has its reason when the time is up."""
    with (
        testing.refusing() as refusing,
        testing.black_hole() as silent,
        testing.flaky(["accept_close"]) as closing,
    ):
        targets = [f"127.0.0.1:{one.port}" for one in (refusing, silent, closing)]
        settle = ("--settle", "0.2", "--backoff", "0.1,0.1,1,0")
        done = program("wait", *targets, *settle, "--timeout", "3", "--quiet")
    closed = "the peer closed the connection within 0.2 s"
    reasons = ("connection refused", "no answer yet", closed)
    named = ", ".join(map("{} ({})".format, targets, reasons))
    assert done.stderr == f"aioconnect: not up within 3 s: {named}\n"
    assert done.returncode == 124


def test_a_long_wait_in_a_log() -> None:
    """Reminders in the log show that it is still waiting, and for what."""
    code = (
        "import sys; from aioconnect._cli import main;"
        "from aioconnect._cli.wait import command;"
        "command._FIRST_REMINDER = 0.05; sys.exit(main(sys.argv[1:]))"
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
            waiting = r"aioconnect: still waiting after \d+ s: "
            said = re.compile(rf"{waiting}{re.escape(named)}\n")
            for _ in range(2):
                assert any(said.fullmatch(line) for line in process.stderr)
            late.listen()
            assert process.wait(20) == 0


def test_the_time_is_used_up() -> None:
    """A last try comes before the end, though the next one would come after it."""
    # Try a second before the end, not 50 ms: a busy machine can be that late.
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
    """An error that no wait mends ends the wait for all targets at once."""
    with testing.refusing() as refusing:
        wrong = "unix:/dev/null/socket"
        done = program("wait", wrong, f"127.0.0.1:{refusing.port}")
        assert done.returncode == 1
        error = f"aioconnect: gave up: {wrong} (not a directory)\n"
        assert done.stderr.endswith(error)
        # With --any the wait goes on until the last target has failed.
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
    """Names that do not exist yet and failing name servers are waited for."""
    assert _is_worth_waiting(error) == is_waited_for


def is_caught(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"SigCgt:\s(\w+)", status)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(number: signal.Signals) -> None:
    """The kernel ends the process by the signal, and a shell sees that."""
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
    """Give a descriptor that cannot be written to; *how* says why not."""
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
    """Return the status of ``aioconnect wait`` when its standard error is *gone*."""
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
    """The command still runs, and the status is the same as with a reader."""
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


def children(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(one) for one in listed.split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_process_1(
    first_process: tuple[str, ...], number: signal.Signals
) -> None:
    """The kernel would ignore the signals; the status is a shell's."""
    with testing.refusing() as refusing:
        target = f"127.0.0.1:{refusing.port}"
        with started(*first_process, *WAIT, target) as process:
            line_of(process)
            (child,) = children(process)
            os.kill(child, number)
            _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert err == ""


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
    """A name that comes later is waited for; a service's records say where it is."""
    in_namespace("waited_names.py")

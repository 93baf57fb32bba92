"""The command that ``aioconnect wait`` becomes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cli.wait_process import WAIT, script, started
from programs import environment, program

from aioconnect._cli import main
from aioconnect._cli.errors import CommandError
from aioconnect._cli.wait.exec_command import find_command

INHERITED = "grep ^Sig /proc/self/status; ls /proc/self/fd; env | sort"
LOCALE = ("LANG", "LC_ALL", "LC_CTYPE")


def test_the_command_gets_what_it_would_have_got(port: int) -> None:
    """Its signals, descriptors and environment are the same as without the wait."""
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


def test_the_command_is_process_1(first_process: tuple[str, ...], port: int) -> None:
    command = ("sh", "-c", "echo $$; exit 3")
    wait = (*WAIT, f"127.0.0.1:{port}", "--", *command)
    with started(*first_process, *wait) as process:
        out, _ = process.communicate(timeout=20)
    assert out == "1\n"
    assert process.returncode == 3


def test_commands(tmp_path: Path, port: int) -> None:
    """The shell runs a script without "#!", as for env(1)."""
    plain = script(tmp_path / "plain", "echo $1; exit 5\n")
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    up = f"127.0.0.1:{port}"
    done = program("wait", up, "--quiet", "--", "plain", "said", PATH=path)
    assert (done.stdout, done.stderr, done.returncode) == ("said\n", "", 5)
    broken = script(tmp_path / "broken", "#!/no/such/interpreter\n")
    done = program("wait", up, "--quiet", "--", broken)
    said = "the interpreter in its first line does not exist"
    assert done.stderr == f"aioconnect: {broken}: {said}\n"
    assert done.returncode == 127
    assert plain


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
    """The error comes before the wait, which would never end."""
    script(tmp_path / "script", "", 0o644)
    arguments = ["unix:/no/such/socket", "--", command.format(tmp_path)]
    assert main(["wait", *arguments]) == status
    assert capsys.readouterr().err == f"aioconnect: {says.format(tmp_path)}\n"


def test_command_in_a_directory_that_cannot_be_searched(tmp_path: Path) -> None:
    """Nobody knows that the command is missing, so the status is 126, as in a shell."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    user = os.geteuid()
    if user == 0:  # root may search every directory
        os.seteuid(65534)
    try:
        with pytest.raises(CommandError, match="locked/x: Permission denied") as said:
            find_command(str(locked / "x"))
    finally:
        os.seteuid(user)
    assert said.value.status == 126

"""Parse the arguments of ``aioconnect wait``: what argparse mistakes, and bad ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.wait_process import script
from programs import environment

import aioconnect
from aioconnect._cli import main
from aioconnect._cli.command_line import make_parser
from aioconnect._cli.parser import Parser


def other_pythons() -> Iterator[str]:
    """Yield the Pythons of this machine that can run the command line."""
    beside = Path(sys.base_prefix).parent.glob("3*/bin/python3")
    named = (shutil.which(f"python3.{minor}") for minor in range(11, 20))
    for python in {*map(str, beside), *filter(None, named)}:
        code = "import sys; sys.exit(sys.version_info < (3, 11))"
        done = subprocess.run([python, "-c", code], capture_output=True, check=False)
        if done.returncode == 0:
            yield python


def test_a_target_after_a_flag_is_no_command() -> None:
    """Argparse never sees the command, so no version can mistake a target for it."""
    commands: Any = make_parser()._subparsers
    wait: Parser = commands._group_actions[0].choices["wait"]
    positional = [one.dest for one in wait._actions if not one.option_strings]
    assert positional == ["targets"]


def test_a_target_after_a_flag_on_other_pythons(port: int, tmp_path: Path) -> None:
    """Since 3.12.8 and 3.13.1, argparse took the target for the command, which ran."""
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
    ("arguments", "says"),
    [
        ("", "the following arguments are required: TARGET"),
        ("db", "target 'db', character 3: a port is missing"),
        ("db:1 cache", "target 'cache', character 6: a port is missing"),
        ("db:1 --any cache", "target 'cache', character 6: a port is missing"),
        (
            "db 1 cache 2",
            "if 1 is the port, write 'db:1' (only a single target",
        ),
        (
            "db:1 sleep 10",
            "target 'sleep' has no port; if 10 is the port, write 'sleep:",
        ),
        ("db:1 sleep 10", "can be two words); a command goes after --\n"),
        (
            "pw@db 1 cache:2",
            "target '***@db' has no port; if 1 is the port, write '***@",
        ),
        (
            "5432",
            "target '5432' has a port and no host: write 'localhost:5432' for this",
        ),
        (
            "1234 80",
            "'1234' has a port and no host: write 'localhost:1234' for this mac",
        ),
        ("db:1 6379", "write 'localhost:6379' for this machine\n"),
        (":8080", "target ':8080' has a port and no host: write 'localhost:8080'"),
        ("db 0", "target 'db:0': nobody can listen on port 0"),
        (
            "db 99999",
            "target 'db:99999', character 4: port must be between 0 and 65535",
        ),
        ("db:1 --any ./run", "a command goes after --"),
        ("db:1 --any --anything a:b@c:1", "arguments: --anything '***@c:1' (see"),
        ("app:pw@db:1", "target '***@db:1', character 1: leave out user"),
        ("db:99999", "port must be between 0 and 65535, not '99999'"),
        ("ftp://db:80", "'ftp' is not a known scheme; these are: amqp, amqps, dns"),
        ("srv:db", "a service is _service._proto.name, not 'db'"),
        ("srv:_x._tcp.db --resolver system", "a srv: target needs --resolver aiodns"),
        ("db:1 --", "there is no command after --"),
        ("db:1 --tries 3", "unrecognized arguments: --tries 3 (see 'aioconnect wait"),
        ("db:1 --timeout", "argument -t/--timeout: expected one argument"),
        (
            "db:1 --timeout 1d",
            "--timeout: '1d' is not a duration, such as 30, 0.5, 500",
        ),
        ("db:1 --timeout -1", "--timeout: '-1' is not a duration"),
        ("db:1 --timeout nan", "--timeout: 'nan' is not a duration"),
        ("db:1 -t 0", "must be more than 0; to wait without a limit, leave --timeout"),
        ("db:1 --settle 1m30", "--settle: '1m30' is not a duration"),
        ("db:1 db:0", "target 'db:0': nobody can listen on port 0"),
        (
            "db:1 --timeout 2s --settle 2",
            "--settle (2 s) must be shorter than --timeout (2 s)",
        ),
        (
            "db:1 --attempt-timeout 2s --settle 2",
            "--settle (2 s) must be shorter than --attempt-timeout (2 s)",
        ),
        ("db:1 --settle 1 --down", "--settle and --down cannot be used together"),
        ("db:1 --interval 0", "--interval: '0' leaves no pause between two attempts"),
        ("db:1 --backoff 1", "'1' is not INITIAL,MAXIMUM[,FACTOR[,JITTER]], such as"),
        ("db:1 --backoff 1,a", "--backoff: 'a' is not a duration"),
        ("db:1 --backoff 1,5,2s", "--backoff: '2s' is not a number, such as 0.5 or 2"),
        ("db:1 --backoff 0,5", "'0,5' leaves no pause between two attempts"),
        ("db:1 --backoff 1,5,0.5", "'1,5,0.5': factor must be 1 or more, not 0.5"),
        ("db:1 --backoff 1,5,2,1.5", "jitter must be between 0 and 1, not 1.5"),
        ("db:1 --interval 1 --backoff 1,5", "not allowed with argument --interval"),
        ("db:1 --resolver mine", "invalid choice: 'mine'"),
    ],
)
def test_bad_input(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what is wrong, and the status is that of wrong usage."""
    assert main(["wait", *arguments.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("aioconnect: ")
    assert says in said.err
    assert said.err.count("\n") == 1


def test_control_characters_are_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that quotes an argument does not move the cursor."""
    assert main(["wait", "db:1", "--an\x1b[2Jy\n\udcff"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"\x1b[2Jy" in said
    assert r"\udcff" in said

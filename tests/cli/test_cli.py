"""The command line, as the real program."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from programs import AIOCONNECT, environment, program

import aioconnect
from aioconnect._cli import main

COMMANDS = ("completion", "demo", "probe", "sweep", "wait")


def test_version() -> None:
    assert program("--version").stdout.strip() == aioconnect.__version__


def test_usage() -> None:
    """A wrong argument gets one line on standard error; no argument gets the help."""
    done = program()
    assert done.returncode == 2
    assert "usage: aioconnect" in done.stderr
    done = program("nosuch")
    assert done.returncode == 2
    assert done.stderr.startswith("aioconnect: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(
    command: str,
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The help fits the terminal, and its examples can be copied."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*command.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    assert not any(line.endswith("-") for line in shown.splitlines())
    for example in re.findall(r"\$ ((?:.*\\\n)*.*)", shown):
        assert re.sub(r" \\\n +", " ", example).isprintable()


@pytest.mark.parametrize("columns", ["0", "1", "11", "x", "9" * 5000])
def test_odd_terminals(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The help and errors work at any width."""
    monkeypatch.setenv("COLUMNS", columns)
    for command in ("", *COMMANDS):
        assert main([*command.split(), "--help"]) == 0
    assert main(["wait"]) == 2


def test_streams_that_cannot_be_written_to() -> None:
    """A pipe may be closed, a disk full, and a stream not there at all.

    Nothing that is opened later takes the place of a closed stream: uvloop would abort.
    """
    for redirected, status, says in (
        ("-h | true; echo ${PIPESTATUS[0]} >&2", 0, r"0|141"),
        ("completion bash | true; exit ${PIPESTATUS[0]}", 141, ""),
        ("--version > /dev/full", 1, "aioconnect: No space left on device"),
        ("wait --help > /dev/full", 1, "aioconnect: No space left on device"),
        ("--help >&-", 0, ""),
        ("completion bash >&-", 0, ""),
        ("demo >&-", 1, "aioconnect: standard output is closed"),
        ("probe 127.0.0.1:1 --json --loop uvloop <&- > /dev/null", 1, ""),
        ("nosuch 2> /dev/full", 2, ""),
        ("nosuch 2>&-", 2, ""),
        ("2>&-", 2, ""),
    ):
        command = f"{shlex.join(AIOCONNECT)} {redirected}"
        # Python tries to write its buffer at exit, which fails too.
        unbuffered = "1" if redirected.startswith("wait") else ""
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            env=environment(PYTHONUNBUFFERED=unbuffered),
        )
        assert done.returncode == status, (redirected, done)
        assert re.fullmatch(says, done.stderr.strip()), (redirected, done)
        assert done.stdout == ""

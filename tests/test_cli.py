"""The command line, as the real program."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aioconnect
from aioconnect._cli import main


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aioconnect", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=100
    )


def test_demo() -> None:
    """The demo shows the refusals, the waits and the connect, on both loops."""
    done = program("demo")
    assert done.returncode == 0, done
    assert done.stderr == ""
    for said in (
        "== on asyncio",
        "== on uvloop",
        "asyncio.open_connection: refused",
        "attempt 1: Connection refused",
        "next attempt in",
        "connected",
        "bytes there and back",
        "All of it was so.",
    ):
        assert said in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_version() -> None:
    assert program("--version").stdout.strip() == aioconnect.__version__


def test_usage() -> None:
    done = program()
    assert done.returncode == 2
    assert "usage: aioconnect" in done.stderr
    assert program("nosuch").returncode == 2


def test_demo_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    assert "All of it was so." in capsys.readouterr().out

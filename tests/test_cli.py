"""The command line, as the real program."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from programs import program

import aioconnect
from aioconnect import testing
from aioconnect._cli import _demo, main


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
    """What cannot be read is said in one line; nothing at all gets the help."""
    done = program()
    assert done.returncode == 2
    assert "usage: aioconnect" in done.stderr
    done = program("nosuch")
    assert done.returncode == 2
    assert done.stderr.startswith("aioconnect: ")
    assert done.stderr.count("\n") == 1


def test_demo_that_is_not_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that does not start late makes the demo's first claim untrue."""

    @contextlib.contextmanager
    def not_late() -> Iterator[int]:
        with testing.echoing() as server:
            yield server.port

    monkeypatch.setattr(_demo, "_late_server", not_late)
    assert main(["demo"]) == 1
    assert "NOT SO: asyncio.open_connection was to be" in capsys.readouterr().out


def test_demo_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    assert "All of it was so." in capsys.readouterr().out

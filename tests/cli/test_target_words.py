"""A host and a port in two words."""

from __future__ import annotations

import json

import pytest
from programs import program

from aioconnect._cli import main
from aioconnect._cli.command_line import parse
from aioconnect._cli.target_words import host_and_port


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("db 5432", "db:5432"),
        ("10.0.0.1 5432", "10.0.0.1:5432"),
        ("::1 5432", "[::1]:5432"),
        ("[::1] 5432", "[::1]:5432"),
        ("fe80::1%lo 5432", "[fe80::1%lo]:5432"),
        ("db:1 5432", None),
        ("1234 5432", None),
        ("db postgresql", None),
        ("db ٣", None),
        ("/run/x 5432", None),
        ("unix:/run/x 5432", None),
        ("tcp://db 5432", None),
        ("srv:_x._tcp.db 5432", None),
        ("vsock:1:2 5432", None),
        (" 5432", None),
        ("db", None),
        ("db 5432 1", None),
    ],
)
def test_two_words(words: str, text: str | None) -> None:
    """Only a host before a bare number is one target with it."""
    assert host_and_port(words.split(" ")) == text


@pytest.mark.parametrize(
    "line", ["db 1 --quiet", "--quiet db 1", "db --quiet 1", "-t 9 db 1 -q", "db:1"]
)
def test_in_wait(line: str) -> None:
    """The two words may stand before or after a flag, or on both sides of it."""
    arguments = parse(["wait", *line.split(), "--", "echo", "2"])
    assert [*map(str, arguments.targets)] == ["db:1"]
    assert arguments.command == ["echo", "2"]


@pytest.mark.parametrize("line", ["db 1", "--json db 1", "db --json 1", "db:1 --json"])
def test_in_probe(line: str) -> None:
    assert str(parse(["probe", *line.split()]).target) == "db:1"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("db:1 cache:2", "unrecognized arguments: cache:2"),
        ("db:1 2", "unrecognized arguments: 2"),
        ("db:1 2 --count 3", "unrecognized arguments: 2"),
        ("db 1 2", "target 'db', character 3: a port is missing"),
    ],
)
def test_probe_takes_one_target(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["probe", *line.split()]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_in_a_list(port: int) -> None:
    """A line of a sweep's list is a target, in one word or in two.

    A record names the line as it was written.
    """
    lines = [f"127.0.0.1 {port}", f"127.0.0.1:{port}", f"127.0.0.1 {port} x"]
    done = program("sweep", "-", "--json", stdin="\n".join(lines))
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(one["target"] for one in records) == lines[:2]
    assert not any(one["error"] for one in records)
    assert ":3: target '127.0.0.1" in done.stderr
    assert done.returncode == 2

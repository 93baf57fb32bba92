"""Users of wait-for-it, dockerize, wait4x and wait-port are told which flag to use."""

from __future__ import annotations

import pytest

from aioconnect._cli import main
from aioconnect._cli.command_line import parse
from aioconnect._cli.wait.other_programs import _HINTS


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-h db -p 5432", "-h: write the target as HOST:PORT, such as db:5432; --help"),
        ("--host=db --port=5432", "--host: write the target as HOST:PORT"),
        ("db:1 --strict", "--strict: leave it out: COMMAND never runs after a wait"),
        ("db:1 -s -- echo", "-s: leave it out: COMMAND never runs"),
        ("-wait tcp://db:1 -timeout 30s", "-wait: leave it out: targets need no flag"),
        ("-wait=tcp://u:pw@db:1", "-wait: leave it out: targets need no flag"),
        ("tcp://db:1 -timeout 30s", "-timeout: use --timeout"),
        ("db:1 -wait-retry-interval 5s", "-wait-retry-interval: use --interval"),
        ("-template a.tmpl:b db:1", "-template: leave it out: aioconnect fills in no"),
        ("db:1 -i 5s", "-i: use --interval"),
        ("db:1 --invert-check", "--invert-check: use --down"),
        ("db:1 -v", "-v: use --down"),
        ("db:1 --backoff-policy exponential", "use --backoff INITIAL,MAXIMUM,FACTOR"),
        ("tcp db:1", "tcp: leave it out: targets need no command before them"),
        ("tcp db:1 -t 5", "tcp: leave it out: targets need no command before them"),
        ("redis redis://u:pw@db:1", "redis: leave it out: a target is a URL without"),
        ("mysql u:pw@tcp(h:3306)/x", "mysql: leave it out: a target is a URL without"),
        ("dns A example.org", "dns: write dns://NAME"),
        ("db -p1", "-p: write the target as HOST:PORT"),
        ("db:1 -i100ms", "-i: use --interval"),
        ("db:1 -st1", "-s: leave it out: COMMAND never runs"),
        ("db:1 -qs", "-s: leave it out: COMMAND never runs"),
        ("db:1 --connection-timeout 1s", "use --attempt-timeout"),
        ("-h -t 15 -- ./start", "-h: write the target as HOST:PORT"),
        ("db:1 -h", "-h: write the target as HOST:PORT"),
        ("-qh db", "-qh: write the target as HOST:PORT"),
        ("-hq db", "-hq: write the target as HOST:PORT"),
        ("-qqh", "-qqh: write the target as HOST:PORT"),
        ("tcp://db:1 -wait-http-header Authorization:pw", "sends no headers of yours"),
        ("http://db --request-body password=pw", "the check of http:// sends no body"),
        ("http://db --expect-header X=pw", "looks at the status only"),
        ("http://db --no-redirect", "redirects are not followed"),
        ("redis://db --expect-key pw", "only asks whether the service is ready"),
        ("db:1 -o dots", "-o: use --quiet"),
        ("db:1 --wait-for-dns", "leave it out: aioconnect always waits for names"),
    ],
)
def test_hints(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the flag to use, and the status is that of wrong usage."""
    assert main(["wait", *line.split()]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.endswith("(see 'aioconnect wait --help')\n")
    assert said.err.count("\n") == 1
    assert "pw" not in said.err


@pytest.mark.parametrize("flag", _HINTS)
def test_each_hint(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It comes with a value and without, and never for what follows ``--``."""
    for words in ([flag], [flag, "x"], [f"{flag}=x"]):
        assert main(["wait", "db:1", *words]) == 2
        assert capsys.readouterr().err.startswith(f"aioconnect: {flag}: ")
    assert main(["wait", "no-port", "--", "echo", flag]) == 2
    assert capsys.readouterr().err.startswith("aioconnect: target 'no-port'")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("wait db tcp://cache:1", "target 'db', character 3: a port is missing"),
        ("wait redis db:1", "target 'redis', character 6: a port is missing"),
        ("wait 5432 tcp://db:1", "target '5432' has a port and no host"),
        ("wait db:1 -x", "unrecognized arguments: -x"),
        ("wait https://db -insecure", "unrecognized arguments: -insecure"),
        ("wait http://db -skip-redirect", "unrecognized arguments: -skip-redirect"),
        ("probe db:1 -i", "unrecognized arguments: -i"),
    ],
)
def test_other_mistakes(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are not mistaken for the flags and commands of other programs."""
    assert main(line.split()) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("line", ["db:1 -t30", "db:1 -qt30", "db:1 -q"])
def test_joined_flags_that_are_known(line: str) -> None:
    assert parse(["wait", *line.split()]).targets


@pytest.mark.parametrize(
    ("line", "targets"),
    [
        ("redis 6379", ["redis:6379"]),
        ("tcp 1", ["tcp:1"]),
        ("redis:6379 tcp://db:1", ["redis:6379", "db:1"]),
    ],
)
def test_hosts_that_are_called_like_commands(line: str, targets: list[str]) -> None:
    assert [*map(str, parse(["wait", *line.split()]).targets)] == targets


@pytest.mark.parametrize("line", ["-h", "--help", "db:1 --help", "--help -t 5"])
def test_the_help_is_still_there(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """But ``-h`` is only the help if it is alone: a script's host may be empty."""
    assert main(["wait", *line.split()]) == 0
    assert "usage: aioconnect wait" in capsys.readouterr().out


def test_the_first_lines_of_the_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say that there is no default timeout."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["wait", "--help"]) == 0
    first = " ".join(capsys.readouterr().out.splitlines()[:5])
    assert "There is no default timeout" in first

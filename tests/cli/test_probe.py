"""``aioconnect probe``: what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cli.probe_process import address, is_well_formed, probing, shape
from programs import program

from aioconnect import testing
from aioconnect._cli import main
from aioconnect._cli.probe import command
from aioconnect.testing import Server

Output = pytest.CaptureFixture[str]


def test_connected(port: int, capsys: Output) -> None:
    assert main(["probe", f"127.0.0.1:{port}"]) == 0
    shown = capsys.readouterr().out
    assert shape(shown) == [
        f"127.0.0.1:{port}: connected in T",
        "0 T",
        f"✓ attempt 127.0.0.1:{port} ━ T connected",
    ]
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_not_connected(refused_port: int, capsys: Output) -> None:
    """The exit status says that it failed, and the lines say why."""
    target = f"127.0.0.1:{refused_port}"
    assert main(["probe", target, "--interval", "0.01", "--attempts", "2"]) == 1
    lines = shape(capsys.readouterr().out)
    assert lines[:5] == [
        f"{target}: not connected, ECONNREFUSED, after T, 2 rounds",
        "0 T",
        f"✗ attempt {target} ━ T connection refused",
        "wait for round 2 ━ T",
        f"✗ attempt {target} ━ T connection refused",
    ]
    assert lines[5].startswith(f"cannot connect to {target}: ")


def test_late_server(capsys: Output) -> None:
    """A late server is shown with the rounds that it took."""
    with testing.late(1.0) as server:
        target = f"127.0.0.1:{server.port}"
        assert main(["probe", target, "--interval", "0.4", "--timeout", "60"]) == 0
    lines = shape(capsys.readouterr().out)
    assert re.fullmatch(rf"{target}: connected in T, \d rounds", lines[0])
    assert lines[2] == f"✗ attempt {target} ━ T connection refused"
    assert lines[-1] == f"✓ attempt {target} ━ T connected"


def test_json(port: int, refused_port: int, capsys: Output) -> None:
    """Each line is a record of `Timeline.to_dict`."""
    assert main(["probe", f"127.0.0.1:{port}", "--json", "--count", "3"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["outcome"] for record in records] == ["connected"] * 3
    assert {record["target"] for record in records} == {f"127.0.0.1:{port}"}
    assert main(["probe", f"127.0.0.1:{refused_port}", "--json"]) == 1
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert record["schema"] == 1
    assert record["error"]["errno"] == "ECONNREFUSED"
    assert [step["outcome"] for step in record["steps"]] == ["failed"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_count(port: int, capsys: Output, loop: str) -> None:
    """Of several connects, the histogram is shown, and the longest one."""
    command = ["probe", f"127.0.0.1:{port}", "--count", "40", "--loop", loop]
    assert main(command) == 0
    first, numbers, *bars = shape(capsys.readouterr().out)
    assert first == f"127.0.0.1:{port}: 40 of 40 connected"
    assert numbers == "min T, median T, p95 T, max T"
    end = bars.index("")
    assert sum(int(bar.split()[-1]) for bar in bars[:end]) == 40
    assert bars[end + 1] == "the slowest connect:"
    # On uvloop's clock it may have taken no time.
    longest = rf"127.0.0.1:{port}: connected in (T|0)"
    assert re.fullmatch(longest, bars[end + 2])


def test_count_failures(refused_port: int, capsys: Output) -> None:
    """Failures are counted by their reason."""
    assert main(["probe", f"127.0.0.1:{refused_port}", "--count", "3"]) == 1
    lines = shape(capsys.readouterr().out)
    assert lines[:3] == [
        f"127.0.0.1:{refused_port}: 0 of 3 connected",
        "ECONNREFUSED ━ 3",
        "",
    ]


def test_unix(capsys: Output) -> None:
    """Other kinds of targets are probed as well."""
    with testing.unix_listening() as server:
        assert main(["probe", f"unix:{server.path}"]) == 0
        target = f"unix:{server.path}"
    assert f"{target}: connected in" in capsys.readouterr().out.replace("\n", " ")


def test_options(port: int, capsys: Output) -> None:
    """The flags of the connector take effect."""
    assert main(["probe", f"127.0.0.1:{port}", "--only-public"]) == 1
    assert "guard: not allowed" in capsys.readouterr().out
    assert main(["probe", f"localhost:{port}", "--family", "4", "--json"]) == 0
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {step["what"].split()[0] for step in record["steps"]} == {
        "A",
        f"127.0.0.1:{port}",
    }


def test_svg(port: int, capsys: Output, tmp_path: Path) -> None:
    """The picture replaces the contents of the file."""
    path = tmp_path / "probe.svg"
    path.write_text("x" * 10_000)
    assert main(["probe", f"127.0.0.1:{port}", "--svg", str(path)]) == 0
    assert is_well_formed(one := path.read_text())
    assert f"<title>127.0.0.1:{port}: connected in" in one
    command = ["probe", f"127.0.0.1:{port}", "--svg", str(path), "--count", "2"]
    assert main([*command, "--json"]) == 0
    assert is_well_formed(both := path.read_text())
    assert f"<title>127.0.0.1:{port}: 2 of 2 connected</title>" in both
    assert main(["probe", f"127.0.0.1:{port}", "--svg", os.devnull]) == 0


def test_svg_that_cannot_be_written(
    listener: Server, capsys: Output, tmp_path: Path
) -> None:
    """The error comes before the first connect, or at the end if writing fails then."""
    target = f"127.0.0.1:{listener.port}"
    for path in (tmp_path / "no" / "probe.svg", tmp_path):
        assert main(["probe", target, "--svg", str(path)]) == 2
        error = capsys.readouterr().err
        assert re.fullmatch(rf"aioconnect: --svg {path}: [A-Z][a-z ]+\n", error)
    with pytest.raises(TimeoutError):
        listener.accept(0.01)
    assert main(["probe", target, "--svg", "/dev/full"]) == 1
    error = capsys.readouterr().err
    assert error == "aioconnect: --svg /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: TARGET"),
        (["db"], "target 'db', character 3: a port is missing"),
        (["db:1", "--loop", "trio"], "invalid choice: 'trio'"),
        (["db:1", "--count", "0"], "'0' is not a whole number of 1 or more"),
        (["db:1", "--timeout", "-1"], "'-1' is not a duration"),
        (
            ["db:1", "--insecure"],
            "--insecure needs a target with TLS (amqps://, https://, ",
        ),
        (["db:1", "--server-name", "x"], "--server-name needs --tls"),
        (["vsock:1:1", "--tls"], "--tls needs host:port or unix:, not vsock:1:1"),
        (["srv:_a._tcp.b", "--tls"], "--tls needs host:port or unix:, not srv:"),
        (["unix:/x", "--tls"], "--tls to unix:/x needs --server-name"),
        (
            ["db:1", "--tls", "--server-name="],
            "--server-name is empty; --insecure accepts",
        ),
        (["srv:_a._tcp.b", "--resolver", "system"], "needs --resolver aiodns"),
        (["db:1", "--nosuch"], "unrecognized arguments: --nosuch"),
        (["db:1", "other:2"], "unrecognized arguments: other:2"),
    ],
)
def test_usage(arguments: list[str], said: str, capsys: Output) -> None:
    """One line on standard error, and status 2."""
    assert main(["probe", *arguments]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("aioconnect: ")
    assert said in error
    assert error.count("\n") == 1


def test_without_uvloop(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert main(["probe", "db:1", "--loop", "uvloop"]) == 2
    assert capsys.readouterr().err == (
        "aioconnect: --loop uvloop needs uvloop:"
        " in a checkout, pip install '.[uvloop]'\n"
    )


def test_without_rich(
    port: int, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which extra to install; --json needs none."""
    monkeypatch.delitem(sys.modules, "aioconnect._cli.probe.live_view", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["probe", f"127.0.0.1:{port}"]) == 2
    assert capsys.readouterr().err == (
        "aioconnect: this needs rich: in a checkout, pip install '.[cli]'"
        "; --json does not\n"
    )
    assert main(["probe", f"127.0.0.1:{port}", "--json"]) == 0


def test_without_output(
    port: int, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["probe", f"127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err == "aioconnect: standard output is closed\n"


def test_tls(capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The handshake is a step; the system decides whom to trust, unless --insecure."""
    with testing.tls_echoing() as server:
        target = f"127.0.0.1:{server.port}"
        assert main(["probe", target, "--tls"]) == 1
        assert "certificate" in capsys.readouterr().out
        assert main(["probe", target, "--tls", "--insecure"]) == 0
        assert f"✓ tls {target}" in capsys.readouterr().out
        authority = tmp_path / "ca.pem"
        server.ca.cert_pem.write_to_path(str(authority))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert main(["probe", target, "--tls"]) == 0
        command = ["probe", target, "--tls", "--server-name"]
        assert main([*command, "localhost"]) == 0
        capsys.readouterr()
        assert main([*command, "other.test"]) == 1
        assert "ConnectCertificateError" in capsys.readouterr().out
        assert main([*command, ".test"]) == 2
        assert "server_hostname: host: '.test'" in capsys.readouterr().err


def test_tls_whose_first_address_stalls(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second address of a name is used; both handshakes are steps."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **more: Any) -> list[Any]:
        hosts = ("::1", "127.0.0.1") if host == "db.test" else (host,)
        return [one for host in hosts for one in resolve(host, *arguments, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with testing.on_one_port(
        testing.tls_echoing, lambda port: testing.listening("::1", port=port)
    ) as (server, silent):
        target = f"db.test:{server.port}"
        assert main(["probe", target, "--tls", "--insecure", "--json"]) == 0
        assert server.connections == 1
        silent.accept().close()
    record = json.loads(capsys.readouterr().out)
    assert record["address"] == f"127.0.0.1:{server.port}"
    handshakes = [
        (step["what"], step["outcome"])
        for step in record["steps"]
        if step["kind"] == "tls"
    ]
    assert handshakes == [
        (f"[::1]:{server.port}", "dropped"),
        (f"127.0.0.1:{server.port}", "ok"),
    ]


def test_tls_on_a_path(capsys: Output) -> None:
    name = f"aioconnect-probe-{os.getpid()}"
    with testing.tls_echoing(path=f"\0{name}"):
        target = f"unix:@{name}"
        assert main(["probe", target, "--tls", "--insecure"]) == 0
        assert "done" in capsys.readouterr().out
        command = ["probe", target, "--tls", "--server-name", "localhost", "--json"]
        assert main(command) == 1
    record = json.loads(capsys.readouterr().out)
    assert [step["kind"] for step in record["steps"]] == ["attempt", "tls"]


def test_tls_without_an_answer(capsys: Output) -> None:
    with testing.tls_echoing(silent=True) as server:
        target = f"127.0.0.1:{server.port}"
        command = ["probe", target, "--tls", "--insecure", "--timeout", "0.1"]
        assert main(command) == 1
    assert f"✗ tls {target}" in capsys.readouterr().out


def test_interrupted_in_this_process(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results so far are shown before the signal ends the program."""
    monkeypatch.setattr(command, "exit_by_signal", lambda number: 128 + number)
    for options in ((), ("--count", "2"), ("--json",)):
        with testing.tls_echoing(silent=True) as server:

            def send() -> None:
                server.wait_for_connections(1)
                os.kill(os.getpid(), signal.SIGTERM)

            sending = threading.Thread(target=send)
            sending.start()
            where = f"127.0.0.1:{server.port}"
            assert main(["probe", where, "--tls", "--insecure", *options]) == 143
            sending.join()
        shown = capsys.readouterr().out
        assert "cancelled" in shown
        assert ("the last connect:" in shown) == ("--count" in options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """A signal leaves the results so far in a pipe, too, and in the picture."""
    path = tmp_path / "probe.svg"
    with testing.tls_echoing(silent=True) as server:
        where = f"127.0.0.1:{server.port}"
        for count, options in enumerate(((), ("--json",), ("--count", "2")), 1):
            tls = ("--tls", "--insecure", "--svg", str(path))
            process = probing(where, *tls, *options)
            server.wait_for_connections(count, 20)
            process.send_signal(number)
            out, error = process.communicate(timeout=20)
            assert process.returncode == -number
            assert error == ""
            assert "cancelled" in out
            assert f"tls {where}" in out or '"kind": "tls"' in out
            assert is_well_formed(path.read_text())
            assert where in path.read_text()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_interrupted_where_nothing_is_waited_for(loop: str) -> None:
    """A signal ends a probe whose connects each succeed or fail without waiting."""
    options = ("--count", "900000000", "--json", "--loop", loop)
    with probing("unix:/no/such/socket", *options) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM


def test_pipes(port: int) -> None:
    """Pipes get no escape sequences, and lines that fit COLUMNS."""
    where = f"localhost:{port}"
    done = program("probe", where)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    done = program("probe", where, "--count", "3", COLUMNS="40")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert f"attempt 127.0.0.1:{port}" in done.stdout


def test_each_record_at_once() -> None:
    """A record can be read while the next connect is under way."""
    with testing.listening(backlog=0) as server:
        command = (address(server), "--count", "2", "--json")
        process = probing(*command, PYTHONUNBUFFERED="")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["outcome"] == "connected"
        process.terminate()  # the backlog is full, so the second connect waits
        out, _ = process.communicate(timeout=20)
    assert json.loads(out)["outcome"] == "cancelled"


@pytest.mark.parametrize("columns", ["1", "19", "999999999999"])
def test_odd_terminals(
    port: int, columns: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe works at any width."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["probe", f"127.0.0.1:{port}", "--count", "2"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 400


def test_other_characters(port: int) -> None:
    """Where the encoding has few characters, the drawing uses those."""
    done = program("probe", f"127.0.0.1:{port}", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    line = done.stdout.splitlines()[2]
    assert re.match(rf"\+ attempt 127.0.0.1:{port} +=+ ", line)


def test_whoever_reads_has_gone(port: int) -> None:
    """It ends by SIGPIPE when its reader has gone, as other programs do."""
    process = probing(f"127.0.0.1:{port}", "--json", "--count", "100000")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == -signal.SIGPIPE
    assert process.stderr is not None
    with process.stderr as said:
        assert said.read() == ""


def test_a_server_that_dies() -> None:
    """Connects count while the server lives, and refusals after that."""
    with testing.unused_port() as server:
        listener = server.listen()
        where = f"127.0.0.1:{server.port}"
        with probing(where, "--count", "500", "--json") as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            listener.accept().close()
            server.refuse()
            lines += process.stdout
        assert process.returncode == 1
    outcomes = {json.loads(line)["outcome"] for line in lines}
    assert outcomes == {"connected", "failed"}


def test_picture_of_the_readme(tmp_path: Path) -> None:
    """The picture has what its command draws, on a machine as fast."""
    from benchmarks.probed import PICTURE, probe

    path = tmp_path / "probe.svg"
    try:
        command = probe(path)
    except OSError as exc:
        pytest.skip(f"no IPv6 on the loopback interface: {exc}")
    assert re.fullmatch(r"aioconnect probe localhost:\d+ .* --svg probe.svg", command)
    hints = [
        re.findall("<title>(.*?)</title>", re.sub(r":\d+", ":N", drawn.read_text()))
        for drawn in (path, PICTURE)
    ]
    assert set(hints[0][1:]) <= set(hints[1][1:])
    assert "tls 127.0.0.1:N: done" in hints[0]

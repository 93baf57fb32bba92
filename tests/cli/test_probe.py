"""``aioconnect probe``: what it shows, in pipes, in terminals, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

import pexpect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import AIOCONNECT, environment, program, screen

from aioconnect import testing
from aioconnect._cli import main
from aioconnect._cli.event_loop import run_until_signal
from aioconnect._cli.probe import command
from aioconnect._cli.probe.latency_histogram import LatencyHistogram
from aioconnect._timeline.text_width import display_width
from aioconnect.testing import BlackHole, Server

Output = pytest.CaptureFixture[str]


def shape(text: str) -> list[str]:
    """Return the lines of *text* without what differs each time: times, and bars."""
    text = re.sub(r"\d[\d,.]* (ms|s|h)\b", "T", text)
    text = re.sub(r"[─━═·█]+", "━", text)
    return [" ".join(line.split()) for line in text.splitlines()]


def is_well_formed(svg: str) -> bool:
    return bool(expat.ParserCreate().Parse(svg.encode(), True))


# -- in this process


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
    """Its exit status says so, and the lines why."""
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
    """One that is late is shown with the rounds that it took."""
    with testing.late(1.0) as server:
        target = f"127.0.0.1:{server.port}"
        assert main(["probe", target, "--interval", "0.4", "--timeout", "60"]) == 0
    lines = shape(capsys.readouterr().out)
    assert re.fullmatch(rf"{target}: connected in T, \d rounds", lines[0])
    assert lines[2] == f"✗ attempt {target} ━ T connection refused"
    assert lines[-1] == f"✓ attempt {target} ━ T connected"


def test_json(port: int, refused_port: int, capsys: Output) -> None:
    """A record a line, each what `Timeline.to_dict` says."""
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
    """Of several, the distribution is shown, and the one that took longest."""
    command = ["probe", f"127.0.0.1:{port}", "--count", "40", "--loop", loop]
    assert main(command) == 0
    first, numbers, *bars = shape(capsys.readouterr().out)
    assert first == f"127.0.0.1:{port}: 40 of 40 connected"
    assert numbers == "min T, median T, p95 T, max T"
    end = bars.index("")
    assert sum(int(bar.split()[-1]) for bar in bars[:end]) == 40
    assert bars[end + 1] == "the one that took longest:"
    # On uvloop's clock it may have taken no time.
    longest = rf"127.0.0.1:{port}: connected in (T|0)"
    assert re.fullmatch(longest, bars[end + 2])


def test_count_failures(refused_port: int, capsys: Output) -> None:
    """Those that failed are counted by what was wrong."""
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
    """The options of the connector are what they say."""
    assert main(["probe", f"127.0.0.1:{port}", "--only-public"]) == 1
    assert "guard: not allowed" in capsys.readouterr().out
    assert main(["probe", f"localhost:{port}", "--family", "4", "--json"]) == 0
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert {step["what"].split()[0] for step in record["steps"]} == {
        "A",
        f"127.0.0.1:{port}",
    }


def test_svg(port: int, capsys: Output, tmp_path: Path) -> None:
    """The picture takes the place of what was in the file."""
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
    """It is said before anything is connected, and at the end if it is so then."""
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
        (["db:1", "--count", "0"], "'0' is not a whole number from 1 on"),
        (["db:1", "--timeout", "-1"], "'-1' is not a number of seconds"),
        (["db:1", "--insecure"], "--server-name and --insecure go with --tls"),
        (["db:1", "--server-name", "x"], "--insecure go with --tls"),
        (["vsock:1:1", "--tls"], "--tls goes with host:port and unix:, not vsock:1:1"),
        (["srv:_a._tcp.b", "--tls"], "--tls goes with host:port and unix:"),
        (["unix:/x", "--tls"], "--tls to unix:/x needs --server-name"),
        (["db:1", "--tls", "--server-name="], "--server-name is empty; to accept any"),
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
    """It says which extra to install; JSON needs none."""
    monkeypatch.delitem(sys.modules, "aioconnect._cli.probe.live_view", raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert main(["probe", f"127.0.0.1:{port}"]) == 2
    assert capsys.readouterr().err == (
        "aioconnect: this needs rich: in a checkout, pip install '.[cli]'"
        " (--json does not)\n"
    )
    assert main(["probe", f"127.0.0.1:{port}", "--json"]) == 0


def test_without_output(
    port: int, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["probe", f"127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err == "aioconnect: standard output is closed\n"


def test_tls(capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The handshake is a step; whom to trust is the system's to say, or not asked."""
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_until_signal(
    number: signal.Signals, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Work is cancelled by it, and the handlers are as they were."""
    ended: list[str] = []

    async def work(sends: bool) -> None:
        try:
            if sends:
                os.kill(os.getpid(), number)
                await asyncio.get_running_loop().create_future()
        finally:
            ended.append("ended")

    before = signal.getsignal(number)
    assert run_until_signal(work(sends=True), loop_factory) == number
    assert run_until_signal(work(sends=False), loop_factory) is None
    assert ended == ["ended", "ended"]
    assert signal.getsignal(number) == before

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_until_signal(cancelled(), loop_factory)


def test_an_ignored_signal(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """What was ignored when the program was started is ignored."""

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run_until_signal(work(), loop_factory) is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupted_in_this_process(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was seen so far is shown first, and then it ends by the signal."""
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
        assert ("the last one:" in shown) == ("--count" in options)


# -- the distribution


def made(*took: float, **failures: int) -> LatencyHistogram:
    distribution = LatencyHistogram("db:5432")
    for elapsed in took:
        distribution.add_connected(elapsed)
    for why, count in failures.items():
        for _ in range(count):
            distribution.add_failed(why)
    return distribution


def test_distribution() -> None:
    """Numbers like each other have bars of the same width."""
    took = [0.010 + number * 0.0001 for number in range(100)]
    text = made(*took, ECONNREFUSED=10).to_text(40, color=False)
    assert text.splitlines() == [
        "db:5432: 100 of 110 connected",
        "min 10 ms, median 15 ms, p95 19 ms, max",
        "20 ms",
        *(f"{f'{low} to {low + 1} ms':12} {'█' * 24} 10" for low in range(10, 20)),
        "ECONNREFUSED ████████████████████████ 10",
    ]


def test_distribution_of_very_many() -> None:
    """It takes no more room, and no more time to show, than that of some thousands."""
    distribution = made(*(1 + number / 1e9 for number in range(100_000)))
    assert len(distribution._durations) == 1
    assert distribution.to_text(80, color=False).startswith(
        "db:5432: 100,000 of 100,000 connected\n"
        "min 1.000 s, median 1.000 s, p95 1.000 s, max 1.000 s\n"
    )


def test_distribution_of_other_magnitudes() -> None:
    """Those of other magnitudes have bars of other magnitudes."""
    text = made(0.0003, 0.0004, 0.0041, 1.0, 1.9).to_text(40, color=False)
    rows = text.splitlines()
    assert [re.sub(r" +█* *", " ", row) for row in rows[3:]] == [
        "0.2 to 0.5 ms 2",
        "0.5 to 1 ms 0",
        "1 to 2 ms 0",
        "2 to 5 ms 1",
        "5 to 10 ms 0",
        "10 to 20 ms 0",
        "20 to 50 ms 0",
        "50 to 100 ms 0",
        "100 to 200 ms 0",
        "200 to 500 ms 0",
        "0.5 to 1 s 0",
        "1 to 2 s 2",
    ]


REASONS = st.sampled_from(["ECONNREFUSED", "EAI_NONAME", "x" * 99, "\x1b[1m", "例え"])


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 1e6), max_size=40),
    st.dictionaries(REASONS, st.integers(1, 1000), max_size=4),
    st.integers(20, 200),
)
def test_any_distribution(
    took: list[float], failures: dict[str, int], width: int
) -> None:
    """Every connect is in one bar, no line is too wide, and the picture is one."""
    distribution = made(*took, **failures)
    assert distribution.count == len(took) + sum(failures.values())
    rows = distribution.to_text(width, color=False).split("\n")
    assert [
        row for row in rows if display_width(row) > width or not row.isprintable()
    ] == []
    assert is_well_formed(distribution.to_svg())
    bars = [bar for bar in distribution._bars() if bar.outcome == "ok"]
    assert sum(bar.count for bar in bars) == len(took)
    assert len(bars) <= 50


def address(server: BlackHole | Server) -> str:
    return f"{server.host}:{server.port}"


def test_colors_of_the_distribution() -> None:
    text = made(0.1, ECONNREFUSED=1).to_text(40, color=True)
    assert "\x1b[32m█" in text
    assert "\x1b[31m█" in text
    plain = re.sub(r"\x1b\[\d+m", "", text)
    assert plain == made(0.1, ECONNREFUSED=1).to_text(40, color=False)


# -- the real program


def probing(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*AIOCONNECT, "probe", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**env),
    )


def test_live(black_hole: BlackHole) -> None:
    """On a terminal it is shown while it goes on, and once, at the end, what it was."""
    where = address(black_hole)
    command = (*AIOCONNECT, "probe", where, "--timeout", "3")
    with screen(*command, columns=80, rows=24) as terminal:
        lines = terminal.wait(
            lambda lines: (
                f"{where}: connecting for" in "".join(lines)
                and lines[-1].endswith("no answer yet")
            )
        )
        _, _, *rest = shape("\n".join(lines))
        assert rest == [f"… attempt {where} ━ T no answer yet"]
        terminal.wait(lambda lines: "status" in "".join(lines))
        assert shape("\n".join(terminal.lines())) == [
            f"{where}: not connected, ETIMEDOUT, after T",
            "0 T",
            f"✗ attempt {where} ━ T no answer yet",
            f"not connected within T to {where}: no answer yet (1 attempt, T)",
            "status 1",
        ]


@pytest.mark.parametrize("columns", [80, 40])
def test_control_c(columns: int, black_hole: BlackHole) -> None:
    """What the terminal shows of the key leaves nothing of what was drawn."""
    where = address(black_hole)
    with screen(*AIOCONNECT, "probe", where, columns=columns, rows=24) as terminal:
        terminal.wait(lambda lines: "connecting for" in "".join(lines))
        terminal.run("send-keys", "-t", "0", "C-c")
        terminal.wait(lambda lines: "status" in "".join(lines))
        lines = terminal.lines()
    assert lines[0].startswith(f"{where}: cancelled after ")
    assert "connecting for" not in "".join(lines)


def test_made_narrower(black_hole: BlackHole) -> None:
    """What the terminal wraps then is taken away, and what came before it stays."""
    where = address(black_hole)
    before = ("sh", "-c", 'seq 30; exec "$@"', "sh")
    narrow = [
        "30",
        f"{where}: connecting for T",
        "0 T",
        f"… attempt {where} T",
        "━ no answer yet",
    ]
    with screen(*before, *AIOCONNECT, "probe", where, rows=12) as terminal:
        terminal.wait(lambda lines: "no answer yet" in "".join(lines))
        terminal.run("resize-window", "-x", "40")
        terminal.wait(lambda lines: shape("\n".join(lines[-5:])) == narrow)


@pytest.mark.parametrize("columns", [80, 40])
def test_on_small_screens(refused_port: int, columns: int) -> None:
    """What is higher than the screen is shortened while it is drawn, and then whole."""
    where = f"127.0.0.1:{refused_port}"
    options = ("--interval", "0.2", "--attempts", "9")
    with screen(
        *AIOCONNECT, "probe", where, *options, columns=columns, rows=7
    ) as terminal:
        terminal.wait(lambda lines: "connecting for" in "".join(lines))
        while "connecting for" in "".join(lines := terminal.lines()):
            assert len(lines) <= 6
        terminal.wait(lambda lines: "status 1" in lines)
        scrolled = terminal.run("capture-pane", "-p", "-S", "-", "-t", "0")
        shown = scrolled.strip().splitlines()
    assert shown[0].startswith(f"{where}: not connected,")
    assert scrolled.count("wait for round") == 5
    assert sum("rounds 4 to 6" in line for line in shown) == 1
    assert "connecting for" not in scrolled
    assert max(map(len, shown)) <= columns


def interrupted(
    where: str, *options: str, number: int = signal.SIGTERM, **env: str
) -> tuple[int | None, str]:
    """Probe in a terminal until a signal; return its status and what was written."""
    program, *arguments = (*AIOCONNECT, "probe", where, *options)
    child = pexpect.spawn(
        program,
        arguments,
        env=dict(environment(**{"TERM": "xterm", **env})),
        encoding="utf-8",
        timeout=20,
        dimensions=(24, 80),
    )
    with child:
        child.expect("no answer yet")
        child.kill(number)
        child.expect(pexpect.EOF)
    return child.signalstatus, child.before or ""


def test_interrupted_in_a_terminal(black_hole: BlackHole) -> None:
    """What was seen so far is shown, and the cursor is there again."""
    where = address(black_hole)
    status, after = interrupted(where, number=signal.SIGINT)
    assert status == signal.SIGINT
    assert f"{where}: cancelled after" in after
    assert "\x1b[33m" in after
    assert after.rindex("\x1b[?25h") > after.rfind("\x1b[?25l")


def test_no_color(black_hole: BlackHole) -> None:
    """With NO_COLOR no color is written, while it is drawn all the same."""
    status, after = interrupted(address(black_hole), NO_COLOR="1")
    assert status == signal.SIGTERM
    assert "cancelled after" in after
    assert not re.search(r"\x1b\[[\d;]*m", after)


def test_dumb_terminal(refused_port: int) -> None:
    """Where nothing can be drawn over, the end is written, in plain characters."""
    command = [*AIOCONNECT, "probe", f"127.0.0.1:{refused_port}"]
    child = pexpect.spawn(
        command[0],
        [*command[1:], "--interval", "0.15", "--attempts", "2"],
        env=dict(environment(TERM="dumb")),
        encoding="utf-8",
        timeout=20,
    )
    with child:
        child.expect(pexpect.EOF)
    shown = child.before or ""
    assert "\x1b" not in shown
    assert shown.count("not connected") == 1
    assert "connecting for" not in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """Also in a pipe, with the picture and the record of what was seen."""
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
    """Also where each of very many connects is made, or fails, at once."""
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
    """No escape sequences there; COLUMNS says how wide it is, and it is kept to."""
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
        process.terminate()  # the queue is full
        out, _ = process.communicate(timeout=20)
    assert json.loads(out)["outcome"] == "cancelled"


@pytest.mark.parametrize("columns", ["1", "19", "999999999999"])
def test_odd_terminals(
    port: int, columns: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No width is too odd to draw in."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["probe", f"127.0.0.1:{port}", "--count", "2"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 400


def test_other_characters(port: int) -> None:
    """Where there are but few characters, it is drawn with those."""
    done = program("probe", f"127.0.0.1:{port}", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    line = done.stdout.splitlines()[2]
    assert re.match(rf"\+ attempt 127.0.0.1:{port} +=+ ", line)


def test_whoever_reads_has_gone(port: int) -> None:
    """It ends then, as other programs do."""
    process = probing(f"127.0.0.1:{port}", "--json", "--count", "100000")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == -signal.SIGPIPE
    assert process.stderr is not None
    with process.stderr as said:
        assert said.read() == ""


def test_a_server_that_dies() -> None:
    """Its connects are counted while it lives, and its refusals then."""
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
    """It is what its command makes, where that starts as fast."""
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

"""What the benchmarks show and write; no test here measures how fast anything is."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from benchmarks import bounds, command, report, table
from benchmarks.cases import CASES, Case
from benchmarks.machine import CLIENT, SERVER, pin
from benchmarks.report import markdown
from benchmarks.results import DIRECTORY, Measure, Outcome, Row, load, save
from benchmarks.running import NONE, Contestant, Loops, Plan, isolated, take_turns
from benchmarks.servers import Endpoint, serving

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parent.parent

OUTCOME = Outcome(
    case="connect",
    title="a title",
    command="python -m benchmarks connect",
    date="2026-11-25T12:00:00+00:00",
    seconds=1.5,
    quick=True,
    machine={"cores": "2"},
    versions={"python": "3.11.7"},
    measures=(
        Measure(
            "time of a connect",
            "s",
            (
                Row("aioconnect.connect", "asyncio", (2e-5, 1e-5, 3e-5)),
                Row("loop.sock_connect", "asyncio", (4e-5, 4e-5, 4e-5)),
                Row("the checked system calls", NONE, (1e-5, 1e-5, 1e-5)),
                Row("aioconnect.connect", "uvloop", (), "OSError: none"),
                Row("loop.sock_connect", "uvloop", (4e-5,)),
            ),
        ),
    ),
)


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    """Have the process that multiprocessing starts once, and never ends."""
    resource_tracker.ensure_running()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "benchmarks", *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def ran() -> Iterator[tuple[str, Path]]:
    """Give what a quick run of a case printed, and where it wrote."""
    with tempfile.TemporaryDirectory() as directory:
        done = run("refused", "--quick", "--loop", "asyncio", "--out", directory)
        assert done.returncode == 0, done.stderr
        yield done.stdout, Path(directory)


def test_a_case_runs(ran: tuple[str, Path]) -> None:
    """Every contestant that is asked for has a line, also one that has failed."""
    said, directory = ran
    outcome = load(directory / "refused.json")
    (measure,) = outcome.measures
    assert {row.loop for row in measure.rows} == {"asyncio", "trio"}
    for row in measure.rows:
        assert bool(row.samples) != bool(row.failed)
        assert f"{row.contestant:<40}{row.loop}" in said
    rows = {row.contestant: row for row in measure.rows}
    assert rows["aioconnect.connect_any"].samples


def test_the_file_has_its_schema(ran: tuple[str, Path]) -> None:
    """It says the machine, the versions and the date beside what was measured."""
    _, directory = ran
    made: dict[str, Any] = json.loads((directory / "refused.json").read_text())
    assert {key: type(value) for key, value in made.items()} == {
        "case": str,
        "title": str,
        "command": str,
        "date": str,
        "seconds": float,
        "quick": bool,
        "machine": dict,
        "versions": dict,
        "skipped": type(None),
        "failed": type(None),
        "measures": list,
    }
    assert {"processor", "cores", "system", "load"} == made["machine"].keys()
    assert {"python", "aioconnect", "uvloop", "tenacity"} <= made["versions"].keys()
    for measure in made["measures"]:
        assert measure.keys() == {"name", "unit", "rows"}
        for row in measure["rows"]:
            assert row.keys() == {"contestant", "loop", "samples", "failed", "at"}


def test_an_unknown_case() -> None:
    """The error says which there are."""
    done = run("conect")
    assert done.returncode == 2
    assert "'conect' is none of connect, ipv6, unix, " in done.stderr


@pytest.mark.parametrize("name", ["file", "file/under"])
def test_a_directory_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    """It is said before anything is measured, in a line."""
    (tmp_path / "file").touch()
    done = run("unix", "--out", str(tmp_path / name))
    assert done.returncode == 2
    assert "argument --out: cannot write in " in done.stderr
    assert "[1/1]" not in done.stderr


@pytest.mark.parametrize(
    "partial", [["connect"], ["--quick"], ["--loop", "asyncio"], ["--out", "."]]
)
def test_only_a_whole_run_replaces_results(
    partial: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything less is refused before it is measured."""
    with pytest.raises(SystemExit) as ended:
        command.main(["--write", *partial])
    assert ended.value.code == 2
    assert "--write" in capsys.readouterr().err


def test_results_are_replaced_by_asking_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The directory's name is not enough."""
    with pytest.raises(SystemExit):
        command.main(["unix", "--out", str(DIRECTORY)])
    assert "--out: only --write replaces what is in " in capsys.readouterr().err


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the directory of the results, where each case takes no time."""

    def outcome_of(case: Case, plan: Plan) -> Outcome:
        # The pictures of some need more than one measure.
        measures = OUTCOME.measures if case.name == "connect" else ()
        return replace(OUTCOME, case=case.name, measures=measures)

    monkeypatch.setattr(command, "outcome_of", outcome_of)
    monkeypatch.setattr(command, "DIRECTORY", tmp_path)
    # A run sets it, and it is a process that ends then.
    monkeypatch.setenv("TMPDIR", tempfile.gettempdir())
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [[], ["--quick"], ["connect"], ["--loop", "uvloop"]]
)
def test_a_run_writes_nothing_by_itself(
    arguments: list[str], committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what it has found, and says how to keep it."""
    assert command.main(arguments) == 0
    assert not [*committed.iterdir()]
    said = capsys.readouterr()
    assert "time of a connect" in said.out
    assert "not written: --out DIRECTORY would keep it" in said.err


def test_a_whole_run_replaces_the_results(committed: Path) -> None:
    assert command.main(["--write"]) == 0
    written = {path.stem for path in committed.glob("*.json")}
    assert written == {case.name for case in CASES}
    assert (committed / "cost.svg").exists()


@pytest.mark.parametrize("lacks", [{"failed": "OSError"}, {"skipped": "needs root"}])
def test_a_run_that_lacks_a_case_is_not_whole(
    lacks: dict[str, Any],
    committed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was measured before is worth more."""

    def outcome_of(case: Case, plan: Plan) -> Outcome:
        outcome = replace(OUTCOME, case=case.name, measures=())
        return replace(outcome, **lacks) if case.name == "unix" else outcome

    monkeypatch.setattr(command, "outcome_of", outcome_of)
    assert command.main(["--write"]) == 1
    assert not [*committed.iterdir()]
    assert "failed or were skipped: unix\n" in capsys.readouterr().err


def test_a_machine_that_counts_no_instructions(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is whole all the same: the result says that they were not counted."""

    def outcome_of(case: Case, plan: Plan) -> Outcome:
        skipped = "not here" if case.name == "instructions" else None
        return replace(OUTCOME, case=case.name, measures=(), skipped=skipped)

    monkeypatch.setattr(command, "outcome_of", outcome_of)
    assert command.main(["--write"]) == 0
    assert load(committed / "instructions.json").skipped == "not here"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give a folder whose path leaves room for that of a Unix socket in it."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def test_an_interrupt_leaves_nothing(tmp_path: Path, short_path: Path) -> None:
    """No process and no file; the exit status is a shell's."""
    temporary, out = short_path, tmp_path / "out"
    with subprocess.Popen(
        (sys.executable, "-m", "benchmarks", "unix", "three", "--out", out),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        while not list(temporary.glob("*/*/socket")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        # All that run have this pipe.
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert f" results in {out}" in said.splitlines()[-1]
    assert "\x1b" not in said
    assert list(temporary.iterdir()) == []


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert load(save(OUTCOME, tmp_path)) == OUTCOME


def counting(name: str, calls: list[str], fails_at: int | None = None) -> Contestant:
    """Return a contestant that says when it is called."""

    def make(endpoint: Endpoint) -> Callable[[], str]:
        def opens() -> str:
            calls.append(name)
            if len([one for one in calls if one == name]) == fails_at:
                raise OSError("no more")
            return name

        return opens

    return Contestant(name, NONE, make, calls.index)


def once(loops: Loops, contestant: Contestant, opens: Callable[[], object]) -> float:
    opens()
    return 1.0


def test_contestants_take_turns() -> None:
    """Each round begins with another one, and the round to warm up is left out."""
    calls: list[str] = []
    contestants = [counting(name, calls) for name in "abc"]
    rows = take_turns(contestants, Endpoint(), 3, once)
    assert "".join(calls) == "cababcbcacab"
    assert [row.samples for row in rows] == [(1.0, 1.0, 1.0)] * 3


def test_a_failure_is_shown() -> None:
    """Who fails, then or at the beginning, has a row that says how."""
    calls: list[str] = []

    def missing(endpoint: Endpoint) -> Callable[[], str]:
        raise ModuleNotFoundError("No module named 'nothing'", name="nothing")

    contestants = [
        counting("a", calls),
        counting("b", calls, fails_at=3),
        Contestant("c", NONE, missing, calls.index),
    ]
    rows = take_turns(contestants, Endpoint(), 3, once)
    assert [row.failed for row in rows] == [
        None,
        "OSError: no more",
        "nothing is not installed",
    ]
    assert [len(row.samples) for row in rows] == [3, 1, 0]


def test_a_plan_leaves_the_other_loop_out() -> None:
    one = counting("a", [])
    contestants = [replace(one, loop=loop) for loop in ("uvloop", "asyncio", NONE)]
    left = Plan(loops=("asyncio",)).of(contestants)
    assert [one.loop for one in left] == ["asyncio", NONE]


def test_what_is_isolated_fails_as_itself() -> None:
    """An exception in the other process comes through."""
    with pytest.raises(ValueError, match="invalid literal"):
        isolated(int, "ten", limit=50)
    assert isolated(int, "10", limit=50) == 10


def test_bounds() -> None:
    """A ratio is the median of those of each round; the floor stands beside it."""
    verdicts = {
        (one.bound.what, one.loop): one for one in bounds.judge({"connect": OUTCOME})
    }
    asyncio = verdicts["connect / loop.sock_connect", "asyncio"]
    assert asyncio.ratio == pytest.approx(0.5)
    assert asyncio.floor == pytest.approx(0.25)
    assert not asyncio.is_met
    uvloop = verdicts["connect / loop.sock_connect", "uvloop"]
    assert (uvloop.ratio, uvloop.is_met) == (None, False)
    assert "OSError: none" in uvloop.why


def test_the_table() -> None:
    said = "\n".join([*table.lines(OUTCOME), *table.bounds_lines({"connect": OUTCOME})])
    assert "asyncio    20 us  (10 us to 30 us)" in said
    assert "uvloop  failed: OSError: none" in said
    assert "asyncio 0.50 of 0.40 (0.25)  not met" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_case_that_is_skipped() -> None:
    skipped = replace(OUTCOME, measures=(), skipped="strace is not installed")
    assert "  skipped: strace is not installed" in table.lines(skipped)
    assert "none: strace is not installed" in "\n".join(
        table.bounds_lines({"connect": skipped})
    )


def test_every_bound_has_its_case() -> None:
    """What the bounds are about is what the cases measure."""
    from benchmarks import ways_names
    from benchmarks.cases import CASES, answered, connects, pending, races, retries

    assert {bound.case for bound in bounds.BOUNDS} <= {case.name for case in CASES}
    known = {
        one.name
        for group in (
            connects.SOCKETS,
            connects.STREAMS,
            connects.UNIX,
            answered.CONTESTANTS,
            races.RACES,
            (races.FLOOR,),
            pending.CONTESTANTS,
            retries.REFUSED,
            ways_names.KNOWN,
            ways_names.SYSTEM,
        )
        for one in group
    }
    for bound in bounds.BOUNDS:
        if bound.case != "import":
            assert {bound.ours, bound.theirs, bound.floor} <= known, bound


def test_pictures(tmp_path: Path) -> None:
    """Each is SVG, small, has both sets of colours, and shows who has failed."""
    from benchmarks.pictures import pictures

    growth = replace(
        OUTCOME,
        case="concurrency",
        measures=(
            Measure(
                "time of a connect",
                "s",
                tuple(
                    Row("aioconnect.connect", "asyncio", (size * 1e-5,), None, size)
                    for size in (1.0, 10.0, 100.0)
                ),
            ),
        ),
    )
    arrived = Row("Backoff(jitter=1)", "asyncio", (0.1, 0.2, 0.5))
    count = Row("Backoff(jitter=1)", "asyncio", (3.0,))
    measures = tuple(
        Measure(name, "s", (row,))
        for name, row in (("arrived", arrived), ("dropped", count), ("queue", count))
    )
    herd = replace(OUTCOME, case="herd", measures=measures)
    outcomes = {"connect": OUTCOME, "concurrency": growth, "herd": herd}
    drawn = pictures(tmp_path, outcomes)
    assert [path.name for path in drawn] == ["cost.svg", "growth.svg", "herd.svg"]
    for path in drawn:
        text = path.read_text()
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  # ours
        assert "prefers-color-scheme: dark" in text
        assert len(text) < 40_000
    assert "uvloop: OSError: none" in drawn[0].read_text()


def test_bars_have_one_scale(tmp_path: Path) -> None:
    """One that is longer stands for more, whichever panel it is in."""
    from benchmarks.charts import Panel, bars

    panels = [
        Panel(f"{value}", "s", [Row("a", "asyncio", (value,))]) for value in (1.0, 4.0)
    ]
    path = bars("", "", panels).save(tmp_path / "bars.svg")
    drawn = ET.fromstring(path.read_text())  # noqa: S314  # ours
    found = drawn.findall(".//{*}rect[@class='asyncio']")
    short, long = (float(one.attrib["width"]) for one in found[-2:])
    assert long == pytest.approx(4 * short, abs=0.5)


def test_a_server_is_a_process_of_its_own() -> None:
    from benchmarks.servers import serving

    with (
        serving(Endpoint()) as endpoint,
        socket.create_connection((endpoint.host, endpoint.port)) as sock,
    ):
        assert sock.recv(1) == b""


def test_the_report() -> None:
    """It is the table of cost.md: bold is within its bound, the floor in brackets."""
    said = list(markdown({"connect": OUTCOME}))
    assert said[2] == (
        "| connect / loop.sock_connect | 0.50 of 0.40 (0.25)"
        " | none: aioconnect.connect: OSError: none |"
    )
    (row, *_) = OUTCOME.measures[0].rows
    fast = replace(row, samples=(1e-5,) * 3)
    measure = replace(OUTCOME.measures[0], rows=(fast, *OUTCOME.measures[0].rows[1:]))
    said = list(markdown({"connect": replace(OUTCOME, measures=(measure,))}))
    assert said[2].startswith("| connect / loop.sock_connect | **0.25** of 0.40 (0.25)")


def test_the_report_draws_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It only reads, else: the pictures are the repository's."""
    save(OUTCOME, tmp_path)
    assert report.main([str(tmp_path)]) == 0
    assert "| connect / loop.sock_connect | 0.50" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["connect.json"]
    assert report.main([str(tmp_path), "--draw"]) == 0
    assert (tmp_path / "cost.svg").exists()


def test_server_is_on_the_other_core() -> None:
    """Also where the client, who starts it, has been put on one."""
    cores = os.sched_getaffinity(0)
    pin(CLIENT)
    try:
        with serving(Endpoint()):
            (server,) = multiprocessing.active_children()
            assert server.pid is not None
            assert os.sched_getaffinity(server.pid) == {SERVER}
    finally:
        os.sched_setaffinity(0, cores)

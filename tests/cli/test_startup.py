"""Signals that arrive while the command line is still being imported."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from programs import AIOCONNECT, environment

from aioconnect._startup import is_command

# A console script as pip writes it, shortened.
SCRIPT = """#!{python}
import sys
from aioconnect._cli import main
if __name__ == '__main__':
    sys.exit(main())
"""

# A replacement for asyncio, which takes most of the import time.
ENDLESS = """import sys, time
print("importing", file=sys.stderr, flush=True)
while True:
    time.sleep(0.01)  # a signal may come just before a sleep, and is handled after it
"""


def script(directory: Path, text: str = SCRIPT, name: str = "aioconnect") -> Path:
    """Write a console script, and return its path."""
    path = directory / name
    path.write_text(text.format(python=sys.executable))
    path.chmod(0o755)
    return path


Run = Callable[..., contextlib.AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(autouse=True)
def hangup_as_by_default() -> Iterator[None]:
    """Under ``nohup``, say, a program inherits that SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(params=["module", "script"])
def importing(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Give a function that starts the command line with an endless import."""
    shadow = tmp_path / "path"
    shadow.mkdir()
    (shadow / "asyncio.py").write_text(ENDLESS)
    path = os.pathsep.join([str(shadow), str(Path(__file__).parents[2])])
    command = AIOCONNECT if request.param == "module" else (str(script(tmp_path)),)

    @contextlib.contextmanager
    def run(*before: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [*before, *command, "wait", "127.0.0.1:1"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(PYTHONPATH=path),
        ) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline() == "importing\n"
                yield process
            finally:
                process.kill()  # if no signal has ended it

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_as_any_process(importing: Run, number: signal.Signals) -> None:
    """The kernel ends the process, without any output."""
    with importing() as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == -number
    assert said == ""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
)
def test_as_process_1(
    importing: Run, first_process: tuple[str, ...], number: signal.Signals
) -> None:
    """The kernel would ignore the signals."""
    with importing(*first_process) as process:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(listed), number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said == ""


def test_what_was_ignored_stays_so(importing: Run) -> None:
    """A shell starts a command with "&" that way."""
    with importing("sh", "-c", 'trap "" INT; exec "$@"', "sh") as process:
        status = Path(f"/proc/{process.pid}/status").read_text()
    ignored = next(one for one in status.splitlines() if one.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["-m", "wait", "-m"], ["python", "-m", "aioconnect", "wait", "-m"], True),
        (["-m"], ["python", "-X", "dev", "-m", "aioconnect"], True),
        (["-m", "aioconnect"], ["python", "-m", "another", "aioconnect"], False),
        (["-c", "aioconnect"], ["python", "-c", "import aioconnect"], False),
        (["/usr/bin/pytest"], ["python", "/usr/bin/pytest"], False),
        (["/no/such/aioconnect"], ["python", "/no/such/aioconnect"], False),
        ([""], ["python"], False),
        ([], [], False),
        (["-m"], [], False),
    ],
)
def test_programs(
    argv: list[str],
    original: list[str],
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert is_command() == expected


@pytest.mark.parametrize("name", ["aioconnect", "another"])
@pytest.mark.parametrize("program", ["-m", "script"])
def test_another_program(program: str, name: str, tmp_path: Path) -> None:
    """The library leaves its signals alone, whatever it is called."""
    text = "import signal, aioconnect; print(signal.getsignal(signal.SIGINT))\n"
    package = tmp_path / "another"
    package.mkdir()
    (package / "__init__.py").write_text("import aioconnect\n")
    (package / "__main__.py").write_text(text)
    path = tmp_path / "bin"
    path.mkdir()
    run = ["-m", "another", name]
    if program == "script":
        run = [str(script(path, text, name))]
    root = str(Path(__file__).parents[2])
    said = subprocess.check_output(
        [sys.executable, *run],
        text=True,
        env=environment(PYTHONPATH=os.pathsep.join([str(tmp_path), root])),
    )
    assert "default_int_handler" in said

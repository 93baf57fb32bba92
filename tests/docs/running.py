"""Run the blocks of a page on its stage, and tell what differs from the page."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

from docs.comparing import difference, error_difference
from docs.pages import ROOT, Block
from docs.stage import Stage, Troupe
from programs import environment

__all__ = ["Result", "run_console", "run_python"]

HERE = Path(__file__).parent
LAUNCHER = HERE / "launcher.py"

# A block may take this many seconds.
PATIENCE = 60.0

# Packages of the groups, which not everybody has who runs the tests.
OPTIONAL = {
    *("aio_pika", "aiokafka", "aiomysql", "aiosmtplib", "aiosmtpd", "asyncpg"),
    *("asyncssh", "distributed", "nats", "pymongo", "redis", "valkey", "websockets"),
    *("aiohappyeyeballs", "async_stagger", "stamina", "tenacity", "trio"),
}


class Result(NamedTuple):
    """What is wrong with the blocks, and which packages some of them need."""

    failures: list[str]
    missing: list[str]


def _environment(**said: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE / "names"), str(ROOT)])
    return {**environment(), "PYTHONPATH": path, "PYTHONUTF8": "1", **said}


class Launcher:
    """The process that runs the Python blocks of one page on *loop*."""

    def __init__(self, loop: str, troupe: Troupe, folder: str) -> None:
        self._names = Path(folder) / "names.json"
        self._errors = Path(folder) / "errors.txt"
        env = _environment(DOCS_STAGE=str(self._names), SSL_CERT_FILE=str(troupe.roots))
        warns = ("-W", "error::DeprecationWarning:__main__")
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *warns, str(LAUNCHER), loop],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=env,
            )

    def run(self, block: Block, stage: Stage) -> dict[str, Any]:
        """Return what came of *block*."""
        stage.write(self._names)
        order = {
            "page": str(block.page),
            "line": block.line,
            "code": stage.local(block.code),
            "setup": stage.local(block.setup),
            "setup_line": block.setup_line,
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next answer of the process, or why there is none."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self.process.kill()
        why = "the process ended" if ready else f"no end within {PATIENCE:g} s"
        error = f"{why}\n{self._errors.read_text()}"
        return {"stdout": "", "both": "", "error": error, "missing": ""}

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def _launched(loop: str, troupe: Troupe) -> Generator[Launcher]:
    with tempfile.TemporaryDirectory() as folder:
        launcher = Launcher(loop, troupe, folder)
        try:
            launcher.answer()  # it has started
            yield launcher
        finally:
            launcher.close()


def run_python(blocks: list[Block], loop: str, troupe: Troupe) -> Result:
    """Run the Python blocks of a page one after the other, on *loop*."""
    result = Result([], [])
    with _launched(loop, troupe) as launcher:
        for block in blocks:
            if block.language != "python" or block.not_run:
                continue
            with troupe.playing(block.stage) as stage:
                answer = launcher.run(block, stage)
                said = {key: stage.paged(text) for key, text in answer.items()}
            if said["missing"].partition(".")[0] in OPTIONAL:
                result.missing.append(f"{said['missing']} ({block.where})")
            elif wrong := _wrong(block, said):
                result.failures.append(f"{block.where}, on {loop}:\n{wrong}")
            if launcher.process.poll() is not None:
                break
    return result


def _wrong(block: Block, said: dict[str, str]) -> str:
    if said["error"]:
        if block.expected is None:
            return f"it raised:\n{said['both']}{said['error']}"
        return error_difference(block.expected, said["stdout"], said["error"])
    if block.expected is None:
        return ""
    return difference(block.expected, said["stdout"], said["both"])


MARK = "-- end of a command --"


def run_console(blocks: list[Block], troupe: Troupe) -> Result:
    """Run the console blocks of a page; the files that it names are in the folder."""
    result = Result([], [])
    for block in blocks:
        if block.language != "console" or block.not_run:
            continue
        with troupe.playing(block.stage) as stage:
            result.failures.extend(_run_console(block, blocks, stage))
    return result


def _run_console(block: Block, blocks: list[Block], stage: Stage) -> list[str]:
    folder = stage.folder / "there"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, words in (("aioconnect", ("-m", "aioconnect")), ("python", ())):
        script = programs / name
        command = shlex.join([sys.executable, *words])
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
    for other in blocks:
        if found := re.match(r"# (\w+\.py)\n", other.code):
            (folder / found[1]).write_text(stage.local(other.code))
    names = stage.folder / "names.json"
    stage.write(names)
    env = _environment(DOCS_STAGE=str(names), SSL_CERT_FILE=str(stage.roots))
    env["PATH"] = os.pathsep.join([str(programs), env["PATH"]])
    shown = _commands(block)
    lines = [f"{command}\ns=$?; echo '{MARK}'; (exit $s)" for command, _ in shown]
    hidden = f"{{\n{block.setup}\n}} >/dev/null" if block.setup else ""
    program = "\n".join(["exec 2>&1", hidden, *lines])
    try:
        done = subprocess.run(
            ["bash", "-c", stage.local(program)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=env,
            cwd=folder,
        )
    except subprocess.TimeoutExpired as exc:
        return [f"{block.where}: no end within {PATIENCE:g} s:\n{exc.stdout!r}"]
    outputs = stage.paged(done.stdout).split(f"{MARK}\n")
    failures = []
    for (command, expected), output in zip(shown, outputs, strict=False):
        if wrong := difference(expected, output, in_any_order=True):
            failures.append(f"{block.where}: $ {command}\n{wrong}")
    if len(outputs) != len(shown) + 1:
        failures.append(f"{block.where}: only {len(outputs)} commands ran")
    return failures


def _commands(block: Block) -> list[tuple[str, str]]:
    """Return each command of a console block, with the output below it."""
    found: list[tuple[str, str]] = []
    continues = False
    for line in block.code.splitlines():
        if continues:
            command, _ = found[-1]
            found[-1] = (f"{command}\n{line.removeprefix('> ')}", "")
        elif line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
        else:
            raise ValueError(f"{block.where}: the first line is no command")
        is_command = continues or line.startswith("$ ")
        continues = is_command and line.endswith("\\")
    return found

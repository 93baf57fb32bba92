"""``aioconnect completion``, in real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from programs import environment, program

from aioconnect._cli import main


def written(shell: str, directory: Path) -> Path:
    """Write the script for *shell*, and return its path."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    done = program("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    path = directory / "script"
    path.write_text(done.stdout)
    return path


SHELLS = {
    "bash": ("bash", "--norc", "--noprofile"),
    "zsh": ("zsh", "-f"),
}
START = {
    "bash": 'eval "$(cat {})"',
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(cat {})"',
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab(shell: str, tmp_path: Path) -> None:
    """The tab key completes commands, flags and the values of flags."""
    path = written(shell, tmp_path)
    name, *flags = SHELLS[shell]
    env = {**environment(TERM="xterm", HOME=str(tmp_path))}
    child = pexpect.spawn(name, flags, env=env, timeout=20, encoding="utf-8")
    try:
        # This function shows the command line that the shell would run.
        child.sendline('aioconnect() { echo "<$*>"; }')
        child.sendline(f"{START[shell].format(path)}; echo re''ady")
        child.expect("ready")
        for typed, run in (
            ("wai\t x:1 --tim\t 5", "wait x:1 --timeout 5"),
            ("wait x:1 --resolver ai\t", "wait x:1 --resolver aiodns"),
            ("completion f\t", "completion fish"),
        ):
            child.sendline(f"aioconnect {typed}")
            child.expect_exact(f"<{run}>")
    finally:
        child.close(force=True)


def test_fish(tmp_path: Path) -> None:
    """Fish proposes commands, flags and values for the beginning of a line."""
    path = written("fish", tmp_path)
    lines = ("wai", "wait x:1 --tim", "wait x:1 --resolver ", "completion ")
    asked = "; ".join(f'complete -C "aioconnect {line}"' for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {path}; {asked}"],
        capture_output=True,
        text=True,
        check=True,
        env={**environment(), "HOME": str(tmp_path)},
    )
    proposed = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    shells = ["bash", "fish", "zsh"]
    assert sorted(proposed) == sorted(
        ["wait", "--timeout", "system", "aiodns", *shells]
    )


def test_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.delitem(
        sys.modules, "aioconnect._cli.completion.command", raising=False
    )
    assert main(["completion", "bash"]) == 2
    said = "completion needs shtab: in a checkout, pip install '.[cli]'"
    assert capsys.readouterr().err == f"aioconnect: {said}\n"


def test_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err

"""The public names, and the fixtures of those who ask for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import aioconnect.testing
from aioconnect.testing import plugin

ROOT = Path(__file__).parent.parent


def test_public_names_are_sorted_documented_and_public() -> None:
    names = aioconnect.testing.__all__
    assert names == sorted(names)
    for name in names:
        value = getattr(aioconnect.testing, name)
        if callable(value) and name not in ("Word", "Zone"):
            assert value.__module__ == "aioconnect.testing", name
            assert value.__doc__, name


def test_importing_it_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.modules.update(trustme=None, pytest=None, uvloop=None)\n"
        "import aioconnect.testing\n"
        "try: import aioconnect.testing.plugin\n"
        "except ModuleNotFoundError as exc: print(exc)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "needs pytest: in a checkout, pip install '.[test]'" in run.stdout


@pytest.mark.parametrize("name", plugin.__all__)
def test_each_fixture_can_be_asked_for(
    name: str, request: pytest.FixtureRequest
) -> None:
    given = request.getfixturevalue(name)
    assert (given is None) is (name == "no_leaks")


USER = """
import socket
import unittest
import pytest
from aioconnect.testing import Recorder, refusing

def is_up(address):
    with socket.socket(address.family, address.type) as sock:
        sock.settimeout(0.2)
        try:
            sock.connect(address.sockaddr)
        except OSError as exc:
            return type(exc)
        return True

def test_up(listener, unix_listener, echo_server, tls_echo_server):
    for server in (listener, unix_listener, echo_server, tls_echo_server):
        assert is_up(server.address) is True

def test_down(refused_address, refused_port, held_port, black_hole_address):
    assert refused_address.sockaddr[1] == refused_port
    assert is_up(refused_address) is ConnectionRefusedError
    assert is_up(held_port.address) is ConnectionRefusedError
    assert is_up(black_hole_address) is TimeoutError

def test_full(full_backlog_listener, recorder):
    full_backlog_listener.free_slot()
    assert isinstance(recorder, Recorder)

left = []
def test_leaky(no_leaks):
    left.append(socket.socket())

def test_tight(no_leaks, echo_server):
    assert is_up(echo_server.address) is True

class TestUnittest(unittest.TestCase):
    def test_refusing(self):
        with refusing() as refused:
            self.assertIs(is_up(refused.address), ConnectionRefusedError)
"""


def test_the_fixtures_of_the_plugin(tmp_path: Path) -> None:
    """Every one is there when the plugin is asked for by name."""
    assert set(plugin.__all__) == {
        name for name in plugin.__all__ if callable(getattr(plugin, name))
    }
    (tmp_path / "test_user.py").write_text(USER)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]
    # What this run was told is not for theirs.
    env = {**os.environ, "PYTEST_ADDOPTS": ""}
    asked = subprocess.run(
        [*command, "-p", "aioconnect.testing.plugin"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=env,
    )
    assert "6 passed, 1 error" in asked.stdout, asked.stdout
    assert "left open:\n" in asked.stdout
    assert "ERROR" in asked.stdout
    unasked = subprocess.run(
        [*command, "-k", "test_up"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=env,
    )
    assert "fixture 'listener' not found" in unasked.stdout, unasked.stdout

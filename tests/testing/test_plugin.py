"""The public names of the kit, and its pytest fixtures."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import aioconnect.testing
from aioconnect.testing import plugin

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


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
    """All fixtures exist when the plugin is loaded by name."""
    assert set(plugin.__all__) == {
        name for name in plugin.__all__ if callable(getattr(plugin, name))
    }
    (tmp_path / "test_user.py").write_text(USER)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]
    # The options of this run are not for the inner run.
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


FAILING = """
import pytest, socket
from aioconnect.testing import Recorder, StaticResolver, flaky, leak_check

def test_recorder(recorder):
    recorder.assert_kinds("Connected")  # HERE 1

def test_recorder_one(recorder):
    recorder.only(Recorder)  # HERE 2

def test_leaks():
    with leak_check():  # HERE 3
        left = socket.socket()

async def test_leaks_of_a_loop():
    async with leak_check():  # HERE 4
        left = socket.socket()

def test_accept(listener):
    listener.accept(timeout=0)  # HERE 5

def test_accept_unix(full_backlog_listener):
    full_backlog_listener.free_slot()
    full_backlog_listener.accept(timeout=0)  # HERE 6

def test_connections(tls_echo_server):
    tls_echo_server.wait_for_connections(1, timeout=0)  # HERE 7

def test_flaky():
    with flaky(["acept"]):  # HERE 8
        pass

def test_resolver():
    StaticResolver({"name": ["no address"]})  # HERE 9
"""


def test_tracebacks_end_in_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure shows the line of the test, and no code of the kit."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", "")
    pytester.makepyfile(FAILING)
    said = pytester.runpytest_subprocess(
        *("-p", "aioconnect.testing.plugin", "-p", "no:cacheprovider"),
        *("-o", "asyncio_mode=auto"),
    )
    said.assert_outcomes(failed=9)
    shown = [line for line in said.outlines if line.startswith(">") and "HERE" in line]
    assert [line[-1] for line in shown] == [*"123456789"]
    assert "aioconnect/testing" not in said.stdout.str()


# A failure in one of these modules is a bug of the kit, and not of the test.
SHOWN = ("_open_resources", "_server_thread", "plugin")


def test_modules_that_raise_are_hidden_from_tracebacks() -> None:
    """A module added later cannot be forgotten."""
    for module in pkgutil.iter_modules(aioconnect.testing.__path__):
        source = Path(aioconnect.testing.__path__[0], f"{module.name}.py").read_text()
        if "    raise " in source and module.name not in SHOWN:
            name = f"aioconnect.testing.{module.name}"
            assert vars(importlib.import_module(name)).get("__tracebackhide__"), name

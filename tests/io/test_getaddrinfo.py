"""The process's own pool asks the system, and lets programs end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import run_script
from resolver_threads import join_resolver_threads, resolver_threads

from aioconnect._io import getaddrinfo as getaddrinfo_module
from aioconnect._io.getaddrinfo import getaddrinfo
from aioconnect._io.shared_lookup import AddrInfo
from aioconnect.testing import leak_check

SCRIPTS = Path(__file__).parents[1] / "scripts"

Factory = Callable[[], asyncio.AbstractEventLoop]
Answer = tuple[AddrInfo, ...]

FOUND: Answer = (
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80)),
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.2", 80)),
)


@pytest.fixture(autouse=True)
def threads_end(nothing_left: None) -> Iterator[None]:
    """Wait for the end of the threads, which must come by itself."""
    join_resolver_threads()  # of those that an earlier test has left idle
    yield
    join_resolver_threads()


def test_getaddrinfo_is_asked_as_asyncio_asks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replacement that pins or caches names gets the same arguments."""
    asked: list[tuple[Any, ...]] = []

    def pinned(*arguments: Any) -> Iterator[AddrInfo]:
        asked.append(arguments)
        return iter(FOUND)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in ("db.pinned", "bücher.test", None):
            details = {"family": socket.AF_INET, "type": socket.SOCK_STREAM, "flags": 8}
            await loop.getaddrinfo(host, 80, **details)
            assert await getaddrinfo(loop, host, 80, socket.AF_INET, 8) == FOUND

    monkeypatch.setattr(getaddrinfo_module._pool, "_idle_timeout", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", pinned)
    # Only asyncio's own loop asks what can be replaced.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())
    assert len(asked) == 6
    assert asked[::2] == asked[1::2]


def test_the_packages_own_ask_the_system(
    loop_factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a daemon thread that a user's leak check does not mention."""
    monkeypatch.setattr(getaddrinfo_module._pool, "_idle_timeout", 1.0)

    async def main() -> list[object]:
        async with leak_check(patience=0):
            found = await getaddrinfo(asyncio.get_running_loop(), "127.1", 80, 0, 0)
        assert [thread.daemon for thread in resolver_threads()] == [True]
        return [entry[4] for entry in found]

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == [("127.0.0.1", 80)]


@pytest.mark.parametrize("case", ["atexit", "daemon"])
def test_the_interpreter_ends_silently(case: str) -> None:
    """With idle threads, and with questions that come when it is too late."""
    run = subprocess.run(
        [sys.executable, "-X", "dev", SCRIPTS / "idle_at_exit.py", case],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "asked\n", "")


SUBINTERPRETERS = (
    "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
)


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_a_subinterpreter_ends(kind: str) -> None:
    """It waits for its look-ups and ends at once; the process goes on.

    While a daemon thread of it lives, idle say, its end aborts the process, and one
    that is isolated allows no daemons.
    """
    pytest.importorskip(SUBINTERPRETERS, reason="this Python has no subinterpreters")
    if kind == "isolated" and sys.version_info < (3, 13):
        pytest.skip("Python 3.11 allows no threads in one, and 3.12 crashes itself")
    script = str(SCRIPTS / "subinterpreter.py")
    assert run_script(sys.executable, script, kind) == "ended\n"


@pytest.mark.namespace
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_dead_names_delay_nobody(in_namespace: Callable[..., str], loop: str) -> None:
    """Names of a silent DNS server hang while others are looked up.

    Each holds one thread, and three once its families are asked for apart, which
    happens while half of the 1,024 are free.  Nor does a silent AAAA delay an A, nor do
    they all a look-up in a forked child or the interpreter's exit.
    """
    patience = 30  # what resolv.conf(5) has for a maximum
    begun = time.monotonic()
    output = in_namespace("dead_names.py", loop, str(patience))
    assert output == "looked up; the threads hang\n"
    assert time.monotonic() - begun < patience

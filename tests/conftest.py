"""Every asynchronous test runs on each loop, and must leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from faults import descriptors, run_script, timers, watchers

from aioconnect import testing
from aioconnect.testing import BlackHole, FullBacklog

# libuv opens a pipe for signals once in a process, and keeps it.
uvloop.new_event_loop().close()

Factory = Callable[[], asyncio.AbstractEventLoop]


def _eager() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    return loop


LOOPS: dict[str, Factory] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
if sys.version_info >= (3, 12):
    LOOPS["eager"] = _eager


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Factory]:
    """Run each asynchronous test on asyncio, on uvloop and with eager tasks."""
    return LOOPS


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def loop_factory(request: pytest.FixtureRequest) -> Factory:
    """Give the loops in turn to a synchronous test that runs its own."""
    factory: Factory = request.param
    return factory


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a descriptor or a thread."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    new = {fd: what for fd, what in descriptors().items() if before.get(fd) != what}
    assert not new, f"descriptors left open: {new}"
    left = [
        thread
        for thread in set(threading.enumerate()) - threads
        # The loop's own pool, for getaddrinfo, is the loop's to end.
        if not thread.name.startswith("asyncio_")
    ]
    assert not left, f"threads left: {left}"


@pytest.fixture(autouse=True)
async def nothing_pending(nothing_left: None) -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task, a watcher or a timer."""
    loop = asyncio.get_running_loop()
    logged: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: logged.append(context))
    tasks, watched, timed = asyncio.all_tasks(), watchers(loop), len(timers(loop))
    yield
    for _ in range(3):  # what was closed says so to its protocol, one tick later
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"
    assert watchers(loop) <= watched, "watchers left"
    assert len(timers(loop)) <= timed, f"timers left: {timers(loop)}"
    assert not logged, f"exceptions in callbacks: {logged}"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Give a TCP listener: the kernel completes handshakes, nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        yield sock


@pytest.fixture
def port(listener: socket.socket) -> int:
    """Give the port of the listener."""
    number: int = listener.getsockname()[1]
    return number


@pytest.fixture
def refused_port() -> Iterator[int]:
    """Give a port that refuses."""
    with testing.refusing() as refused:
        yield refused.port


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    """Give a port that does not answer."""
    with testing.black_hole() as hole:
        yield hole


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def full_backlog(request: pytest.FixtureRequest) -> Iterator[FullBacklog]:
    """Give a Unix listener whose backlog is full, of either kind."""
    with testing.full_backlog(kind=request.param) as full:
        yield full


SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def in_namespace() -> Callable[..., str]:
    """Give a function that runs a script of ours in a network of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace")
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"network namespaces are not allowed here: {probe.stderr!r}")

    def run(script: str, *arguments: str) -> str:
        python = (sys.executable, "-X", "dev", str(SCRIPTS / script))
        return run_script("unshare", "-n", "-m", *python, *arguments)

    return run

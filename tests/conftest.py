"""Every asynchronous test runs on each loop, and must leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvloop

# libuv opens a pipe for signals once in a process, and keeps it.
uvloop.new_event_loop().close()

Factory = Callable[[], asyncio.AbstractEventLoop]


def _asyncio() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def _uvloop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    loop.set_debug(True)
    return loop


def _eager() -> asyncio.AbstractEventLoop:
    loop = _asyncio()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # since 3.12
    return loop


LOOPS: dict[str, Factory] = {"asyncio": _asyncio, "uvloop": _uvloop}
if sys.version_info >= (3, 12):
    LOOPS["eager"] = _eager


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Factory]:
    """Run each asynchronous test on asyncio, on uvloop and with eager tasks."""
    return LOOPS


@pytest.fixture(params=LOOPS.values(), ids=LOOPS.keys())
def loop_factory(request: pytest.FixtureRequest) -> Factory:
    """Give the loops in turn to a synchronous test that runs its own."""
    factory: Factory = request.param
    return factory


def descriptors() -> dict[int, str]:
    """Return what this process has open."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own
            continue
    return found


def watchers(loop: asyncio.AbstractEventLoop) -> int:
    """Return how many descriptors *loop* watches; uvloop does not tell."""
    selector = getattr(loop, "_selector", None)
    return len(selector.get_map()) if selector is not None else 0


def timers(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Return the timers of *loop* that are yet to fire."""
    scheduled = getattr(loop, "_scheduled", None) or getattr(loop, "_timers", ())
    return [timer for timer in scheduled if not timer.cancelled()]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a descriptor or a thread."""
    gc.collect()
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
    tasks, watched, timed = asyncio.all_tasks(), watchers(loop), len(timers(loop))
    yield
    for _ in range(3):  # what was closed says so to its protocol, one tick later
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"
    assert watchers(loop) <= watched, "watchers left"
    assert len(timers(loop)) <= timed, f"timers left: {timers(loop)}"


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
    """Give a port that refuses: it is bound, so nobody else's, and not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class BlackHole:
    """A port whose SYNs are dropped, because its accept queue is full."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._listener = stack.enter_context(socket.socket())
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.sockaddr = self._listener.getsockname()
        self.port = self.sockaddr[1]
        while True:
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0.2)
            if filler.connect_ex(self.sockaddr):
                return

    def open(self) -> None:
        """Accept what is in the queue: the next SYN is answered."""
        self._listener.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._listener.accept()[0].close()


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    """Give a port that does not answer."""
    with contextlib.ExitStack() as stack:
        yield BlackHole(stack)


class FullBacklog:
    """A Unix listener that has no slot free: a connect gives EAGAIN."""

    def __init__(self, path: str, stack: contextlib.ExitStack, kind: int) -> None:
        self.path = path
        self.listener = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        self.listener.bind(path)
        self.listener.listen(0)
        while True:
            filler = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            filler.setblocking(False)
            if filler.connect_ex(path) == errno.EAGAIN:
                return

    def free_slot(self) -> None:
        """Accept one connection, and close it."""
        self.listener.accept()[0].close()


@pytest.fixture(params=[socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def full_backlog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FullBacklog]:
    """Give a Unix listener whose backlog is full, of either kind."""
    with contextlib.ExitStack() as stack:
        yield FullBacklog(str(tmp_path / "full"), stack, request.param)


def run_script(*command: str, timeout: float = 100.0) -> str:
    """Run *command*, which must succeed; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


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

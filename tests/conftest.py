"""Run every asynchronous test on each loop, and check that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings
from programs import run_script
from thrown import Thrown

from aioconnect import testing
from aioconnect._io import sockets
from aioconnect.testing import BlackHole, FullBacklog, Server, _bpf_filters, leak_check

pytest_plugins = ["aioconnect.testing.plugin"]

# A checkout may be read-only, and a machine may be slow in some examples.
settings.register_profile(
    "tests",
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")

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


# The tests with these marks, and those in this folder, are thorough: nobody needs them
# to trust an installation.
THOROUGH = ("clients", "soak", "strace", "sweep")
FAULT_SUITE = Path(__file__).parent / "fault_suite"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the thorough tests, before ``-m`` selects by the mark."""
    for item in items:
        is_fault = FAULT_SUITE in item.path.parents
        if is_fault or any(map(item.get_closest_marker, THOROUGH)):
            item.add_marker(pytest.mark.thorough)


THROWN = pytest.StashKey[Thrown]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the table of faults."""
    parser.addoption(
        "--write-table",
        action="store_true",
        help="write what the fault suite threw into docs/explanation/faults.md",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count; handle signals as in a terminal, even after a script's "&"."""
    config.stash[THROWN] = Thrown()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker of pytest-xdist hand over its counts."""
    worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["thrown"] = session.config.stash[THROWN].counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the counts of a worker; a crashed worker has none."""
    for row, came in getattr(node, "workeroutput", {}).get("thrown", {}).items():
        for what, count in came.items():
            node.config.stash[THROWN](row, what, count)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Show the faults and their results, and write the table if asked to."""
    thrown = config.stash[THROWN]
    if thrown.is_whole():
        terminalreporter.section("what was thrown, and what came of it")
        terminalreporter.write_line(thrown.table())
    if config.getoption("write_table"):
        if exitstatus or not thrown.is_whole():
            raise pytest.UsageError("only a whole run that passes writes the table")
        thrown.write()


@pytest.fixture(scope="session")
def thrown(pytestconfig: pytest.Config) -> Thrown:
    """Give the counts of the fault suite: ``thrown(row, what_came, count)``."""
    return pytestconfig.stash[THROWN]


FORBIDDEN = pytest.StashKey[list[PermissionError]]()


@pytest.fixture(autouse=True)
def forbidden_filters(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Note when the kit may not attach a socket filter, as an ordinary user."""
    forbidden = request.node.stash[FORBIDDEN] = []
    attach = _bpf_filters._attach_filter

    def noting(*given: Any) -> None:
        try:
            attach(*given)
        except PermissionError as exc:
            forbidden.append(exc.with_traceback(None))
            raise

    monkeypatch.setattr(_bpf_filters, "_attach_filter", noting)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that failed because no socket filter could be attached."""
    report = yield
    forbidden = item.stash.get(FORBIDDEN, [])
    if report.failed and forbidden:
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, line or 0, f"Skipped: {forbidden[0].strerror}")
    return report


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def loop_factory(request: pytest.FixtureRequest) -> Factory:
    """Give each loop factory in turn to a synchronous test that runs its own loop."""
    factory: Factory = request.param
    return factory


# The loop ends the threads of its own pool.  The resolver's threads end by themselves.
POOLS = ("asyncio_", "aioconnect-resolver")


@pytest.fixture(autouse=True)
def no_late_addresses() -> None:
    """Forget the ports of other tests, which the system may have given out again."""
    sockets._late.clear()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a descriptor or a thread open."""
    with leak_check(ignore_threads=POOLS):
        yield


@pytest.fixture(autouse=True)
async def nothing_pending(nothing_left: None) -> AsyncIterator[None]:
    """Fail an asynchronous test that leaves a task, a watcher or a timer."""
    logged: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: logged.append(context))
    async with leak_check(patience=0, ignore_threads=POOLS):
        yield
        for _ in range(3):  # a closed transport tells its protocol one tick later
            await asyncio.sleep(0)
    assert not logged, f"exceptions in callbacks: {logged}"


@pytest.fixture
def port(listener: Server) -> int:
    """Give the port of the listener."""
    return listener.port


@pytest.fixture
def ipv6_listener() -> Iterator[Server]:
    """Give a TCP listener on ::1."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(testing.listening("::1"))
        except OSError as exc:
            pytest.skip(f"no IPv6 on the loopback interface: {exc}")
        yield server


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
    """Give a function that runs one of the scripts in its own network namespace."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace")
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"network namespaces are not allowed here: {probe.stderr!r}")

    def run(script: str, *arguments: str, timeout: float = 100.0) -> str:
        python = (sys.executable, "-X", "dev", str(SCRIPTS / script))
        return run_script("unshare", "-n", "-m", *python, *arguments, timeout=timeout)

    return run


@pytest.fixture
def first_process() -> tuple[str, ...]:
    """Give the command prefix that runs a program as process 1, as in a container."""
    unshare = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    try:
        probe = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare")
    if probe.returncode:
        pytest.skip(f"PID namespaces are not allowed here: {probe.stderr!r}")
    return unshare

"""The kernel's rarer answers: interrupted calls, soft ICMP errors, scale."""

from __future__ import annotations

import asyncio
import resource
import shutil
import sys
from collections.abc import Callable

import pytest
from conftest import SCRIPTS
from faults import run_script

from aioconnect.testing import BlackHole

LOOPS = ["asyncio", "uvloop"]


@pytest.fixture
def injecting() -> Callable[..., None]:
    """Give a function that runs a script whose connect(2) fails as told."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    traced = [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=connect"]
    try:
        run_script(*traced, "true")
    except AssertionError as exc:
        pytest.skip(f"strace may not trace here: {exc}")

    def run(fault: str, *arguments: str) -> None:
        script = str(SCRIPTS / "interrupted.py")
        inject = f"inject=connect:{fault}"
        run_script(*traced, "-e", inject, sys.executable, script, *arguments)

    return run


@pytest.mark.strace
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("when", ["1", "1..3", "2", "1..40"])
@pytest.mark.parametrize("what", ["listening", "refusing", "unix"])
def test_interrupted_connect(
    injecting: Callable[..., None], loop: str, when: str, what: str
) -> None:
    """A connect(2) that EINTR interrupted, and that never began, is made again."""
    injecting(f"error=EINTR:when={when}", loop, what)


@pytest.mark.strace
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("fault", "what"),
    [
        # Never begun, whatever it says: the second call begins it.
        ("error=EINPROGRESS:when=1", "listening"),
        ("error=EALREADY:when=1", "listening"),
        ("error=EINPROGRESS:when=1..2", "listening"),
        # Spurious: made once more, with a new socket (K9).
        ("error=EADDRNOTAVAIL:when=1", "listening"),
        # Connected, it says, and has no peer.
        ("error=EISCONN:when=2", "hole"),
        ("error=EISCONN:when=2..3", "hole"),
        # A slot that was full, and is not (K1).
        ("error=EAGAIN:when=1..3", "unix"),
    ],
)
def test_other_answers(
    injecting: Callable[..., None],
    black_hole: BlackHole,
    loop: str,
    fault: str,
    what: str,
) -> None:
    """What connect(2) says is proved before it is believed."""
    injecting(fault, loop, what, str(black_hole.port))


@pytest.mark.parametrize("loop", LOOPS)
def test_storm_of_signals(loop: str) -> None:
    """2,000 connects under a signal each millisecond all succeed."""
    run_script(sys.executable, str(SCRIPTS / "signal_storm.py"), loop, "2000")


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("family", ["4", "6"])
def test_soft_icmp_error(
    in_namespace: Callable[..., str], loop: str, family: str
) -> None:
    """K10: an ICMP error that meets a connect is no success, and spins nothing."""
    if shutil.which("nft") is None:
        pytest.skip("nftables is not installed")
    in_namespace("soft_icmp.py", loop, family)


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
def test_never_itself(in_namespace: Callable[..., str], loop: str) -> None:
    """K2: 200,000 retries, half on each loop, never give a self-connect."""
    in_namespace("self_connect.py", loop)


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
def test_answers_of_the_network(in_namespace: Callable[..., str], loop: str) -> None:
    """K9 and K15: routes that forbid, and a range without a port left."""
    in_namespace("network_answers.py", loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_many_at_once(loop: str) -> None:
    """10,000 concurrent connects to one server all succeed."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 10_200:
        pytest.skip("needs RLIMIT_NOFILE of 10,200")
    run_script(sys.executable, str(SCRIPTS / "many.py"), loop, "concurrent", "10000")


@pytest.mark.parametrize("loop", LOOPS)
def test_many_in_a_row(loop: str) -> None:
    """100,000 sequential connects leave the memory where it was."""
    run_script(sys.executable, str(SCRIPTS / "many.py"), loop, "sequential", "100000")


async def test_own_loop_debugs() -> None:
    """The loops of these tests are in debug mode, as the others' would be."""
    assert asyncio.get_running_loop().get_debug()

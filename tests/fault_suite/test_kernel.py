"""Every errno of the contract, caused by the real kernel, comes out of each function.

The scripts have tables that say how each errno is caused.  Of the errnos that
`is_transient` accepts, four are only in `test_injection`.  No connect of this kernel
gives ENETDOWN or ENETRESET.  No test can use up all memory (ENOBUFS).  ENFILE would use
up every descriptor of the machine.  EAGAIN is not an error here: it is waited for.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import run_script
from thrown import Thrown

LOOPS = ["asyncio", "uvloop"]

SCRIPTS = Path(__file__).parent.parent / "scripts"

# The errnos that each of the two tables has to cause.
LOCAL = """
    EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT ECONNABORTED ECONNREFUSED ECONNRESET
    ELOOP EMFILE ENOENT ENOTDIR EPERM EPROTONOSUPPORT EPROTOTYPE ETIMEDOUT"""

NETWORK = """
    EACCES EADDRNOTAVAIL ECONNREFUSED EHOSTDOWN EHOSTUNREACH EINVAL ENETUNREACH ENODEV
    ENOPROTOOPT ETIMEDOUT"""


def count(thrown: Thrown, output: str, expected: str) -> None:
    """Check that each of *expected* occurred, and count them."""
    came = output.split()
    missing = set(expected.split()) - set(came)
    assert not missing, f"not caused: {missing}"
    thrown("kernel", "one error, as documented", len(came))


@pytest.fixture
def nft() -> None:
    """Skip the test where no firewall rule can be set."""
    if shutil.which("nft") is None:
        pytest.skip("nftables is not installed")


@pytest.mark.parametrize("loop", LOOPS)
def test_errors_of_this_host(thrown: Thrown, loop: str) -> None:
    """Unix sockets, bind(2), rights, descriptors and handshakes fail as documented."""
    script = str(SCRIPTS / "local_answers.py")
    count(thrown, run_script(sys.executable, "-X", "dev", script, loop), LOCAL)


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
def test_errors_of_the_network(
    in_namespace: Callable[..., str], nft: None, thrown: Thrown, loop: str
) -> None:
    """Routes, links, firewalls, timers and ports fail as documented (K9, K15)."""
    output = in_namespace(str(SCRIPTS / "network_answers.py"), loop)
    count(thrown, output, NETWORK)


@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("family", ["4", "6"])
def test_soft_icmp_error(
    in_namespace: Callable[..., str], nft: None, thrown: Thrown, loop: str, family: str
) -> None:
    """K10: an ICMP error during a connect is neither a success nor a busy loop."""
    in_namespace(str(SCRIPTS / "soft_icmp.py"), loop, family)
    # One fails while SYNs are rejected; two are retried, and one was busy meanwhile.
    thrown("kernel", "one error, as documented", 1)
    thrown("kernel", "connected", 3)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.namespace
@pytest.mark.parametrize("loop", LOOPS)
def test_never_itself(
    in_namespace: Callable[..., str], thrown: Thrown, loop: str
) -> None:
    """K2: 200,000 retries, half on each loop, never give a self-connect."""
    in_namespace(str(SCRIPTS / "self_connect.py"), loop, timeout=500)
    thrown("kernel", "one error, as documented", 250)


async def test_own_loop_debugs() -> None:
    """The loops of these tests are in debug mode, like those of the other tests."""
    assert asyncio.get_running_loop().get_debug()

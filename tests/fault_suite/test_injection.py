"""A connect survives the failure of any system call that it makes: strace injects it.

Every run ends in a connection that carries bytes, or in one error.  No run hangs or
succeeds falsely, and nothing is left open.  One call is left out: epoll_ctl(2) under
uvloop.  libuv calls abort(3) if it fails, and no library on top can prevent that.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import run_script
from thrown import Thrown

LOOPS = ["asyncio", "uvloop"]

SCRIPTS = Path(__file__).parent.parent / "scripts"

# The errnos of each call, from its man page.  For connect(2), Linux gives others too:
# see ip(7) and tcp(7).
ERRNOS = {
    "connect": """
        EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNABORTED
        ECONNREFUSED ECONNRESET EFAULT EHOSTDOWN EHOSTUNREACH EINPROGRESS EINTR EINVAL
        EISCONN ENETDOWN ENETRESET ENETUNREACH ENOBUFS ENOENT ENOMEM ENOTSOCK EPERM
        EPROTOTYPE ETIMEDOUT""",
    "socket": """
        EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM
        EPROTONOSUPPORT""",
    "getsockopt": "EBADF EFAULT EINVAL ENOBUFS ENOPROTOOPT ENOTSOCK",
    "getpeername": "EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK",
    "getsockname": "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK",
    "epoll_ctl": "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM",
}

# The period in the script: every 64th call fails.
EVERY = "64+64"


@pytest.fixture(scope="module")
def injecting() -> Callable[..., str]:
    """Return a function that runs the script while strace makes a system call fail."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    # With the filter, only the traced calls stop the process.
    traced = (strace, "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null")
    try:
        run_script(*traced, "-e", "trace=connect", "true")
    except AssertionError as exc:
        pytest.skip(f"strace may not trace here: {exc}")

    def run(call: str, fault: str, *arguments: str, script: str = "injected.py") -> str:
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:{fault}")
        python = (sys.executable, "-X", "dev", str(SCRIPTS / script))
        return run_script(*traced, *inject, *python, *arguments)

    return run


@pytest.mark.strace
@pytest.mark.parametrize(
    ("loop", "call", "code"),
    [
        (loop, call, code)
        for loop in LOOPS
        for call, codes in ERRNOS.items()
        if (loop, call) != ("uvloop", "epoll_ctl")
        for code in codes.split()
    ],
)
def test_each_occurrence_fails(
    injecting: Callable[..., str], thrown: Thrown, loop: str, call: str, code: str
) -> None:
    """Whichever occurrence fails, the result is a connected socket or one error."""
    fault = f"error={code}:when={EVERY}"
    came = json.loads(injecting(call, fault, loop, call, code))
    assert sum(came.values()), "no call was hit: the test proves nothing"
    for what, count in came.items():
        thrown("injection", what, count)


@pytest.mark.strace
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    ("fault", "scenario"),
    [
        *(
            (f"error=EINTR:when={when}", scenario)
            for when in ("1..3", "1..40")
            for scenario in ("listening", "refusing", "unix")
        ),
        # The connect has not begun, whatever the error says.  A later call begins it.
        ("error=EINPROGRESS:when=1..2", "listening"),
        # This is spurious: the connect is made once more, with a new socket (K9).
        ("error=EADDRNOTAVAIL:when=1", "listening"),
        # It claims to be connected without a peer (the first connect makes the hole).
        ("error=EISCONN:when=3..4", "hole"),
        # This stands for a full backlog, which is not full (K1).
        ("error=EAGAIN:when=1..3", "unix"),
    ],
)
def test_faults_that_change_nothing(
    injecting: Callable[..., str], thrown: Thrown, loop: str, fault: str, scenario: str
) -> None:
    """Whatever connect(2) answers, however often, is verified before it is believed."""
    thrown("injection", injecting("connect", fault, loop, scenario).strip())


@pytest.mark.strace
@pytest.mark.parametrize("loop", LOOPS)
def test_an_option_that_the_kernel_lacks(
    injecting: Callable[..., str], loop: str
) -> None:
    """Without IP_BIND_ADDRESS_NO_PORT, binding to a local address still works."""
    fault = "error=ENOPROTOOPT:when=1+"
    assert injecting("setsockopt", fault, loop, script="bound.py") == "127.0.0.1\n"

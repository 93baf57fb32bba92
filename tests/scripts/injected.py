"""Make scripted connects again and again, while strace makes a system call fail.

strace fails every `PERIOD`-th call of the system call on the command line.  Extra calls
move the next fault to the place that is wanted: first to the first call of a scripted
connect, then to its second, until the connect makes no further call.  Each run has to
end in a connection that carries bytes, or in one error.

    strace -f -e inject=CALL:error=ERRNO:when=64+64 python injected.py LOOP CALL ERRNO

With the name of one of `SCENARIOS` instead of a system call, the script makes that
connect once, which has to end as it does without a fault.
"""

from __future__ import annotations

import asyncio
import errno
import json
import select
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from _answers import POOLS
from _loops import run
from _scenarios import SCENARIOS, Made, Play

import aioconnect
from aioconnect import testing

PERIOD = 64

# Seconds after which a connect hangs: none takes more than a tenth of one.
HANGS = 20.0

# Errors of connect(2) after which the connect goes on: the end is the same.
UNDER_WAY = (errno.EINTR, errno.EINPROGRESS, errno.EALREADY)


class Fault:
    """The fault that hits every `PERIOD`-th *call* of this process's main thread."""

    def __init__(self, call: str, code: int, spend: Callable[[], object]) -> None:
        """*spend* makes the call once, for nothing."""
        self.call = call
        self.code = code
        self._spend = spend

    def aim(self, position: int) -> None:
        """Have it hit the call that is number *position* from now on."""
        self._find()
        for _ in range(PERIOD - position):
            self._spend()

    def has_hit(self, position: int) -> bool:
        """Tell whether it has, since it was aimed at *position*."""
        return self._find() > position

    def _find(self) -> int:
        """Return after how many calls it came again."""
        for number in range(1, PERIOD + 1):
            try:
                self._spend()
            except OSError as exc:
                assert exc.errno == self.code, exc
                return number
        raise AssertionError(f"strace does not fail {self.call}")


def spender(call: str, stack: ExitStack) -> Callable[[], object]:
    """Return a function that makes *call* once, for nothing."""
    datagram = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    datagram.setblocking(False)
    datagram.connect(("127.0.0.1", 9))
    poller = stack.enter_context(select.epoll())
    poller.register(datagram)
    return {
        "connect": lambda: raising(datagram.connect_ex(("127.0.0.1", 9))),
        "epoll_ctl": lambda: poller.modify(datagram, select.EPOLLIN),
        "getpeername": datagram.getpeername,
        "getsockname": datagram.getsockname,
        "getsockopt": lambda: datagram.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
        "socket": lambda: socket.socket().close(),
    }[call]


def raising(code: int) -> None:
    """Raise what ``connect_ex`` has only returned."""
    if code:
        raise OSError(code, "connect")


class Strike:
    """One run of one scenario, with the fault at one position, and its end."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._logged: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self._logged.append(context.get("exception"))
        )

    async def __call__(self, play: Play, position: int) -> tuple[bool, str]:
        """Return whether the fault has hit, and what has come of it."""
        fault = self._fault
        fault.aim(position)
        made: Made | OSError
        try:
            made = await play.connect()
        except OSError as exc:
            made = exc
        hit = fault.has_hit(position)
        if isinstance(made, OSError):
            self._check_error(made, play, hit)
            return hit, "one error"
        assert play.peer is not None, f"a false success: {made}"
        if self._logged:
            self._check_log(made)
            return hit, "streams without a reader, said asyncio"
        await echo(made, play.peer)
        return hit, "connected"

    def _check_error(self, error: OSError, play: Play, hit: bool) -> None:
        """Check that it says what failed: the call, or what fails without it."""
        fault = self._fault
        assert isinstance(error, aioconnect.ConnectError), repr(error)
        if not hit or (fault.call == "connect" and fault.code in UNDER_WAY):
            assert error.errno == play.ends, repr(error)
        if play.others:
            codes = {getattr(one.error, "errno", None) for one in error.attempts}
            assert fault.code in codes, repr(error)
            assert error.errno in {fault.code, errno.ECONNREFUSED, None}, repr(error)
            return
        assert error.errno in {fault.code, play.ends} - {0}, repr(error)

    def _check_log(self, made: Made) -> None:
        """Check that asyncio has said what its transport lacks: a reader."""
        (error,) = self._logged
        assert isinstance(error, OSError), repr(error)
        assert (self._fault.call, error.errno) == ("epoll_ctl", self._fault.code)
        assert isinstance(made, tuple)
        made[1].transport.abort()
        self._logged.clear()


async def echo(made: Made, accept: Callable[[], socket.socket]) -> None:
    """Prove that *made* and what is accepted are the two ends of one connection."""
    if isinstance(made, socket.socket):
        # Without the loop: it may still watch this one, if that is what failed.
        made.settimeout(HANGS)
        with made:
            made.sendall(b"ping")
            with reached(accept) as peer:
                peer.sendall(b"pong")
                assert made.recv(4) == b"pong"
        return
    reader, writer = made
    writer.write(b"ping")
    with reached(accept) as peer:
        peer.sendall(b"pong")
        assert await reader.readexactly(4) == b"pong"
    writer.transport.abort()


def reached(accept: Callable[[], socket.socket]) -> socket.socket:
    """Return the connection that the ping came by.

    One before it may have failed, for the client, after it was made.
    """
    while True:
        peer = accept()
        peer.settimeout(HANGS)
        if peer.recv(4) == b"ping":
            return peer
        peer.close()


async def grid(fault: Fault) -> None:
    """Hit each call of each scenario, and print what came of it."""
    came: Counter[str] = Counter()
    strike = Strike(fault)
    for said, scenario in SCENARIOS.items():
        # Python's accept, by which a slot is freed, or it is ready, asks for it, too.
        is_others = fault.call == "getsockname" and said in ("full", "proxied", "ready")
        hit, position = not is_others, 0
        while hit:
            position += 1
            try:
                async with (
                    testing.leak_check(ignore_threads=POOLS),
                    asyncio.timeout(HANGS),
                ):
                    with ExitStack() as stack:
                        hit, what = await strike(scenario(stack), position)
            except BaseException as exc:
                exc.add_note(f"{said}, {fault.call} {position}")
                raise
            came[what] += hit
    print(json.dumps(came))


async def once(scenario: Callable[[ExitStack], Play]) -> None:
    """Make one connect, which has to end as without a fault; print how."""
    async with testing.leak_check(ignore_threads=POOLS), asyncio.timeout(HANGS):
        with ExitStack() as stack:
            play = scenario(stack)
            try:
                made = await play.connect()
            except aioconnect.ConnectError as exc:
                assert exc.errno == play.ends, repr(exc)
                print("one error")
            else:
                assert play.peer is not None, f"a false success: {made}"
                await echo(made, play.peer)
                print("connected")


# What is closed only because nobody refers to it any more was left open.
dropped: list[object] = []
warnings.simplefilter("error", ResourceWarning)
sys.unraisablehook = lambda unraisable: dropped.append(unraisable.exc_value)
if len(sys.argv) > 3:
    with ExitStack() as probes:
        call, code = sys.argv[2], getattr(errno, sys.argv[3])
        run(grid(Fault(call, code, spender(call, probes))))
else:
    run(once(SCENARIOS[sys.argv[2]]))
assert not dropped, dropped

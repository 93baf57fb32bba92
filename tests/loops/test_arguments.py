"""A factory's loop takes the arguments that its base takes, and fails as that does."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from odd_calls import Make, Result, World, alone, sock_calls, tcp_calls, unix_calls

import aioconnect
from aioconnect import testing

Factory = Callable[[], asyncio.AbstractEventLoop]

# What a bug in the base raises.  A race of asyncio's has a group since Python 3.14.
BUGS = (AttributeError, AssertionError, LookupError, ExceptionGroup)

POOLS = ("asyncio_", "aioconnect-resolver")

BASES: tuple[Factory, ...] = (asyncio.new_event_loop, uvloop.new_event_loop)

# The differences that stay: their reasons, and the beginnings of the calls' names.
LENIENT = "what asyncio takes is taken on both loops, of names as of numbers"
WIDER = "an option or a form that this loop has not, or only later"
UNSAID = "whatever is false says nothing"
WRONG_PORT = "the base connects to another port than was said"
UNREAD = "the base does not look at it, if the host is in numbers, or never"
NO_PATH = "the kernel ends a path at its NUL: that is another path"
TLS_FIRST = "ssl itself is judged before what it would need"

TCP = {
    "port a bytearray of": LENIENT,
    "port float of": LENIENT,
    "port a Fraction of": LENIENT,
    "port a Decimal of": LENIENT,
    "port an index of": LENIENT,
    "port white space around of": LENIENT,
    "port an underscore of": LENIENT,
    "port Arabic digits of": LENIENT,
    "port a float with a fraction of": WRONG_PORT,
    "port 65536 more of": WRONG_PORT,
    "port 2**32 more of": WRONG_PORT,
    "{'local_addr': ('127.0.0.1', 70000)}": WRONG_PORT,
    "{'local_addr': ('127.0.0.1', -1)}": WRONG_PORT,
    "host '::1%lo'": WIDER,
    "host '[::1]'": WIDER,
    "{'all_errors':": WIDER,
    "{'happy_eyeballs_delay':": WIDER,
    "{'interleave':": WIDER,
    "{'local_addr': ('127.0.0.1', 0, 0": WIDER,
    "{'local_addr': (None,": WIDER,
    "{'local_addr': ('::1', 0)} for localhost": WIDER,
    "{'local_addr': [('127.0.0.1', 0)]}": WIDER,
    "{'family': None}": UNSAID,
    "{'proto': None}": UNSAID,
    "{'flags': None}": UNSAID,
    "{'local_addr': ()}": UNSAID,
    "{'local_addr': 0}": UNSAID,
    "{'local_addr': {}}": UNSAID,
    "{'proto': 17}": UNREAD,  # here socket(2) fails, and not a look-up
    "{'proto': 99}": UNREAD,
    "{'flags': -1}": UNREAD,
    "{'flags': 1099511627776}": UNREAD,
    "{'flags': 'x'}": UNREAD,
    "{'family': 2.0}": UNREAD,
    "host '::1%none'": UNREAD,
    "host '127.0.0.1\\x00'": UNREAD,
    "factory one that gives a class": "the base finds out when the peer speaks",
    "factory one that gives 5": "the base finds out when the peer speaks",
    "sock not connected": "the base makes a transport of it, which cannot send",
}

try:
    socket.getaddrinfo("127.0.0.1", 1, proto=262)
except socket.gaierror:
    TCP["{'proto': 262}"] = WIDER  # MPTCP, which this libc does not know

UNIX = {
    "path a NUL at its end": NO_PATH,
    "{'ssl': 1}": TLS_FIRST,
    "{'ssl': 'x'}": TLS_FIRST,
}

SOCK = {
    "path a NUL at its end": NO_PATH,
    "path a Path": LENIENT,
    "AF_INET a float as port": LENIENT,
    "AF_INET an index as port": LENIENT,
    "AF_INET five": LENIENT,
    "AF_INET6 five": LENIENT,
    "AF_INET6 a scope's name": WIDER,
    "AF_INET6 in brackets": WIDER,
    "AF_INET a fraction as port": WRONG_PORT,
    "AF_INET '127.0.0.1'": "the base takes its first two letters for host and port",
    "AF_INET6 a negative scope": UNREAD,
    "AF_INET6 a negative flow": UNREAD,
    "AF_INET6 a flow of": UNREAD,
    "AF_INET6 a flow that is None": UNREAD,
    "sock on Unix": "it is connected already, too: that is said first",
}


@contextlib.contextmanager
def listeners(path: Path) -> Iterator[tuple[socket.socket, ...]]:
    """Listen on a port of both loopback addresses, and on *path*."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(testing.listening("127.0.0.1"))
        try:
            both = stack.enter_context(testing.listening("::1", port=server.port))
        except OSError as exc:
            pytest.skip(f"no IPv6 on the loopback interface: {exc}")
        unix = stack.enter_context(testing.unix_listening(path))
        yield server.sock, both.sock, unix.sock


async def became(make: Make, there: World) -> Result:
    """Return the result of a call."""
    try:
        made = await make(there)
    except Exception as exc:  # the loop may raise anything
        return Result(alone(exc))
    if isinstance(made, Result):
        return made
    made[0].abort()
    return Result(None)


def drain(socks: tuple[socket.socket, ...]) -> None:
    """Accept all connections, so that the backlog never fills."""
    for sock in socks:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.accept()[0].close()


def run(
    factory: Factory,
    calls: dict[str, Make],
    socks: tuple[socket.socket, ...],
    debug: bool,
) -> dict[str, Result]:
    """Make the *calls* on a loop of *factory*."""
    found: dict[str, Result] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)  # the base logs errors
        loop.slow_callback_duration = 60
        there = World(loop, socks[0].getsockname()[1], socks[2].getsockname())
        for name, make in calls.items():
            found[name] = await became(make, there)
            if isinstance(found[name].error, BUGS):
                gc.collect()  # asyncio may have begun a transport, in a cycle
            drain(socks)

    with asyncio.Runner(loop_factory=factory, debug=debug) as runner:
        runner.run(main())
    return found


def is_alike(base: Result, ours: Result) -> bool:
    """Tell whether code that catches the *base*'s error catches *ours* too.

    The timeout of a socket argument has to be as the *base* leaves it.
    """
    if ours.timeout != base.timeout:
        return False
    if base.error is None or ours.error is None:
        return ours.error is base.error
    kinds: tuple[type[Exception], ...]
    if isinstance(base.error, OSError):
        kinds = (socket.gaierror, OSError)
    elif isinstance(base.error, BUGS):
        # Nobody catches it.
        return isinstance(ours.error, TypeError | ValueError)
    else:
        kinds = (OverflowError, TypeError, ValueError, ZeroDivisionError)
    kind = next(kind for kind in kinds if isinstance(base.error, kind))
    return isinstance(ours.error, kind)


@pytest.mark.parametrize(
    ("calls", "expected", "debug"),
    [
        (tcp_calls, TCP, False),
        (unix_calls, UNIX, False),
        (sock_calls, SOCK, False),
        (sock_calls, SOCK, True),  # then asyncio and uvloop check the timeout
    ],
)
def test_as_the_base(
    calls: Callable[[], Iterator[tuple[str, Make]]],
    expected: dict[str, str],
    debug: bool,
    tmp_path: Path,
) -> None:
    """Existing code catches what its loop raises, and passes what that loop takes."""
    made = dict(calls())
    differs: dict[str, str] = {}
    with listeners(tmp_path / "x") as socks:
        for base in BASES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the base leaves things open
                theirs = run(base, made, socks, debug)
                gc.collect()
            with testing.leak_check(ignore_threads=POOLS):
                ours = run(aioconnect.loop_factory(base=base), made, socks, debug)
            for name, one in theirs.items():
                if not is_alike(one, ours[name]):
                    differs[name] = f"{base.__module__}: {one}, but {ours[name]}"
    surprises = {
        name: said
        for name, said in differs.items()
        if not name.startswith(tuple(expected))
    }
    assert not surprises
    gone = {name for name in expected if not any(map(is_prefix(name), differs))}
    assert not gone, "no longer different"


def is_prefix(prefix: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(prefix)

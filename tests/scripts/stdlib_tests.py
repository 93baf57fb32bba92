"""Run asyncio's own tests that connect, on loops made by `loop_factory`.

``stdlib_tests.py MODULE LOOP [UNRUN ...]`` gives the tests of the module such loops,
over asyncio's loop or uvloop, and leaves out the named tests.  A test that fails twice
is run on the plain loop; if it fails there too, it counts as *own*.  The script prints
the result of each test as JSON.

No connect leaves this host.  Many of the tests use names and addresses of others, and
replace asyncio's ``socket`` module, which this package never uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import importlib
import inspect
import ipaddress
import json
import socket
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import CodeType
from typing import Any, TypeAlias

import uvloop

from aioconnect import Address, Connector, Event, loop_factory, system_resolver

CONNECTS = {
    "create_connection",
    "create_unix_connection",
    "open_connection",
    "open_unix_connection",
    "sock_connect",
}

Factory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]
Came: TypeAlias = tuple[dict[str, str], set[str]]

# asyncio's loop with one selector or the other; uvloop has none, and once is enough.
SELECTORS = {"PollEventLoopTests", "SelectEventLoopTests"}

# A test that hangs says where, and ends all (seconds).
HUNG = 90.0


def names_in(code: CodeType) -> Iterator[str]:
    """Give the names that a function uses, and those within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)


def connects(case: unittest.TestCase, name: str, seen: set[str]) -> bool:
    """Tell whether a method of *case* connects, by itself or by another one."""
    seen.add(name)
    method: Any = getattr(case, name, None)
    code = getattr(inspect.unwrap(method), "__code__", None)
    used = set(names_in(code)) if code else set()
    return bool(used & CONNECTS) or any(
        connects(case, other, seen) for other in used - seen
    )


def cases(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """Give the tests of *suite*, and of those within it."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


def stay(sock: socket.socket, address: Address) -> None:
    """Let none be dialled but this host."""
    if address.family in (socket.AF_INET, socket.AF_INET6):
        assert isinstance(address.sockaddr, tuple)
        if not ipaddress.ip_address(address.sockaddr[0]).is_loopback:
            raise OSError(f"not this host: {address}")


async def resolve(
    host: str, port: int, *, family: int, proto: int, flags: int
) -> Sequence[Address]:
    """Ask the replacement that a test has set for the loop's own look-up, if any."""
    loop = asyncio.get_running_loop()
    if "getaddrinfo" in vars(loop):
        found: Any = await loop.getaddrinfo(host, port)
        return [Address(each[0], each[4]) for each in found]
    if host != "localhost":
        raise socket.gaierror(socket.EAI_NONAME, f"not this host: {host}")
    return await system_resolver(host, port, family=family, proto=proto, flags=flags)


class Loops(asyncio.DefaultEventLoopPolicy):
    """Make the loops of the tests: converted loops, or their base."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.are_ours = True
        self.heard = 0
        self._selector_loop = asyncio.SelectorEventLoop

    def new_event_loop(self, selector: Any = None) -> asyncio.AbstractEventLoop:
        """Do what asyncio's function does, and the constructor of its loop."""
        base: Factory = partial(self._selector_loop, selector)
        if self.kind == "uvloop":
            base = uvloop.new_event_loop
        if not self.are_ours:
            return base()
        return loop_factory(self._connector(), base=base)()

    def _connector(self) -> Connector:
        return Connector(resolver=resolve, prepare=[stay], observer=self._hear)

    def _hear(self, event: Event) -> None:
        self.heard += 1


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Close *loop* as the tests do, which look into asyncio's own for that."""
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def run(tests: Sequence[unittest.TestCase]) -> Came:
    """Run *tests*; return those that failed, with their tracebacks, and the skipped."""
    faulthandler.dump_traceback_later(HUNG, exit=True)
    result = unittest.TestResult()
    unittest.TestSuite(tests).run(result)
    failed: dict[str, str] = {}
    for test, text in result.failures + result.errors:
        case = getattr(test, "test_case", test)  # whose subtest it is
        if not isinstance(case, unittest.TestCase):
            raise RuntimeError(f"{case}: {text}")  # a module or a class of tests
        failed[name(case)] = text
    return failed, {name(test) for test, _ in result.skipped}


def name(test: unittest.TestCase) -> str:
    """Return the names of the class and of the method."""
    return ".".join(test.id().rsplit(".", 2)[-2:])


def main(module: str, loop: str, *unrun: str) -> dict[str, Any]:
    """Run the tests, and return what came of them."""
    loops = Loops(loop)
    tests = importlib.import_module(f"test.test_asyncio.{module}")
    utils = importlib.import_module("test.test_asyncio.utils")
    asyncio.SelectorEventLoop = loops.new_event_loop  # type: ignore[assignment]  # the tests call it
    if loop == "uvloop":
        utils.TestCase.close_loop = staticmethod(close)
    chosen = {
        name(case): case
        for case in cases(unittest.defaultTestLoader.loadTestsFromModule(tests))
        if connects(case, case._testMethodName, set())
        and not (loop == "uvloop" and type(case).__name__ in SELECTORS)
    }
    known = sorted(chosen)
    for each in known:
        if each.split(".")[1] in unrun:
            del chosen[each]

    def run_again(names: Iterable[str]) -> Came:
        asyncio.set_event_loop_policy(loops)  # a module's end takes it away
        return run([type(chosen[n])(n.split(".")[1]) for n in names])

    failed, skipped = run_again(chosen)
    # Python's own test runner gives them a second chance too: many wait for so long.
    failed, _ = run_again(failed)
    heard, loops.are_ours = loops.heard, False
    own, _ = run_again(failed)
    return {
        "known": known,
        "passed": sorted(chosen.keys() - failed.keys() - skipped),
        "failed": {n: text for n, text in failed.items() if n not in own},
        "own": sorted(own),
        "heard": heard,
    }


if __name__ == "__main__":
    with (
        contextlib.redirect_stdout(sys.stderr),
        tempfile.TemporaryDirectory() as place,
        contextlib.chdir(place),  # some write files
    ):
        came = main(*sys.argv[1:])
    print(json.dumps(came))

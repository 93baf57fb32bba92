"""What is known without asking, and what the system's resolver is asked."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aioconnect import Address
from aioconnect._io import resolver
from aioconnect._io.resolver import (
    Resolver,
    addresses_of_addrinfo,
    flags_of_one_family,
    no_address_error,
    resolve_without_lookup,
    system_resolver,
)
from aioconnect.testing import ScriptedResolver, StaticResolver

INET, INET6 = socket.AF_INET, socket.AF_INET6
LO = socket.if_nametoindex("lo")
NOTHING = "the resolver gave no address"
IPV4 = Address(INET, ("127.0.0.1", 80))
IPV6 = Address(INET6, ("::1", 80, 0, 0))
MAPPED = Address(INET6, ("::ffff:127.0.0.1", 80, 0, 0))


def test_the_kits_resolvers_are_resolvers() -> None:
    """The type checker says so; and the system's is one of them."""
    resolvers: list[Resolver] = [
        system_resolver,
        StaticResolver({}),
        ScriptedResolver({}),
    ]
    assert all(map(callable, resolvers))


@pytest.mark.parametrize(
    ("host", "family", "flags", "expected"),
    [
        ("127.0.0.1", 0, 0, [IPV4]),
        ("127.0.0.1", INET, socket.AI_NUMERICHOST, [IPV4]),
        ("127.0.0.1", INET6, socket.AI_V4MAPPED, [MAPPED]),
        ("127.0.0.1", 0, socket.AI_V4MAPPED, [IPV4]),
        ("::1", 0, socket.AI_ADDRCONFIG, [IPV6]),
        ("::1", INET6, socket.AI_V4MAPPED, [IPV6]),
        ("fe80::1%7", 0, 0, [Address(INET6, ("fe80::1", 80, 0, 7))]),
        ("fe80::1%lo", 0, 0, [Address(INET6, ("fe80::1", 80, 0, LO))]),
        ("localhost", 0, 0, [IPV6, IPV4]),
        ("localhost.", INET, 0, [IPV4]),
        ("LocalHost", INET6, socket.AI_NUMERICSERV, [IPV6]),
    ],
)
async def test_what_is_known_needs_no_thread(
    host: str, family: int, flags: int, expected: list[Address]
) -> None:
    """Nor a tick of the loop: the coroutine ends at its first step."""
    before = threading.enumerate()
    asking = system_resolver(host, 80, family=family, flags=flags)
    with pytest.raises(StopIteration) as caught:
        asking.send(None)
    assert list(caught.value.value) == expected
    assert threading.enumerate() == before


def test_proto_becomes_the_sockets() -> None:
    for host in ("127.0.0.1", "fe80::1%lo", "localhost", None):
        found = resolve_without_lookup(host, 80, 0, 262, 0)
        assert found
        assert {address.proto for address in found} == {262}


def test_no_host_is_this_machine() -> None:
    """What asyncio's functions make of host=None; AI_PASSIVE is the system's."""
    assert resolve_without_lookup(None, 80, 0, 0, 0) == (IPV6, IPV4)
    assert resolve_without_lookup(None, 80, INET, 0, 0) == (IPV4,)
    assert resolve_without_lookup(None, 80, 0, 0, socket.AI_PASSIVE) is None


@pytest.mark.parametrize(
    ("host", "family", "flags"),
    [
        ("a.test", 0, 0),
        ("127.1", 0, 0),
        ("", 0, 0),
        # /etc/hosts may say where, and db.localhost often is elsewhere.
        ("db.localhost", 0, 0),
        ("localhost", 0, socket.AI_NUMERICHOST),
        ("localhost", 0, socket.AI_ADDRCONFIG),
        ("localhost", INET6, socket.AI_V4MAPPED),
        ("localhost", socket.AF_UNIX, 0),
        ("localhost", 0, 1 << 20),
    ],
)
def test_what_is_the_systems_to_say(host: str, family: int, flags: int) -> None:
    assert resolve_without_lookup(host, 80, family, 0, flags) is None


@pytest.mark.parametrize(
    ("host", "family", "flags", "code", "text"),
    [
        ("127.0.0.1", INET6, 0, socket.EAI_ADDRFAMILY, "not supported"),
        ("::1", INET, 0, socket.EAI_ADDRFAMILY, "not supported"),
        ("::1", INET, socket.AI_V4MAPPED, socket.EAI_ADDRFAMILY, "not supported"),
        ("fe80::1%nowhere0", 0, 0, socket.EAI_AGAIN, "no interface nowhere0"),
    ],
)
async def test_numbers_that_are_no_address_here(
    host: str, family: int, flags: int, code: int, text: str
) -> None:
    with pytest.raises(socket.gaierror, match=text) as caught:
        await system_resolver(host, 80, family=family, flags=flags)
    assert caught.value.errno == code


async def test_what_is_no_host_or_port_is_refused() -> None:
    for host, port in (("", 80), ("a\0.test", 80), ("x" * 64, 80), ("a.test", 65536)):
        with pytest.raises(ValueError, match=r"host|port"):
            await system_resolver(host, port)


async def test_what_has_to_be_asked_for_is_asked_by_family() -> None:
    """A form of 127.0.0.1 that only getaddrinfo knows, and no server is needed for."""
    assert await system_resolver("127.1", 80) == (IPV4,)
    with pytest.raises(socket.gaierror, match="asked for IPv6 only") as caught:
        await system_resolver("127.1", 80, family=INET6)
    assert caught.value.errno == socket.EAI_ADDRFAMILY


async def test_a_host_in_octets_is_asked_for_as_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A replacement of getaddrinfo knows names only as text."""
    asked: list[Any] = []

    def pinned(host: str, port: int, *more: Any) -> list[Any]:
        asked.append(host)
        return [(INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", pinned)
    for host in ("db.pinned", b"db.pinned"):
        found = await system_resolver(host, 80)  # type: ignore[arg-type]  # as users do
        assert found == (IPV4,)
    assert asked == ["db.pinned"] * 2


@pytest.mark.parametrize("family", [0, INET6, INET])
async def test_the_system_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, family: int
) -> None:
    """It is one question, with the flags as given, and the answer keeps its order."""
    asked: list[Any] = []
    order = [IPV4, MAPPED, IPV6, IPV4]

    def ordered(host: str, port: int, *more: Any) -> list[Any]:
        asked.append((host, port, *more))
        return [(one.family, socket.SOCK_STREAM, 6, "", one.sockaddr) for one in order]

    monkeypatch.setattr(socket, "getaddrinfo", ordered)
    flags = socket.AI_V4MAPPED | socket.AI_ADDRCONFIG
    found = await system_resolver("db.pinned", 80, family=family, flags=flags)
    assert found == (IPV4, MAPPED, IPV6)
    assert asked == [("db.pinned", 80, family, socket.SOCK_STREAM, 0, flags)]


async def test_a_question_that_cannot_be_asked_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is no answer comes through as itself."""

    def fail(*question: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(resolver, "getaddrinfo", fail)
    with pytest.raises(MemoryError):
        await system_resolver("db.test", 80)


async def test_a_cancelled_look_up_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its question is dropped; the loop's exception handler hears of nothing."""
    asked: list[asyncio.Future[Any]] = []

    def ask(loop: asyncio.AbstractEventLoop, *_: object) -> asyncio.Future[Any]:
        asked.append(loop.create_future())
        return asked[-1]

    monkeypatch.setattr(resolver, "getaddrinfo", ask)
    task = asyncio.create_task(system_resolver("127.1", 80))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [question.cancelled() for question in asked] == [True]


def test_flags_of_one_family() -> None:
    """AI_V4MAPPED, given for both, would have AAAA answer for A, too."""
    mapped = int(socket.AI_V4MAPPED | socket.AI_ALL)
    assert flags_of_one_family(0) == 0
    assert flags_of_one_family(mapped | 1 << 20) == 1 << 20


def test_addresses() -> None:
    """Each once, in order; of other families none."""
    found: list[Any] = [
        (INET6, socket.SOCK_STREAM, 6, "", ("::1", 80, 0, 0)),
        (INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
        (INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 80)),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", "/x"),
    ]
    assert addresses_of_addrinfo(found, 0) == (IPV6, IPV4)


NONE = socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
FULL = OSError(24, "Too many open files")


@pytest.mark.parametrize(
    ("given", "family", "expected"),
    [
        (UNKNOWN, 0, UNKNOWN),
        (AGAIN, 0, AGAIN),
        (FULL, 0, FULL),
        (AGAIN, INET6, AGAIN),
        (None, 0, socket.gaierror(socket.EAI_NONAME, NOTHING)),
        (
            None,
            INET,
            socket.gaierror(socket.EAI_NONAME, f"{NOTHING} (asked for IPv4 only)"),
        ),
        (
            NONE,
            INET6,
            socket.gaierror(NONE.errno, f"{NONE.strerror} (asked for IPv6 only)"),
        ),
        (
            UNKNOWN,
            INET,
            socket.gaierror(UNKNOWN.errno, f"{UNKNOWN.strerror} (asked for IPv4 only)"),
        ),
    ],
)
def test_the_error_of_no_address(
    given: OSError | None, family: int, expected: OSError
) -> None:
    """A copy of what the resolver raised; it says which family was asked for."""
    error = no_address_error(given, family)
    assert (type(error), error.args) == (type(expected), expected.args)
    assert error is not given


@pytest.mark.namespace
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_dns(in_namespace: Callable[..., str], loop: str) -> None:
    """The real getaddrinfo's answers, codes and texts, from the test's own DNS server.

    The server counts: one question for fifty who ask, TCP for a truncated answer,
    none for localhost.  With no descriptor left there is an error that says so.
    """
    in_namespace("dns_answers.py", loop)

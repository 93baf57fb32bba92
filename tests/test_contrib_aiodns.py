"""c-ares as the resolver: answers, codes, cancellation, and nothing left open."""

from __future__ import annotations

import asyncio
import os
import pickle
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pycares
import pytest

from aioconnect import Address
from aioconnect._resolver import Resolver
from aioconnect.contrib import aiodns
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.testing import (
    DNSReply,
    DNSServer,
    Zone,
    dns_server,
    leak_check,
    refusing,
)

# pycares keeps one thread of its own, once it has had a channel.
pycares.Channel(sock_state_cb=print).close()

Factory = Callable[[], asyncio.AbstractEventLoop]

INET, INET6 = socket.AF_INET, socket.AF_INET6

PATIENCE = 60.0
SILENCE = 30.0  # what c-ares waits for an answer that never comes

ZONE: Zone = {
    ("both.test", "A"): ["192.0.2.1", "192.0.2.2", "192.0.2.1"],
    ("both.test", "AAAA"): ["2001:db8::1"],
    ("ipv4.test", "A"): ["192.0.2.1"],
    ("fass.test", "A"): ["192.0.2.1"],
    ("big.test", "A"): DNSReply([f"192.0.2.{n}" for n in range(100)], truncate=True),
    ("none.test", "A"): [],
    ("fail.test", "A"): DNSReply(rcode="SERVFAIL"),
    ("refused.test", "A"): DNSReply(rcode="REFUSED"),
    ("silent.test", "A"): DNSReply(drop=True),
    ("silent.test", "AAAA"): DNSReply(drop=True),
}


@pytest.fixture
def server() -> Iterator[DNSServer]:
    """Give a DNS server."""
    with dns_server(ZONE) as server:
        yield server


@pytest.fixture
def resolver(server: DNSServer) -> AiodnsResolver:
    """Give a resolver that asks the server, and does not give up soon."""
    return AiodnsResolver([f"{server.host}:{server.port}"], timeout=SILENCE, tries=1)


@pytest.fixture(autouse=True)
def channels_end(nothing_left: None) -> Iterator[None]:
    """Wait for what pycares closes in its own thread, right after the last look-up."""
    with leak_check(patience=PATIENCE):
        yield
    assert not aiodns._channels


def texts(found: Sequence[Address]) -> list[str]:
    """Return the addresses' texts."""
    return [str(address) for address in found]


@pytest.mark.parametrize(
    ("host", "family", "expected"),
    [
        ("both.test", INET, ["192.0.2.1:80", "192.0.2.2:80"]),
        ("both.test", INET6, ["[2001:db8::1]:80"]),
        ("ipv4.test", 0, ["192.0.2.1:80"]),
        ("ipv4.test", INET6, []),
        ("none.test", INET, []),
        ("faß.test", INET, ["192.0.2.1:80"]),  # so says IDNA 2003
        ("localhost", INET, ["127.0.0.1:80"]),
        ("127.0.0.1", 0, ["127.0.0.1:80"]),
        ("127.0.0.1", INET6, []),
    ],
)
async def test_addresses(
    resolver: AiodnsResolver, host: str, family: int, expected: list[str]
) -> None:
    """Each once, of the family asked for; a name without one has none."""
    found = await resolver(host, 80, family=family, proto=6)
    assert texts(found) == expected
    assert {address.proto for address in found} <= {6}


async def test_both_families_are_one_look_up(resolver: AiodnsResolver) -> None:
    assert set(texts(await resolver("both.test", 80))) == {
        "[2001:db8::1]:80",
        "192.0.2.1:80",
        "192.0.2.2:80",
    }


async def test_a_truncated_answer_is_asked_for_by_tcp(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    assert len(await resolver("big.test", 80, family=INET)) == 100
    assert [query.transport for query in server.queries] == ["udp", "tcp"]


@pytest.mark.parametrize(
    ("host", "family", "code"),
    [
        ("nowhere.test", INET, socket.EAI_NONAME),
        ("nowhere.test", 0, socket.EAI_NONAME),
        ("fail.test", INET, socket.EAI_AGAIN),
        ("refused.test", INET, socket.EAI_AGAIN),
        ("fe80::1%nowhere0", INET6, socket.EAI_NONAME),
        ("both.test", socket.AF_UNIX, socket.EAI_FAIL),
    ],
)
async def test_codes(
    resolver: AiodnsResolver, host: str, family: int, code: int
) -> None:
    """As the system's resolver has them, with the words of c-ares."""
    with pytest.raises(socket.gaierror, match=r"\w+ \w+") as caught:
        await resolver(host, 80, family=family)
    assert caught.value.errno == code


async def test_a_silent_server_is_a_temporary_error(server: DNSServer) -> None:
    """After all tries, of which there are as many as it was told."""
    resolver = AiodnsResolver([f"{server.host}:{server.port}"], timeout=0.3, tries=2)
    with pytest.raises(socket.gaierror, match="Timeout") as caught:
        await resolver("silent.test", 80, family=INET)
    assert caught.value.errno == socket.EAI_AGAIN
    assert [query.name for query in server.queries] == ["silent.test"] * 2


async def test_no_server_is_a_temporary_error() -> None:
    with refusing() as refused:
        resolver = AiodnsResolver([f"{refused.host}:{refused.port}"], tries=1)
        with pytest.raises(socket.gaierror) as caught:
            await resolver("ipv4.test", 80, family=INET)
    assert caught.value.errno == socket.EAI_AGAIN


async def test_flags_are_refused(resolver: AiodnsResolver) -> None:
    """But for AI_NUMERICSERV: a port is always a number."""
    assert await resolver("ipv4.test", 80, family=INET, flags=socket.AI_NUMERICSERV)
    for flags in (socket.AI_V4MAPPED, socket.AI_ADDRCONFIG, 1 << 20):
        with pytest.raises(socket.gaierror, match="flags") as caught:
            await resolver("ipv4.test", 80, family=INET, flags=flags)
        assert caught.value.errno == socket.EAI_BADFLAGS


async def test_what_cannot_be_asked_is_refused(resolver: AiodnsResolver) -> None:
    for host, port in (("", 80), ("a\0.test", 80), ("a.test", 65536)):
        with pytest.raises(ValueError, match=r"host|port"):
            await resolver(host, port)


@pytest.mark.parametrize(
    ("options", "kind", "named"),
    [
        ({"nameservers": "127.0.0.1"}, TypeError, "nameservers"),
        ({"nameservers": [53]}, TypeError, "nameservers"),
        ({"nameservers": ["no address"]}, ValueError, "nameservers"),
        ({"nameservers": ["127.0.0.1:dns"]}, ValueError, "nameservers"),
        ({"timeout": -1.0}, ValueError, "timeout"),
        ({"timeout": "x"}, TypeError, "timeout"),
        ({"tries": 0}, ValueError, "tries"),
        ({"tries": True}, TypeError, "tries"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    options: dict[str, Any], kind: type[Exception], named: str
) -> None:
    """Later it would be an error that may pass, and be tried for ever."""
    with pytest.raises(kind, match=named):
        AiodnsResolver(**options)


def test_servers_in_numbers() -> None:
    servers = ["127.0.0.1", "127.0.0.1:53", "::1", "[::1]:53"]
    assert AiodnsResolver(servers).nameservers == tuple(servers)


async def test_cancelled_it_asks_no_more(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    """The descriptors of the look-up are closed long before it would have ended."""
    begun = time.monotonic()
    async with leak_check(patience=PATIENCE) as check:
        task = asyncio.create_task(resolver("silent.test", 80))
        while not server.queries:
            await asyncio.sleep(0.001)
        assert any(line.startswith("descriptor") for line in check.leaks())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not aiodns._channels
    assert time.monotonic() - begun < SILENCE


async def test_one_cancellation_does_not_disturb_the_others(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    """Hundreds share a channel: c-ares needs an inotify instance for each."""
    silent = [asyncio.create_task(resolver("silent.test", 80)) for _ in range(100)]
    while not server.queries:
        await asyncio.sleep(0.001)
    assert len(aiodns._channels) == 1
    late = asyncio.create_task(resolver("both.test", 80, family=INET6))
    silent[0].cancel()
    assert texts(await late) == ["[2001:db8::1]:80"]
    for task in silent:
        task.cancel()
    await asyncio.wait(silent)
    assert all(task.cancelled() for task in silent)


def test_a_resolver_is_a_value(server: DNSServer, loop_factory: Factory) -> None:
    """Hashable, equal, picklable; one may be used in many loops."""
    one = AiodnsResolver([f"{server.host}:{server.port}"], tries=1)
    other = pickle.loads(pickle.dumps(one))
    assert one == other
    assert hash(one) == hash(other)
    assert one != AiodnsResolver()
    for resolver in (one, other, one):
        assert callable(resolver)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            found = runner.run(resolver("ipv4.test", 80, family=INET))
        assert found == (Address(INET, ("192.0.2.1", 80)),)


def test_a_loop_that_ends_with_a_look_up_under_way(
    resolver: AiodnsResolver,
    server: DNSServer,
    loop_factory: Factory,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """``asyncio.run`` cancels it: nothing is left, nothing is printed."""

    async def main() -> None:
        tasks.append(asyncio.create_task(resolver("silent.test", 80)))
        while not server.queries:
            await asyncio.sleep(0.001)

    tasks: list[asyncio.Task[object]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert tasks[0].cancelled()
    assert not aiodns._channels
    assert capfd.readouterr() == ("", "")


async def test_without_descriptors_there_is_a_clear_error(
    resolver: AiodnsResolver,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        with pytest.raises(socket.gaierror) as caught:
            await resolver("ipv4.test", 80, family=INET)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
    assert caught.value.errno == socket.EAI_AGAIN


def test_the_connectors_type() -> None:
    """The type checker says so."""
    resolver: Resolver = AiodnsResolver()
    assert resolver == AiodnsResolver()


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['aiodns'] = None; import aioconnect.contrib.aiodns"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "needs aiodns: pip install 'aioconnect-net[aiodns]'" in run.stderr

"""c-ares as the resolver: answers, codes, cancellation, and nothing left open."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pycares
import pytest

from aioconnect import (
    Address,
    AddressBlockedError,
    Backoff,
    ConnectRefusedError,
    ConnectTimeoutError,
    Resolved,
    ResolveError,
    SRVRecord,
    Target,
    connect,
    connect_any,
    only_public,
)
from aioconnect._io.resolver import Resolver
from aioconnect._io.source_addresses import sort_by_rfc6724
from aioconnect.contrib import aiodns
from aioconnect.contrib.aiodns import AiodnsResolver
from aioconnect.testing import (
    DNSReply,
    DNSServer,
    Recorder,
    Server,
    StaticResolver,
    Zone,
    black_hole,
    dns_server,
    leak_check,
    listening,
    refusing,
)

# After its first channel, pycares keeps one thread of its own.
pycares.Channel(sock_state_cb=print).close()

Factory = Callable[[], asyncio.AbstractEventLoop]

INET, INET6 = socket.AF_INET, socket.AF_INET6

PATIENCE = 60.0
SILENCE = 30.0  # how long c-ares waits for an answer that never comes

ZONE: Zone = {
    ("both.test", "A"): ["192.0.2.1", "192.0.2.2", "192.0.2.1"],
    ("both.test", "AAAA"): ["2001:db8::1"],
    # Without SO_BROADCAST and a scope, the kernel sends nothing to the first of each.
    ("mixed.test", "A"): ["255.255.255.255", "127.0.0.1"],
    ("mixed.test", "AAAA"): ["fe80::1", "::1"],
    ("ipv4.test", "A"): ["192.0.2.1"],
    ("fass.test", "A"): ["192.0.2.1"],
    ("big.test", "A"): DNSReply([f"192.0.2.{n}" for n in range(100)], truncate=True),
    ("none.test", "A"): [],
    ("fail.test", "A"): DNSReply(rcode="SERVFAIL"),
    ("refused.test", "A"): DNSReply(rcode="REFUSED"),
    ("half.test", "A"): ["127.0.0.1"],
    ("half.test", "AAAA"): DNSReply(drop=True),
    ("silent.test", "A"): DNSReply(drop=True),
    ("silent.test", "AAAA"): DNSReply(drop=True),
    ("_x._tcp.test", "SRV"): [(1, 2, 80, "Both.test"), (0, 0, 65535, "ipv4.test")],
    ("_x._tcp.fass.test", "SRV"): [(0, 0, 80, "fass.test")],
    ("_root._tcp.test", "SRV"): [(0, 0, 0, ".")],
    ("_big._tcp.test", "SRV"): DNSReply([(0, 0, 80, "ipv4.test")] * 100, truncate=True),
    ("_none._tcp.test", "SRV"): [],
    ("_fail._tcp.test", "SRV"): DNSReply(rcode="SERVFAIL"),
    ("_refused._tcp.test", "SRV"): DNSReply(rcode="REFUSED"),
    ("_silent._tcp.test", "SRV"): DNSReply(drop=True),
}


@pytest.fixture
def server() -> Iterator[DNSServer]:
    """Give a DNS server."""
    with dns_server(ZONE) as server:
        yield server


@pytest.fixture
def resolver(server: DNSServer) -> AiodnsResolver:
    """Give a resolver that asks the server, and is patient."""
    return AiodnsResolver([f"{server.host}:{server.port}"], timeout=SILENCE, tries=1)


@pytest.fixture(autouse=True)
def channels_end(nothing_left: None) -> Iterator[None]:
    """Wait until pycares has closed its channels, in a thread of its own."""
    with leak_check(patience=PATIENCE):
        yield
    assert not aiodns._channels


def texts(found: Sequence[Address]) -> list[str]:
    """Return the texts of the addresses."""
    return [str(address) for address in found]


@pytest.mark.parametrize(
    ("host", "family", "expected"),
    [
        ("both.test", INET, ["192.0.2.1:80", "192.0.2.2:80"]),
        ("both.test", INET6, ["[2001:db8::1]:80"]),
        ("ipv4.test", 0, ["192.0.2.1:80"]),
        ("ipv4.test", INET6, []),
        ("none.test", INET, []),
        ("faß.test", INET, ["192.0.2.1:80"]),  # as in IDNA 2003
        ("localhost", INET, ["127.0.0.1:80"]),
        ("127.0.0.1", 0, ["127.0.0.1:80"]),
        ("127.0.0.1", INET6, []),
    ],
)
async def test_addresses(
    resolver: AiodnsResolver, host: str, family: int, expected: list[str]
) -> None:
    """Each address of the requested family comes once; there may be none."""
    found = await resolver(host, 80, family=family, proto=6)
    assert texts(found) == expected
    assert {address.proto for address in found} <= {6}


async def test_both_families_are_one_look_up(resolver: AiodnsResolver) -> None:
    assert set(texts(await resolver("both.test", 80))) == {
        "[2001:db8::1]:80",
        "192.0.2.1:80",
        "192.0.2.2:80",
    }


async def test_both_families_are_sorted_together(
    resolver: AiodnsResolver, ipv6_listener: Server
) -> None:
    """c-ares sorts by RFC 6724, so that nobody has to do it again.

    Its table is that of the RFC: unlike glibc, it has IPv4 before unique local IPv6.
    It leaves out rules 3 and 7, and rule 9 for IPv4.
    """
    found = tuple(await resolver("mixed.test", 80))
    assert texts(found)[:2] == ["[::1]:80", "127.0.0.1:80"]
    assert sorted(texts(found)[2:]) == ["255.255.255.255:80", "[fe80::1]:80"]
    assert found == sort_by_rfc6724(found)


async def test_families_that_are_asked_for_apart(
    resolver: AiodnsResolver, port: int
) -> None:
    """A server that is silent for AAAA does not hold A up."""
    recorder = Recorder()
    with await connect("half.test", port, resolver=resolver, observer=recorder) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert recorder.only(Resolved).family == INET


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
    """The codes are those of the system's resolver, with the text of c-ares."""
    with pytest.raises(socket.gaierror, match=r"\w+ \w+") as caught:
        await resolver(host, 80, family=family)
    assert caught.value.errno == code


async def test_a_silent_server_is_a_temporary_error(server: DNSServer) -> None:
    """The error comes after all tries, whose number is an option."""
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
    """Only AI_NUMERICSERV is accepted, because a port is always a number."""
    assert await resolver("ipv4.test", 80, family=INET, flags=socket.AI_NUMERICSERV)
    for flags in (socket.AI_V4MAPPED, socket.AI_ADDRCONFIG, 1 << 20):
        with pytest.raises(socket.gaierror, match="flags") as caught:
            await resolver("ipv4.test", 80, family=INET, flags=flags)
        assert caught.value.errno == socket.EAI_BADFLAGS


async def test_a_bad_question_is_refused(resolver: AiodnsResolver) -> None:
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
def test_bad_options_are_refused_at_once(
    options: dict[str, Any], kind: type[Exception], named: str
) -> None:
    """Later it would be a temporary error, which is retried for ever."""
    with pytest.raises(kind, match=named):
        AiodnsResolver(**options)


def test_servers_in_numbers() -> None:
    servers = ["127.0.0.1", "127.0.0.1:53", "::1", "[::1]:53"]
    assert AiodnsResolver(servers).nameservers == tuple(servers)


async def test_a_cancelled_look_up_ends(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    """Its descriptors are closed long before the look-up would have ended."""
    started = time.monotonic()
    async with leak_check(patience=PATIENCE) as check:
        task = asyncio.create_task(resolver("silent.test", 80))
        while not server.queries:
            await asyncio.sleep(0.001)
        assert any(line.startswith("descriptor") for line in check.leaks())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not aiodns._channels
    assert time.monotonic() - started < SILENCE


async def test_one_cancellation_does_not_disturb_the_others(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    """Hundreds share a channel, because c-ares needs an inotify instance for each."""
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
    """It is hashable, comparable and picklable, and works in many loops."""
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
    """``asyncio.run`` cancels it: nothing is left, and nothing is printed."""

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


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("_x._tcp.test", [(1, 2, 80, "Both.test"), (0, 0, 65535, "ipv4.test")]),
        ("_X._tcp.TEST.", [(1, 2, 80, "Both.test"), (0, 0, 65535, "ipv4.test")]),
        ("_x._tcp.faß.test", [(0, 0, 80, "fass.test")]),
        ("_root._tcp.test", [(0, 0, 0, "")]),
    ],
)
async def test_services(
    resolver: AiodnsResolver, service: str, expected: list[tuple[int, int, int, str]]
) -> None:
    """The records come in the order of the answer."""
    assert await resolver.services(service) == tuple(
        SRVRecord(*record) for record in expected
    )


async def test_truncated_services_are_asked_for_by_tcp(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    assert len(await resolver.services("_big._tcp.test")) == 100
    assert [(query.type, query.transport) for query in server.queries] == [
        ("SRV", "udp"),
        ("SRV", "tcp"),
    ]


class Alias(asyncio.DatagramProtocol):
    """A server that answers each question with a CNAME and the SRV record behind it."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # it is one
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        # RFC 1035, 3.2.1: name (0xC00C is the question's), type, class, TTL, length.
        name = b"\x05_real\x04_tcp\x04test\0"
        alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, len(name)) + name
        srv = struct.pack("!HHH", 1, 2, 80) + b"\x04ipv4\x04test\0"
        answer = name + struct.pack("!HHIH", 33, 1, 60, len(srv)) + srv
        header = data[:2] + struct.pack("!5H", 0x8180, 1, 2, 0, 0)
        self.transport.sendto(header + question + alias + answer, addr)


async def test_services_behind_an_alias() -> None:
    """RFC 1034, 3.6.2: the answer has the CNAME too, which is not an SRV record."""
    loop = asyncio.get_running_loop()
    end, _ = await loop.create_datagram_endpoint(Alias, ("127.0.0.1", 0))
    try:
        port = end.get_extra_info("sockname")[1]
        resolver = AiodnsResolver([f"127.0.0.1:{port}"], timeout=SILENCE, tries=1)
        found = await resolver.services("_alias._tcp.test")
    finally:
        end.close()
    assert found == (SRVRecord(1, 2, 80, "ipv4.test"),)


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("_nowhere._tcp.test", socket.EAI_NONAME),
        ("_none._tcp.test", socket.EAI_NONAME),
        ("ipv4.test", socket.EAI_NONAME),
        ("_fail._tcp.test", socket.EAI_AGAIN),
        ("_refused._tcp.test", socket.EAI_AGAIN),
    ],
)
async def test_codes_of_services(
    resolver: AiodnsResolver, service: str, code: int
) -> None:
    with pytest.raises(socket.gaierror, match=r"\w+ \w+") as caught:
        await resolver.services(service)
    assert caught.value.errno == code


async def test_services_that_cannot_be_asked_for(
    resolver: AiodnsResolver, server: DNSServer
) -> None:
    for service in ("", "_x._tcp.a b", "_x._tcp.a\0", "_x.._tcp.test"):
        with pytest.raises(ValueError, match="host"):
            await resolver.services(service)
    assert not server.queries


SERVICE = "srv:_x._tcp.test"

races = pytest.mark.parametrize("race", [False, True], ids=["in turn", "race"])


@contextmanager
def serving(
    *records: tuple[int, int, int, str],
) -> Generator[tuple[AiodnsResolver, DNSServer]]:
    """Yield a resolver that finds *records* for SERVICE, and its server."""
    zone: dict[tuple[str, str], Sequence[Any]] = {("_x._tcp.test", "SRV"): records}
    for *_, host in records:
        zone[host, "A"] = ["127.0.0.1"]
    with dns_server(zone) as server:
        nameservers = [f"{server.host}:{server.port}"]
        yield AiodnsResolver(nameservers, timeout=SILENCE, tries=1), server


@races
async def test_the_lowest_priority_first(port: int, race: bool) -> None:
    """RFC 2782: it "MUST attempt to contact" the "lowest-numbered priority" first.

    In turn, the names of other priorities are not even looked up.
    """
    with listening() as other:
        records = (2, 0, other.port, "two.test"), (1, 0, port, "one.test")
        with serving(*records) as (resolver, server):
            sock = await connect_any([SERVICE], resolver=resolver, race=race)
        with sock:
            assert sock.getpeername() == ("127.0.0.1", port)
    asked = [query.name for query in server.queries]
    assert asked[:2] == ["_x._tcp.test", "one.test"]
    assert race or "two.test" not in asked


@races
async def test_the_next_priority_if_the_first_refuses(port: int, race: bool) -> None:
    with refusing() as refused:
        records = (2, 0, port, "two.test"), (1, 0, refused.port, "one.test")
        with serving(*records) as (resolver, _):
            sock = await connect_any(
                [Target(service="_x._tcp.test")], resolver=resolver, race=race
            )
    with sock:
        assert sock.getpeername() == ("127.0.0.1", port)


async def test_its_hosts_have_the_turns_of_a_service(port: int) -> None:
    """They come after the targets before the service, and before those after it."""
    with refusing() as refused, listening() as other:
        records = (2, 0, port, "two.test"), (1, 0, refused.port, "one.test")
        targets = refused.address, SERVICE, other.address
        with serving(*records) as (resolver, _):
            sock = await connect_any(targets, resolver=resolver)
        with sock:
            assert sock.getpeername() == ("127.0.0.1", port)


async def test_a_service_is_raced(port: int) -> None:
    """The second host does not wait until the time of the first is over."""
    started = time.monotonic()
    with black_hole() as hole:
        records = (1, 0, hole.port, "one.test"), (2, 0, port, "two.test")
        with serving(*records) as (resolver, _):
            sock = await connect_any(
                [SERVICE], resolver=resolver, race=True, timeout=PATIENCE
            )
    with sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    assert time.monotonic() - started < PATIENCE / 4


async def test_a_service_that_is_silent_has_its_share_of_the_time(
    port: int, resolver: AiodnsResolver
) -> None:
    """In a race it does not delay the others at all."""
    targets = "srv:_silent._tcp.test", ("127.0.0.1", port)
    started = time.monotonic()
    (await connect_any(targets, resolver=resolver, timeout=5.0)).close()
    assert time.monotonic() - started > 2.4
    started = time.monotonic()
    (await connect_any(targets, resolver=resolver, race=True)).close()
    assert time.monotonic() - started < SILENCE / 2


@races
async def test_each_round_asks_anew(race: bool) -> None:
    """Each of its hosts has a turn; the error names the service."""
    retry = Backoff(initial=0.001, attempts=1)
    with refusing() as one, refusing() as two:
        records = (2, 0, two.port, "two.test"), (1, 0, one.port, "one.test")
        with (
            serving(*records) as (resolver, server),
            pytest.raises(ConnectRefusedError, match=f"to {SERVICE}: ") as caught,
        ):
            await connect_any([SERVICE], resolver=resolver, race=race, retry=retry)
    assert [query.type for query in server.queries].count("SRV") == 2
    tried = [(attempt.round, attempt.address) for attempt in caught.value.attempts]
    expected = [(number, to.address) for number in (1, 2) for to in (one, two)]
    assert tried == expected or (race and len(tried) == 4 and {*tried} == {*expected})


@races
@pytest.mark.parametrize(
    ("service", "code", "says"),
    [
        ("_nowhere._tcp.test", socket.EAI_NONAME, "not found"),
        ("_none._tcp.test", socket.EAI_NONAME, "no data"),
        ("_fail._tcp.test", socket.EAI_AGAIN, "failure"),
        (
            "_root._tcp.test",
            socket.EAI_NONAME,
            "the service is not available at this domain",
        ),
    ],
)
async def test_a_service_that_is_nowhere(
    resolver: AiodnsResolver, race: bool, service: str, code: int, says: str
) -> None:
    """RFC 2782: a target "." is a service that is "decidedly not available"."""
    with pytest.raises(ResolveError, match=f"to srv:{service}: .*{says}") as caught:
        await connect_any([f"srv:{service}"], resolver=resolver, race=race)
    assert caught.value.errno == code
    (attempt,) = caught.value.attempts
    assert (attempt.phase, attempt.host, attempt.sent) == ("resolve", service, False)


@races
async def test_a_service_that_is_nowhere_is_passed_over(
    port: int, resolver: AiodnsResolver, race: bool
) -> None:
    targets = "srv:_root._tcp.test", "srv:_nowhere._tcp.test", f"127.0.0.1:{port}"
    with await connect_any(targets, resolver=resolver, race=race) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)


@races
async def test_the_timeout_bounds_the_look_up_of_a_service(
    resolver: AiodnsResolver, race: bool
) -> None:
    started = time.monotonic()
    targets = ["srv:_silent._tcp.test"]
    says = "not connected within 0.1 s to .* the resolver did not answer in time"
    with pytest.raises(ConnectTimeoutError, match=says) as caught:
        await connect_any(targets, resolver=resolver, race=race, timeout=0.1)
    assert time.monotonic() - started < SILENCE / 2
    (attempt,) = caught.value.attempts
    assert (attempt.phase, attempt.host) == ("resolve", "_silent._tcp.test")


@races
async def test_a_cancelled_look_up_of_a_service_ends(
    resolver: AiodnsResolver, server: DNSServer, race: bool
) -> None:
    started = time.monotonic()
    async with leak_check(patience=PATIENCE) as check:
        targets = ["srv:_silent._tcp.test"]
        call = connect_any(targets, resolver=resolver, race=race)
        task = asyncio.create_task(call)
        while not server.queries:
            await asyncio.sleep(0.001)
        assert any(line.startswith("descriptor") for line in check.leaks())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)  # the look-up is a task, and ends one tick later
        assert not aiodns._channels
    assert time.monotonic() - started < SILENCE


@races
async def test_the_hosts_of_a_service_have_to_be_allowed(port: int, race: bool) -> None:
    with (
        serving((0, 0, port, "one.test")) as (resolver, _),
        pytest.raises(AddressBlockedError, match=f"127.0.0.1:{port}"),
    ):
        await connect_any([SERVICE], resolver=resolver, race=race, allow=only_public)


@races
@pytest.mark.parametrize(
    "options", [{}, {"resolver": StaticResolver({})}], ids=["the system's", "static"]
)
async def test_a_resolver_that_knows_no_services(
    port: int, options: dict[str, Any], race: bool
) -> None:
    """The error comes before any target is tried, and says what would work."""
    would = "resolver=aioconnect.contrib.aiodns.AiodnsResolver()"
    with pytest.raises(ValueError, match=re.escape(would)) as caught:
        await connect_any([f"127.0.0.1:{port}", SERVICE], race=race, **options)
    assert str(caught.value).startswith(f"target {SERVICE} needs a resolver")


def test_the_connectors_type() -> None:
    """The resolver has the type that the connector's option demands."""
    resolver: Resolver = AiodnsResolver()
    assert resolver == AiodnsResolver()


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['aiodns'] = None; import aioconnect.contrib.aiodns"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "needs aiodns: in a checkout, pip install '.[aiodns]'" in run.stderr

"""Compare what the system's resolver and `aioconnect` make of the same DNS answers."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket

from _loops import run
from _own_dns import own_dns

import aioconnect
from aioconnect._io.resolver import system_resolver
from aioconnect.testing import DNSReply, DNSServer, Zone

MANY = [f"192.0.2.{number}" for number in range(1, 101)]

zone: Zone = {
    ("both.test", "A"): ["192.0.2.1", "192.0.2.2", "192.0.2.1"],
    ("both.test", "AAAA"): DNSReply(["2001:db8::1"], delay=0.2),
    ("ipv4.test", "A"): DNSReply(["192.0.2.1"], delay=0.2),
    ("xn--bcher-kva.test", "A"): ["192.0.2.1"],
    ("big.test", "A"): DNSReply(MANY, truncate=True),
    ("none.test", "A"): [],
    ("fail.test", "A"): DNSReply(rcode="SERVFAIL"),
    ("fail.test", "AAAA"): DNSReply(rcode="SERVFAIL"),
    ("half.test", "A"): DNSReply(rcode="SERVFAIL"),
    ("silent.test", "A"): DNSReply(drop=True),
}


async def found(name: str, family: int = socket.AF_UNSPEC, flags: int = 0) -> list[str]:
    """Return the texts of the addresses of *name*."""
    addresses = await system_resolver(name, 80, family=family, proto=6, flags=flags)
    assert all(address.proto == 6 for address in addresses)
    return [str(address) for address in addresses]


async def error(name: str, family: int = socket.AF_UNSPEC, flags: int = 0) -> OSError:
    """Return the error that there must be."""
    try:
        addresses = await found(name, family, flags)
    except OSError as exc:
        return exc
    raise AssertionError(f"{name} has {addresses}")


async def check_no_descriptor() -> None:
    """Look up for the first time in the process: nothing may be imported for it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    held: list[int] = []
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    exc = await error("both.test")
    assert exc.errno == errno.EMFILE, repr(exc)
    for fd in held:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def check_addresses() -> None:
    both = await found("both.test")
    assert both == ["[2001:db8::1]:80", "192.0.2.1:80", "192.0.2.2:80"]
    assert await found("both.test", socket.AF_INET) == both[1:]
    assert await found("both.test", socket.AF_INET6) == both[:1]
    assert await found("ipv4.test") == ["192.0.2.1:80"]
    mapped = ["[::ffff:192.0.2.1]:80"]
    assert await found("ipv4.test", socket.AF_INET6, socket.AI_V4MAPPED) == mapped
    assert await found("ipv4.test", flags=socket.AI_V4MAPPED) == ["192.0.2.1:80"]
    assert await found("bücher.test") == ["192.0.2.1:80"]
    assert await found("db.localhost") == ["192.0.2.10:80"]


async def check_errors() -> None:
    for name, family, code, text in (
        ("nowhere.test", socket.AF_UNSPEC, socket.EAI_NONAME, "Name or service not"),
        ("nowhere.test", socket.AF_INET, socket.EAI_NONAME, "for IPv4 only"),
        ("none.test", socket.AF_UNSPEC, socket.EAI_NODATA, "No address associated"),
        ("ipv4.test", socket.AF_INET6, socket.EAI_NODATA, "for IPv6 only"),
        ("ipv4-in-hosts.test", socket.AF_INET6, socket.EAI_NONAME, "for IPv6 only"),
        ("fail.test", socket.AF_UNSPEC, socket.EAI_AGAIN, "Temporary failure"),
        ("fail.test", socket.AF_INET, socket.EAI_AGAIN, "Temporary failure"),
        # AAAA has no data, but there may be an A.  glibc says so only if asked for it
        # alone.
        ("half.test", socket.AF_UNSPEC, socket.EAI_NODATA, "No address associated"),
        ("half.test", socket.AF_INET, socket.EAI_AGAIN, "Temporary failure"),
        ("silent.test", socket.AF_INET, socket.EAI_AGAIN, "Temporary failure"),
    ):
        exc = await error(name, family)
        assert isinstance(exc, socket.gaierror), repr(exc)
        assert (exc.errno, text in str(exc)) == (code, True), (name, family, exc)
    exc = await error("both.test", flags=socket.AI_NUMERICHOST)
    assert exc.errno == socket.EAI_NONAME, repr(exc)
    exc = await error("both.test", flags=1 << 20)
    assert exc.errno == socket.EAI_BADFLAGS, repr(exc)


async def check_half() -> None:
    """Find that a call asks for A alone, whose failure may pass."""
    try:
        (await aioconnect.connect("half.test", 80)).close()
    except aioconnect.ResolveError as exc:
        assert exc.errno == socket.EAI_AGAIN, repr(exc)
        assert exc.attempt_count == 3
    else:
        raise AssertionError("half.test has no address")


async def main(server: DNSServer) -> None:
    await check_no_descriptor()
    await check_addresses()
    await check_errors()
    await check_half()

    server.queries.clear()
    assert len(await found("big.test", socket.AF_INET)) == 100
    # All of it twice: at first glibc has too little room for all.
    assert {query.transport for query in server.queries} == {"udp", "tcp"}

    server.queries.clear()
    asked = [found("ipv4.test", socket.AF_INET) for _ in range(50)]
    assert await asyncio.gather(*asked) == [["192.0.2.1:80"]] * 50
    assert len(server.queries) == 1, server.queries

    server.queries.clear()
    await found("localhost")
    await found("LocalHost.")
    await found("127.1", socket.AF_INET)
    assert server.queries == []


# Longer than a machine stalls: a look-up of the silent name takes as long.
with own_dns(zone, 3) as server:
    run(main(server))

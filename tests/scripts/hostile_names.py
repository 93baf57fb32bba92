"""Measure what a hostile DNS server costs, through the system's resolver."""

from __future__ import annotations

import time

from _loops import run
from _own_dns import own_dns

import aioconnect
from aioconnect.testing import DNSReply, DNSServer, Zone

MANY = [f"127.1.{number // 250}.{1 + number % 250}" for number in range(2000)]

FAILS = DNSReply(rcode="SERVFAIL")

zone: Zone = {
    ("many.test", "A"): DNSReply(MANY, truncate=True),
    ("fails.test", "A"): FAILS,
    ("fails.test", "AAAA"): FAILS,
}


async def cost(server: DNSServer, name: str) -> tuple[int, int, float]:
    """Return how many attempts and queries, and how much CPU, a connect takes."""
    server.queries.clear()
    before = time.thread_time()
    try:
        await aioconnect.connect(name, 1, timeout=20)
    except aioconnect.ConnectError as exc:
        count = exc.attempt_count
    return count, len(server.queries), time.thread_time() - before


async def main(server: DNSServer) -> None:
    for name, attempts in (("many.test", 2000), ("fails.test", 3)):
        count, queries, cpu = await cost(server, name)
        assert count <= attempts, (name, count)
        # Both families, together and apart; glibc asks again by TCP, or for more room.
        assert queries <= 64, (name, queries)
        assert cpu < 5, (name, cpu)


with own_dns(zone, patience=1) as server:
    run(main(server))

"""Look up 64 names whose DNS server is silent, then some that are answered."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time

from _loops import run
from _own_dns import own_dns

from aioconnect._io.getaddrinfo import _pool, getaddrinfo
from aioconnect._io.getaddrinfo_pool import THREAD_NAMES
from aioconnect._io.resolver import system_resolver
from aioconnect.testing import DNSReply, DNSServer, Zone

DEAD = [f"dead{number}.test" for number in range(64)]
SILENT = DNSReply(drop=True)

zone: Zone = {
    **{(name, kind): SILENT for name in DEAD for kind in ("A", "AAAA")},
    ("alive.test", "A"): ["192.0.2.1"],
    ("alive.test", "AAAA"): ["2001:db8::1"],
    ("half.test", "A"): ["192.0.2.2"],
    ("half.test", "AAAA"): SILENT,
}


async def main(server: DNSServer, patience: float) -> None:
    loop = asyncio.get_running_loop()
    begun = time.monotonic()
    dead = [asyncio.create_task(system_resolver(name, 80)) for name in DEAD]
    while len({query.name for query in server.queries}) < len(DEAD):
        await asyncio.sleep(0.01)
    names = [thread.name for thread in threading.enumerate()]
    assert len([name for name in names if name.startswith(THREAD_NAMES)]) == 128

    found = await system_resolver("alive.test", 80)
    assert [str(address) for address in found] == [
        "[2001:db8::1]:80",
        "192.0.2.1:80",
    ]

    # AAAA is silent, A is not.
    never = getaddrinfo(loop, "half.test", 80, socket.AF_INET6, 0)
    ((*_, sockaddr),) = await getaddrinfo(loop, "half.test", 80, socket.AF_INET, 0)
    assert sockaddr == ("192.0.2.2", 80)
    assert not never.done()
    never.cancel()

    for task in dead:
        task.cancel()
    await asyncio.wait(dead)
    assert all(task.cancelled() for task in dead)
    await asyncio.sleep(0)  # a future says one tick later that it was cancelled
    left = [lookup.query for lookup in _pool._lookups.values() if lookup.waiters]
    assert not left, f"still waited for: {left}"
    in_a_child()
    elapsed = time.monotonic() - begun
    assert elapsed < patience, f"somebody waited for a dead name: {elapsed} s"


def in_a_child() -> None:
    """Look a name up in a forked child: it has none of the threads that hang.

    The name is one of /etc/hosts: glibc 2.36 gives the child's new thread the DNS
    socket of a parent's thread that hangs, which then gets the answer.
    """
    child = os.fork()
    if child == 0:
        try:
            loop = asyncio.new_event_loop()
            asking = system_resolver("db.localhost", 80, family=socket.AF_INET)
            found = loop.run_until_complete(asking)
            os._exit(0 if [str(a) for a in found] == ["192.0.2.10:80"] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


patience = int(sys.argv[2])
with own_dns(zone, patience) as server:
    run(main(server, patience))
print("looked up; the threads hang")

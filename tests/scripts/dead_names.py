"""Look up names whose DNS server is silent, and meanwhile some that are answered."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from typing import Any

from _loops import run
from _own_dns import own_dns

import aioconnect
from aioconnect._io.getaddrinfo import _pool, getaddrinfo, is_crowded
from aioconnect._io.getaddrinfo_pool import MOST_THREADS, THREAD_NAMES
from aioconnect._io.resolver import system_resolver
from aioconnect.testing import DNSReply, DNSServer, Recorder, Zone

DEAD = [f"dead{number}.test" for number in range(64)]
APART = [f"apart{number}.test" for number in range(64)]
MANY = [f"many{number}.test" for number in range(200)]
SILENT = DNSReply(drop=True)

# "The RECOMMENDED value for the Resolution Delay is 50 milliseconds" (RFC 8305,
# section 3).  uvloop's clock and timers count milliseconds.
LEAST_DELAY = 0.05 - 0.002

zone: Zone = {
    **{
        (name, kind): SILENT
        for name in (*DEAD, *APART, *MANY)
        for kind in ("A", "AAAA")
    },
    ("alive.test", "A"): ["192.0.2.1"],
    ("alive.test", "AAAA"): ["2001:db8::1"],
    ("half.test", "A"): ["192.0.2.2"],
    ("half.test", "AAAA"): SILENT,
}


async def main(server: DNSServer, patience: float) -> None:
    loop = asyncio.get_running_loop()
    begun = time.monotonic()
    dead: list[asyncio.Task[Any]] = [
        asyncio.create_task(system_resolver(name, 80)) for name in DEAD
    ]
    while len({query.name for query in server.queries}) < len(DEAD):
        await asyncio.sleep(0.01)
    assert threads() == len(DEAD)
    await look_up_what_is_alive()

    # AAAA is silent, A is not.
    never = getaddrinfo(loop, "half.test", 80, socket.AF_INET6, 0)
    ((*_, sockaddr),) = await getaddrinfo(loop, "half.test", 80, socket.AF_INET, 0)
    assert sockaddr == ("192.0.2.2", 80)
    assert not never.done()
    never.cancel()

    dead += await connect_to_dead_names()
    await look_up_what_is_alive()
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


def threads() -> int:
    """Return how many threads there are for look-ups."""
    names = [thread.name for thread in threading.enumerate()]
    return len([name for name in names if name.startswith(THREAD_NAMES)])


async def look_up_what_is_alive() -> None:
    """Look up a name in DNS and one in /etc/hosts: both at once, as all is well."""
    found = await system_resolver("alive.test", 80)
    assert list(map(str, found)) == ["[2001:db8::1]:80", "192.0.2.1:80"]
    found = await system_resolver("db.localhost", 80)
    assert list(map(str, found)) == ["192.0.2.10:80"]


async def connect_to_dead_names() -> list[asyncio.Task[socket.socket]]:
    """Connect to dead names: each holds three threads, if half of all are free.

    Until its Resolution Delay is over, a name holds only one.
    """
    recorder, before = Recorder(), busy()
    tasks = [
        asyncio.create_task(aioconnect.connect(name, 80, observer=recorder))
        for name in APART
    ]
    while busy() < before + 3 * len(APART):
        await asyncio.sleep(0.01)
    asked = {(e.host, e.family): e.at for e in recorder.of(aioconnect.ResolveStarted)}
    assert len(asked) == 3 * len(APART)
    for name in APART:
        whole = asked[name, socket.AF_UNSPEC]
        for family in (socket.AF_INET6, socket.AF_INET):
            assert asked[name, family] - whole >= LEAST_DELAY, (name, asked)

    tasks += [asyncio.create_task(aioconnect.connect(name, 80)) for name in MANY]
    while not is_crowded():
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)  # they go on asking whether there is room
    at_work = busy()
    # The last two families were asked for when exactly half were at work.
    assert MOST_THREADS // 2 < at_work <= MOST_THREADS // 2 + 2, at_work
    return tasks


def busy() -> int:
    """Return how many threads are at work."""
    return len(_pool._workers) - len(_pool._idle)


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

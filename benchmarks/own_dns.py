"""Ask slow or silent DNS by the real getaddrinfo: ``CASE QUICK LOOP...``.

Run this in its own network and mount namespaces, so that it can replace port 53 and
resolv.conf.  Each contestant has its own process: threads in getaddrinfo never end.
The rows are printed as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from aioconnect.testing import DNSReply, Zone, dns_server

from .machine import CLIENT, SERVER, end_with_parent, pin
from .results import Row, rounded
from .running import Contestant, Loops, Plan, isolated, reason
from .servers import Endpoint, serving
from .ways_names import ALIVE, CONTESTANTS, DEAD, SLOW, once

# Seconds that glibc waits for an answer, longer than anything here.
PATIENCE = 60

SILENT = DNSReply(drop=True)


def zone(delay: float) -> Zone:
    """Return the names, of which AAAA of the slow one comes after *delay*."""
    return {
        **{(name, kind): SILENT for name in DEAD for kind in ("A", "AAAA")},
        (ALIVE, "A"): ["127.0.0.1"],
        (ALIVE, "AAAA"): [],
        (SLOW, "A"): ["127.0.0.1"],
        (SLOW, "AAAA"): DNSReply(["::1"], delay=delay),
    }


@contextlib.contextmanager
def own_dns(names: Zone) -> Iterator[None]:
    """Have glibc ask *names*, and be patient with a server that is silent."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    options = f"options timeout:{PATIENCE} attempts:1"
    files = {
        "resolv.conf": f"nameserver 127.0.0.1\n{options}\n",
        "nsswitch.conf": "hosts: files dns\n",
        "hosts": "127.0.0.1 localhost\n",
    }
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            ours = Path(directory, name)
            ours.write_text(text)
            system = os.path.realpath(f"/etc/{name}")
            subprocess.run(["mount", "--bind", ours, system], check=True)
        with dns_server(names, port=53):
            yield


def measured(contestants: Sequence[Contestant], case: str, quick: bool) -> list[Row]:
    """Return a row for each, some contestants at a time: most of it is waiting."""
    limit = 1.0 if quick else 5.0
    with serving(Endpoint()) as endpoint, ThreadPoolExecutor(8 if quick else 4) as pool:
        row = partial(_row, case=case, limit=limit, port=endpoint.port, quick=quick)
        return list(pool.map(row, contestants))


def _row(one: Contestant, *, case: str, limit: float, port: int, quick: bool) -> Row:
    samples = []
    for _ in range(1 if quick else 5):
        number = CONTESTANTS.index(one)
        try:
            spent = isolated(_alone, number, case, limit, port, limit=limit + 20)
        except Exception as exc:  # it is the result
            return Row(one.name, one.loop, (), reason(exc))
        samples.append(spent)
    return Row(one.name, one.loop, rounded(samples))


def _alone(number: int, case: str, limit: float, port: int) -> float:
    """Return the seconds that it took to connect."""
    pin(CLIENT)
    contestant = CONTESTANTS[number]
    name = ALIVE if case == "names" else SLOW
    loops = Loops()  # not closed: it would wait for threads that hang
    seconds: float = loops.run(
        contestant.loop,
        once(contestant.loop),
        contestant,
        Endpoint(name, port),
        [Endpoint(dead, port) for dead in DEAD] if case == "names" else [],
        limit,
    )
    return seconds


def main() -> None:
    """Measure, and print the rows."""
    end_with_parent()
    case, plan = sys.argv[1], Plan(sys.argv[2] == "True", tuple(sys.argv[3:]))
    pin(SERVER)
    with own_dns(zone(0.4 if plan.quick else 1.0)):
        rows = measured(plan.of(CONTESTANTS), case, plan.quick)
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()

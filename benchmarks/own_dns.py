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
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from aioconnect.testing import DNSReply, Zone, dns_server

from .machine import CLIENT, SERVER, end_with_parent, pin
from .results import Row, rounded
from .running import (
    Contestant,
    Loops,
    Plan,
    in_batches,
    isolated,
    reason,
    take_turns,
)
from .servers import Endpoint, serving
from .ways_names import (
    ALIVE,
    CONTESTANTS,
    HOSTS,
    NO_A,
    NO_AAAA,
    SLOW,
    SYSTEM,
    dead,
    once,
)

# Seconds that glibc waits for an answer, longer than anything here.
PATIENCE = 60

SILENT = DNSReply(drop=True)


@dataclass(frozen=True, slots=True)
class Case:
    """Connect to *host*, while as many *dead* names hang."""

    host: str
    dead: int = 0


CASES = {
    "aaaa": Case(SLOW),
    "no-aaaa": Case(NO_AAAA),
    "no-a": Case(NO_A),
    "names": Case(ALIVE, 64),
    "many": Case(ALIVE, 300),
    "many-hosts": Case(HOSTS, 300),
}

# The case in which nothing is late, and each contestant connects many times.
IN_HOSTS = "hosts"


def zone(delay: float) -> Zone:
    """Return the names, of which AAAA of the slow one comes after *delay*."""
    most = max(case.dead for case in CASES.values())
    return {
        **{(name, kind): SILENT for name in dead(most) for kind in ("A", "AAAA")},
        (ALIVE, "A"): ["127.0.0.1"],
        (ALIVE, "AAAA"): [],
        (SLOW, "A"): ["127.0.0.1"],
        (SLOW, "AAAA"): DNSReply(["::1"], delay=delay),
        (NO_AAAA, "A"): ["127.0.0.1"],
        (NO_AAAA, "AAAA"): SILENT,
        (NO_A, "A"): SILENT,
        (NO_A, "AAAA"): ["::1"],
    }


@contextlib.contextmanager
def own_dns(names: Zone) -> Iterator[None]:
    """Have glibc ask *names*, and be patient with a server that is silent."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    options = f"options timeout:{PATIENCE} attempts:1"
    files = {
        "resolv.conf": f"nameserver 127.0.0.1\n{options}\n",
        "nsswitch.conf": "hosts: files dns\n",
        "hosts": f"127.0.0.1 localhost\n127.0.0.1 {HOSTS}\n",
    }
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            ours = Path(directory, name)
            ours.write_text(text)
            system = os.path.realpath(f"/etc/{name}")
            subprocess.run(["mount", "--bind", ours, system], check=True)
        with dns_server(names, port=53):
            yield


def measured(contestants: Sequence[Contestant], name: str, quick: bool) -> list[Row]:
    """Return a row for each, some contestants at a time: most of it is waiting."""
    limit, case = 1.0 if quick else 5.0, CASES[name]
    endpoint = Endpoint("::1") if name == "no-a" else Endpoint()
    # Three hundred names are many threads already.
    width = 1 if case.dead > 64 else 8 if quick else 4
    with serving(endpoint) as server, ThreadPoolExecutor(width) as pool:
        row = partial(_row, name=name, limit=limit, port=server.port, quick=quick)
        return list(pool.map(row, contestants))


def _row(one: Contestant, *, name: str, limit: float, port: int, quick: bool) -> Row:
    samples = []
    for _ in range(1 if quick else 5):
        number = CONTESTANTS.index(one)
        try:
            spent = isolated(_alone, number, name, limit, port, limit=limit + 20)
        except Exception as exc:  # it is the result
            return Row(one.name, one.loop, (), reason(exc))
        samples.append(spent)
    return Row(one.name, one.loop, rounded(samples))


def _alone(number: int, name: str, limit: float, port: int) -> float:
    """Return the seconds that it took to connect."""
    pin(CLIENT)
    contestant, case = CONTESTANTS[number], CASES[name]
    loops = Loops()  # not closed: it would wait for threads that hang
    seconds: float = loops.run(
        contestant.loop,
        once(contestant.loop),
        contestant,
        Endpoint(case.host, port),
        [Endpoint(name, port) for name in dead(case.dead)],
        limit,
    )
    return seconds


def in_hosts(plan: Plan) -> list[Row]:
    """Return the rows of who connects to a name in /etc/hosts, in turns."""
    pin(CLIENT)
    with serving(Endpoint()) as server:
        endpoint = Endpoint(HOSTS, server.port)
        rounds, measure = (2, in_batches(20)) if plan.quick else (40, in_batches(100))
        return take_turns(plan.of(SYSTEM), endpoint, rounds, measure)


def main() -> None:
    """Measure, and print the rows."""
    end_with_parent()
    name, plan = sys.argv[1], Plan(sys.argv[2] == "True", tuple(sys.argv[3:]))
    pin(SERVER)
    with own_dns(zone(0.4 if plan.quick else 1.0)):
        if name == IN_HOSTS:
            rows = in_hosts(plan)
        else:
            rows = measured(plan.of(CONTESTANTS), name, plan.quick)
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()

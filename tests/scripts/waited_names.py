"""Run the command line on services, and on names that exist only after a while."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from _own_dns import own_dns

from aioconnect import testing
from aioconnect.testing import Zone

AIOCONNECT = (sys.executable, "-m", "aioconnect")
WAIT = (*AIOCONNECT, "wait", "--timeout", "30")
SERVICE = "srv:_db._tcp.x.test"


def check_late(port: int) -> None:
    """Wait for a name that is not known yet."""
    target = f"late.test:{port}"
    with subprocess.Popen(
        [*WAIT, target], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"{target}: name or service not known\n"
        with Path("/etc/hosts").open("a") as file:
            file.write("127.0.0.1 late.test\n")
        assert f"{target}: up after" in process.stderr.read()
    assert process.returncode == 0


def check_service() -> None:
    """Wait for a service, whose resolver need not be named."""
    done = subprocess.run([*WAIT, SERVICE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert done.stderr.startswith(f"{SERVICE}: up after"), done


def check_swept(port: int) -> None:
    """Sweep it, beside what is no service: each has the resolver that it needs."""
    done = subprocess.run(
        [*AIOCONNECT, "sweep", "-", "--json", "--limit", "1"],
        input=f"{SERVICE}\nlocalhost:{port}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    records = map(json.loads, done.stdout.splitlines())
    ended = [(record["target"], record["address"]) for record in records]
    address = f"127.0.0.1:{port}"
    assert ended == [(SERVICE, address), (f"localhost:{port}", address)]


with testing.listening() as server:
    zone: Zone = {
        ("_db._tcp.x.test", "SRV"): [(0, 0, server.port, "db.test")],
        ("db.test", "A"): ["127.0.0.1"],
    }
    with own_dns(zone, patience=1):
        check_service()
        check_swept(server.port)
        # The namespace has a loopback interface of its own.
        check_late(server.port)

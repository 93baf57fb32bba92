"""Let the system's resolver ask the kit's DNS server, in the script's own namespace.

The script runs under ``unshare -n -m``, so nobody else sees its mounts.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from aioconnect.testing import DNSServer, Zone, dns_server

HOSTS = """\
127.0.0.1 localhost
192.0.2.9 ipv4-in-hosts.test
192.0.2.10 db.localhost
"""


@contextlib.contextmanager
def own_dns(zone: Zone, patience: int) -> Iterator[DNSServer]:
    """Have glibc ask *zone*, and wait *patience* seconds for a silent server."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        for name, text in {
            "resolv.conf": f"nameserver 127.0.0.1\noptions timeout:{patience} "
            "attempts:1\n",
            "nsswitch.conf": "hosts: files dns\n",
            "hosts": HOSTS,
        }.items():
            ours = Path(directory, name)
            ours.write_text(text)
            system = os.path.realpath(f"/etc/{name}")
            subprocess.run(["mount", "--bind", ours, system], check=True)
        with dns_server(zone, port=53) as server:
            yield server

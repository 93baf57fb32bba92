"""Bind to a local address that is a name: ``local_names.py LOOP``, in own namespaces.

The name has two addresses in /etc/hosts.  Other sockets take their ports, one after the
other.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
from pathlib import Path

from _loops import run

import aioconnect

HOSTS = """\
127.0.0.1 localhost
127.0.0.5 office.test
127.0.0.6 office.test
"""


async def main() -> None:
    """Connect from the one that can be bound; name both if none can."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("127.0.0.5", 0)) as taken,
    ):
        at, port = server.getsockname(), taken.getsockname()[1]
        connector = aioconnect.Connector(local_addr=("office.test", port), timeout=30)
        with await connector.connect(*at) as sock:
            assert sock.getsockname() == ("127.0.0.6", port)
        # It is closed, and does not take the port by that.
        with socket.create_server(("127.0.0.6", port)):
            try:
                await connector.connect(*at)
            except aioconnect.ConnectError as exc:
                for own in ("127.0.0.5", "127.0.0.6"):
                    assert f"cannot bind to {own}:{port}: Address already in" in str(
                        exc
                    )
            else:
                raise AssertionError("two have the same port")


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        hosts = Path(directory) / "hosts"
        hosts.write_text(HOSTS)
        subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
        try:
            run(main())
        finally:
            subprocess.run(["umount", "/etc/hosts"], check=True)

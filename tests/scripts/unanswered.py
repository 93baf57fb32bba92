"""TCP Fast Open and waits: ``unanswered.py LOOP``, in a network namespace of its own.

Once the kernel has the server's cookie, ``connect`` succeeds even if nobody listens.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from _loops import run

import aioconnect
from aioconnect import Connector
from aioconnect.sockopts import fast_open

TCP_FASTOPEN, MPTCP = 23, 262


async def check(proto: int) -> None:
    """Have a server, and then have none."""
    connector = Connector(prepare=[fast_open()], proto=proto, timeout=30)
    server = socket.create_server(("127.0.0.1", 0))
    server.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
    at = server.getsockname()
    (await connector.connect(*at)).close()  # has brought the cookie
    await connector.wait_until_up(*at)
    await connector.wait_until_up(*at, settle=0.01)
    server.close()
    sock = await connector.connect(*at)  # which is what was asked for
    sock.close()
    for settle in (0, 0.01):
        try:
            await connector.wait_until_up(*at, timeout=0.5, settle=settle)
        except aioconnect.ConnectTimeoutError as exc:
            assert "connection refused" in str(exc)
        else:
            raise AssertionError("up, and nobody listens")
    await connector.wait_until_down(*at)


async def main() -> None:
    await check(0)
    try:
        socket.socket(proto=MPTCP).close()
    except OSError:
        return
    await check(MPTCP)


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")
    run(main())

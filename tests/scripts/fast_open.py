"""TCP Fast Open: with a cookie, the second connect delays its handshake."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path

import aioconnect
from aioconnect import sockopts

TCP_FASTOPEN = 23


async def main() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
        server.listen()
        port = server.getsockname()[1]
        deferred = 0
        for _ in range(3):
            sock = await aioconnect.connect(
                "127.0.0.1", port, prepare=[sockopts.fast_open()], timeout=5
            )
            with sock:
                try:
                    sock.getpeername()
                except OSError:
                    deferred += 1
                await loop.sock_sendall(sock, b"hello")
                peer, _ = await loop.run_in_executor(None, server.accept)
                with peer:
                    assert peer.recv(16) == b"hello"
        assert deferred, "no connect was put off: the test proves nothing"


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
Path("/proc/sys/net/ipv4/tcp_fastopen").write_text("3")
asyncio.run(main())

"""Make one connect whose system calls strace interrupts: see test_faults.py."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import tempfile

from _loops import run

import aioconnect


async def echo(sock: socket.socket, peer: socket.socket) -> None:
    """Prove that *sock* and *peer* are the two ends of one connection."""
    loop = asyncio.get_running_loop()
    with sock, peer:
        await loop.sock_sendall(sock, b"ping")
        assert peer.recv(4) == b"ping"


async def main() -> None:
    what = sys.argv[2]
    if what == "listening":
        with socket.create_server(("127.0.0.1", 0)) as server:
            sock = await aioconnect.connect(*server.getsockname(), timeout=20)
            await echo(sock, server.accept()[0])
    elif what == "hole":
        try:
            await aioconnect.connect("127.0.0.1", int(sys.argv[3]), timeout=0.2)
        except aioconnect.ConnectTimeoutError:
            pass
        else:
            raise AssertionError("connected to a port that does not answer")
    elif what == "refusing":
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            try:
                await aioconnect.connect(*server.getsockname(), timeout=20)
            except aioconnect.ConnectRefusedError as exc:
                assert exc.errno == errno.ECONNREFUSED, exc
            else:
                raise AssertionError("connected to a port that refuses")
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "unix")
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
                server.listen()
                sock = await aioconnect.connect_unix(path, timeout=20)
                await echo(sock, server.accept()[0])


run(main())

"""K10: an ICMP error that arrives while connect(2) holds the socket is only soft.

A local rule rejects the packets for half a second, and is then removed.  Meanwhile the
kernel continues the handshake, with the error in the socket's error queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

from _loops import run

import aioconnect

FAMILY = socket.AF_INET if sys.argv[2] == "4" else socket.AF_INET6
HOST = "127.0.0.1" if sys.argv[2] == "4" else "::1"
RULES = """
table inet soft {
  chain out {
    type filter hook output priority 0;
    tcp dport %d tcp flags syn / syn,ack reject with icmpx type host-unreachable
  }
}
"""


@contextlib.contextmanager
def rejecting(port: int) -> Generator[None]:
    """Reject SYNs to *port*, until the block is left."""
    subprocess.run(["nft", "-f", "-"], input=RULES % port, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", "soft"], check=True)


def is_clean(sock: socket.socket) -> bool:
    """Tell whether the error queue is empty."""
    try:
        sock.recvmsg(0, 0, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return True
    return False


def is_soft(address: Any) -> bool:
    """Tell whether this kernel makes the error a soft one: a plain socket asks."""
    with socket.socket(FAMILY) as sock:
        sock.setblocking(False)
        assert sock.connect_ex(address) == errno.EINPROGRESS
        return sock.connect_ex(address) == errno.EALREADY


async def quiet(sock: socket.socket) -> float:
    """Return the CPU seconds that streams over *sock* spend in half a second."""
    _, writer = await asyncio.open_connection(sock=sock)
    spent = time.process_time()
    await asyncio.sleep(0.5)
    spent = time.process_time() - spent
    writer.transport.abort()
    return spent


async def connected_behind_its_back(server: socket.socket) -> socket.socket:
    """Connect while the loop is busy: when it looks, the error is old history."""
    port = server.getsockname()[1]
    with rejecting(port):
        task = asyncio.ensure_future(aioconnect.connect(HOST, port, timeout=20))
        await asyncio.sleep(0)
        time.sleep(0.5)
    # The SYN comes again a second after the first, and is answered.
    assert select.select([server], [], [], 10)[0], "the kernel did not connect"
    return await task


async def main() -> None:
    with socket.socket(FAMILY) as server:
        server.bind((HOST, 0))
        server.listen()
        address = server.getsockname()
        with rejecting(address[1]):
            soft = is_soft(address)
            spent = time.process_time()
            try:
                sock = await aioconnect.connect(HOST, address[1], timeout=0.4)
            except aioconnect.ConnectError as exc:
                codes = (errno.EHOSTUNREACH, errno.ETIMEDOUT)
                assert exc.errno in codes, repr(exc)
            else:
                raise AssertionError(f"a false success: {sock}")
            spent = time.process_time() - spent
            assert spent < 0.2, f"{spent} s of CPU: it spins"
        print("soft" if soft else "hard", "error on this kernel")
        for outcome in (aioconnect.outcome.default, aioconnect.outcome.so_error):
            connector = aioconnect.Connector(
                timeout=20, retry=aioconnect.Backoff(initial=0.2), outcome=outcome
            )
            with rejecting(address[1]):
                task = asyncio.ensure_future(connector.connect(HOST, address[1]))
                await asyncio.sleep(0.5)
                assert not task.done(), task
            sock = await task
            assert sock.getpeername()[:2] == address[:2]
            assert is_clean(sock)
            spent = await quiet(sock)
            assert spent < 0.2, f"{spent} s of CPU in half an idle second"
    with socket.create_server((HOST, 0), family=FAMILY) as server:
        sock = await connected_behind_its_back(server)
        assert sock.getpeername() == server.getsockname()
        assert is_clean(sock), "a stale entry in the error queue"
        spent = await quiet(sock)
        assert spent < 0.2, f"{spent} s of CPU in half an idle second"


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
run(main())

"""K9 and K15: what routes and a narrow range of ports make of a connect."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
from pathlib import Path

from _loops import run

import aioconnect
from aioconnect import Address


async def answer(
    address: Address, local_addr: tuple[str, int] | None = None
) -> int | None:
    """Return the errno of a connect that must fail."""
    try:
        sock = await aioconnect.connect_address(
            address, timeout=5, local_addr=local_addr
        )
    except aioconnect.ConnectError as exc:
        assert exc.attempts[0].sent is False, exc
        return exc.errno
    raise AssertionError(f"connected: {sock}")


async def main() -> None:
    for kind, code in (
        ("unreachable", errno.EHOSTUNREACH),
        ("prohibit", errno.EACCES),
        ("blackhole", errno.EINVAL),
    ):
        for family, net, host in (
            (socket.AF_INET, "198.51.100.0/24", "198.51.100.1"),
            (socket.AF_INET6, "2001:db8::/32", "2001:db8::1"),
        ):
            subprocess.run(["ip", "route", "add", kind, net], check=True)
            assert await answer(Address(family, (host, 80))) == code, (kind, family)
            subprocess.run(["ip", "route", "del", kind, net], check=True)
            assert await answer(Address(family, (host, 80))) == errno.ENETUNREACH
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50000 50019")
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(socket.create_server(("127.0.0.1", 1), backlog=99))
        two = stack.enter_context(socket.create_server(("127.0.0.1", 2), backlog=99))
        # Twenty for each destination, also from a given address.
        for server, local in ((one, None), (two, ("127.0.0.1", 0))):
            address = Address(socket.AF_INET, server.getsockname())
            for _ in range(20):
                sock = await aioconnect.connect_address(address, local_addr=local)
                stack.enter_context(sock)
            assert await answer(address, local) == errno.EADDRNOTAVAIL


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
run(main())

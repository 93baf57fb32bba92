"""Cause the errors of a network: routes, links, firewalls, timers, a lack of ports.

The script runs in a network namespace of its own, which it changes.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import subprocess
from contextlib import ExitStack
from pathlib import Path

from _answers import Case, check
from _loops import run

from aioconnect import Address, sockopts, testing

SYSCTL = Path("/proc/sys/net")

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

# On the link to the namespace's other interface, and nobody's.
ABSENT = {socket.AF_INET: "10.80.1.9", socket.AF_INET6: "2001:db8:1::9"}

# Without a route, until one is added.
ELSEWHERE = {socket.AF_INET: "198.51.100.1", socket.AF_INET6: "2001:db8::1"}

ROUTES = {
    "unreachable": errno.EHOSTUNREACH,
    "prohibit": errno.EACCES,
    "blackhole": errno.EINVAL,  # K15
}

# What a firewall rejects a SYN with, and what the kernel makes of that.
REJECTS = {
    socket.AF_INET: {
        "tcp reset": errno.ECONNREFUSED,
        "icmp type net-unreachable": errno.ENETUNREACH,
        "icmp type host-unreachable": errno.EHOSTUNREACH,
        "icmp type prot-unreachable": errno.ENOPROTOOPT,
        "icmp type port-unreachable": errno.ECONNREFUSED,
        "icmp type net-prohibited": errno.ENETUNREACH,
        "icmp type host-prohibited": errno.EHOSTUNREACH,
        "icmp type admin-prohibited": errno.EHOSTUNREACH,
    },
    socket.AF_INET6: {
        "tcp reset": errno.ECONNREFUSED,
        "icmpv6 type no-route": errno.ENETUNREACH,
        "icmpv6 type admin-prohibited": errno.EACCES,
        "icmpv6 type addr-unreachable": errno.EHOSTUNREACH,
        "icmpv6 type port-unreachable": errno.ECONNREFUSED,
    },
}

# "Destination host unknown" (RFC 1122, section 3.2.2.1): no firewall here says it.
HOST_UNKNOWN = 7


def ip(*arguments: str) -> None:
    """Change the links, addresses and routes of this namespace."""
    subprocess.run(["ip", *arguments], check=True)


def prepare_network() -> None:
    """Bring up the loopback and a link, and have timers end soon."""
    ip("link", "set", "lo", "up")
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    ip("address", "add", "10.80.1.1/24", "dev", "v0")
    ip("address", "add", "2001:db8:1::1/64", "dev", "v0", "nodad")
    ip("link", "set", "v0", "up")
    ip("link", "set", "v1", "up")
    for version in ("ipv4", "ipv6"):
        (SYSCTL / version / "neigh/v0/retrans_time_ms").write_text("100")
    (SYSCTL / "ipv4/tcp_syn_retries").write_text("1")
    linear = SYSCTL / "ipv4/tcp_syn_linear_timeouts"  # since Linux 6.5
    if linear.exists():
        linear.write_text("0")


async def check_routes() -> None:
    """K15: what a route forbids is known before anything is sent."""
    for kind, code in ROUTES.items():
        for host in ELSEWHERE.values():
            ip("route", "add", kind, host)
        await check([Case(kind, at(host, 80), code) for host in ELSEWHERE.values()])
        for host in ELSEWHERE.values():
            ip("route", "delete", kind, host)
    await check(
        [Case("no route", at(h, 80), errno.ENETUNREACH) for h in ELSEWHERE.values()]
    )


def at(host: str, port: int) -> Address:
    """Return the address of *host* in numbers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, (host, port))


def rejected() -> list[Case]:
    """Have each SYN to one of our ports rejected."""
    cases: list[Case] = []
    rules: list[str] = []
    for family, rejects in REJECTS.items():
        version = "ipv4" if family == socket.AF_INET else "ipv6"
        for port, (said, code) in enumerate(rejects.items(), 100):
            rules.append(f"meta nfproto {version} tcp dport {port} reject with {said}")
            cases.append(Case(said, at(LOOPBACK[family], port), code, sent=True))
    chain = "\n".join(["type filter hook input priority 0", *rules])
    table = f"table inet faults {{\nchain input {{\n{chain}\n}}\n}}\n"
    subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)
    return cases


def unanswered(stack: ExitStack) -> list[Case]:
    """Check connects without an answer: on the link, or in time."""
    cases = [
        Case("nobody on the link", at(host, 80), errno.EHOSTUNREACH, sent=True)
        for host in ABSENT.values()
    ]
    for host in LOOPBACK.values():
        silent = stack.enter_context(testing.black_hole(host)).address
        cases.append(Case("tcp_syn_retries", silent, errno.ETIMEDOUT, sent=True))
    return cases


def misdirected() -> list[Case]:
    """Ask for a way that there is not."""
    off_box = at(ABSENT[socket.AF_INET], 80)
    device = {"prepare": [sockopts.bind_device("nosuch0")]}
    loopback = {"local_addr": ("127.0.0.1", 0)}
    return [
        Case("from the loopback", off_box, errno.EINVAL, options=loopback),
        Case("no such device", off_box, errno.ENODEV, "socket", options=device),
    ]


async def check_aborts() -> None:
    """Have the administrator abort connects: ``ss --kill`` (SOCK_DESTROY)."""
    for host in LOOPBACK.values():
        with testing.black_hole(host) as hole:
            with socket.socket(hole.address.family) as sock:
                sock.setblocking(False)
                sock.connect_ex(hole.sockaddr)
                kill_all(hole.port)
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    return  # a kernel that was built without
            case = Case("aborted", hole.address, errno.ECONNABORTED, sent=True)
            await check([case], keep_killing(hole.port))


def kill_all(port: int) -> None:
    """Abort all connects to *port*."""
    match = ("state", "syn-sent", "dport", "=", f":{port}")
    subprocess.run(["ss", "-K", "-t", *match], capture_output=True, check=True)


async def keep_killing(port: int) -> None:
    """Do so as long as it takes."""
    while True:
        await asyncio.sleep(0.02)
        kill_all(port)


async def check_unknown_host() -> None:
    """Play a router that reports an unknown host."""
    with testing.black_hole() as hole:
        case = Case("host unknown", hole.address, errno.EHOSTDOWN, sent=True)
        await check([case], answer_unknown(hole.port))


async def answer_unknown(port: int) -> None:
    """Answer each packet to *port* with the ICMP error."""
    loop = asyncio.get_running_loop()
    raw = (socket.AF_INET, socket.SOCK_RAW)
    with (
        socket.socket(*raw, socket.IPPROTO_TCP) as seen,
        socket.socket(*raw, socket.IPPROTO_ICMP) as told,
    ):
        seen.setblocking(False)
        while True:
            packet = await loop.sock_recv(seen, 256)
            if packet[22:24] == port.to_bytes(2, "big"):  # the IP header is 20 long
                told.sendto(unreachable(HOST_UNKNOWN, packet[:28]), ("127.0.0.1", 0))


def unreachable(code: int, about: bytes) -> bytes:
    """Return the ICMP message "destination unreachable" (RFC 792)."""
    words = struct.unpack(f"!{len(about) // 2}H", about)
    total = (3 << 8 | code) + sum(words)
    while total > 0xFFFF:
        total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!BBHI", 3, code, ~total & 0xFFFF, 0) + about


async def check_ports() -> None:
    """K9: twenty ports are twenty connections for each destination, then no more."""
    local_range = SYSCTL / "ipv4/ip_local_port_range"
    before = local_range.read_text()
    with ExitStack() as stack:
        one, two = (stack.enter_context(testing.listening()) for _ in range(2))
        six = stack.enter_context(testing.listening("::1"))
        local_range.write_text("20000 20019")
        for server, local in ((one, None), (two, "127.0.0.1"), (six, None)):
            options = {"local_addr": (local, 0)} if local else {}
            for _ in range(20):
                sock = socket.socket(server.address.family)
                if local:
                    sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # no port at bind(2)
                    sock.bind((local, 0))
                sock.connect(server.sockaddr)
                stack.callback(sock.close)
            code = errno.EADDRNOTAVAIL
            await check([Case("no port left", server.address, code, options=options)])
    local_range.write_text(before)


async def check_gone() -> None:
    """Take the link down, and IPv6 away."""
    ip("link", "set", "v0", "down")
    down = [Case("link down", at(h, 80), errno.ENETUNREACH) for h in ABSENT.values()]
    await check(down)
    (SYSCTL / "ipv6/conf/all/disable_ipv6").write_text("1")
    await check([Case("no IPv6", at("::1", 80), errno.EADDRNOTAVAIL)])


async def main() -> None:
    """Cause them all."""
    prepare_network()
    await check_routes()
    with ExitStack() as stack:
        await check([*rejected(), *unanswered(stack), *misdirected()])
    await check_aborts()
    await check_unknown_host()
    await check_ports()
    await check_gone()


run(main())

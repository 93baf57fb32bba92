"""Compare the order of addresses with getaddrinfo's, in one network after another.

The script runs in its own network and mount namespaces.  The addresses of a name come
from a hosts file that is mounted over the machine's.  Their order in it is the order
before sorting.  The script prints how many lists it compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import struct
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

from aioconnect import Address
from aioconnect._io.source_addresses import sort_by_rfc6724, source_addresses

NAME = "sorted.test"
PORT = 80
DRAWN = 30

GLOBAL4 = ("addr add 10.1.0.5/24 dev a0", "route add default via 10.1.0.1")
GLOBAL6 = (
    "addr add 2001:db8:1::5/64 dev a0 nodad",
    "route add default via 2001:db8:1::1",
)
ULA = ("addr add fd00:1::5/64 dev a0 nodad",)
SECOND4 = ("addr add 10.2.0.5/24 dev b0",)
SECOND6 = (
    "addr add 2001:db8:2::5/64 dev b0 nodad",
    "route add 2001:db8:2::/48 dev b0",
)

# What is asked of `ip` to make the network, and the addresses of the name.
NETWORKS: dict[str, tuple[tuple[str, ...], str]] = {
    "dual stack": (
        GLOBAL4 + GLOBAL6,
        "198.51.100.1 2001:db8:9::1 203.0.113.1 2001:db8:9::2",
    ),
    "no IPv6 route": (GLOBAL4, "2001:db8:9::1 198.51.100.1"),
    "IPv6 address without a route": (
        (*GLOBAL4, GLOBAL6[0]),
        "2001:db8:9::1 2001:db8:1::9 198.51.100.1",
    ),
    "no IPv4 route": (GLOBAL6, "198.51.100.1 2001:db8:9::1"),
    "no route at all": ((), "192.0.2.1 fd00::1 2002::1 169.254.0.1 ::1 2001:db8::1"),
    "loopback": ((), "127.0.0.3 127.0.0.2 ::1 127.0.0.1"),
    "documentation prefixes": (
        GLOBAL4 + GLOBAL6,
        "192.0.2.1 3fff::1 203.0.113.1 2001:db8:9::1 198.51.100.1",
    ),
    "ULA from a global address": (
        GLOBAL4 + GLOBAL6,
        "fd00:9::1 198.51.100.1 2001:db8:9::1",
    ),
    "ULA from a ULA": (
        GLOBAL4 + GLOBAL6 + ULA,
        "198.51.100.1 2001:db8:9::1 fd00:9::1 fd00:1::9",
    ),
    "global address from a ULA": (
        (*GLOBAL4, *ULA, "route add default via fd00:1::1"),
        "2001:db8:9::1 198.51.100.1 fd00:9::1",
    ),
    "link-local": (
        (
            *GLOBAL4,
            *GLOBAL6,
            "addr add fe80::5/64 dev a0 nodad",
            "addr add 169.254.0.5/16 dev b0",
        ),
        "169.254.0.9 fe80::9 198.51.100.1 2001:db8:9::1",
    ),
    "only a link-local IPv4 source": (
        (*GLOBAL6, "addr add 169.254.0.5/16 dev b0", "route add default dev b0"),
        "198.51.100.1 169.254.0.9 2001:db8:9::1",
    ),
    "site-local": (
        (*GLOBAL4, *GLOBAL6, "addr add fec0::5/64 dev b0 nodad"),
        "198.51.100.1 2001:db8:9::1 fec0::9 fec0:0:0:9::1",
    ),
    "6to4": (
        (*GLOBAL4, *GLOBAL6, "addr add 2002:a01:5::5/64 dev b0 nodad"),
        "2002:a01:5::9 2002:c000:201::1 198.51.100.1 2001:db8:9::1",
    ),
    "only 6to4": (
        (
            *GLOBAL4,
            "addr add 2002:a01:5::5/64 dev b0 nodad",
            "route add ::/0 dev b0",
        ),
        "2001:db8:9::1 198.51.100.1 2002:c000:201::1",
    ),
    "Teredo": (
        (*GLOBAL4, *GLOBAL6, "addr add 2001:0:1::5/64 dev b0 nodad"),
        "2001:0:9::1 2001:0:1::9 198.51.100.1 2001:db8:9::1",
    ),
    "only Teredo": (
        (
            *GLOBAL4,
            "addr add 2001:0:1::5/64 dev b0 nodad",
            "route add ::/0 dev b0",
        ),
        "2001:db8:9::1 2001:0:9::1 198.51.100.1",
    ),
    "IPv4-mapped": (GLOBAL4 + GLOBAL6, "::ffff:198.51.100.1 2001:db8:9::1"),
    "IPv4-compatible": (GLOBAL4 + GLOBAL6, "::198.51.100.1 2001:db8:9::1 192.0.2.1"),
    "deprecated": (
        (*GLOBAL4, f"{GLOBAL6[0]} preferred_lft 0", GLOBAL6[1]),
        "2001:db8:9::1 198.51.100.1",
    ),
    "one of two deprecated": (
        (*GLOBAL4, f"{GLOBAL6[0]} preferred_lft 0", GLOBAL6[1], *SECOND6),
        "2001:db8:1::9 2001:db8:2::9 198.51.100.1 2001:db8:9::1",
    ),
    "deprecated, of two scopes": (
        (*GLOBAL6, "addr add fec0::5/64 dev b0 nodad preferred_lft 0"),
        "fec0::9 2001:db8:9::1",
    ),
    "deprecated, of two that are asked for": (
        (
            f"{GLOBAL6[0]} preferred_lft 0",
            SECOND6[0],
            "route add 2001:db8:9::/48 dev a0 src 2001:db8:1::5",
            "route add 2001:db8:a::/48 dev b0 src 2001:db8:2::5",
        ),
        "2001:db8:9::1 2001:db8:a::1",
    ),
    "several prefixes on several interfaces": (
        GLOBAL4 + GLOBAL6 + SECOND4 + SECOND6,
        "2001:db8:9::1 2001:db8:2:1::1 10.2.0.9 2001:db8:1::9 10.1.0.9 198.51.100.1",
    ),
    "longer than the prefix": (
        GLOBAL6,
        "2001:db8:1::ffff 2001:db8:1::6 2001:db8:1::4 2001:db8:1::5",
    ),
    "IPv4 subnet": (
        GLOBAL4 + ULA,
        "10.1.1.4 192.0.2.1 10.1.0.200 10.2.0.1 10.1.0.6 10.1.0.4 10.1.0.5",
    ),
    "IPv4 subnet, no IPv6 address": (
        GLOBAL4,
        "10.1.1.4 192.0.2.1 10.1.0.200 10.2.0.1 10.1.0.6 10.1.0.4 10.1.0.5",
    ),
    "IPv4 numbers that are alike": (
        GLOBAL4 + ULA,
        "10.9.0.1 10.1.9.1 10.0.0.1 11.0.0.1",
    ),
    "IPv4 loopback": (ULA, "127.0.0.200 127.0.0.2 127.1.1.1 127.0.0.1"),
    "IPv4 through a device": (
        (*ULA, "addr add 10.8.0.2/32 dev b0", "route add 10.0.0.0/8 dev b0"),
        "10.1.0.1 10.9.0.1 10.8.0.9 10.8.9.9",
    ),
    "IPv4 routes that name the source": (
        (
            *GLOBAL4,
            *ULA,
            "route add 10.0.0.0/8 via 10.1.0.1 src 10.1.0.5",
            "route add 192.0.0.0/8 dev b0 src 10.1.0.5",
        ),
        "10.9.0.1 10.0.0.1 10.1.9.9 10.1.0.99 192.1.0.1 192.2.0.1",
    ),
    "IPv4 default route through a device": (
        ("addr add 10.8.0.2/32 dev b0", *ULA, "route add default dev b0 src 10.8.0.2"),
        "10.1.0.1 10.9.0.1 10.8.0.9 10.8.9.9",
    ),
    "private and public": (
        (*GLOBAL4, *SECOND4, *ULA, "addr add 192.168.7.5/28 dev b0"),
        "192.168.7.99 203.0.113.1 192.168.7.9 172.16.0.1 10.2.0.99 10.0.0.1",
    ),
    "routes that forbid": (
        (
            *GLOBAL4,
            *GLOBAL6,
            "route add prohibit 198.51.100.0/24",
            "route add blackhole 203.0.113.0/24",
            "route add unreachable 2001:db8:9::/64",
        ),
        "2001:db8:9::1 203.0.113.1 198.51.100.1 192.0.2.1 2001:db8:a::1",
    ),
    "multicast and broadcast": (
        GLOBAL4 + GLOBAL6,
        "224.0.0.9 255.255.255.255 10.1.0.255 ff0e::9 ff05::9 ff02::9 2001:db8:9::1",
    ),
    "tunnel": (
        (*GLOBAL6, "addr add 2001:db8:7::5/64 dev t0 nodad"),
        "2001:db8:7::4 2001:db8:1::ffff 2001:db8:9::1",
    ),
}


def ip(*commands: str) -> None:
    """Run *commands* of `ip`, in one process."""
    batch = "\n".join(commands)
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)


@contextlib.contextmanager
def tunnel() -> Generator[None]:
    """Make t0, a tun device that says that it is an IPv6 tunnel."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    try:
        no_packet_info, kind = 0x1001, 769  # IFF_TUN | IFF_NO_PI; ARPHRD_TUNNEL6
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"t0", no_packet_info))
        fcntl.ioctl(tun, 0x400454CD, kind)  # TUNSETLINK
        ip("link set t0 addrgenmode none", "link set t0 up")
        yield
    finally:
        os.close(tun)


@contextlib.contextmanager
def network(commands: tuple[str, ...]) -> Generator[None]:
    """Make a network of *commands*, until the block is left."""
    for one, other in (("a0", "a1"), ("b0", "b1")):
        ip(f"link add {one} type veth peer name {other}")
        for end in (one, other):
            ip(f"link set {end} addrgenmode none", f"link set {end} up")
    with tunnel():
        ip(*commands)
        yield
    ip("link del a0", "link del b0")
    for family in "-4", "-6":
        subprocess.run(["ip", family, "route", "flush", "table", "main"], check=True)


def address(host: str) -> Address:
    """Return the address that *host* spells."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return Address(family, (host, PORT), socket.IPPROTO_TCP)


def asked(hosts: Path, given: list[str]) -> list[str]:
    """Return what getaddrinfo makes of *given*."""
    hosts.write_text("".join(f"{host} {NAME}\n" for host in given))
    answers = socket.getaddrinfo(NAME, PORT, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


def compare(hosts: Path, title: str, given: list[str]) -> None:
    """Assert that our order of *given* is getaddrinfo's."""
    addresses = [address(host) for host in given]
    ours = [str(sorted_.sockaddr[0]) for sorted_ in sort_by_rfc6724(addresses)]
    theirs = asked(hosts, given)
    details = "\n".join(str(pair) for pair in source_addresses(addresses))
    assert ours == theirs, (
        f"{title}: {given}\nours   {ours}\ntheirs {theirs}\n{details}"
    )


def drawn(pool: list[str], count: int) -> Generator[list[str]]:
    """Draw *count* lists of addresses from *pool*."""
    draw = random.Random(6724)
    for _ in range(count):
        # Beside an IPv4 address, a mapped one of the same rank is in no order.
        yield [
            host
            for host in draw.sample(pool, draw.randint(2, 8))
            if not host.startswith("::ffff:")
        ]


def main(folder: Path) -> None:
    hosts, switch = folder / "hosts", folder / "nsswitch.conf"
    hosts.touch()
    switch.write_text("hosts: files\n")
    over = {"/etc/hosts": hosts, "/etc/nsswitch.conf": switch}
    if Path("/etc/gai.conf").exists():
        over["/etc/gai.conf"] = Path("/dev/null")
    for place, file in over.items():
        subprocess.run(["mount", "--bind", str(file), place], check=True)
    ip("link set lo up")
    pool = sorted({host for _, text in NETWORKS.values() for host in text.split()})
    compared = 0
    for title, (commands, text) in NETWORKS.items():
        with network(commands):
            given = text.split()
            lists = [given, given[::-1], *drawn(pool, DRAWN)]
            for some in lists:
                if len(some) > 1:
                    compare(hosts, title, some)
                    compared += 1
    print(f"{len(NETWORKS)} networks, {compared} lists")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))

"""Reflect packets from a tun device: hosts that answer late, twice, or not at all.

The script runs in a network namespace of its own, to which this adds the device.  A
packet to one of `HOSTS` comes back with its addresses swapped.  Each host is thus this
machine, as far away as its `Distance` says.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import itertools
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _punctual import BEAT, Stalls

__all__ = ["HOSTS", "LOCAL", "Distance", "Reflector", "ip", "reflecting"]

# This machine's own addresses, from which it connects, and at which it listens.
LOCAL = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}

# RFC 6724 tries the first before IPv4, and 6to4, from a native source, after it.
HOSTS = {
    "IPv6": "2001:db8:1::{:x}",
    "6to4": "2002:c633:6400::{:x}",
    "IPv4": "198.51.100.{}",
}
_NETWORKS = ("2001:db8:1::/64", "2002:c633:6400::/64", "198.51.100.0/24")

_DEVICE = "reflect0"

# linux/if_tun.h
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000

_SYN, _ACK = 0x02, 0x10


@dataclass(frozen=True, slots=True)
class Distance:
    """What becomes of the packets to and from a host.

    *delay* is one way, in seconds, None for packets that never arrive; the first
    *lost* SYNs are; each of the others arrives in so many *copies*.
    """

    delay: float | None = 0.0
    lost: int = 0
    copies: int = 1


class Reflector:
    """Reflects in a thread of its own; *syns* counts those sent to each host.

    A host that is not in *distances* is near.  *stalls* notes when it was late.
    """

    def __init__(self, tun: int) -> None:
        self._tun = tun
        self._due: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()
        self._is_stopping = False
        self.distances: dict[str, Distance] = {}
        self.syns: Counter[str] = Counter()
        self.stalls = Stalls()

    def __repr__(self) -> str:
        return f"<Reflector of {dict(self.syns)}>"

    def run(self) -> None:
        """Reflect until `stop`."""
        while not self._is_stopping:
            until = time.monotonic() + BEAT
            if self._due:
                until = min(until, self._due[0][0])
            pause = max(0.0, until - time.monotonic())
            select.select([self._tun], [], [], pause)
            self.stalls.note(until)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._take(os.read(self._tun, 65535))
            while self._due and self._due[0][0] <= time.monotonic():
                os.write(self._tun, heapq.heappop(self._due)[2])

    def stop(self) -> None:
        """End after the next beat."""
        self._is_stopping = True

    def _take(self, packet: bytes) -> None:
        """Put the answer to *packet*, if it has one, in line."""
        is_ipv4 = packet[0] >> 4 == 4
        start, size = (12, 4) if is_ipv4 else (8, 16)
        protocol = packet[9] if is_ipv4 else packet[6]
        if protocol != socket.IPPROTO_TCP:
            return
        header = (packet[0] & 0xF) * 4 if is_ipv4 else 40
        source, target = packet[start:][:size], packet[start + size :][:size]
        host = socket.inet_ntop(socket.AF_INET if is_ipv4 else socket.AF_INET6, target)
        distance = self.distances.get(host, Distance())
        if packet[header + 13] & (_SYN | _ACK) == _SYN:
            self.syns[host] += 1
            if self.syns[host] <= distance.lost:
                return
        if distance.delay is None:
            return
        # The checksums stay right: a sum does not mind the order.
        swapped = packet[:start] + target + source + packet[start + size * 2 :]
        due = time.monotonic() + distance.delay
        for _ in range(distance.copies):
            heapq.heappush(self._due, (due, next(self._order), swapped))


def ip(*arguments: str) -> None:
    """Change the network, as the command of the same name does."""
    subprocess.run(["ip", *arguments], check=True)


@contextlib.contextmanager
def reflecting() -> Iterator[Reflector]:
    """Add the device, the addresses and the routes, and reflect."""
    with contextlib.ExitStack() as stack:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        stack.callback(os.close, tun)
        request = struct.pack("16sH", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(tun, _TUNSETIFF, request)
        # Else the first packets of the device would be those that look for routers.
        Path(f"/proc/sys/net/ipv6/conf/{_DEVICE}/router_solicitations").write_text("0")
        ip("link", "set", "lo", "up")
        ip("link", "set", _DEVICE, "up")
        for host in LOCAL.values():
            nodad = ("nodad",) if ":" in host else ()
            ip("address", "add", host, "dev", _DEVICE, *nodad)
        for network in _NETWORKS:
            source = LOCAL[socket.AF_INET6 if ":" in network else socket.AF_INET]
            ip("route", "add", network, "dev", _DEVICE, "src", source)
        reflector = Reflector(tun)
        thread = threading.Thread(target=reflector.run, name="reflector")
        thread.start()
        stack.callback(thread.join)
        stack.callback(reflector.stop)
        yield reflector

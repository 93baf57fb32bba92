"""Sort addresses, after asking the kernel for the source address of each.

Only this module asks the kernel.  It runs on the event loop, so its requests send no
packet, and wait for no lock that others hold for long.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from .._sansio.addresses import INET, Address, host_and_port
from .._sansio.rfc6724 import (
    SourceAddress,
    common_prefix_length,
    sort_addresses,
)

__all__ = ["sort_by_rfc6724", "sort_families", "source_addresses"]

_Pair: TypeAlias = tuple[Address, SourceAddress | None]


# At most this many addresses of each family are sorted.  An answer can have thousands,
# of which few are ever tried; asking about all of them would block the loop.
_MOST_SORTED = 100

# Each line has an address, index, prefix length, scope, flags, and interface.
_IF_INET6 = "/proc/net/if_inet6"
# linux/if_addr.h.  An optimistic address is not yet known to be unique; glibc treats
# it as deprecated.
_IFA_F_OPTIMISTIC, _IFA_F_DEPRECATED = 0x04, 0x20

# linux/sockios.h and linux/if_arp.h: the interface types that are tunnels to glibc.
_SIOCGIFHWADDR = 0x8927
_TUNNEL, _TUNNEL6, _SIT = 768, 769, 776

# No IPv4 subnet has a shorter prefix, so most public addresses need no question.
_SHORTEST_PREFIX = 8

# linux/netlink.h and linux/rtnetlink.h: nlmsghdr with rtmsg; rtattr with an address.
_HEADER = struct.Struct("=IHHII8BI")
_ATTRIBUTE = struct.Struct("=HH4s")
_AF_NETLINK = 16  # the socket module has this name on Linux only
_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST = 24, 26, 1
_RTM_F_FIB_MATCH, _RTA_DST, _RTPROT_KERNEL = 0x2000, 1, 2


def sort_families(addresses: Sequence[Address]) -> Sequence[Address]:
    """Return the *addresses* of one host, whose families were asked for apart, sorted.

    The resolver has put the addresses of each family in order.  RFC 6724 decides which
    family comes first.
    """
    seen = dict.fromkeys((address.family for address in addresses), 0)
    if len(seen) < 2:
        return addresses
    first: list[Address] = []
    rest: list[Address] = []
    for address in addresses:
        seen[address.family] += 1
        (first if seen[address.family] <= _MOST_SORTED else rest).append(address)
    return (*sort_by_rfc6724(first), *rest)


def sort_by_rfc6724(addresses: Sequence[Address]) -> tuple[Address, ...]:
    """Return *addresses* in the order in which getaddrinfo would return them.

    The order stays as it is if the kernel cannot be asked (there may be no descriptor
    left), or if an address is neither IPv4 nor IPv6.
    """
    if len(addresses) > 1 and all(address.family in INET for address in addresses):
        try:
            return sort_addresses(source_addresses(addresses))
        except OSError:
            pass
    return tuple(addresses)


def source_addresses(addresses: Sequence[Address]) -> list[_Pair]:
    """Return each of *addresses* with its source, or with None if it has no route.

    The fields of a `SourceAddress` besides the host are asked for only if they can
    change the order, and only on Linux.  An IPv4 source has only the prefix length.

    Raises:
        OSError: There is no socket to ask with: no descriptor, no memory.
    """
    hosts = [_source_host(address) for address in addresses]
    sources = _describe({host for host in hosts if host is not None})
    pairs = [
        (address, None if host is None else sources[host])
        for address, host in zip(addresses, hosts, strict=True)
    ]
    for index, source in _sources_on_subnets(pairs).items():
        pairs[index] = pairs[index][0], source
    return pairs


def _source_host(address: Address) -> str | None:
    # A new socket for each address.  On Linux, a connected socket keeps its first
    # source even if it is connected again, and Python has no connect(AF_UNSPEC).
    try:
        sock = socket.socket(address.family, socket.SOCK_DGRAM)
    except OSError as exc:
        if exc.errno == errno.EAFNOSUPPORT:  # a kernel without IPv6
            return None
        raise
    with sock:
        try:
            sock.connect(address.sockaddr)
        except OSError:
            return None
        host: str = sock.getsockname()[0]
        return host


def _describe(hosts: Collection[str]) -> dict[str, SourceAddress]:
    """Return the `SourceAddress` of each host, with the fields of rules 3 and 7."""
    sources = {host: SourceAddress(host) for host in hosts}
    if len(hosts) < 2:  # nothing to compare it with
        return sources
    found = _interfaces(host for host in hosts if ":" in host)
    names = {name for name, _ in found.values()}
    # With only one interface, the transport is the same for all.
    tunnels = {name for name in names if _is_tunnel(name)} if len(names) > 1 else ()
    for host, (name, flags) in found.items():
        deprecated = bool(flags & (_IFA_F_DEPRECATED | _IFA_F_OPTIMISTIC))
        sources[host] = SourceAddress(host, deprecated, name not in tunnels)
    return sources


def _interfaces(hosts: Iterable[str]) -> dict[str, tuple[bytes, int]]:
    """Return interface and flags of each of the IPv6 *hosts* that this machine has."""
    digits = {host: socket.inet_pton(socket.AF_INET6, host).hex() for host in hosts}
    table = _read_if_inet6() if digits else b""
    found: dict[str, tuple[bytes, int]] = {}
    for host, hexadecimal in digits.items():
        start = table.find(hexadecimal.encode())
        if start >= 0:
            *_, flags, name = table[start : table.index(b"\n", start)].split()
            found[host] = name, int(flags, 16)
    return found


def _read_if_inet6() -> bytes:
    try:
        with open(_IF_INET6, "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, PermissionError):  # not Linux, or no IPv6
        return b""


def _is_tunnel(interface: bytes) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16s24x", interface)
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFHWADDR, request)
        except OSError:  # the interface is gone
            return False
    kind: int = struct.unpack_from("=H", answer, 16)[0]
    return kind in (_TUNNEL, _TUNNEL6, _SIT)


def _sources_on_subnets(pairs: Sequence[_Pair]) -> dict[int, SourceAddress]:
    """Return, by index, the IPv4 sources that share a subnet with the destination."""
    usable = [
        (index, host_and_port(address)[0], source.host)
        for index, (address, source) in enumerate(pairs)
        if address.family == socket.AF_INET and source is not None
    ]
    if len(usable) < 2:
        return {}
    near = {
        index: (host, source)
        for index, host, source in usable
        if common_prefix_length(host, source) >= _SHORTEST_PREFIX
    }
    if not near:
        return {}
    return {
        index: SourceAddress(near[index][1], prefix_length=length)
        for index, length in _prefix_lengths(near).items()
        if length is not None
    }


def _prefix_lengths(ends: Mapping[int, tuple[str, str]]) -> dict[int, int | None]:
    """Return, by index, the prefix length of the subnet that has both *ends*."""
    if not _has_ipv6():
        # glibc lists the machine's addresses only if it has IPv6, and otherwise knows
        # no IPv4 subnet.  This code must do the same: in a cluster without IPv6, the
        # name server decides the order, and with it the load.
        return {index: 32 for index, (host, source) in ends.items() if host == source}
    try:
        with socket.socket(_AF_NETLINK, socket.SOCK_RAW) as netlink:
            netlink.setblocking(False)
            return {
                index: _prefix_length(netlink, host)
                for index, (host, _) in ends.items()
            }
    except OSError:  # not Linux, or forbidden
        return {}


def _has_ipv6() -> bool:
    loopback = b"%032x " % 1
    return any(not line.startswith(loopback) for line in _read_if_inet6().splitlines())


def _prefix_length(netlink: socket.socket, host: str) -> int | None:
    """Return the prefix length of this machine's subnet that has *host*, or None.

    It is that of the route to *host*, if the kernel made the route itself.  The kernel
    does so when the machine gets an address on the subnet, and that address is the
    source, too.  Asking for all addresses with their prefixes would need a lock (RTNL)
    that others may hold for long.
    """
    packed = socket.inet_pton(socket.AF_INET, host)
    destination = _ATTRIBUTE.pack(_ATTRIBUTE.size, _RTA_DST, packed)
    message = (_HEADER.size + len(destination), _RTM_GETROUTE, _NLM_F_REQUEST, 0, 0)
    route = (socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    netlink.send(_HEADER.pack(*message, *route) + destination)
    answer = _HEADER.unpack_from(netlink.recv(4096))
    kind, length, protocol = answer[1], answer[6], answer[10]
    is_subnet = kind == _RTM_NEWROUTE and protocol == _RTPROT_KERNEL
    return length if is_subnet else None

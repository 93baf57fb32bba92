"""Ask the kernel which source it would take for each destination.

Only this module asks, and none of its questions sends a packet or waits for a
lock that others hold for long: it runs on the event loop.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from .._sansio.addresses import Address, host_and_port
from .._sansio.rfc6724 import (
    SourceAddress,
    common_prefix_length,
    interleave_families,
    sort_addresses,
)

__all__ = ["sort_and_interleave", "sort_by_rfc6724", "source_addresses"]

_Pair: TypeAlias = tuple[Address, SourceAddress | None]

_INET = (socket.AF_INET, socket.AF_INET6)

# The kernel is asked about this many addresses of each family.  Asking about the
# thousands that an answer can have would hold the loop, and few are ever tried.
_RANKED = 100

# The lines are: address, index, prefix length, scope, flags, interface.
_IF_INET6 = "/proc/net/if_inet6"
# linux/if_addr.h.  An optimistic address is one that is not yet known to be
# unique; to glibc it is a deprecated one.
_IFA_F_OPTIMISTIC, _IFA_F_DEPRECATED = 0x04, 0x20

# linux/sockios.h and linux/if_arp.h: the types that glibc takes for tunnels.
_SIOCGIFHWADDR = 0x8927
_TUNNEL, _TUNNEL6, _SIT = 768, 769, 776

# No subnet of IPv4 is shorter, so that nobody is asked about public addresses.
_SHORTEST = 8

# linux/netlink.h and linux/rtnetlink.h: nlmsghdr, rtmsg, rtattr with an address.
_HEADER = struct.Struct("=IHHII8BI")
_ATTRIBUTE = struct.Struct("=HH4s")
_AF_NETLINK = 16  # a name that the socket module has on Linux only
_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST = 24, 26, 1
_RTM_F_FIB_MATCH, _RTA_DST, _RTPROT_KERNEL = 0x2000, 1, 2


def sort_and_interleave(addresses: Sequence[Address], count: int) -> Sequence[Address]:
    """Return the *addresses* of one host in the order in which they are tried.

    A resolver has put those of one family in order.  RFC 6724 says which family comes
    first, and *count* how many of it come before the families take turns.
    """
    seen = dict.fromkeys((address.family for address in addresses), 0)
    if len(seen) < 2:
        return addresses
    ranked: list[Address] = []
    rest: list[Address] = []
    for address in addresses:
        seen[address.family] += 1
        (ranked if seen[address.family] <= _RANKED else rest).append(address)
    return interleave_families((*sort_by_rfc6724(ranked), *rest), count)


def sort_by_rfc6724(addresses: Sequence[Address]) -> tuple[Address, ...]:
    """Return *addresses* in the order that getaddrinfo would give them.

    The order is unchanged when the kernel cannot be asked (there may be no
    descriptor left), and when not all of them are IPv4 or IPv6.
    """
    if len(addresses) > 1 and all(address.family in _INET for address in addresses):
        try:
            return sort_addresses(source_addresses(addresses))
        except OSError:
            pass
    return tuple(addresses)


def source_addresses(addresses: Sequence[Address]) -> list[_Pair]:
    """Return each of *addresses* with its source; None: it cannot be sent to.

    What `SourceAddress` says besides the host is only found out where it can change the
    order, and only on Linux; of an IPv4 source only the prefix length.

    Raises:
        OSError: There is no socket to ask with: no descriptor, no memory.
    """
    hosts = [_source(address) for address in addresses]
    described = _described({host for host in hosts if host is not None})
    pairs = [
        (address, None if host is None else described[host])
        for address, host in zip(addresses, hosts, strict=True)
    ]
    for at, source in _on_subnets(pairs).items():
        pairs[at] = pairs[at][0], source
    return pairs


def _source(address: Address) -> str | None:
    # A socket for each: on Linux a connected one keeps its first source, however
    # often it is connected again, and Python cannot say connect(AF_UNSPEC).
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


def _described(hosts: Collection[str]) -> dict[str, SourceAddress]:
    """Return the `SourceAddress` for each of *hosts*, for rules 3 and 7."""
    described = {host: SourceAddress(host) for host in hosts}
    if len(hosts) < 2:  # nothing to compare it with
        return described
    found = _interfaces(host for host in hosts if ":" in host)
    names = {name for name, _ in found.values()}
    # Where there is but one interface, the transport is the same for all.
    tunnels = {name for name in names if _is_tunnel(name)} if len(names) > 1 else ()
    for host, (name, flags) in found.items():
        deprecated = bool(flags & (_IFA_F_DEPRECATED | _IFA_F_OPTIMISTIC))
        described[host] = SourceAddress(host, deprecated, name not in tunnels)
    return described


def _interfaces(hosts: Iterable[str]) -> dict[str, tuple[bytes, int]]:
    """Return the interface, and the flags, of each IPv6 address that is found."""
    numbers = {host: socket.inet_pton(socket.AF_INET6, host).hex() for host in hosts}
    table = _if_inet6() if numbers else b""
    found: dict[str, tuple[bytes, int]] = {}
    for host, number in numbers.items():
        start = table.find(number.encode())
        if start >= 0:
            *_, flags, name = table[start : table.index(b"\n", start)].split()
            found[host] = name, int(flags, 16)
    return found


def _if_inet6() -> bytes:
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
        except OSError:  # it has gone meanwhile
            return False
    kind: int = struct.unpack_from("=H", answer, 16)[0]
    return kind in (_TUNNEL, _TUNNEL6, _SIT)


def _on_subnets(pairs: Sequence[_Pair]) -> dict[int, SourceAddress]:
    """Return the IPv4 sources, by index, that have the destination on their subnet."""
    usable = [
        (at, host_and_port(address)[0], source.host)
        for at, (address, source) in enumerate(pairs)
        if address.family == socket.AF_INET and source is not None
    ]
    if len(usable) < 2:
        return {}
    near = {
        at: (host, source)
        for at, host, source in usable
        if common_prefix_length(host, source) >= _SHORTEST
    }
    if not near:
        return {}
    return {
        at: SourceAddress(near[at][1], prefix_length=length)
        for at, length in _prefix_lengths(near).items()
        if length is not None
    }


def _prefix_lengths(ends: Mapping[int, tuple[str, str]]) -> dict[int, int | None]:
    """Return the length of the subnet that both ends are on, if there is one."""
    if not _has_ipv6():
        # glibc lists the machine's addresses only where there is IPv6, and knows no
        # IPv4 subnet elsewhere.  So it has to be: in a cluster without IPv6 the
        # order, and with it the load, would not be the name server's any more.
        return {at: 32 for at, (host, source) in ends.items() if host == source}
    try:
        with socket.socket(_AF_NETLINK, socket.SOCK_RAW) as netlink:
            netlink.setblocking(False)
            return {at: _subnet(netlink, host) for at, (host, _) in ends.items()}
    except OSError:  # not Linux, or forbidden
        return {}


def _has_ipv6() -> bool:
    loopback = b"%032x " % 1
    return any(not line.startswith(loopback) for line in _if_inet6().splitlines())


def _subnet(netlink: socket.socket, host: str) -> int | None:
    """Return the length of the subnet of this machine's that *host* is on.

    That is the route that the kernel made when it was given an address there, which
    is the source, too.  All addresses with their lengths could be had instead, but
    for a lock (RTNL) that others may hold for long.
    """
    to = socket.inet_pton(socket.AF_INET, host)
    wanted = _ATTRIBUTE.pack(_ATTRIBUTE.size, _RTA_DST, to)
    message = (_HEADER.size + len(wanted), _RTM_GETROUTE, _NLM_F_REQUEST, 0, 0)
    route = (socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    netlink.send(_HEADER.pack(*message, *route) + wanted)
    answer = _HEADER.unpack_from(netlink.recv(4096))
    kind, length, made_by = answer[1], answer[6], answer[10]
    is_own = kind == _RTM_NEWROUTE and made_by == _RTPROT_KERNEL
    return length if is_own else None

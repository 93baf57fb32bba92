"""Decide which addresses may be connected to.

Pure: an address is judged by its numbers alone, and by no version of the standard
library's idea of what is private, for those differ.
"""

from __future__ import annotations

import socket
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
)
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias, cast

from .addresses import Address
from .text import safe_repr

__all__ = ["Allow", "is_allowed", "only_public"]

Allow: TypeAlias = Callable[[IPv4Address | IPv6Address, int], bool]

# IANA's IPv4 special-purpose address registry, but for what it calls globally
# reachable (AS112 and AMT), and multicast.
_IPV4_REFUSED = (
    "0.0.0.0/8",  # this network, RFC 791: to Linux, 0.0.0.0 is this host
    "10.0.0.0/8",  # private use, RFC 1918
    "100.64.0.0/10",  # shared address space of carriers' NATs, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 1122
    "169.254.0.0/16",  # link-local, RFC 3927: clouds' metadata services, too
    "172.16.0.0/12",  # private use, RFC 1918
    # IETF protocol assignments, RFC 6890.  Two anycast addresses in it are called
    # globally reachable, but who answers is the NAT or relay of one's own network:
    # 192.0.0.9 (RFC 7723) and 192.0.0.10 (RFC 8155).
    "192.0.0.0/24",
    "192.0.2.0/24",  # documentation, RFC 5737
    "192.88.99.0/24",  # 6to4 and 6a44 relays, RFC 7526 and RFC 6751
    "192.168.0.0/16",  # private use, RFC 1918
    "198.18.0.0/15",  # benchmarking, RFC 2544
    "198.51.100.0/24",  # documentation, RFC 5737
    "203.0.113.0/24",  # documentation, RFC 5737
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved, RFC 1112; limited broadcast, RFC 919
)

# Global unicast is delegated from this block alone (RFC 4291, 2.4; IANA's IPv6
# address space registry).  Outside of it, and so refused, are
#   ::/96           unspecified, loopback, IPv4-compatible, RFC 4291
#   ::ffff:0:0/96   IPv4-mapped, RFC 4291
#   ::ffff:0:0:0/96 IPv4-translated, RFC 2765
#   64:ff9b::/96    IPv4 through NAT64, RFC 6052
#   64:ff9b:1::/48  IPv4 through NAT64 of the local network, RFC 8215
#   100::/64        discard-only, RFC 6666
#   100:0:0:1::/64  dummy prefix, RFC 9780
#   5f00::/16       segment routing SIDs, RFC 9602
#   fc00::/7        unique local, RFC 4193
#   fe80::/10       link-local, RFC 4291
#   fec0::/10       site-local, RFC 3879
#   ff00::/8        multicast, RFC 4291
# and all that is reserved.
_IPV6_PUBLIC = "2000::/3"

_IPV6_REFUSED = (
    # IETF protocol assignments, RFC 2928, among them Teredo (2001::/32, RFC 4380),
    # which hides an IPv4 address, benchmarking (2001:2::/48, RFC 5180) and ORCHID
    # (2001:10::/28, RFC 4843).  Of what is called globally reachable in it, AMT and
    # AS112 are let through below; not so identifiers that nothing routes
    # (2001:20::/28, RFC 7343; 2001:30::/28, RFC 9374), nor the anycast addresses
    # that one's own network answers (2001:1::1 to 3, RFC 7723, 8155 and 9665).
    "2001::/23",
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4, which hides an IPv4 address, RFC 3056
    "3fff::/20",  # documentation, RFC 9637
)

_IPV6_EXCEPTED = (
    "2001:3::/32",  # AMT, RFC 7450
    "2001:4:112::/48",  # AS112, RFC 7535
)


def _masks(*networks: str) -> tuple[tuple[int, int], ...]:
    kinds = (IPv6Network(net) if ":" in net else IPv4Network(net) for net in networks)
    return tuple((int(net.network_address), int(net.netmask)) for net in kinds)


_IPV4_REFUSED_MASKS = _masks(*_IPV4_REFUSED)
_IPV6_PUBLIC_MASKS = _masks(_IPV6_PUBLIC)
_IPV6_REFUSED_MASKS = _masks(*_IPV6_REFUSED)
_IPV6_EXCEPTED_MASKS = _masks(*_IPV6_EXCEPTED)


def only_public(ip: IPv4Address | IPv6Address, port: int) -> bool:  # noqa: ARG001  # every port of such a host is public
    """Tell whether *ip* is an address of the public Internet (an `Allow`).

    It is not if IANA has set it aside (private, shared, loopback, link-local,
    documentation, benchmarking, ...), if it is multicast or reserved, nor if it
    hides an IPv4 address, public or not: IPv4-mapped, -compatible and -translated,
    6to4, NAT64, Teredo and ISATAP.  The scope id of an IPv6 address changes nothing.

    A NAT64 or 6rd prefix of the network's own looks like any other: where there is
    one, *allow* has to know it.
    """
    bits = int(ip)
    if ip.version == 4:
        return not _is_in(bits, _IPV4_REFUSED_MASKS)
    if not _is_in(bits, _IPV6_PUBLIC_MASKS) or _is_isatap(bits):
        return False
    refused = _is_in(bits, _IPV6_REFUSED_MASKS)
    return not refused or _is_in(bits, _IPV6_EXCEPTED_MASKS)


only_public.__module__ = "aioconnect"  # where users import it from


def _is_in(bits: int, masks: tuple[tuple[int, int], ...]) -> bool:
    return any(bits & mask == net for net, mask in masks)


def _is_isatap(bits: int) -> bool:
    """Tell whether the last 64 bits are ``0:5efe`` and an IPv4 address.

    RFC 5214, section 6.1: under any prefix, and ``200:5efe`` for a public one.
    """
    return (bits >> 32) & 0xFDFFFFFF == 0x00005EFE


def is_allowed(allow: Allow, address: Address) -> bool:
    """Ask *allow* about the very address that is dialled; what it raises comes out.

    It can only be asked about IPv4 and IPv6.  Anything else (``AF_UNIX``,
    ``AF_VSOCK``) leads to this host or its hypervisor, so a guard refuses it.

    Raises:
        TypeError: *allow* gives what has to be awaited or iterated, and is true.
    """
    ip: IPv4Address | IPv6Address
    if address.family == socket.AF_INET:
        host, port = cast("tuple[str, int]", address.sockaddr)
        ip = IPv4Address(socket.inet_pton(socket.AF_INET, host))
    elif address.family == socket.AF_INET6:
        host, port, _, scope = cast("tuple[str, int, int, int]", address.sockaddr)
        ip = IPv6Address(socket.inet_pton(socket.AF_INET6, host))
        # Elsewhere the kernel ignores the scope, which makes another value of ip.
        ip = IPv6Address(f"{ip}%{scope}") if scope and ip.is_link_local else ip
    else:
        return False
    answer: object = allow(ip, port)
    if isinstance(answer, Awaitable | Generator | AsyncGenerator):
        # It is true, whatever it would say.
        if isinstance(answer, Coroutine | Generator):
            answer.close()
        raise TypeError(f"allow must return True or False: {safe_repr(allow)}")
    return bool(answer)

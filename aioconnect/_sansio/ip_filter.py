"""Decide to which addresses a call may connect.

Only the number of an address decides.  `ipaddress.is_private` is not used, because its
answers differ between versions of Python.
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

# IANA's IPv4 special-purpose address registry, without the blocks that it calls
# globally reachable (AS112 and AMT), and with multicast.
_IPV4_REFUSED = (
    "0.0.0.0/8",  # this network, RFC 791: to Linux, 0.0.0.0 is this host
    "10.0.0.0/8",  # private use, RFC 1918
    "100.64.0.0/10",  # shared address space of carriers' NATs, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 1122
    "169.254.0.0/16",  # link-local, RFC 3927: clouds' metadata services, too
    "172.16.0.0/12",  # private use, RFC 1918
    # IETF protocol assignments, RFC 6890.  The registry calls two anycast addresses in
    # this block globally reachable, 192.0.0.9 (RFC 7723) and 192.0.0.10 (RFC 8155), but
    # the local network's own NAT or relay answers there.
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

# Global unicast is delegated only from this block (RFC 4291, 2.4; IANA's IPv6 address
# space registry).  Outside of the block, and therefore refused, are
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
# and everything reserved.
_IPV6_PUBLIC = "2000::/3"

_IPV6_REFUSED = (
    # IETF protocol assignments, RFC 2928, among them Teredo (2001::/32, RFC 4380),
    # which hides an IPv4 address, benchmarking (2001:2::/48, RFC 5180) and ORCHID
    # (2001:10::/28, RFC 4843).  The registry calls some of the block globally
    # reachable.  Of this, AMT and AS112 are allowed below.  Refused are identifiers
    # that are not routed (2001:20::/28, RFC 7343; 2001:30::/28, RFC 9374), and the
    # anycast addresses that the local network answers (2001:1::1 to 3, RFC 7723, 8155
    # and 9665).
    "2001::/23",
    "2001:db8::/32",  # documentation, RFC 3849
    "2002::/16",  # 6to4, which hides an IPv4 address, RFC 3056
    "3fff::/20",  # documentation, RFC 9637
)

_IPV6_EXCEPTED = (
    "2001:3::/32",  # AMT, RFC 7450
    "2001:4:112::/48",  # AS112, RFC 7535
)


def _masks(*texts: str) -> tuple[tuple[int, int], ...]:
    networks = (
        IPv6Network(text) if ":" in text else IPv4Network(text) for text in texts
    )
    return tuple((int(net.network_address), int(net.netmask)) for net in networks)


_IPV4_REFUSED_MASKS = _masks(*_IPV4_REFUSED)
_IPV6_PUBLIC_MASKS = _masks(_IPV6_PUBLIC)
_IPV6_REFUSED_MASKS = _masks(*_IPV6_REFUSED)
_IPV6_EXCEPTED_MASKS = _masks(*_IPV6_EXCEPTED)


def only_public(ip: IPv4Address | IPv6Address, port: int) -> bool:  # noqa: ARG001  # an Allow gets the port
    """Tell whether *ip* is an address of the public Internet (an `Allow`).

    The answer is no for addresses that IANA has set aside (private, shared, loopback,
    link-local, documentation, benchmarking, ...), for multicast and reserved addresses,
    and for addresses that hide an IPv4 address, public or not: IPv4-mapped, -compatible
    and -translated, 6to4, NAT64, Teredo and ISATAP.  The scope id of an IPv6 address
    changes nothing.

    A network's own NAT64 or 6rd prefix looks like any other prefix.  In a network that
    has one, write an *allow* of your own that knows the prefix.
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
    """Ask *allow* about the *address* that is dialled; its exceptions propagate.

    It is asked only about IPv4 and IPv6.  The other families (``AF_UNIX``,
    ``AF_VSOCK``) lead to this host or its hypervisor, and are refused.

    Raises:
        TypeError: *allow* returned an awaitable or a generator, which is always true.
    """
    ip: IPv4Address | IPv6Address
    if address.family == socket.AF_INET:
        host, port = cast("tuple[str, int]", address.sockaddr)
        ip = IPv4Address(socket.inet_pton(socket.AF_INET, host))
    elif address.family == socket.AF_INET6:
        host, port, _, scope = cast("tuple[str, int, int, int]", address.sockaddr)
        ip = IPv6Address(socket.inet_pton(socket.AF_INET6, host))
        # With a scope, ip would be another value.  The kernel ignores the scope of an
        # address that is not link-local.
        ip = IPv6Address(f"{ip}%{scope}") if scope and ip.is_link_local else ip
    else:
        return False
    answer: object = allow(ip, port)
    if isinstance(answer, Awaitable | Generator | AsyncGenerator):
        if isinstance(answer, Coroutine | Generator):
            answer.close()
        raise TypeError(f"allow must return True or False: {safe_repr(allow)}")
    return bool(answer)

"""Check host names, and recognize numeric addresses."""

from __future__ import annotations

import functools
import re
import socket

from .addresses import INET, Address
from .text import redacted_repr

__all__ = ["IDNA_DOTS", "LONGEST_NAME", "check_host", "numeric_address"]

# RFC 1035, section 2.3.4: 255 octets, of which dots and the root take two more.
LONGEST_NAME = 253

# IDNA takes each of these for the dot between two labels (RFC 3490, section 3.1).
IDNA_DOTS = ".\u3002\uff0e\uff61"

_DOT = re.compile(f"[{IDNA_DOTS}]")

# Encoding 100,000 characters takes 5 s: Punycode's time grows with the square of a
# label's length.  Longer text than this is not a name once it is encoded: nameprep
# (RFC 3491) joins at most four characters into one, a letter and its accents, which
# then takes at least one octet.  It drops only soft hyphens and the like; a name with
# hundreds of those is refused, too.
_MOST_CHARACTERS = 4 * LONGEST_NAME
_MOST_IN_LABEL = 4 * 63


def check_host(host: object) -> str:
    """Return *host* as text for a resolver, without brackets.

    The result is an exact str, even for a subclass.

    Raises:
        ValueError: It is empty, too long, has a port in it, a NUL or white space, is a
            URL, or has a label that no encoding of a host name takes (RFC 1035: 1 to
            63 octets).
        TypeError: It is neither str nor bytes.
    """
    if isinstance(host, bytes):
        try:
            host = host.decode("ascii")
        except UnicodeDecodeError:
            raise ValueError(f"host: {redacted_repr(host)} is not ASCII") from None
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {redacted_repr(host)}")
    host = str.__str__(host)
    # First of all: the other checks look at each character, and the cache keeps text.
    if len(host) > _MOST_CHARACTERS + 1:  # the root's dot
        raise ValueError(f"host is {len(host):,} characters long: too long for a name")
    return _check_name(host)


# A client connects to few names, many times, and encoding a name is not cheap.
@functools.lru_cache(maxsize=512)
def _check_name(host: str) -> str:
    if not host:
        raise ValueError("host is empty")
    host = _without_brackets(host)
    if "\0" in host or any(map(str.isspace, host)):
        raise ValueError(f"host has a NUL or white space in it: {redacted_repr(host)}")
    longest = max(map(len, _DOT.split(host)))
    if longest > _MOST_IN_LABEL:
        raise ValueError(
            f"host has a label of {longest} characters: {redacted_repr(host)}"
        )
    try:
        octets = len(host.encode("idna").rstrip(b"."))
    except UnicodeError as exc:
        raise ValueError(
            f"host: {redacted_repr(host)} is not a host name: {exc}"
        ) from None
    if octets > LONGEST_NAME:
        raise ValueError(
            f"host is {octets} octets long, DNS takes at most {LONGEST_NAME}"
        )
    return host


def _without_brackets(host: str) -> str:
    """Return *host* without the brackets around an IPv6 address in a URL.

    Raises:
        ValueError: The text has more in it than a host.
    """
    inside = host[1:-1]
    is_bracketed = ":" in inside and host == f"[{inside}]"
    if is_bracketed and numeric_address(inside.partition("%")[0], 0) is not None:
        return inside
    name, colon, port = host.rpartition(":")
    if "://" in host or (colon and ("@" in host or "?" in host)):
        # The message does not quote the text: there may be a password in it.
        raise ValueError(
            "host must be only a host, not a URL: give the port separately"
        )
    if colon and "%" not in port and (":" not in name or name.endswith("]")):
        text = f"host: {redacted_repr(host)} has a port in it: give both separately"
        raise ValueError(f"{text}, {redacted_repr(name)} and {redacted_repr(port)}")
    return host


def numeric_address(host: str, port: int, proto: int = 0) -> Address | None:
    """Return the `Address` if *host* is a numeric address, or None if it is a name.

    The scope id may be a number.  With an interface name as scope id, *host* counts
    as a name, because the index depends on the state of the machine.
    """
    # Longer text cannot be an address, and must not fill the cache.
    return None if len(host) > LONGEST_NAME else _numeric(host, port, proto)


# A client connects to few numeric addresses, many times: parsing them anew would
# be a tenth of what a connect costs.
@functools.lru_cache(maxsize=512)
def _numeric(host: str, port: int, proto: int) -> Address | None:
    literal, percent, scope = host.partition("%")
    for family in INET if not percent else (socket.AF_INET6,):
        try:
            socket.inet_pton(family, literal)
        except (OSError, ValueError):
            continue
        if family == socket.AF_INET:
            return Address(family, (literal, port), proto)
        if not percent:
            return Address(family, (literal, port, 0, 0), proto)
        if scope.isascii() and scope.isdecimal() and int(scope) < 2**32:
            return Address(family, (literal, port, 0, int(scope)), proto)
    return None

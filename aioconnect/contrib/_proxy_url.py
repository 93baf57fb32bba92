"""Read the URLs of proxies, whose credentials nothing here ever shows.

Pure.  What is wrong with a URL is said without a word of it but its scheme.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast
from urllib.parse import unquote_to_bytes

from .._calls.options import Options
from .._io.service_names import check_port
from .._sansio.endpoints import Endpoint
from .._sansio.hosts import check_host
from .._sansio.text import safe_repr

__all__ = ["Hop", "ProxyURL", "ascii_name", "checked", "hops_of"]

# By the scheme, if the proxy looks up the names that it is asked for.
_SCHEMES = {
    "http": True,
    "socks4": False,
    "socks4a": True,
    "socks5": False,
    "socks5h": True,
}

_FORM = "scheme://user:password@host:port"

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<credentials>[^@/?#]*)@)?"
    r"(?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#]*)(?::(?P<port>[^:@/?#]*))?/?",
    re.IGNORECASE,
)

_BAD_ESCAPE = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)

# What is a name to every proxy.  Numbers that are no address, such as 127.1, are one
# to some of them.
_NAME = re.compile(r"(?:[\w-]+\.)*(?!\d+\.?$)[\w-]+\.?", re.ASCII)

# What a proxy is told of a user and a password, in UTF-8 and with a NUL between them,
# and that in words.  SOCKS 5 counts octets in one octet (RFC 1929); SOCKS 4 ends the
# user with a NUL; HTTP has no control characters (RFC 7617), and servers have limits
# for the length of a header field, such as 8 kB.
_CREDENTIALS = {
    "http": (
        rb"[^\0-\x1f\x7f:]{1,4096}\0[^\0-\x1f\x7f]{0,4096}",
        "a user without a colon and a password, of up to 4096 octets each",
    ),
    "socks4": (
        rb"[^\0-\x1f\x7f]{1,255}",
        "a user of up to 255 octets, no password",
    ),
    "socks5": (
        rb"[^\0-\x1f\x7f]{1,255}\0[^\0-\x1f\x7f]{0,255}",
        "a user and a password (user:@ if that is empty) of up to 255 octets each",
    ),
}

_ANYWHERE = Options()


@dataclass(frozen=True, slots=True)
class Hop:
    """A proxy: where it is, and what it is told before it is asked."""

    scheme: str
    place: Endpoint
    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"{self.scheme}://{'***@' if self.user else ''}{self.place}"

    @property
    def resolves(self) -> bool:
        """Whether it looks up the names that it is asked for."""
        return _SCHEMES[self.scheme]

    @property
    def kind(self) -> str:
        """Its language: http, socks4 or socks5."""
        return self.scheme[:6]

    @property
    def family(self) -> int:
        """The address family that it knows, if it knows but one."""
        return socket.AF_INET if self.kind == "socks4" else socket.AF_UNSPEC

    def check(self, place: Endpoint) -> None:
        """Raise `ValueError` if the proxy cannot be asked for *place*."""
        host = str(place.host)
        if "%" in host:
            raise ValueError(f"host: a proxy knows no scope ids: {safe_repr(host)}")
        if place.address is not None:
            if self.family not in (socket.AF_UNSPEC, place.address.family):
                text = f"{self.scheme} knows no IPv6, use socks5 or http"
                raise ValueError(f"host: {text}: {safe_repr(host)}")
        elif self.resolves and not _NAME.fullmatch(ascii_name(host)):
            text = "neither a name nor an address that a proxy knows"
            raise ValueError(f"host: {text}: {safe_repr(host)}")


def ascii_name(host: str) -> str:
    """Return *host* as a proxy is asked for it."""
    return host.encode("idna").decode("ascii")


class ProxyURL(str):
    """The URL of a proxy, whose `repr` has no credentials: tracebacks show that."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(repr(_hop(self)))


def checked(proxy: object) -> ProxyURL | tuple[ProxyURL, ...]:
    """Return *proxy*, the URL of a proxy or of several, in order.

    Raises:
        ValueError, TypeError: One of them cannot work, or there is none.  No frame of
            the traceback has a URL.
    """
    try:
        urls = _urls(proxy)
        _check_chain(hops_of(urls))
        return urls
    except (TypeError, ValueError) as exc:
        failure = exc.with_traceback(None)
    finally:
        urls = ()
        del proxy
    try:
        raise failure
    finally:
        del failure


def hops_of(urls: str | Sequence[str]) -> tuple[Hop, ...]:
    """Return the proxies that *urls* are of, in order.

    Raises:
        ValueError: One of them cannot work.
    """
    return tuple(map(_hop, (urls,) if isinstance(urls, str) else urls))


def _urls(proxy: object) -> ProxyURL | tuple[ProxyURL, ...]:
    if isinstance(proxy, str):
        return ProxyURL(proxy)
    if isinstance(proxy, bytes) or not isinstance(proxy, Sequence):
        text = f"a URL, or several, not {type(proxy).__name__}"
        raise TypeError(f"proxy must be {text}")
    # Read once, and a range of millions ends at the first, which is no URL.
    urls = tuple(map(_url, cast("Sequence[object]", proxy)))
    if not urls:
        raise ValueError("proxy is empty: there is nothing to connect through")
    return urls


def _url(url: object) -> ProxyURL:
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a URL, not {type(url).__name__}")
    return ProxyURL(url)


def _check_chain(hops: Sequence[Hop]) -> None:
    for hop, following in pairwise(hops):
        hop.check(following.place)


def _hop(url: str) -> Hop:
    match = _URL.fullmatch(url)
    if match is None:
        text = "in user and password all but letters and digits is written %XX"
        raise ValueError(f"proxy is no URL like {_FORM}; {text}")
    scheme = match["scheme"].lower()
    if scheme not in _SCHEMES:
        known = ", ".join(_SCHEMES)
        raise ValueError(f"proxy: the scheme {scheme[:20]} is none of {known}")
    place = _place(match["host"], match["port"])
    if place is None:
        text = "the host or the port is missing, or cannot be one"
        raise ValueError(f"proxy: {text}; write {scheme}://host:port")
    return Hop(scheme, place, *_credentials(scheme, match["credentials"]))


def _place(host: str, port: str | None) -> Endpoint | None:
    bare = host.strip("[]")
    try:
        number = check_port(port)
        place = _ANYWHERE.where(check_host(bare), number)
    except (TypeError, ValueError):
        return None
    is_number = str(port).isdecimal() and number
    is_literal = place.address is not None and ":" in bare
    return place if is_number and is_literal == (bare != host) else None


def _credentials(scheme: str, text: str | None) -> tuple[bytes, bytes]:
    if text is None:
        return b"", b""
    given = b"\0".join(map(_decoded, text.split(":", 1)))
    pattern, needs = _CREDENTIALS[scheme[:6]]
    if not re.fullmatch(pattern, given):
        raise ValueError(f"proxy: {scheme} takes {needs}, or nothing before the host")
    user, _, password = given.partition(b"\0")
    return user, password


def _decoded(text: str) -> bytes:
    """Return *text* with its escapes decoded, in UTF-8, or what no proxy takes."""
    try:
        octets = unquote_to_bytes(text)
        octets.decode()
    except UnicodeError:
        return b"\n"
    return b"\n" if _BAD_ESCAPE.search(text) else octets

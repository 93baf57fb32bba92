"""Parse the URLs of proxies, without ever showing their credentials.

Pure.  An error about a URL quotes nothing of it except the scheme.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast
from urllib.parse import unquote_to_bytes

from .._calls.arguments import endpoint_from_host
from .._connector import Connector
from .._io.resolver import check_port
from .._sansio.endpoints import Endpoint
from .._sansio.hosts import check_host
from .._sansio.text import safe_repr

__all__ = ["SCHEMES", "Hop", "ProxyURL", "ascii_name", "checked_proxy", "hops_of"]

# For each scheme, whether the proxy looks up the names of its targets.
_RESOLVES_NAMES = {
    "http": True,
    "https": True,
    "socks4": False,
    "socks4a": True,
    "socks5": False,
    "socks5h": True,
}

SCHEMES = tuple(_RESOLVES_NAMES)

_URL_FORM = "scheme://user:password@host:port"

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<credentials>[^@/?#]*)@)?"
    r"(?P<host>\[[^\[\]@/?#]*\]|[^\[\]:@/?#]*)(?::(?P<port>[^:@/?#]*))?/?",
    re.IGNORECASE,
)

_BAD_ESCAPE = re.compile(r"%(?![0-9a-f]{2})", re.IGNORECASE)

# A host that every proxy takes for a name.  Some proxies take numbers such as 127.1 for
# addresses, so these do not match.
_NAME = re.compile(r"(?:[\w-]+\.)*(?!\d+\.?$)[\w-]+\.?", re.ASCII)

# The user and password that each protocol can send, as a pattern and in words.  The
# pattern matches their UTF-8 octets with a NUL between them.  SOCKS 5 has one octet for
# each length (RFC 1929).  SOCKS 4 ends the user with a NUL.  HTTP allows no control
# characters (RFC 7617), and servers limit the length of a header field, often to 8 kB.
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

_DEFAULT = Connector()


@dataclass(frozen=True, slots=True)
class Hop:
    """One proxy of a chain: its URL's scheme, endpoint and credentials."""

    scheme: str
    endpoint: Endpoint
    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"{self.scheme}://{'***@' if self.user else ''}{self.endpoint}"

    @property
    def resolves_names(self) -> bool:
        """Whether the proxy looks up the names of its targets."""
        return _RESOLVES_NAMES[self.scheme]

    @property
    def protocol(self) -> str:
        """The protocol that the proxy speaks: http, socks4 or socks5."""
        return _protocol(self.scheme)

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken with the proxy itself."""
        return self.scheme == "https"

    @property
    def family(self) -> int:
        """The only address family that the proxy supports, or AF_UNSPEC."""
        return socket.AF_INET if self.protocol == "socks4" else socket.AF_UNSPEC

    def check_target(self, endpoint: Endpoint) -> None:
        """Raise `ValueError` if the proxy cannot connect to *endpoint*."""
        host = str(endpoint.host)
        if "%" in host:
            raise ValueError(
                f"host: a proxy does not support scope ids: {safe_repr(host)}"
            )
        if endpoint.address is not None:
            if self.family not in (socket.AF_UNSPEC, endpoint.address.family):
                text = f"{self.scheme} does not support IPv6, use socks5 or http"
                raise ValueError(f"host: {text}: {safe_repr(host)}")
        elif self.resolves_names and not _NAME.fullmatch(ascii_name(host)):
            text = "neither a name nor an address that a proxy knows"
            raise ValueError(f"host: {text}: {safe_repr(host)}")


def _protocol(scheme: str) -> str:
    return "http" if scheme == "https" else scheme[:6]


def ascii_name(host: str) -> str:
    """Return *host* in the ASCII form that proxies take (IDNA 2003)."""
    return host.encode("idna").decode("ascii")


class ProxyURL(str):
    """The URL of a proxy.  Its `repr`, which tracebacks show, has no credentials."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(repr(_parse_hop(self)))


def checked_proxy(proxy: object) -> ProxyURL | tuple[ProxyURL, ...]:
    """Check *proxy*, a URL or a sequence of URLs, and return it as `ProxyURL`.

    Raises:
        ValueError, TypeError: A URL cannot work, or there is none.  No frame of the
            traceback holds a URL.
    """
    try:
        urls = _proxy_urls(proxy)
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
    """Return the proxies of *urls*, a URL or a sequence of URLs, in order.

    Raises:
        ValueError: A URL cannot work.
    """
    return tuple(map(_parse_hop, (urls,) if isinstance(urls, str) else urls))


def _proxy_urls(proxy: object) -> ProxyURL | tuple[ProxyURL, ...]:
    if isinstance(proxy, str):
        return ProxyURL(proxy)
    if isinstance(proxy, bytes) or not isinstance(proxy, Sequence):
        text = f"a URL, or several, not {type(proxy).__name__}"
        raise TypeError(f"proxy must be {text}")
    # map() checks each item as it comes: a range of millions fails at its first item.
    urls = tuple(map(_proxy_url, cast("Sequence[object]", proxy)))
    if not urls:
        raise ValueError("proxy is empty: there is nothing to connect through")
    return urls


def _proxy_url(url: object) -> ProxyURL:
    if not isinstance(url, str):
        raise TypeError(f"proxy must be a URL, not {type(url).__name__}")
    return ProxyURL(url)


def _check_chain(hops: Sequence[Hop]) -> None:
    for hop, following in pairwise(hops):
        hop.check_target(following.endpoint)
    if sum(hop.is_secure for hop in hops) > 1:
        raise ValueError("proxy: only one proxy of a chain can be https://")


def _parse_hop(url: str) -> Hop:
    match = _URL.fullmatch(url)
    if match is None:
        text = "in user and password all but letters and digits is written %XX"
        raise ValueError(f"proxy is no URL like {_URL_FORM}; {text}")
    scheme = match["scheme"].lower()
    if scheme not in _RESOLVES_NAMES:
        known = ", ".join(SCHEMES)
        raise ValueError(f"proxy: the scheme {scheme[:20]} is none of {known}")
    endpoint = _parse_endpoint(match["host"], match["port"])
    if endpoint is None:
        text = "the host or the port is missing, or cannot be one"
        raise ValueError(f"proxy: {text}; write {scheme}://host:port")
    return Hop(scheme, endpoint, *_parse_credentials(scheme, match["credentials"]))


def _parse_endpoint(host: str, port: str | None) -> Endpoint | None:
    bare = host.strip("[]")
    try:
        number = check_port(port)
        endpoint = endpoint_from_host(_DEFAULT, check_host(bare), number)
    except (TypeError, ValueError):
        return None
    is_number = str(port).isdecimal() and number
    is_literal = endpoint.address is not None and ":" in bare
    return endpoint if is_number and is_literal == (bare != host) else None


def _parse_credentials(scheme: str, text: str | None) -> tuple[bytes, bytes]:
    if text is None:
        return b"", b""
    given = b"\0".join(map(_percent_decoded, text.split(":", 1)))
    pattern, needs = _CREDENTIALS[_protocol(scheme)]
    if not re.fullmatch(pattern, given):
        raise ValueError(f"proxy: {scheme} takes {needs}, or nothing before the host")
    user, _, password = given.partition(b"\0")
    return user, password


def _percent_decoded(text: str) -> bytes:
    """Return the octets of *text*, or a newline, which no proxy takes, if it is bad.

    Escapes are decoded.  The result has to be UTF-8.
    """
    try:
        octets = unquote_to_bytes(text)
        octets.decode()
    except UnicodeError:
        return b"\n"
    return b"\n" if _BAD_ESCAPE.search(text) else octets

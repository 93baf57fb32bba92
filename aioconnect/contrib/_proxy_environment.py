"""Decide by the environment which proxy to use for a target, as curl does.

Pure.  The environment is an argument.  An error names a variable, and quotes nothing of
its value, which may have a password.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping

from .._sansio.hosts import numeric_address
from ._proxy_url import SCHEMES, ProxyURL, ascii_name, checked_proxy

__all__ = ["Variables", "bypasses_proxy", "check_environment", "proxy_for"]

# Not HTTP_PROXY: a CGI server sets it to what a request's header "Proxy" has (httpoxy).
_VARIABLES = {
    "https": ("https_proxy", "HTTPS_PROXY"),
    "http": ("http_proxy",),
    "all": ("all_proxy", "ALL_PROXY"),
}

# curl's default ports, where a URL has none.
_DEFAULT_PORT, _DEFAULT_HTTPS_PORT = 1080, 443

_URL = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<user>[^@/]*@)?"
    r"(?P<host>\[[^]]*\]|[^:/\[]+)(?P<port>:\d+)?/?",
    re.IGNORECASE,
)


class Variables:
    """The variables of *environment*.  The `repr`, which tracebacks show, has none."""

    __slots__ = ("_environment",)

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, name: str) -> str:
        """Return the value of the variable *name*: empty, if it is not set."""
        return self._environment.get(name, "")


def proxy_for(
    variables: Variables, host: str, port: int, *, is_tls: bool
) -> ProxyURL | None:
    """Return the URL of the proxy for *host* and *port*, or None for no proxy.

    *is_tls* tells whether TLS is spoken with the target.

    Raises:
        ValueError: The variable that counts has no proxy's URL.
    """
    name = _variable(variables, host, port, is_tls)
    return None if name is None else _url_in(variables, name)


def check_environment(variables: Variables) -> None:
    """Raise `ValueError` if a variable that may count has no proxy's URL."""
    for names in _VARIABLES.values():
        name = _first_set(variables, names)
        if name is not None:
            _url_in(variables, name)


def _variable(variables: Variables, host: str, port: int, is_tls: bool) -> str | None:
    """Return the name of the variable that counts, if any."""
    excluded = _first_set(variables, ("no_proxy", "NO_PROXY"))
    if excluded is not None and bypasses_proxy(variables.get(excluded), host):
        return None
    kind = "https" if is_tls or port == 443 else "http" if port == 80 else "all"
    return _first_set(variables, _VARIABLES[kind] + _VARIABLES["all"])


def _first_set(variables: Variables, names: tuple[str, ...]) -> str | None:
    """Return the first of *names* that is set to something: an empty one is not."""
    return next((name for name in names if variables.get(name)), None)


def bypasses_proxy(no_proxy: str, host: str) -> bool:
    """Tell whether the value *no_proxy* of ``NO_PROXY`` names *host*.

    The rules are those of curl 8 (lib/noproxy.c), checked against it by the tests.
    """
    if no_proxy == "*":
        return True
    address = _address(host)
    if address is not None:
        return any(_has_address(one, address) for one in _entries(no_proxy))
    try:
        name = ascii_name(host)
    except UnicodeError:
        return False
    name = name.lower().removesuffix(".")
    domains = (one.lower().removesuffix(".") for one in _entries(no_proxy))
    return any(_is_within(name, domain.removeprefix(".")) for domain in domains)


def _entries(no_proxy: str) -> Iterator[str]:
    """Yield the entries, up to the first that blanks separate from the next one."""
    for part in no_proxy.split(","):
        words = part.strip(" \t").replace("\t", " ").split(" ")
        if words[0]:
            yield words[0]
        if len(words) > 1:
            return


def _is_within(name: str, domain: str) -> bool:
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


_AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _AnyAddress | None:
    known = numeric_address(host.partition("%")[0], 0)
    if known is None or known.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return ipaddress.ip_address(str(known.sockaddr[0]))


def _has_address(entry: str, address: _AnyAddress) -> bool:
    """Tell whether *entry*, an address or a network, has *address* in it."""
    network, slash, bits = entry.partition("/")
    if slash and not (bits.isascii() and bits.isdecimal()):
        return False
    try:
        base = ipaddress.ip_address(network)
    except ValueError:
        return False
    # A length of 0 stands for one address in curl, and not for all of them.
    length = int(bits[-4:] or 0) or address.max_prefixlen
    if base.version != address.version or length > address.max_prefixlen:
        return False
    unused = address.max_prefixlen - length
    return int(base) >> unused == int(address) >> unused


def _url_in(variables: Variables, name: str) -> ProxyURL:
    """Return the URL in the variable *name*, with a scheme and a port."""
    failure = ""
    try:
        return _complete_url(variables.get(name))
    except ValueError as exc:
        failure = str(exc)
    # Not inside the except block: the frames of the first error hold the value.
    raise ValueError(f"environment variable {name}: {failure}")


def _complete_url(value: str) -> ProxyURL:
    try:
        match = _URL.fullmatch(value)
        if match is None:
            raise ValueError("it is not a URL like scheme://user:password@host:port")
        scheme = (match["scheme"] or "http").lower()
        scheme = "socks4" if scheme == "socks" else scheme
        if scheme not in SCHEMES:
            # It is not quoted: it may be a part of the password.
            raise ValueError(f"its scheme is none of {', '.join(SCHEMES)}")
        user = match["user"] or ""
        if user and ":" not in user and not scheme.startswith("socks4"):
            user = f"{user[:-1]}:@"  # without a password, it is empty
        default = _DEFAULT_HTTPS_PORT if scheme == "https" else _DEFAULT_PORT
        port = match["port"] or f":{default}"
        url = checked_proxy(f"{scheme}://{user}{match['host']}{port}")
        assert isinstance(url, ProxyURL)
        return url
    finally:
        del value

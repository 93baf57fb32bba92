"""Read and write the URLs of services: ``postgres://db``, ``https://web/health``.

The scheme says what the service is asked.  No URL has a password: no check uses one,
and no error quotes one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .target_text import (
    CheckPort,
    TargetSyntaxError,
    check_target_host,
    join_host_port,
    parse_host_and_port,
    reporting_syntax,
)
from .text import escape, redacted_repr, safe_repr

__all__ = [
    "HTTP_SCHEMES",
    "TLS_SCHEMES",
    "ServiceURL",
    "check_authority",
    "check_path",
    "has_service_scheme",
    "parse_service_url",
]

# The schemes, each with its usual port, if it has one.
_USUAL_PORTS = {
    "amqp": 5672,
    "amqps": 5671,
    "dns": None,
    "http": 80,
    "https": 443,
    "kafka": 9092,
    "mysql": 3306,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "tls": None,
}

# These only say how to connect, and `parse_target` reads them.
_PLAIN = ("tcp", "unix")

HTTP_SCHEMES = ("http", "https")
TLS_SCHEMES = ("amqps", "https", "rediss", "tls")

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)

# RFC 9112, section 3.2.1, without the characters that RFC 3986 wants escaped.
_CHARACTERS = r"A-Za-z0-9._~!$&'()*+,;=:@%/-"
_PATH = re.compile(rf"/[{_CHARACTERS}]*(\?[?{_CHARACTERS}]*)?")

# RFC 9110, section 7.2: the value of Host.
_AUTHORITY = re.compile(r"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class ServiceURL(NamedTuple):
    """A service: its *scheme* says what it is asked, and *path* of what (HTTP only).

    ``dns`` has no *port*: the name is looked up, and nothing is connected.
    """

    scheme: str
    host: str
    port: int | None
    path: str = ""

    def __str__(self) -> str:
        """Return the URL, with the port, and without the query: it may be secret."""
        path, has_query, _ = self.path.partition("?")
        # As `redact_urls` shows a URL.  It would cut this again after a ?.
        shown = escape(f"{path}{'...' if has_query else ''}")
        if self.port is None:
            return f"{self.scheme}://{escape(self.host)}"
        return f"{self.scheme}://{join_host_port(self.host, self.port)}{shown}"

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = self.host.partition("%")[0]  # a scope names an interface of this machine
        is_literal = ":" in host
        name = f"[{host}]" if is_literal else host.encode("idna").decode("ascii")
        is_usual = self.port == _USUAL_PORTS[self.scheme]
        return name if is_usual else f"{name}:{self.port}"


def has_service_scheme(text: str) -> bool:
    """Tell whether *text* is a URL, and of no plain connect: ``tcp://``, ``unix://``."""
    match = _URL.match(text)
    return match is not None and match[1].lower() not in _PLAIN


def parse_service_url(text: str, check_port: CheckPort) -> ServiceURL:
    """Return what the URL *text* says; *check_port* returns the number of a port.

    Raises:
        ValueError: It is wrong.  The message says what is wrong, and where.
    """
    with reporting_syntax(text):
        return _parse(text, check_port)


def _parse(text: str, check_port: CheckPort) -> ServiceURL:
    match = _URL.match(text)
    if match is None:
        raise TargetSyntaxError(0, "it is not a URL")
    if not text.isprintable():
        raise TargetSyntaxError(0, "there is a character that cannot be printed")
    scheme, authority, path = match[1].lower(), match[2], match[3]
    start = match.start(2)
    if scheme not in _USUAL_PORTS:
        known = ", ".join(sorted({*_USUAL_PORTS, *_PLAIN}))
        problem = f"{safe_repr(scheme)} is not a known scheme; these are: {known}"
        raise TargetSyntaxError(0, problem)
    # A password can have any character, so no other error may quote a part before @.
    if "@" in text:
        problem = "leave out the user and the password: no check uses them"
        raise TargetSyntaxError(0, f"{problem} (in a path, write @ as %40)")
    if scheme in HTTP_SCHEMES:
        try:
            path = check_path(path if path.startswith("/") else f"/{path}")
        except ValueError as exc:
            raise TargetSyntaxError(match.start(3), exc) from None
    elif path not in ("", "/"):
        shown = re.split("[?#]", path, maxsplit=1)[0]  # the query may be secret
        is_needless = shown not in ("", "/")
        more = safe_repr(shown) if is_needless else f"what follows {path[len(shown)]}"
        end = "the name" if scheme == "dns" else "host and port"
        problem = f"{scheme}:// ends after {end}: leave out {more}"
        raise TargetSyntaxError(match.start(3), problem)
    else:
        path = ""
    if scheme == "dns":
        return ServiceURL(scheme, _name(authority, start), None)
    host, port = _host_and_port(scheme, authority, start, check_port)
    url = ServiceURL(scheme, host, port, path)
    if scheme in HTTP_SCHEMES:
        _check_name_for_http(url, start)
    return url


def _check_name_for_http(url: ServiceURL, start: int) -> None:
    try:
        check_authority(url.authority)
    except ValueError:
        # IDNA makes ASCII of some characters: "a/c" of U+2100.
        problem = f"host: {safe_repr(url.host)} is no name in a URL"
        raise TargetSyntaxError(start, problem) from None


def _host_and_port(
    scheme: str, authority: str, start: int, check_port: CheckPort
) -> tuple[str, int]:
    usual = _USUAL_PORTS[scheme]
    # RFC 6874: the % before a scope is written %25.
    authority = re.sub(r"^(\[[^]%]*%)25", r"\1", authority)
    has_port = ":" in authority.rpartition("]")[2]
    if not has_port and usual is not None:
        authority = f"{authority}:{usual}"
    elif not has_port:
        problem = f"the port is missing: {scheme}:// has no default port"
        raise TargetSyntaxError(start + len(authority), problem)
    host, port, *_ = parse_host_and_port(authority, start, check_port)
    assert host is not None
    assert port is not None
    if not port:
        problem = "nobody can listen on port 0"
        raise TargetSyntaxError(start + len(authority) - 1, problem)
    return host, port


def _name(authority: str, start: int) -> str:
    if ":" in authority:
        raise TargetSyntaxError(start, "a dns:// URL has only a name, without a port")
    try:
        return check_target_host(authority)
    except ValueError as exc:
        raise TargetSyntaxError(start, exc) from None


def check_path(path: str) -> str:
    """Return *path*, the path and the query of a URL as HTTP sends them.

    Raises:
        ValueError: It does not begin with a slash, or has a character to escape.
    """
    if _PATH.fullmatch(path):
        return path
    begins = "a path begins with a slash, and has letters, digits and %XX in it"
    raise ValueError(f"path: {begins}; escape other characters, and leave out a #")


def check_authority(host: object) -> None:
    """Raise unless *host* is a value for the header Host: a name, perhaps a port.

    Raises:
        ValueError: It has another form.
        TypeError: It is not a str.
    """
    if not isinstance(host, str):
        raise TypeError(f"host must be a str, not {safe_repr(host)}")
    if not _AUTHORITY.fullmatch(host):
        form = "name, name:port, [IPv6] or [IPv6]:port, in ASCII"
        raise ValueError(f"host must be {form}, not {redacted_repr(host)}")

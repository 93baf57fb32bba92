"""Read and write targets as text: ``host:5432``, ``[::1]:80``, ``unix:/run/x.sock``.

An error says at which character the text is wrong.  The text may be a URL with a
password in it: no error quotes the password.
"""

from __future__ import annotations

import contextlib
import re
import socket
import string
from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias, TypeVar

from .addresses import Address, unix_address
from .hosts import check_host, numeric_address
from .text import UNIX_PATH, printable, redacted_repr, safe_repr

__all__ = [
    "CheckPort",
    "TargetFields",
    "TargetSyntaxError",
    "check_service",
    "check_target_host",
    "join_host_port",
    "parse_host_and_port",
    "parse_target_text",
    "reporting_syntax",
]

_FORMS = (
    "host:port, [IPv6]:port, unix:/path, unix:@name, vsock:cid:port or"
    " srv:_service._proto.name"
)

# A host name has none of these.  A URL or a list of hosts has.
_NOT_IN_NAMES = set(string.punctuation) - set("-._")

# Other programs write this before a host and a port.
_TCP = "tcp://"

# A group of an IPv6 address.
_HEXADECIMAL = r"[0-9a-fA-F]*"

# RFC 2782: "_Service._Proto.Name".
_SERVICE = r"_[^.:]+\._[^.:]+\.[^.:][^:]*"

T = TypeVar("T")

CheckPort: TypeAlias = Callable[[str], int]


class TargetFields(NamedTuple):
    """The fields of a `Target`, as a text gives them."""

    host: str | None = None
    port: int | None = None
    address: Address | None = None
    service: str | None = None


def join_host_port(host: str, port: int) -> str:
    """Return *host* and *port* as the text of a target."""
    # The brackets also mark a host whose name is that of a kind of target.
    is_bare = ":" not in host and host not in _PARSERS
    text = printable(host)
    return f"{text}:{port}" if is_bare else f"[{text}]:{port}"


def check_target_host(host: object) -> str:
    """Return *host* as `check_host` does, if it is a plain name or an IP address.

    Raises:
        ValueError: It has punctuation that no name has, or `check_host` refuses it.
        TypeError: It is neither str nor bytes.
    """
    name = check_host(host)
    is_number = ":" in name and numeric_address(name.partition("%")[0], 0) is not None
    if not is_number and not _NOT_IN_NAMES.isdisjoint(name):
        text = "is neither a name nor an IPv6 address"
        raise ValueError(f"host: {redacted_repr(name)} {text}")
    return name


def check_service(service: object) -> str:
    """Return *service*, which has the form ``_service._proto.name``, as text.

    Raises:
        ValueError: It has another form, or `check_host` refuses it.
        TypeError: It is neither str nor bytes.
    """
    if isinstance(service, str) and not re.fullmatch(_SERVICE, service):
        raise ValueError(
            f"a service is _service._proto.name, not {redacted_repr(service)}"
        )
    return check_host(service)


def parse_target_text(text: str, check_port: CheckPort) -> TargetFields:
    """Return what the target *text* says; *check_port* returns the number of a port.

    Raises:
        ValueError: The text is wrong; the message says what is wrong, and where.
    """
    with reporting_syntax(text):
        return _parse(text, check_port)


@contextlib.contextmanager
def reporting_syntax(text: str) -> Generator[None]:
    """Turn a `TargetSyntaxError` within into the `ValueError` about all of *text*."""
    try:
        yield
    except TargetSyntaxError as exc:
        target = redacted_repr(text)
        raise ValueError(
            f"target {target}, character {exc.position + 1}: {exc.text}"
        ) from None


class TargetSyntaxError(Exception):
    """The text is wrong at *position*, counted from 0: see `reporting_syntax`."""

    def __init__(self, position: int, text: object) -> None:
        super().__init__(position, text)
        self.position = position
        self.text = text


def _parse(text: str, check_port: CheckPort) -> TargetFields:
    kind, colon, rest = text.partition(":")
    if not text.isprintable():
        position, character = next(
            (position, character)
            for position, character in enumerate(text)
            if not character.isprintable()
        )
        raise TargetSyntaxError(
            position, f"{safe_repr(character)} cannot be in a target's text"
        )
    if _may_have_secrets(text):
        # This comes first, because the other errors quote the part that is wrong.
        raise TargetSyntaxError(
            0, f"leave out user, password and query; a target is {_FORMS}"
        )
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest, len(kind) + 1)
    if text.startswith(_TCP):
        # Programs that join URLs end one without a path with a slash.
        rest = text[len(_TCP) :].removesuffix("/")
        return parse_host_and_port(rest, len(_TCP), check_port)
    return parse_host_and_port(text, 0, check_port)


def _may_have_secrets(text: str) -> bool:
    if UNIX_PATH.match(text):
        return False
    # After unix:// the third slash begins the path: there is no user before it.
    has_user = "@" in text and not text.startswith("unix:///")
    return has_user or "?" in text


# In the parsers, *start* is the position of *text* in the text of the target.


def parse_host_and_port(text: str, start: int, check_port: CheckPort) -> TargetFields:
    """Return the host and the port of *text*, ``host:port`` or ``[IPv6]:port``.

    Raises:
        TargetSyntaxError: It is wrong.
    """
    is_bracketed = text.startswith("[")
    split = _split_bracketed if is_bracketed else _split_bare
    host, port, port_start = split(text, start)
    _check(check_target_host, host, start + is_bracketed)
    if not port:
        raise TargetSyntaxError(port_start, "the port is missing")
    return TargetFields(host, _check(check_port, port, port_start))


def _split_bracketed(text: str, start: int) -> tuple[str, str, int]:
    """Return the host, the port, and the position of the port, of ``[host]:port``."""
    host, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise TargetSyntaxError(start + len(text), "the ] is missing")
    if ":" not in host and host not in _PARSERS:
        raise TargetSyntaxError(start + 1, f"{safe_repr(host)} is not an IPv6 address")
    if not rest.startswith(":"):
        position = start + len(host) + 2
        raise TargetSyntaxError(position, "a port has to follow: [host]:port")
    return host, rest[1:], start + len(host) + 3


def _split_bare(text: str, start: int) -> tuple[str, str, int]:
    """Return the host, the port, and the position of the port, of ``host:port``."""
    host, colon, port = text.rpartition(":")
    if text.startswith("/"):
        raise TargetSyntaxError(start, f"write a path as unix:{safe_repr(text)[1:-1]}")
    if not colon:
        position = start + len(text)
        raise TargetSyntaxError(position, f"a port is missing; a target is {_FORMS}")
    kind = text.partition(":")[0]
    # After tcp:// there is only a host, even if it has the name of a kind.
    is_kind = not start and (port.startswith("//") or kind.lower() in _PARSERS)
    if is_kind or (":" in host and not re.fullmatch(_HEXADECIMAL, kind)):
        text = f"{safe_repr(kind)} is not a kind of target; a target is {_FORMS}"
        if port.startswith("//"):
            text += "; wait_until_up also takes the URL of a service"
        raise TargetSyntaxError(start, text)
    if ":" in host:
        raise TargetSyntaxError(start, "an IPv6 address goes in brackets: [host]:port")
    return host, port, start + len(host) + 1


def _unix(path: str, start: int) -> TargetFields:
    if path == "@":
        raise TargetSyntaxError(start + 1, "the abstract name is empty")
    name = f"\0{path[1:]}" if path.startswith("@") else path
    return TargetFields(address=_check(unix_address, name, start))


def _vsock(text: str, start: int) -> TargetFields:
    family: int | None = getattr(socket, "AF_VSOCK", None)
    if family is None:
        raise TargetSyntaxError(0, "this system has no vsock")
    cid, colon, port = text.partition(":")
    if not colon:
        raise TargetSyntaxError(start + len(text), "it is vsock:cid:port")
    cid_number = _vsock_number(cid, start)
    port_number = _vsock_number(port, start + len(cid) + 1)
    return TargetFields(address=Address(family, (cid_number, port_number)))


def _vsock_number(text: str, start: int) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 10
    if not is_number or int(text) >= 2**32:
        message = f"{safe_repr(text)} is not between 0 and 2**32 - 1"
        raise TargetSyntaxError(start, message)
    return int(text)


def _srv(service: str, start: int) -> TargetFields:
    return TargetFields(service=_check(check_service, service, start))


_PARSERS = {"unix": _unix, "vsock": _vsock, "srv": _srv}


def _check(check: Callable[[str], T], value: str, start: int) -> T:
    try:
        return check(value)
    except ValueError as exc:
        raise TargetSyntaxError(start, exc) from None

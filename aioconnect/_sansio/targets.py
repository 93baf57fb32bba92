"""Say where to connect as text: ``host:5432``, ``[::1]:80``, ``unix:/run/x.sock``.

Pure: nothing is resolved here.  What is wrong with a text is said with the place
where it is.  It may be a URL that has a password in it: that is never said.
"""

from __future__ import annotations

import functools
import itertools
import re
import socket
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from .addresses import (
    Address,
    check_address,
    check_host,
    check_port,
    numeric_address,
    unix_address,
)
from .text import PATH, printable, redacted_repr, safe_repr

__all__ = [
    "AnyTarget",
    "Target",
    "check_targets",
    "iter_targets",
    "join_host_port",
    "parse_target",
]

_FORMS = (
    "host:port, [IPv6]:port, unix:/path, unix:@name, vsock:cid:port or"
    " srv:_service._proto.name"
)

# What is in no host's name, and in what is mistaken for one: a URL, a list.
_NO_NAME = set(string.punctuation) - set("-._")

# What other programs write before a host and a port.
_TCP = "tcp://"

# A group of an IPv6 address.
_HEXADECIMAL = r"[0-9a-fA-F]*"

# RFC 2782: "_Service._Proto.Name".
_SERVICE = r"_[^.:]+\._[^.:]+\.[^.:][^:]*"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, as a value: `parse_target` makes one of a text, ``str`` back.

    It is one of three: a *host* (a name, or an address in numbers) and a *port*; an
    *address* that is no matter of names, of a Unix or a vsock socket; or a *service*,
    ``_service._proto.name``, whose SRV records say where (RFC 2782).

    Raises:
        ValueError, TypeError: It is not one of the three, or cannot work.
    """

    host: str | None = None
    port: int | None = None
    address: Address | None = None
    service: str | None = None

    def __post_init__(self) -> None:
        given = (self.host, self.address, self.service)
        if sum(one is not None for one in given) != 1:
            raise ValueError("a target is a host and a port, an address, or a service")
        if (self.host is None) != (self.port is None):
            raise ValueError("a host and a port go together")
        if self.host is not None:
            # Checked, and in the one form that compares.
            object.__setattr__(self, "host", _check_said(self.host))
            object.__setattr__(self, "port", check_port(self.port))
        if self.address is not None:
            object.__setattr__(self, "address", check_address(self.address))
        if self.service is not None:
            object.__setattr__(self, "service", _check_service(self.service))

    def __str__(self) -> str:
        if self.service is not None:
            return printable(f"srv:{self.service}")
        if self.address is not None:
            return str(self.address)
        assert self.host is not None
        assert self.port is not None
        return join_host_port(self.host, self.port)


def join_host_port(host: str, port: int) -> str:
    """Return *host* and *port* as the text of a target."""
    # A host can have the name of a kind of target, too.
    is_bare = ":" not in host and host not in _PARSERS
    said = printable(host)
    return f"{said}:{port}" if is_bare else f"[{said}]:{port}"


def _check_said(host: object) -> str:
    """Return *host* as text that says nothing but a host: a name, or in numbers."""
    name = check_host(host)
    is_number = ":" in name and numeric_address(name.partition("%")[0], 0) is not None
    if not is_number and not _NO_NAME.isdisjoint(name):
        text = "is neither a name nor an IPv6 address"
        raise ValueError(f"host: {redacted_repr(name)} {text}")
    return name


def _check_service(service: object) -> str:
    if isinstance(service, str) and not re.fullmatch(_SERVICE, service):
        raise ValueError(
            f"a service is _service._proto.name, not {redacted_repr(service)}"
        )
    return check_host(service)


def parse_target(text: str) -> Target:
    """Return the `Target` that *text* says.

    It is ``host:port``, ``[IPv6]:port``, ``unix:/path``, ``unix:@abstract``,
    ``vsock:cid:port`` or ``srv:_service._proto.name``; a port is a number or a
    service's name.  ``tcp://host:port`` says the same as ``host:port``.

    Raises:
        ValueError: It is none of these; the text says what is wrong, and where.  It
            leaves out what may be a password, if *text* looks like a URL.
        TypeError: *text* is no str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a target must be a str, not {redacted_repr(text)}")
    try:
        return _parsed(text)
    except _Wrong as exc:
        said = redacted_repr(text)
        raise ValueError(f"target {said}, character {exc.at + 1}: {exc.text}") from None


def _parsed(text: str) -> Target:
    kind, colon, rest = text.partition(":")
    if not text.isprintable():
        at, wrong = next(one for one in enumerate(text) if not one[1].isprintable())
        raise _Wrong(at, f"{safe_repr(wrong)} cannot be in a target's text")
    if _has_secrets(text):
        # Checked first: the other errors quote the part that is wrong.
        raise _Wrong(0, f"a target has no user, password or query; it is {_FORMS}")
    if colon and kind in _PARSERS:
        return _PARSERS[kind](rest, len(kind) + 1)
    if text.startswith(_TCP):
        # Programs that join URLs end one without a path with a slash.
        return _host_and_port(text[len(_TCP) :].removesuffix("/"), len(_TCP))
    return _host_and_port(text, 0)


def _has_secrets(text: str) -> bool:
    if PATH.match(text):
        return False
    # The third slash begins the path, and nobody's name comes before it.
    has_user = "@" in text and not text.startswith("unix:///")
    return has_user or "?" in text


class _Wrong(Exception):  # noqa: N818  # it does not leave this module
    """What is wrong, and from which character on."""

    def __init__(self, at: int, text: object) -> None:
        super().__init__(at, text)
        self.at = at
        self.text = text


def _host_and_port(text: str, at: int) -> Target:
    """Return the target of ``host:port``, which begins at character *at*."""
    is_bracketed = text.startswith("[")
    host, port, port_at = (_bracketed if is_bracketed else _bare)(text, at)
    _check(_check_said, host, at + is_bracketed)
    if not port:
        raise _Wrong(port_at, "the port is missing")
    return Target(host, _check(check_port, port, port_at))


def _bracketed(text: str, at: int) -> tuple[str, str, int]:
    """Return the host, the port, and where that begins, of ``[host]:port``."""
    host, bracket, rest = text[1:].partition("]")
    if not bracket:
        raise _Wrong(at + len(text), "the ] is missing")
    if ":" not in host and host not in _PARSERS:
        raise _Wrong(at + 1, f"{safe_repr(host)} is no IPv6 address")
    if not rest.startswith(":"):
        raise _Wrong(at + len(host) + 2, "a port has to follow: [host]:port")
    return host, rest[1:], at + len(host) + 3


def _bare(text: str, at: int) -> tuple[str, str, int]:
    """Return the host, the port, and where that begins, of ``host:port``."""
    host, colon, port = text.rpartition(":")
    if text.startswith("/"):
        raise _Wrong(at, f"a path is unix:{safe_repr(text)[1:-1]}")
    if not colon:
        raise _Wrong(at + len(text), f"a port is missing; a target is {_FORMS}")
    kind = text.partition(":")[0]
    # Behind tcp:// the name of a kind is a host's.
    is_kind = not at and (port.startswith("//") or kind.lower() in _PARSERS)
    if is_kind or (":" in host and not re.fullmatch(_HEXADECIMAL, kind)):
        raise _Wrong(at, f"{safe_repr(kind)} is no kind of target; it is {_FORMS}")
    if ":" in host:
        raise _Wrong(at, "an IPv6 address goes in brackets: [host]:port")
    return host, port, at + len(host) + 1


def _unix(path: str, at: int) -> Target:
    if path == "@":
        raise _Wrong(at + 1, "the abstract name is empty")
    name = f"\0{path[1:]}" if path.startswith("@") else path
    return Target(address=_check(unix_address, name, at))


def _vsock(text: str, at: int) -> Target:
    family: int | None = getattr(socket, "AF_VSOCK", None)
    if family is None:
        raise _Wrong(0, "this system has no vsock")
    cid, colon, port = text.partition(":")
    if not colon:
        raise _Wrong(at + len(text), "it is vsock:cid:port")
    numbers: list[int] = []
    for number in (cid, port):
        is_number = number.isascii() and number.isdecimal() and len(number) <= 10
        if not is_number or int(number) >= 2**32:
            raise _Wrong(at, f"{safe_repr(number)} is not between 0 and 2**32 - 1")
        numbers.append(int(number))
        at += len(number) + 1
    return Target(address=Address(family, (numbers[0], numbers[1])))


def _srv(service: str, at: int) -> Target:
    return Target(service=_check(_check_service, service, at))


_PARSERS = {"unix": _unix, "vsock": _vsock, "srv": _srv}

T = TypeVar("T")


def _check(check: Callable[[str], T], value: str, at: int) -> T:
    try:
        return check(value)
    except ValueError as exc:
        raise _Wrong(at, exc) from None


# What `connect_any` takes for a target.
AnyTarget: TypeAlias = Target | Address | str | tuple[str, int | str]


def check_targets(targets: object) -> tuple[Target, ...]:
    """Return *targets*, each a `Target`, an `Address`, a text or ``(host, port)``.

    Raises:
        ValueError, TypeError: One of them is none, or there is none at all.
    """
    return tuple(iter_targets(targets))


def iter_targets(targets: object) -> Iterator[Target]:
    """Give what `check_targets` returns one by one, each checked when it is taken.

    Raises what that does.
    """
    is_one = isinstance(targets, str | bytes | Target | Address) or _is_pair(targets)
    if is_one or not isinstance(targets, Iterable):
        raise TypeError(
            f"targets must be a list of targets, not {redacted_repr(targets)}"
        )
    # A range of millions ends at the first, which is no target.
    rest = map(_target, cast("Iterable[object]", targets))
    first = next(rest, None)
    if first is None:
        raise ValueError("targets is empty: there is nothing to connect to")
    return itertools.chain((first,), rest)


# For the same reason as `numeric_address`: a client connects to few, many times.
@functools.lru_cache(maxsize=512)
def _at(address: Address) -> Target:
    return Target(address=address)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(cast("tuple[object, ...]", value)) == 2
        and isinstance(value[1], int)
    )


def _shown_wrong(value: object) -> str:
    if not isinstance(value, tuple | list):
        return redacted_repr(value)
    # One of the members may be a password.
    members = cast("Sequence[object]", value)
    return f"a {type(members).__name__} of {len(members)}"


def _target(value: object) -> Target:
    if isinstance(value, Target):
        if type(value) is Target:
            return value
        return Target(value.host, value.port, value.address, value.service)
    if isinstance(value, Address):
        return _at(check_address(value))
    if isinstance(value, str):
        return parse_target(value)
    pair = cast("Sequence[Any]", value) if isinstance(value, tuple | list) else ()
    if len(pair) != 2:
        text = "a text, (host, port), a Target or an Address"
        said = _shown_wrong(cast("object", value))
        raise TypeError(f"a target must be {text}, not {said}")
    return Target(pair[0], check_port(pair[1]))

"""Represent targets: values that say where to connect.

This module stands above `_sansio` because a target's port may be the name of a
service, which only the system's own table can tell.  It resolves no host.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from .._sansio.addresses import Address, check_address
from .._sansio.target_text import (
    check_service,
    check_target_host,
    join_host_port,
    parse_target_text,
)
from .._sansio.text import printable, redacted_repr
from .resolver import check_port

__all__ = [
    "AnyTarget",
    "Target",
    "as_target",
    "check_targets",
    "iter_targets",
    "parse_target",
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, as a value; `parse_target` makes one from a text.

    A target is one of three: a *host* (a name or a numeric address) with a *port*; an
    *address* that needs no look-up, of a Unix or a vsock socket; or a *service*,
    ``_service._proto.name``, whose SRV records say where to connect (RFC 2782).
    ``str`` returns the text of a target.

    Raises:
        ValueError, TypeError: The arguments are not one of the three, or cannot work.
    """

    host: str | None = None
    port: int | None = None
    address: Address | None = None
    service: str | None = None

    def __post_init__(self) -> None:
        alternatives = (self.host, self.address, self.service)
        if sum(value is not None for value in alternatives) != 1:
            raise ValueError("a target is a host and a port, an address, or a service")
        if (self.host is None) != (self.port is None):
            raise ValueError("a host and a port go together")
        if self.host is not None:
            # In the one form that compares.
            object.__setattr__(self, "host", check_target_host(self.host))
            object.__setattr__(self, "port", check_port(self.port))
        if self.address is not None:
            object.__setattr__(self, "address", check_address(self.address))
        if self.service is not None:
            object.__setattr__(self, "service", check_service(self.service))

    def __str__(self) -> str:
        if self.service is not None:
            return printable(f"srv:{self.service}")
        if self.address is not None:
            return str(self.address)
        assert self.host is not None
        assert self.port is not None
        return join_host_port(self.host, self.port)


def parse_target(text: str) -> Target:
    """Return the `Target` that *text* describes.

    The forms are ``host:port``, ``[IPv6]:port``, ``unix:/path``, ``unix:@abstract``,
    ``vsock:cid:port`` and ``srv:_service._proto.name``.  A port is a number or the
    name of a service.  ``tcp://host:port`` means the same as ``host:port``.

    Raises:
        ValueError: *text* has none of these forms.  The message says what is wrong,
            and where.  If *text* looks like a URL, the message leaves out the part
            that may be a password.
        TypeError: *text* is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"a target must be a str, not {redacted_repr(text)}")
    return Target(*parse_target_text(text, check_port))


# What `connect_any` takes as a target.
AnyTarget: TypeAlias = Target | Address | str | tuple[str, int | str]


def check_targets(targets: object) -> tuple[Target, ...]:
    """Return *targets*, each a `Target`, an `Address`, a text or ``(host, port)``.

    Raises:
        ValueError, TypeError: One of them is not a target, or there are none at all.
    """
    return tuple(iter_targets(targets))


def iter_targets(targets: object) -> Iterator[Target]:
    """Yield what `check_targets` returns, and check each target when it is taken.

    Only the first is checked at once.  Raises what `check_targets` does.
    """
    is_one = isinstance(targets, str | bytes | Target | Address) or _is_pair(targets)
    if is_one or not isinstance(targets, Iterable):
        raise TypeError(
            f"targets must be a list of targets, not {redacted_repr(targets)}"
        )
    # Lazily: a range of millions of numbers fails at its first.
    checked = map(as_target, cast("Iterable[object]", targets))
    first = next(checked, None)
    if first is None:
        raise ValueError("targets is empty: there is nothing to connect to")
    return itertools.chain((first,), checked)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(cast("tuple[object, ...]", value)) == 2
        and isinstance(value[1], int)
    )


def as_target(value: object) -> Target:
    """Return *value*, a `Target`, an `Address`, a text or ``(host, port)``, as target.

    Raises:
        ValueError, TypeError: It is not a target.
    """
    if isinstance(value, Target):
        if type(value) is Target:
            return value
        return Target(value.host, value.port, value.address, value.service)
    if isinstance(value, Address):
        return _target_at(check_address(value))
    if isinstance(value, str):
        return parse_target(value)
    pair = cast("Sequence[Any]", value) if isinstance(value, tuple | list) else ()
    if len(pair) != 2:
        forms = "a text, (host, port), a Target or an Address"
        description = _describe(cast("object", value))
        raise TypeError(f"a target must be {forms}, not {description}")
    return Target(pair[0], check_port(pair[1]))


# A client connects to few addresses, many times.
@functools.lru_cache(maxsize=512)
def _target_at(address: Address) -> Target:
    return Target(address=address)


def _describe(value: object) -> str:
    if not isinstance(value, tuple | list):
        return redacted_repr(value)
    # One of the members may be a password.
    members = cast("Sequence[object]", value)
    return f"a {type(members).__name__} of {len(members)}"

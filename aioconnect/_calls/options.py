"""Check the options of a connect, once, when they are given.

Each check returns the value in the one form that the rest of the
package works with, or raises an error that names the option.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import socket
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, cast

from .._io import connect_outcome as _outcome
from .._io.connect_outcome import Outcome
from .._io.resolver import Resolver, system_resolver
from .._io.service_names import check_port
from .._io.sockets import Prepare
from .._io.targets import Target
from .._sansio.checks import check_count, check_duration, explains_misuse
from .._sansio.endpoints import Endpoint, endpoint_at
from .._sansio.error_predicates import is_transient
from .._sansio.hosts import LONGEST_NAME, check_host, numeric_address
from .._sansio.text import redacted_repr, safe_repr
from .hooks import check_function, check_prepare, check_ready, check_synchronous
from .observing import Observer, events
from .ready import Ready

if TYPE_CHECKING:
    from .._sansio.ip_filter import Allow
else:
    Allow = Callable[[Any, int], bool]  # to who asks at run time

__all__ = [
    "ConnectorOptions",
    "LocalAddr",
    "Options",
    "WaitOptions",
    "check_local_addr",
    "endpoint_of_target",
]

# So many delays of a range are looked at when it is given, and all of a list.
_CHECKED = 100

LocalAddr: TypeAlias = tuple[str, int] | Sequence[tuple[str, int]]


class WaitOptions(TypedDict, total=False):
    """The fields of `Connector` but the timeout, as keyword arguments."""

    attempt_timeout: float | None
    retry: Iterable[float]
    retry_on: Callable[[OSError], bool]
    happy_eyeballs_delay: float | None
    interleave: int | None
    resolution_delay: float
    family: int
    proto: int
    flags: int
    local_addr: LocalAddr | None
    resolver: Resolver
    allow: Allow | None
    prepare: Sequence[Prepare]
    ready: Ready | None
    outcome: Outcome
    observer: Observer | None


class ConnectorOptions(WaitOptions, total=False):
    """The fields of `Connector`, as the keyword arguments of the functions."""

    timeout: float | None


@explains_misuse
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Options:
    """How to connect: the fields of `Connector`, checked when they are given."""

    timeout: float | None = None
    attempt_timeout: float | None = None
    retry: Iterable[float] = ()
    retry_on: Callable[[OSError], bool] = is_transient
    happy_eyeballs_delay: float | None = 0.25
    interleave: int | None = 1
    resolution_delay: float = 0.05
    family: int = socket.AF_UNSPEC
    proto: int = 0
    flags: int = 0
    local_addr: LocalAddr | None = None
    resolver: Resolver = system_resolver
    allow: Allow | None = None
    prepare: Sequence[Prepare] = ()
    ready: Ready | None = None
    outcome: Outcome = _outcome.default
    observer: Observer | None = None

    def __post_init__(self) -> None:
        _check_seconds("timeout", self.timeout)
        _check_seconds("attempt_timeout", self.attempt_timeout, positive=True)
        _check_seconds("happy_eyeballs_delay", self.happy_eyeballs_delay)
        check_duration("resolution_delay", self.resolution_delay)
        self._check_hooks()
        _check_family(self.family)
        check_count("proto", self.proto)
        check_count("flags", self.flags)
        if self.interleave is None:
            object.__setattr__(self, "interleave", 1)
        check_count("interleave", self.interleave)
        # Tuples, so that the value is hashable, and nobody else's list.
        object.__setattr__(self, "retry", _check_retry(self.retry))
        object.__setattr__(self, "prepare", check_prepare(self.prepare))
        if self.local_addr is not None:
            check_local_addr(self.local_addr)
            object.__setattr__(self, "local_addr", _tuples(self.local_addr))

    def _check_hooks(self) -> None:
        for name in ("retry_on", "resolver", "outcome"):
            check_function(name, getattr(self, name))
        for name in ("allow", "observer"):
            if getattr(self, name) is not None:
                check_function(name, getattr(self, name))
        if self.ready is not None:
            check_ready(self.ready)
        for name in ("retry_on", "outcome", "allow", "observer"):
            if getattr(self, name) is not None:
                check_synchronous(name, getattr(self, name))
        if self.allow is not None:
            # Before an address has to be judged: the import could fail then (K14).
            importlib.import_module("aioconnect._sansio.ip_filter")
        observer: object = self.observer
        # And the events are imported by that, if there is an observer.
        if observer is not None and observer is events.log_events:
            raise TypeError("observer: log_events needs a logger: log_events(logger)")

    def __repr__(self) -> str:
        # In a traceback it can be half made.
        values = ((f, getattr(self, f.name, f.default)) for f in fields(self))
        given = [f"{f.name}={value!r}" for f, value in values if value != f.default]
        return f"{type(self).__name__}({', '.join(given)})"

    def where(self, host: str, port: int | str) -> Endpoint:
        """Return the place that *host* and *port* are, checked."""
        number = check_port(port)
        # The cache of addresses must not keep a text that can be none.
        if type(host) is not str or len(host) > LONGEST_NAME:
            host = check_host(host)
        place = _in_numbers(host, number, self.proto)
        if place is None:
            name = check_host(host)
            if name != host:  # it had brackets
                place = _in_numbers(name, number, self.proto)
            if place is None:
                return Endpoint(name, number)
            host = name
        assert place.address is not None
        if self.family not in (socket.AF_UNSPEC, place.address.family):
            return Endpoint(host, number)  # the resolver's to say why not
        return place


def endpoint_of_target(options: Options, target: Target) -> Endpoint:
    """Return the place that *target* is to who connects with *options*."""
    if target.address is not None:
        return endpoint_at(target.address)
    if target.host is not None and target.port is not None:
        return options.where(target.host, target.port)
    # Before anything is open: with no descriptor left, the import would fail (K14).
    importlib.import_module("aioconnect._sansio.srv_records")
    return Endpoint(None, None, service=target.service)


# For the same reason as `numeric_address`: a client connects to few, many times.
@functools.lru_cache(maxsize=512)
def _in_numbers(host: str, port: int, proto: int) -> Endpoint | None:
    address = numeric_address(host, port, proto)
    return None if address is None else Endpoint(host, port, address)


def _check_seconds(name: str, value: float | None, *, positive: bool = False) -> None:
    """Check a duration that may be None, which means off."""
    if value is not None:
        check_duration(name, value, positive=positive)


def _check_retry(retry: Iterable[float]) -> Iterable[float]:
    """Check delays, which every call draws anew."""
    if isinstance(retry, Iterator):
        raise TypeError(
            f"retry must be iterable again and again, not {safe_repr(retry)}, which is"
            " used up by one call: give a tuple, or Backoff(...)"
        )
    if isinstance(retry, str | bytes) or not isinstance(retry, Iterable):
        text = f"retry must be an iterable of seconds, not {safe_repr(retry)}"
        raise TypeError(f"{text}: {_form_of_retry(retry)}")
    if not isinstance(retry, Collection):
        return retry  # perhaps without an end: each is checked when it is drawn
    # A list, an array or the like is no value; a range is, and may be long.
    is_value = isinstance(retry, Hashable) and not isinstance(retry, tuple)
    for delay in itertools.islice(retry, _CHECKED if is_value else None):
        check_duration("retry", delay)
    return retry if is_value else tuple(retry)


def _form_of_retry(retry: object) -> str:
    """Return what *retry* may be meant to say."""
    if isinstance(retry, type | bool):
        return "retry=Backoff()"
    if isinstance(retry, int):
        return f"retry=Backoff(attempts={safe_repr(retry)})"
    if isinstance(retry, float):
        return f"one delay is retry=({retry},)"
    return "retry=(0.1, 0.5), say, or retry=Backoff(attempts=3)"


def _check_family(family: object) -> None:
    """Check the address family that names are resolved for."""
    check_count("family", family)
    if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise ValueError(
            f"family must be AF_UNSPEC, AF_INET or AF_INET6, not {safe_repr(family)}"
        )


def check_local_addr(local_addr: object) -> tuple[tuple[str | None, int], ...]:
    """Return the addresses to connect from, as pairs with the port as a number."""
    given = _sequence(local_addr)
    if not given:
        raise ValueError("local_addr is empty: give None to let the kernel choose")
    # One pair, or a sequence of pairs?  A pair begins with a host.
    return tuple(map(_check_pair, (given,) if _is_host(given[0]) else given))


def _is_host(value: object) -> bool:
    return value is None or isinstance(value, str | bytes)


def _check_pair(value: object) -> tuple[str | None, int]:
    pair = _sequence(value)
    if not 2 <= len(pair) <= 4:  # what getsockname gives is taken too
        raise _not_local(value)
    try:
        # As in asyncio: no host is this machine, and no port any.
        host = None if pair[0] is None else check_host(pair[0])
        port = pair[1]
        is_any = port is None or (isinstance(port, str | bytes) and not port)
        return host, 0 if is_any else check_port(port)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"local_addr: {exc}") from None


def _sequence(value: object) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _not_local(value)
    return cast("Sequence[Any]", value)


def _not_local(value: object) -> TypeError:
    return TypeError(
        f"local_addr must be (host, port), or several, not {redacted_repr(value)}"
    )


def _tuples(local_addr: Sequence[Any]) -> tuple[Any, ...]:
    """Return what the caller gave, and was checked, without its lists."""
    if _is_host(local_addr[0]):
        return tuple(local_addr)
    return tuple(tuple(pair) for pair in local_addr)

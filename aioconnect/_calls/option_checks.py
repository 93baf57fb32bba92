"""Check the values of the options that are not functions.

Each check returns the value in the form that the package works with, or raises an error
that names the option.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, cast

from .._sansio.addresses import check_host, check_port
from .._sansio.backoff import check_duration
from .._sansio.text import redacted_repr, safe_repr

__all__ = [
    "check_count",
    "check_family",
    "check_local_addr",
    "check_optional_duration",
    "check_retry",
    "without_lists",
]

# How many delays of a range or another immutable collection are checked beforehand.
# Every call checks each delay again when it draws it.
_DELAYS_CHECKED = 100


def check_optional_duration(
    name: str, value: float | None, *, positive: bool = False
) -> None:
    """Check a duration for which None means no limit."""
    if value is not None:
        check_duration(name, value, positive=positive)


def check_retry(retry: Iterable[float]) -> Iterable[float]:
    """Check delays that every call iterates from the beginning."""
    if isinstance(retry, Iterator):
        raise TypeError(
            f"retry must be iterable again and again, not {safe_repr(retry)}, which is"
            " used up by one call: give a tuple, or Backoff(...)"
        )
    if isinstance(retry, str | bytes) or not isinstance(retry, Iterable):
        text = f"retry must be an iterable of seconds, not {safe_repr(retry)}"
        raise TypeError(f"{text}: {_suggest_retry(retry)}")
    if not isinstance(retry, Collection):
        return retry  # It may be endless.  A call checks each delay that it draws.
    # A range is immutable and can be long.  A list or an array is copied.
    is_value = isinstance(retry, Hashable) and not isinstance(retry, tuple)
    for delay in itertools.islice(retry, _DELAYS_CHECKED if is_value else None):
        check_duration("retry", delay)
    return retry if is_value else tuple(retry)


def _suggest_retry(retry: object) -> str:
    """Return what the caller may have meant by *retry*."""
    if isinstance(retry, type | bool):
        return "retry=Backoff()"
    if isinstance(retry, int):
        return f"retry=Backoff(attempts={safe_repr(retry)})"
    if isinstance(retry, float):
        return f"one delay is retry=({retry},)"
    return "retry=(0.1, 0.5), say, or retry=Backoff(attempts=3)"


def check_count(name: str, value: object) -> None:
    """Check a whole number from 0 to the largest C int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {safe_repr(value)}")
    if not 0 <= value < 2**31:
        raise ValueError(f"{name} must be 0 or more, and a C int: {safe_repr(value)}")


def check_family(family: object) -> None:
    """Check the address family to resolve names for."""
    check_count("family", family)
    if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise ValueError(
            f"family must be AF_UNSPEC, AF_INET or AF_INET6, not {safe_repr(family)}"
        )


def check_local_addr(local_addr: object) -> tuple[tuple[str | None, int], ...]:
    """Return the addresses to connect from, as pairs of a host and a port number."""
    value = _check_sequence(local_addr)
    if not value:
        raise ValueError("local_addr is empty: give None to let the kernel choose")
    # It is one pair if it begins with a host, and else a sequence of pairs.
    return tuple(map(_check_pair, (value,) if _is_host(value[0]) else value))


def _is_host(value: object) -> bool:
    return value is None or isinstance(value, str | bytes)


def _check_pair(value: object) -> tuple[str | None, int]:
    pair = _check_sequence(value)
    if not 2 <= len(pair) <= 4:  # getsockname returns four for IPv6
        raise _local_addr_error(value)
    try:
        # As in asyncio, None as the host means this machine, and as the port any.
        host = None if pair[0] is None else check_host(pair[0])
        port = pair[1]
        is_any = port is None or (isinstance(port, str | bytes) and not port)
        return host, 0 if is_any else check_port(port)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"local_addr: {exc}") from None


def _check_sequence(value: object) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _local_addr_error(value)
    return cast("Sequence[Any]", value)


def _local_addr_error(value: object) -> TypeError:
    return TypeError(
        f"local_addr must be (host, port), or several, not {redacted_repr(value)}"
    )


def without_lists(local_addr: Sequence[Any]) -> tuple[Any, ...]:
    """Return the checked *local_addr* with tuples in place of its lists."""
    if _is_host(local_addr[0]):
        return tuple(local_addr)
    return tuple(tuple(pair) for pair in local_addr)

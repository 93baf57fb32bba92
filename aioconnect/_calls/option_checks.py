"""Check options and arguments before anything connects.

Each check returns the value in the form that the package works with, or raises an
error.  The error names the option, and often shows an argument that would work.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import socket
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any, cast

from .._io.resolver import check_port
from .._io.sockets import Prepare
from .._sansio.checks import check_duration
from .._sansio.hosts import check_host
from .._sansio.text import redacted_repr, safe_repr
from .ready import Ready

__all__ = [
    "check_count",
    "check_factory",
    "check_family",
    "check_function",
    "check_history",
    "check_local_addr",
    "check_optional_duration",
    "check_prepare",
    "check_ready",
    "check_retry",
    "check_synchronous",
    "without_lists",
]

# How many delays of a range or another immutable collection are checked beforehand.
# Every call checks each delay again when it draws it.
_DELAYS_CHECKED = 100

_ASYNC_FLAGS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_GENERATOR_FLAGS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_EXAMPLES = {
    "allow": "allow=only_public, or a function of the address and the port",
    "observer": "observer=Timeline(), or a function of the event",
    "outcome": "outcome=aioconnect.outcome.so_error, say",
    "prepare": "prepare=[nodelay()], or functions of the socket and the address",
    "ready": "ready=is_up, for an async def is_up",
    "resolver": "resolver=AiodnsResolver(), or a function as system_resolver is",
    "retry_on": "retry_on=is_refused, or a function of the error",
}

# The instructions before a return whose value is a constant or a bool: no awaitable.
_PLAIN_RESULTS = frozenset(
    {
        "COMPARE_OP",
        "CONTAINS_OP",
        "IS_OP",
        "LOAD_COMMON_CONSTANT",  # None, True and False, since Python 3.15
        "LOAD_CONST",
        "LOAD_SMALL_INT",
        "UNARY_NOT",
    }
)


def check_history(history: object) -> None:
    """Check that *history* is a `History`.  Its module is imported now (K14)."""
    from .._sansio.history import History  # noqa: PLC0415  # only who uses it needs it

    if not isinstance(history, History):
        text = f"history must be a History(), not {safe_repr(history)}"
        raise TypeError(text)


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
            f"retry must not be {safe_repr(retry)}, which is used up by one call: give"
            " a tuple, or Backoff(...)"
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
        raise ValueError(
            f"{name} must be 0 or more, and fit a C int: {safe_repr(value)}"
        )


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
    # A value that begins with a host is one pair.  Any other is a sequence of pairs.
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


def check_function(name: str, value: object) -> None:
    """Raise unless *value*, the option *name*, is a function to call later."""
    if isinstance(value, type):
        # Calling a class returns an object, which is true whatever the arguments are.
        has_callable_objects = any("__call__" in vars(one) for one in value.__mro__)
        example = f"{name}={value.__name__}()"
        if not has_callable_objects:
            example = _EXAMPLES[name]
        text = f"{name} must be a function, not the class {value.__name__}"
        raise TypeError(f"{text}: {example}")
    if not callable(value):
        text = f"{name} must be callable, not {safe_repr(value)}"
        if inspect.iscoroutine(value):
            value.close()  # nobody will await it
            raise TypeError(f"{text}: give the function, without calling it")
        raise TypeError(f"{text}: {_EXAMPLES[name]}")


def check_synchronous(name: str, value: object) -> None:
    """Raise if *value* is an asynchronous function, because nothing awaits its result.

    A coroutine that is not awaited is true, so every answer would be yes.  An
    asynchronous function inside a `functools.partial`, for example, is not noticed.
    """
    function = value if hasattr(value, "__code__") else type(value).__call__
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & _ASYNC_FLAGS:
        raise TypeError(
            f"{name} must not be an asynchronous function: {safe_repr(value)}"
        )


def check_prepare(prepare: Sequence[Prepare]) -> tuple[Prepare, ...]:
    """Return the functions to run on each new socket, checked, as a tuple."""
    if callable(prepare) or not isinstance(prepare, Sequence):
        _refuse_sockopts_function(prepare)
        text = f"prepare must be a sequence of functions, not {safe_repr(prepare)}"
        raise TypeError(f"{text}: a list of one is prepare=[{safe_repr(prepare)}]")
    for hook in prepare:
        _refuse_sockopts_function(hook)
        check_function("prepare", hook)
        check_synchronous("prepare", hook)
    return tuple(prepare)


def _refuse_sockopts_function(hook: object) -> None:
    """Raise if *hook* is a function of `sockopts`, which returns the real hook.

    If it were called with a socket, it would do nothing.
    """
    if isinstance(hook, FunctionType) and hook.__module__ == "aioconnect.sockopts":
        needs_nothing = hook.__code__.co_argcount == len(hook.__defaults__ or ())
        call = f"{hook.__name__}({'' if needs_nothing else '...'})"
        raise TypeError(f"prepare: {hook.__name__} has to be called: prepare=[{call}]")


def check_ready(ready: Ready) -> None:
    """Raise if *ready* plainly returns no awaitable, as far as its code shows.

    A plain function may return an awaitable.  It cannot if each of its returns is a
    constant or the result of a comparison.
    """
    check_function("ready", ready)
    code = ready.__code__ if isinstance(ready, FunctionType) else None
    if code is None or code.co_flags & inspect.CO_COROUTINE:
        return
    is_generator = code.co_flags & _GENERATOR_FLAGS
    if is_generator and not code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        raise TypeError(f"ready must return, and not yield: {safe_repr(ready)}")
    if not is_generator and _returns_no_awaitable(code):
        text = f"ready must be a coroutine function, not {safe_repr(ready)}"
        raise TypeError(f"{text}: make it an async def")


def _returns_no_awaitable(code: CodeType) -> bool:
    last, returns = "", 0
    for instruction in dis.get_instructions(code):
        returns += instruction.opname in ("RETURN_VALUE", "RETURN_CONST")
        if instruction.opname == "RETURN_VALUE" and (
            # A jump leads here with the value of another expression: ``first or None``.
            last not in _PLAIN_RESULTS or instruction.is_jump_target
        ):
            return False
        last = instruction.opname
    return returns > 0  # a function that only raises makes the attempt fail


def check_factory(factory: object) -> None:
    """Raise unless *factory* can be called to make a protocol."""
    if not callable(factory):
        text = f"protocol_factory must be callable, not {safe_repr(factory)}"
        raise TypeError(f"{text}: give the protocol's class, or a lambda that makes it")

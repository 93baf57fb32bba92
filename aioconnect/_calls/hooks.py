"""Check the functions of the caller's before anything connects.

What is wrong is said with the form that is right.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Sequence
from types import CodeType, FunctionType

from .._io.sockets import Prepare
from .._sansio.text import safe_repr
from .ready import Ready

__all__ = [
    "check_factory",
    "check_function",
    "check_prepare",
    "check_ready",
    "check_synchronous",
]

_ASYNCHRONOUS = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_NO_AWAITABLE = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

_FORMS = {
    "allow": "allow=only_public, or a function of the address and the port",
    "observer": "observer=Timeline(), or a function of the event",
    "outcome": "outcome=aioconnect.outcome.so_error, say",
    "prepare": "prepare=[nodelay()], or functions of the socket and the address",
    "ready": "ready=is_up, for an async def is_up",
    "resolver": "resolver=AiodnsResolver(), or a function as system_resolver is",
    "retry_on": "retry_on=is_refused, or a function of the error",
}

# How a plain function ends that returns no awaitable: with a constant, or a bool.
_PLAIN_ENDS = frozenset(
    {
        "COMPARE_OP",
        "CONTAINS_OP",
        "IS_OP",
        "LOAD_CONST",
        "LOAD_SMALL_INT",
        "UNARY_NOT",
    }
)


def check_function(name: str, value: object) -> None:
    """Check a function that will be called later."""
    if isinstance(value, type):
        # It can be called, and what it gives is true.
        is_maker = any("__call__" in vars(one) for one in value.__mro__)
        form = f"{name}={value.__name__}()" if is_maker else _FORMS[name]
        text = f"{name} must be a function, not the class {value.__name__}"
        raise TypeError(f"{text}: {form}")
    if not callable(value):
        text = f"{name} must be callable, not {safe_repr(value)}"
        if inspect.iscoroutine(value):
            value.close()  # nobody will await it
            raise TypeError(f"{text}: give the function, without calling it")
        raise TypeError(f"{text}: {_FORMS[name]}")


def check_synchronous(name: str, value: object) -> None:
    """Check a function that nobody will await: what an asynchronous one gives is true.

    One that is not seen to be so, behind a `functools.partial` say, is taken.
    """
    function = value if hasattr(value, "__code__") else type(value).__call__
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & _ASYNCHRONOUS:
        raise TypeError(f"{name} must be no asynchronous function: {safe_repr(value)}")


def check_prepare(prepare: Sequence[Prepare]) -> tuple[Prepare, ...]:
    """Return the hooks that are run on each new socket, checked."""
    if callable(prepare) or not isinstance(prepare, Sequence):
        _check_called(prepare)
        text = f"prepare must be a sequence of functions, not {safe_repr(prepare)}"
        raise TypeError(f"{text}: a list of one is prepare=[{safe_repr(prepare)}]")
    for hook in prepare:
        _check_called(hook)
        check_function("prepare", hook)
        check_synchronous("prepare", hook)
    return tuple(prepare)


def _check_called(hook: object) -> None:
    """Refuse a function of `sockopts` itself: called with a socket it does nothing."""
    if isinstance(hook, FunctionType) and hook.__module__ == "aioconnect.sockopts":
        is_whole = hook.__code__.co_argcount == len(hook.__defaults__ or ())
        call = f"{hook.__name__}({'' if is_whole else '...'})"
        raise TypeError(f"prepare: {hook.__name__} has to be called: prepare=[{call}]")


def check_ready(ready: Ready) -> None:
    """Check what will be awaited, as far as can be seen before it is called.

    A plain function may return an awaitable.  One whose every end is a constant or the
    answer of a comparison cannot.
    """
    check_function("ready", ready)
    code = ready.__code__ if isinstance(ready, FunctionType) else None
    if code is None or code.co_flags & inspect.CO_COROUTINE:
        return
    is_generator = code.co_flags & _NO_AWAITABLE
    if is_generator and not code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        raise TypeError(f"ready must return, and not yield: {safe_repr(ready)}")
    if not is_generator and _returns_plainly(code):
        text = f"ready must be a coroutine function, not {safe_repr(ready)}"
        raise TypeError(f"{text}: make it an async def")


def _returns_plainly(code: CodeType) -> bool:
    last, returns = "", 0
    for instruction in dis.get_instructions(code):
        returns += instruction.opname in ("RETURN_VALUE", "RETURN_CONST")
        if instruction.opname == "RETURN_VALUE" and (
            # A jump brings what another expression gave: ``first or None``.
            last not in _PLAIN_ENDS or instruction.is_jump_target
        ):
            return False
        last = instruction.opname
    return returns > 0  # one that only raises is a failed attempt


def check_factory(factory: object) -> None:
    """Check a protocol factory: it is called when there is a connection."""
    if not callable(factory):
        text = f"protocol_factory must be callable, not {safe_repr(factory)}"
        raise TypeError(f"{text}: give the protocol's class, or a lambda that makes it")

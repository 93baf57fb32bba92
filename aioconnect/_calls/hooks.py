"""Check the caller's functions before anything connects.

An error says what is wrong, and shows an argument that would work.
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
        "LOAD_CONST",
        "LOAD_SMALL_INT",
        "UNARY_NOT",
    }
)


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
    """Raise if *value* is an asynchronous function: nobody will await its result.

    A coroutine that is not awaited is true, so every answer would be yes.  An
    asynchronous function that is hidden, in a `functools.partial` for example, passes.
    """
    function = value if hasattr(value, "__code__") else type(value).__call__
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType) and code.co_flags & _ASYNC_FLAGS:
        raise TypeError(f"{name} must be no asynchronous function: {safe_repr(value)}")


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

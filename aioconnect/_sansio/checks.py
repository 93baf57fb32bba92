"""Check values that callers give, and explain what is wrong with them."""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any, TypeVar

from .text import redacted_repr, safe_repr

__all__ = [
    "check_count",
    "check_duration",
    "check_port_number",
    "explain_unknown",
    "explains_misuse",
]

T = TypeVar("T")


def check_duration(name: str, value: object, *, positive: bool = False) -> None:
    """Raise unless *value* is a number of seconds that a loop can wait for."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        text = f"{name} must be a number of seconds, such as {name}=5"
        raise TypeError(f"{text}, not {safe_repr(value)}")
    # The limit is thirty thousand years: the loop's clock holds every number below it.
    if not 0 <= value < 1e12 or (positive and value == 0):
        least = "more than 0" if positive else "0 or more"
        raise ValueError(f"{name} must be {least} and finite, not {safe_repr(value)}")


def check_count(name: str, value: object) -> None:
    """Raise unless *value* is a whole number from 0 to the largest C int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not {safe_repr(value)}")
    if not 0 <= value < 2**31:
        raise ValueError(
            f"{name} must be 0 or more, and fit a C int: {safe_repr(value)}"
        )


def check_port_number(port: object) -> int:
    """Return *port*, a whole number or a decimal text, as an int.

    `_io.resolver.check_port` takes the name of a service, too.

    Raises:
        ValueError: It is not between 0 and 65535, or a text that is not a number.
        TypeError: It is neither int nor str.
    """
    number = port if type(port) is int else _port_number(port)
    if not 0 <= number <= 65535:
        raise ValueError(f"port must be between 0 and 65535, not {redacted_repr(port)}")
    return number


def _port_number(port: object) -> int:
    if isinstance(port, bytes):
        port = port.decode("ascii", "replace")
    if isinstance(port, str):
        if port.isascii() and port.isdecimal():
            return int(port) if len(port) < 10 else 65536
        raise ValueError(
            f"port: {redacted_repr(port)} is neither a number nor a TCP service's name"
        )
    if isinstance(port, bool):
        raise TypeError(f"port must be an int or a str, not {redacted_repr(port)}")
    if isinstance(port, float) and port.is_integer():
        return int(port)  # a number from JSON, say
    try:
        return operator.index(port)  # type: ignore[arg-type]  # it raises by itself
    except TypeError:
        raise TypeError(
            f"port must be an int or a str, not {redacted_repr(port)}"
        ) from None


def explain_unknown(
    names: Iterable[str], known: Collection[str], otherwise: str
) -> str:
    """Return a text that lists the unknown *names*, each with its likely correction.

    A correction is one of the *known* names.  If no name has one, the text ends with
    *otherwise*.
    """
    import difflib  # noqa: PLC0415  # only a misspelt option needs it

    listed: list[str] = []
    for name in sorted(names):
        close = difflib.get_close_matches(name, known, 1)
        listed.append(f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name))
    text = ", ".join(listed)
    return text if "did you mean" in text else f"{text}; {otherwise}"


def explains_misuse(cls: type[T]) -> type[T]:
    """Make the keyword-only dataclass *cls* explain a call with wrong arguments.

    A decorator.  Python's own message for a misspelt option does not say which name
    would be right.
    """
    generated: Any = cls.__init__

    @functools.wraps(generated)
    def init(self: T, *positional: Any, **options: Any) -> None:
        try:
            generated(self, *positional, **options)
        except TypeError:
            text = _misuse(type(self), positional, options)
            if text is None:
                raise
            raise TypeError(text) from None

    # A type checker would compare an assignment with the signature from the fields.
    setattr(cls, "__init__", init)  # noqa: B010
    return cls


def _misuse(
    cls: type[Any], positional: tuple[Any, ...], options: dict[str, Any]
) -> str | None:
    names = [field.name for field in fields(cls)]
    if positional:
        # The value is left out: it may be a URL with a password.
        return f"{cls.__name__} takes options by name: {cls.__name__}({names[0]}=...)"
    unknown = options.keys() - names
    if not unknown:
        return None
    otherwise = f"{cls.__name__} has {', '.join(names)}"
    return f"no such option: {explain_unknown(unknown, names, otherwise)}"

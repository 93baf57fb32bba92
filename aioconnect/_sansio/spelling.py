"""Say what may have been meant by an option that there is not.

Pure.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["explain_unknown", "explains_misuse"]

T = TypeVar("T")


def explain_unknown(
    names: Iterable[str], known: Collection[str], otherwise: str
) -> str:
    """Return which *names* are none of *known*, and which of these may be meant.

    *otherwise* is added if nothing is like them.
    """
    import difflib  # noqa: PLC0415  # only those who misspell wait for it

    said: list[str] = []
    for name in sorted(names):
        alike = difflib.get_close_matches(name, known, 1)
        said.append(f"{name!r} (did you mean {alike[0]!r}?)" if alike else repr(name))
    text = ", ".join(said)
    return text if "did you mean" in text else f"{text}; {otherwise}"


def explains_misuse(cls: type[T]) -> type[T]:
    """Have the dataclass *cls*, whose options have names, say how it is made.

    A decorator: what Python says of a misspelt name does not say the right one.
    """
    made: Any = cls.__init__

    @functools.wraps(made)
    def init(self: T, *given: Any, **options: Any) -> None:
        try:
            made(self, *given, **options)
        except TypeError:
            text = _misuse(type(self), given, options)
            if text is None:
                raise
            raise TypeError(text) from None

    # An assignment, a type checker would compare with what it makes of the fields.
    setattr(cls, "__init__", init)  # noqa: B010
    return cls


def _misuse(
    cls: type[Any], given: tuple[Any, ...], options: dict[str, Any]
) -> str | None:
    names = [field.name for field in fields(cls)]
    if given:
        # What was given is not shown: it may be a URL with a password.
        return f"{cls.__name__} takes options by name: {cls.__name__}({names[0]}=...)"
    misspelt = options.keys() - names
    if not misspelt:
        return None
    otherwise = f"{cls.__name__} has {', '.join(names)}"
    return f"no such option: {explain_unknown(misspelt, names, otherwise)}"

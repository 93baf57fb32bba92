"""Quote others in a text of this package: values, names, and what errors say.

Pure.  Others can say anything.  What is quoted is one line of printable characters: no
line of a log is forged by it, no terminal obeys it, and the password in a URL is left
out.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["escaped", "printable", "said_by", "shown"]

# In characters: of a value, and of what an error says.
_LONGEST_VALUE = 200
_LONGEST = 300

# A URL has no white space in it.
_WORD = re.compile(r"\S+")


def shown(value: object) -> str:
    """Return *value* as an error's text can quote it: its repr, on one line."""
    part, is_cut = _beginning(value)
    try:
        text = repr(part)
    except Exception:
        # It can be nested too deep, be an int of more digits than Python shows, or have
        # a __repr__ that fails.  None of these is what the error is about.
        text = f"<{type(value).__name__}>"
    return _cut(_without_credentials(text, is_cut=is_cut), _LONGEST_VALUE)


def _beginning(value: Any) -> tuple[Any, bool]:
    """Return as much of *value* as there is room for, and if that is not all of it."""
    if type(value) not in (str, bytes, bytearray, list, tuple):
        return value, False
    # A list can have millions of members.
    return value[:_LONGEST_VALUE], len(value) > _LONGEST_VALUE


def said_by(error: BaseException, longest: int = _LONGEST) -> str:
    """Return what *error* says on one line, or its class if it says nothing.

    More than *longest* characters are cut.
    """
    try:
        text = str((isinstance(error, OSError) and error.strerror) or error)
    except Exception:
        # A hook may raise what fails to say why.  The failure is the news.
        text = ""
    name = type(error).__name__
    return printable(text.strip(), longest) or printable(name, longest)


def printable(text: str, longest: int | None = None) -> str:
    """Return *text* as one line of printable characters, without a URL's password.

    More than *longest* characters are cut.
    """
    if "://" in text and "@" in text:
        text = _WORD.sub(lambda word: _without_credentials(word[0]), text)
    return escaped(text) if longest is None else _cut(text, longest)


def escaped(text: str) -> str:
    r"""Return *text* with ``\n``, ``\x1b`` or ``\u202e`` for what is not printable.

    These are control and format characters, separators other than the blank, and the
    lone surrogates that stand for the bytes of a file's name.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _cut(text: str, longest: int) -> str:
    text = escaped(text[: longest + 1])  # which is not shorter
    return text if len(text) <= longest else f"{text[:longest]}..."


def _without_credentials(text: str, *, is_cut: bool = False) -> str:
    """Return *text* without the user and the password of the URL in it.

    A password may hold what has to be written %XX there, "@" and "/" among others.
    Text that *is_cut* may end within it.
    """
    before, scheme, rest = text.partition("://")
    if scheme and is_cut:
        return f"{before}{scheme}***"
    _, at, after = rest.rpartition("@")
    return f"{before}{scheme}***{at}{after}" if at else text

"""Quote others in a text of this package: values, names, and what errors say.

Pure.  Others can say anything.  What is quoted is one line of printable characters: no
line of a log is forged by it, no terminal obeys it, and the password in a URL is left
out, as is the query, in which there can be one.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "UNIX_PATH",
    "error_text",
    "escape",
    "printable",
    "redact_urls",
    "redacted_repr",
    "safe_repr",
]

# In characters: of a value, and of what an error says.
_LONGEST_VALUE = 200
_LONGEST = 300

# A URL has no white space in it.
_WORD = re.compile(r"\S+")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

# A URL's host and port.  Anything else in their place may be a part of a password.
_HOST_OF_URL = re.compile(r"(\[[^]]*\]|[^][:/?#]*)(:\d*)?(?=/|\Z)")

# The beginning of one: every character can stand in it.  A URL has a second slash.
UNIX_PATH = re.compile(r"unix:(?!//)|/(?!/)")


def safe_repr(value: object) -> str:
    """Return *value* as an error's text can quote it: its repr, on one line."""
    part, is_cut = _beginning(value)
    text = _repr(part)
    if is_cut and "://" in text:
        text = f"{text.partition('://')[0]}://***"  # it may end within the password
    return _cut(redact_urls(text), _LONGEST_VALUE)


def redacted_repr(value: object) -> str:
    """Return what `safe_repr` does of what was given for a target, a host or a port.

    That may be any text that has a password in it, such as ``user:password@host``.
    """
    if isinstance(value, str):
        return safe_repr(redact_urls(str.__str__(value), strict=True))
    if isinstance(value, bytes | bytearray):
        # Each byte is a character of Latin-1.
        text = redact_urls(value.decode("latin-1"), strict=True)
        return safe_repr(text.encode("latin-1"))
    if not isinstance(value, list | tuple):
        return safe_repr(value)  # it says by itself what it is
    part, _ = _beginning(value)
    return _cut(redact_urls(_repr(part), strict=True), _LONGEST_VALUE)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        # It can be nested too deep, be an int of more digits than Python shows, or have
        # a __repr__ that fails.  None of these is what the error is about.
        return f"<{type(value).__name__}>"


def _beginning(value: Any) -> tuple[Any, bool]:
    """Return as much of *value* as there is room for, and if that is not all of it."""
    if type(value) not in (str, bytes, bytearray, list, tuple):
        return value, False
    # A list can have millions of members.
    return value[:_LONGEST_VALUE], len(value) > _LONGEST_VALUE


def error_text(error: BaseException, longest: int = _LONGEST) -> str:
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
    """Return *text* as one line of printable characters, without a URL's secrets.

    More than *longest* characters are cut.
    """
    if "://" in text:
        text = _WORD.sub(lambda word: redact_urls(word[0]), text)
    return escape(text) if longest is None else _cut(text, longest)


def escape(text: str) -> str:
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
    text = escape(text[: longest + 1])  # which is not shorter
    return text if len(text) <= longest else f"{text[:longest]}..."


def redact_urls(text: str, *, strict: bool = False) -> str:
    """Return *text* without the user, the password and the query of the URL in it.

    A *strict* one is a target, a host or a port, or what was given for one: the scheme
    can be missing, and of a URL no more than the host and the port is left.  A path of
    a Unix socket stays as it is.
    """
    if strict:
        if UNIX_PATH.match(text):
            return text
        scheme = _SCHEME.match(text)
        head = scheme[0] if scheme else ""
    else:
        before, colon, _ = text.partition("://")
        if not colon:
            return text
        head = before + colon
    # The query goes first: an @ in it ends no password.
    place, *query = re.split("[?#]" if head else "[?]", text[len(head) :], maxsplit=1)
    if query and "@" in query[0]:
        # Or that was no query, but a password with what has to be written %XX there.
        return f"{head}***@..."
    # Such a password can have an @ in it, too.
    _, at, rest = place.rpartition("@")
    kept = rest
    if strict and head not in ("", "tcp://"):
        found = _HOST_OF_URL.match(rest)
        kept = found[0] if found else ""
    is_less = query or kept != rest
    return f"{head}{'***' if at else ''}{at}{kept}{'...' if is_less else ''}"

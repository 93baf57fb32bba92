"""Quote foreign text in messages: values, names, and the texts of errors.

Foreign text can contain anything.  A quotation is one line of printable characters, so
it cannot forge a line of a log or control a terminal.  It leaves out the password of a
URL, and the query, which may contain a password, too.
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

# In characters: the repr of a value, and the text of an error.
_LONGEST_REPR = 200
_LONGEST_ERROR = 300

# A URL is one word: there is no white space in it.
_WORD = re.compile(r"\S+")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

# A URL's host and port.  Any other text in their place may be a part of a password.
_HOST_OF_URL = re.compile(r"(\[[^]]*\]|[^][:/?#]*)(:\d*)?(?=/|\Z)")

# The beginning of the path of a Unix socket.  The rest can have any character.  With a
# second slash, the text is a URL.
UNIX_PATH = re.compile(r"unix:(?!//)|/(?!/)")


def safe_repr(value: object) -> str:
    """Return the repr of *value* for an error's text: one line, without passwords."""
    part, is_cut = _truncate(value)
    text = _repr(part)
    if is_cut and "://" in text:
        text = f"{text.partition('://')[0]}://***"  # the cut may be within the password
    return _cut(redact_urls(text), _LONGEST_REPR)


def redacted_repr(value: object) -> str:
    """Return the repr of an argument that should be a target, a host or a port.

    Even without a scheme it may have a password in it: ``user:password@host``.
    """
    if isinstance(value, str):
        return safe_repr(redact_urls(str.__str__(value), strict=True))
    if isinstance(value, bytes | bytearray):
        # Latin-1 has a character for each byte.
        text = redact_urls(value.decode("latin-1"), strict=True)
        return safe_repr(text.encode("latin-1"))
    if not isinstance(value, list | tuple):
        return safe_repr(value)  # not a text that may be a password
    part, _ = _truncate(value)
    return _cut(redact_urls(_repr(part), strict=True), _LONGEST_REPR)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:
        # The value may be nested too deeply, be an int with more digits than Python
        # converts, or have a __repr__ that fails.  The error is about something else.
        return f"<{type(value).__name__}>"


def _truncate(value: Any) -> tuple[Any, bool]:
    """Return the beginning of *value*, and whether that leaves something out."""
    if type(value) not in (str, bytes, bytearray, list, tuple):
        return value, False
    # A list can have millions of members, whose repr would take long.
    return value[:_LONGEST_REPR], len(value) > _LONGEST_REPR


def error_text(error: BaseException, longest: int = _LONGEST_ERROR) -> str:
    """Return the text of *error* on one line, or the name of its class if it has none.

    The result has at most *longest* characters, and "..." if it was cut.
    """
    try:
        text = str((isinstance(error, OSError) and error.strerror) or error)
    except Exception:
        # A hook may raise an exception whose __str__ fails.
        text = ""
    name = type(error).__name__
    return printable(text.strip(), longest) or printable(name, longest)


def printable(text: str, longest: int | None = None) -> str:
    """Return *text* as one line of printable characters, without a URL's secrets.

    The result has at most *longest* characters, and "..." if it was cut.
    """
    if "://" in text:
        text = _WORD.sub(lambda word: redact_urls(word[0]), text)
    return escape(text) if longest is None else _cut(text, longest)


def escape(text: str) -> str:
    r"""Return *text* with escapes like ``\n`` or ``\u202e`` for unprintable characters.

    Unprintable are control and format characters, separators other than the blank, and
    the lone surrogates that stand for the bytes of a file's name.
    """
    if text.isprintable():
        return text
    return "".join(map(_escape, text))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _cut(text: str, longest: int) -> str:
    text = escape(text[: longest + 1])  # an escape is never shorter
    return text if len(text) <= longest else f"{text[:longest]}..."


def redact_urls(text: str, *, strict: bool = False) -> str:
    """Return *text* without the user, the password and the query of the URL in it.

    *strict* is for a text that should be a target, a host or a port.  Its scheme may be
    missing, and of a URL only the host and the port stay.  The path of a Unix socket
    stays as it is.
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
    # Remove the query first: an @ in it does not end a password.
    marks = "[?#]" if head else "[?]"
    authority, *query = re.split(marks, text[len(head) :], maxsplit=1)
    if query and "@" in query[0]:
        # Or the "query" is part of a password with characters that should be %XX.
        return f"{head}***@..."
    # A password can have an @ that should be %40, so only the last @ ends it.
    _, at, rest = authority.rpartition("@")
    kept = rest
    if strict and head not in ("", "tcp://"):
        match = _HOST_OF_URL.match(rest)
        kept = match[0] if match else ""
    is_cut = query or kept != rest
    return f"{head}{'***' if at else ''}{at}{kept}{'...' if is_cut else ''}"

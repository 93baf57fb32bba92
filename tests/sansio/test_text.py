"""What is quoted of others: escaped, cut, and without passwords."""

from __future__ import annotations

import errno
import socket

import pytest

from aioconnect._sansio.text import error_text, escape, printable, safe_repr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""),
        ("plain, with a blank", "plain, with a blank"),
        ("例え é e\u0301 🙂", "例え é e\u0301 🙂"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\0\x1b\x7f\x85\x9b\xa0\xad", r"\x00\x1b\x7f\x85\x9b\xa0\xad"),
        (
            "\u2028\u2029\u202e\u200b\u2066\ufeff",
            r"\u2028\u2029\u202e\u200b\u2066\ufeff",
        ),
        ("\ud800\udcff\ufffe\U000e0041", r"\ud800\udcff\ufffe\U000e0041"),
        (r"\n is \x1b", r"\n is \x1b"),
    ],
    ids=ascii,
)
def test_escaped(text: str, says: str) -> None:
    """Only what is not printable is; it stays what it was when it is done again."""
    assert escape(text) == says
    assert escape(says) == printable(text) == says


def test_every_character() -> None:
    """Of the basic plane, the text is printable, and as UTF-8 can have it."""
    text = escape("".join(map(chr, range(2**16))))
    assert text.isprintable()
    assert text.encode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://:hunter2@cache:6379/0", "redis://***@cache:6379/0"),
        ("see x://a:b@c, and (y://d@e)", "see x://***@c, and (y://***@e)"),
        ("x://a:b@c@d/e@f", "x://***@f"),  # a password with what belongs escaped
        ("a@b and x://c", "a@b and x://c"),
        ("x://a a@b", "x://a a@b"),  # two words, so no URL
        ("user@host", "user@host"),
    ],
)
def test_passwords(text: str, says: str) -> None:
    """The part of a URL that has them is left out, and nothing else."""
    assert printable(text) == says


def test_a_password_in_a_value() -> None:
    """A value is one, whatever is in it."""
    assert safe_repr("x://a b:c@d") == "'x://***@d'"
    assert safe_repr(["x://a:b@c", "x://d:e@f"]) == "['x://***@f']"
    for value in ("x://" + "a" * 300 + "@b", b"x://a@" + b"a" * 300 + b"@b"):
        assert safe_repr(value).removeprefix("b") == "'x://***"  # cut within it
    assert safe_repr([0] * 1000 + [Unshown(LookupError())]).startswith("[0, 0")


def test_long_texts() -> None:
    """They are cut, and cost no more than their length."""
    assert printable("x" * 9, 9) == "x" * 9
    assert printable("x" * 10, 9) == f"{'x' * 9}..."
    assert printable("\n" * 9, 8) == r"\n\n\n\n..."
    assert printable("x://" + "a" * 99 + "@b", 9) == "x://***@b"
    assert safe_repr("x" * 999) == f"'{'x' * 199}..."
    assert error_text(OSError("x" * 10**6)) == f"{'x' * 300}..."
    assert printable("://" * 10**6 + " @", 6) == "://://..."


class StrangeError(Exception):
    """An error that cannot say what it is about."""

    def __init__(self, bug: object = None) -> None:
        self.bug = bug

    def __str__(self) -> str:
        if isinstance(self.bug, BaseException):
            raise self.bug
        return self.bug  # type: ignore[return-value]  # that is the bug


class PropertyError(OSError):
    """An error whose text is computed, and cannot be."""

    @property
    def strerror(self) -> str:  # type: ignore[override]  # it is writable in OSError
        raise AttributeError("a bug")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EIO, " a text\n"), "a text"),
        (OSError("no code"), "no code"),
        (OSError(errno.EIO, b"\0"), r"b'\x00'"),
        (OSError(errno.EIO, ""), "[Errno 5] "),
        (socket.gaierror(socket.EAI_NONAME, "no name"), "no name"),
        (TimeoutError(), "TimeoutError"),
        (LookupError("a\nb"), r"a\nb"),
        (StrangeError(7), "StrangeError"),
        (StrangeError(LookupError()), "StrangeError"),
        (StrangeError(RecursionError()), "StrangeError"),
        (PropertyError(errno.EIO, "a text"), "PropertyError"),
    ],
    ids=repr,
)
def test_what_an_error_says(error: Exception, says: str) -> None:
    """It is what the system's say without their code, or the class; nothing raises."""
    assert error_text(error) == says.strip()


def test_an_interrupt_is_none() -> None:
    """What ends the program is not a failure to say something."""
    with pytest.raises(KeyboardInterrupt):
        error_text(StrangeError(KeyboardInterrupt()))


class Unshown:
    def __init__(self, bug: Exception) -> None:
        self.bug = bug

    def __repr__(self) -> str:
        raise self.bug


@pytest.mark.parametrize("bug", [LookupError(), RecursionError(), TypeError()])
def test_a_value_that_cannot_be_shown(bug: Exception) -> None:
    """What is wrong is said, and not what is wrong with its repr."""
    assert safe_repr(Unshown(bug)) == "<Unshown>"
    assert safe_repr(10**5000) == "<int>"

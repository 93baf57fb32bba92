"""No error shows the password in what was given for a target, a host or a port."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

import aioconnect
from aioconnect import Address, ConnectError, Connector, Target, parse_target
from aioconnect._cli import main
from aioconnect._sansio.text import printable, redacted_repr

QUERY = "redis://h/0?password=SECRET"
MISLEADING = "redis://h/0?password=a@SECRET"
USER = "user:SECRET@host:5432"


def connect(host: Any, port: Any = 1, **options: Any) -> object:
    return aioconnect.connect(host, port, **options)


def connect_any(targets: Any) -> object:
    return aioconnect.connect_any(targets)


def loop_factory(connector: Any) -> object:
    return aioconnect.loop_factory(connector)


def address(value: Any) -> object:
    return Address(socket.AF_INET, value)


GIVEN: dict[str, Callable[[], object]] = {
    "a query with an @": lambda: parse_target(MISLEADING),
    "a password with a ?": lambda: parse_target("redis://:a?SECRET@h"),
    "a target's host": lambda: Target("h?password=a@SECRET", 5432),
    "a target's service": lambda: Target(service=USER),
    "targets, a user": lambda: connect_any(USER),
    "targets, a query": lambda: connect_any("postgresql://h/db?password=SECRET"),
    "targets, no scheme": lambda: connect_any("h?password=SECRET"),
    "a tuple": lambda: connect_any([("user", "SECRET", "h:3")]),
    "a list": lambda: connect_any([["user", "SECRET", "h", 3]]),
    "a connector": lambda: loop_factory("redis://h?password=SECRET"),
    "a connector, a user": lambda: loop_factory(USER),
    "a port": lambda: connect("h", QUERY),
    "a port, a user": lambda: connect("h", USER),
    "a port in a list": lambda: connect("h", ["x" * 300 + USER]),
    "bytes": lambda: connect("user:SECRET\u00e9@host".encode()),
    "a host": lambda: connect(USER),
    "a host with a colon": lambda: connect("h?password=a:SECRET"),
    "a host in a list": lambda: connect([USER]),
    "a long host": lambda: connect("u" * 190 + ":SECRET" + "x" * 300 + "@h"),
    "local_addr": lambda: connect("h", local_addr="user:SECRET@h"),
    "local_addr of bytes": lambda: connect("h", local_addr=b"user:SECRET@h"),
    "local_addr's host": lambda: Connector(local_addr=("user:SECRET@h", 1)),
    "a sockaddr": lambda: address((USER, 1)),
}


async def result_of(call: Callable[[], object]) -> None:
    """Do *call*, and await what it returns if that can be."""
    made = call()
    if inspect.isawaitable(made):
        await made


@pytest.mark.parametrize("name", GIVEN)
async def test_what_is_given(name: str) -> None:
    """It is refused at once, and what may be a password is not repeated."""
    with pytest.raises((TypeError, ValueError)) as caught:
        await result_of(GIVEN[name])
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["postgresql://h/db?password=SECRET"],
        ["--timeout", "postgresql://h/db?password=SECRET"],
        ["user:SECRET@h"],
        ["completion", "it's:\\SECRET@h"],
        ["wait", MISLEADING],
        ["wait", "db:1", "--timeout", "redis://a:b SECRET@h"],
        ["wait", "db:1", "--timeout=user:SECRET@h"],
        ["wait", "db:1", "--any=user:SECRET@h"],
        ["wait", "db:1", "--local-addr", USER],
        ["wait", "db:1", "--x?password=SECRET"],
        ["wait", "db:1", "--user:SECRET@h"],
    ],
    ids=" ".join,
)
def test_the_command_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither what argparse says nor what we say repeats it."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err
    assert "SECRET" not in said.out + said.err


def test_arguments_in_a_tuple(capsys: pytest.CaptureFixture[str]) -> None:
    """They are parted as a list of them is."""
    assert main(("wait", "db:1", "--")) == 2
    assert "there is no command after --" in capsys.readouterr().err


async def test_what_a_hook_says() -> None:
    """A URL in it has no query, in the error and in its attempts."""

    async def resolver(*_: Any, **__: Any) -> NoReturn:
        raise OSError("GET http://h?token=SECRET failed")

    with pytest.raises(ConnectError, match=r"GET http://h\.\.\. failed") as caught:
        await aioconnect.connect("a.test", 80, resolver=resolver)
    told = [str(caught.value), *map(str, caught.value.attempts)]
    assert not [one for one in told if "SECRET" in one]


@pytest.mark.parametrize(
    "text", ["unix:@name", "unix:/run/a@b?c", "/run/a@b?c", "host:80", "***@h..."]
)
def test_what_is_no_secret(text: str) -> None:
    """It stays as it is, and what was left out is not left out again."""
    assert redacted_repr(text) == repr(text)
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("GET http://h?token=SECRET", "GET http://h..."),
        ("http://a:b@h/p#SECRET c@d", "http://***@h/p... c@d"),
        ("http://h/?a=b@SECRET is it?", "http://***@... is it?"),
    ],
)
def test_prose(text: str, says: str) -> None:
    """Of what others say only the URLs change."""
    assert printable(text) == printable(says) == says
